#include "format/find_text.h"

#include "format/charset.h"
#include "format/encoded_word.h"
#include "format/encoding.h"
#include "format/header.h"
#include "format/mime.h"

bool header_contains(struct arena *arena, struct slice header, struct slice folded)
{
	struct header_field field;
	while (header_next(&header, &field))
		if (utf8_contains(arena, encoded_words_decode(arena, field.raw), folded))
			return true;
	return false;
}

static bool part_contains(struct arena *arena, struct slice message, const struct mime_part *part,
	struct slice folded)
{
	if (part->kind == MIME_MESSAGE)
		return header_contains(arena, mime_header(part->first_child, message), folded);
	if (part->kind != MIME_LEAF || !slice_equal_nocase(part->type, SLICE("text")))
		return false;
	const struct mime_parameter *charset =
		mime_parameter_find(part->parameters, SLICE("charset"));
	struct slice body = transfer_decode(
		arena, transfer_encoding_of(part->encoding), mime_body(part, message));
	struct slice utf8;
	/* An unknown charset still has its ASCII. */
	if (!charset_to_utf8(arena, charset ? charset->value : SLICE(""), body, &utf8))
		utf8 = body;
	return utf8_contains(arena, utf8, folded);
}

bool body_contains(struct arena *arena, struct slice message, struct slice folded)
{
	struct arena_mark mark = arena_mark(arena);
	const struct mime_part *root = mime_scan(arena, message);
	bool contains = false;
	for (const struct mime_part *part = root; part && !contains; part = mime_next(root, part)) {
		struct arena_mark round = arena_mark(arena);
		contains = part_contains(arena, message, part, folded);
		arena_release(arena, round);
	}
	arena_release(arena, mark);
	return contains;
}
