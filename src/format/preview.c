#include "format/preview.h"

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "base/buf.h"
#include "format/find_text.h"

/* Style sheets may stand before the first word. */
#define TEXT_BYTES_MOST KIB(256)

static bool is_blank(UChar32 c)
{
	return u_isUWhiteSpace(c) || u_charType(c) == U_CONTROL_CHAR;
}

/* Joiners stand between letters; by themselves senders pad with them, so that nothing of the body
 * is shown. */
static bool is_padding(UChar32 c, bool stands_alone)
{
	return stands_alone && u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
}

static void append_character(struct buf *out, UChar32 c)
{
	char bytes[U8_MAX_LENGTH];
	int32_t len = 0;
	U8_APPEND_UNSAFE(bytes, len, c);
	buf_append(out, slice_of(bytes, (size_t)len));
}

static struct slice first_words(struct arena *arena, struct slice text)
{
	struct buf out = buf_in(arena);
	bool is_apart = false;
	int32_t at = 0, len = (int32_t)MIN_OF(text.len, INT32_MAX);
	for (size_t count = 0; at < len && count < PREVIEW_CHARACTERS_MAX;) {
		UChar32 c;
		U8_NEXT_OR_FFFD(text.ptr, at, len, c);
		if (is_blank(c)) {
			is_apart = out.len > 0;
			continue;
		}
		if (is_padding(c, is_apart || out.len == 0))
			continue;
		if (is_apart && ++count < PREVIEW_CHARACTERS_MAX)
			buf_append_char(&out, ' ');
		if (count == PREVIEW_CHARACTERS_MAX)
			break;
		is_apart = false;
		append_character(&out, c);
		count++;
	}
	return buf_as_slice(&out);
}

static bool is_read(const struct mime_part *part)
{
	return part->kind == MIME_LEAF && slice_equal_nocase(part->type, SLICE("text")) &&
	       !slice_equal_nocase(part->disposition, SLICE("attachment")) &&
	       (slice_equal_nocase(part->subtype, SLICE("plain")) ||
		       slice_equal_nocase(part->subtype, SLICE("html")));
}

struct slice preview_make(struct arena *arena, struct slice message)
{
	const struct mime_part *root = mime_scan(arena, message);
	struct slice words = SLICE("");
	/* What is encrypted has no words, whatever stands beside it. */
	if (slice_equal_nocase(root->subtype, SLICE("encrypted")))
		return words;
	for (const struct mime_part *part = root; part && !words.len; part = mime_next(root, part))
		if (is_read(part))
			words = first_words(
				arena, part_text(arena, message, part, TEXT_BYTES_MOST));
	return words;
}
