#include "format/find_text.h"

#include "format/charset.h"
#include "format/encoded_word.h"
#include "format/encoding.h"
#include "format/header.h"
#include "format/html_text.h"
#include "format/mime_field.h"

static bool visit_header(
	struct arena *arena, struct slice header, text_visitor visit, void *context)
{
	struct header_field field;
	while (header_next(&header, &field))
		if (!visit(context, arena, encoded_words_decode(arena, field.raw)))
			return false;
	return true;
}

/* A name that is encoded by RFC 2231, or as it must not be, by RFC 2047. */
static bool visit_name(struct arena *arena, const struct mime_parameter *first, struct slice name,
	text_visitor visit, void *context)
{
	for (const struct mime_parameter *p = first; p; p = p->next) {
		bool is_encoded = slice_ends_with(p->name, SLICE("*"));
		struct slice text;
		if (!slice_equal_nocase(slice_range(p->name, 0, p->name.len - is_encoded), name))
			continue;
		if (!is_encoded || !encoded_parameter_decode(arena, p->value, &text))
			text = encoded_words_decode(arena, p->value);
		if (!visit(context, arena, text))
			return false;
	}
	return true;
}

struct slice part_text(
	struct arena *arena, struct slice message, const struct mime_part *part, size_t most)
{
	struct slice charset = mime_parameter_bytes(arena, part->parameters, SLICE("charset"));
	struct slice body = transfer_decode(arena, transfer_encoding_of(part->encoding),
		slice_range(mime_body(part, message), 0, most));
	struct slice utf8;
	/* An unknown charset still has its ASCII. */
	if (!charset_to_utf8(arena, charset, body, &utf8))
		utf8 = body;
	if (slice_equal_nocase(part->subtype, SLICE("html")))
		utf8 = html_to_text(arena, utf8);
	return utf8;
}

static bool visit_part(struct arena *arena, struct slice message, const struct mime_part *part,
	text_visitor visit, void *context)
{
	if (!visit_name(arena, part->disposition_parameters, SLICE("filename"), visit, context) ||
		!visit_name(arena, part->parameters, SLICE("name"), visit, context))
		return false;
	if (part->kind == MIME_MESSAGE)
		return visit_header(arena, mime_header(part->first_child, message), visit, context);
	if (part->kind != MIME_LEAF || !slice_equal_nocase(part->type, SLICE("text")))
		return true;
	return visit(context, arena, part_text(arena, message, part, SIZE_MAX));
}

void body_texts_visit(struct arena *arena, struct slice message, text_visitor visit, void *context)
{
	struct arena_mark mark = arena_mark(arena);
	const struct mime_part *root = mime_scan(arena, message);
	bool goes_on = true;
	for (const struct mime_part *part = root; part && goes_on; part = mime_next(root, part)) {
		struct arena_mark round = arena_mark(arena);
		goes_on = visit_part(arena, message, part, visit, context);
		arena_release(arena, round);
	}
	arena_release(arena, mark);
}

struct needle {
	struct slice folded;
	bool is_found;
};

static bool look(void *context, struct arena *arena, struct slice text)
{
	struct needle *needle = context;
	needle->is_found = utf8_contains(arena, text, needle->folded);
	return !needle->is_found;
}

bool header_contains(struct arena *arena, struct slice header, struct slice folded)
{
	struct needle needle = {.folded = folded};
	visit_header(arena, header, look, &needle);
	return needle.is_found;
}

bool body_contains(struct arena *arena, struct slice message, struct slice folded)
{
	struct needle needle = {.folded = folded};
	body_texts_visit(arena, message, look, &needle);
	return needle.is_found;
}
