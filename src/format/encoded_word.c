#include "format/encoded_word.h"

#include "base/buf.h"
#include "format/charset.h"
#include "format/encoding.h"
#include "format/header.h"

/* RFC 2047 2 says 75; broken senders exceed it. */
#define WORD_MAX 2000

struct word {
	struct slice charset;
	char encoding;
	struct slice text;
	size_t length; /* of the whole, with its marks */
};

/* At an "=?". */
static bool take_word(struct slice text, struct word *ret_word)
{
	text = slice_range(text, 0, WORD_MAX);
	struct slice rest = slice_from(text, 2);
	size_t first = slice_find_char(rest, '?');
	if (first + 2 >= rest.len || rest.ptr[first + 2] != '?')
		return false;
	ret_word->charset = slice_range(rest, 0, first);
	ret_word->encoding = ascii_lower(rest.ptr[first + 1]);
	rest = slice_from(rest, first + 3);
	size_t end = slice_find(rest, SLICE("?="));
	if (end == rest.len)
		return false;
	ret_word->text = slice_range(rest, 0, end);
	ret_word->length = (size_t)(rest.ptr - text.ptr) + end + 2;
	/* RFC 2231 5: a language may follow the charset. */
	ret_word->charset =
		slice_range(ret_word->charset, 0, slice_find_char(ret_word->charset, '*'));
	return (ret_word->encoding == 'b' || ret_word->encoding == 'q') &&
	       charset_is_known(ret_word->charset) && ret_word->charset.len;
}

static struct slice decode_q(struct arena *arena, struct slice text)
{
	char *bytes = arena_alloc_raw(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '=' && i + 2 < text.len && hex_digit(text.ptr[i + 1]) >= 0 &&
			hex_digit(text.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(text.ptr[i + 1]) * 16 + hex_digit(text.ptr[i + 2]));
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		bytes[len++] = c;
	}
	return slice_of(bytes, len);
}

static struct slice word_bytes(struct arena *arena, const struct word *word)
{
	return word->encoding == 'q' ? decode_q(arena, word->text)
				     : transfer_decode(arena, ENCODING_BASE64, word->text);
}

static void append_plain(struct arena *arena, struct buf *out, struct slice text)
{
	struct slice utf8 = text;
	if (!utf8_is_valid(text) && !charset_to_utf8(arena, SLICE("windows-1252"), text, &utf8))
		utf8 = text;
	buf_append(out, utf8);
}

/* Decodes the word at the front of *text and those that follow it with nothing but space between.
 * Neighbours in one charset are joined before conversion: some senders cut characters in two. */
static void decode_run(struct arena *arena, struct buf *out, struct slice *text, struct word word)
{
	struct buf bytes = buf_in(arena);
	for (;;) {
		buf_append(&bytes, word_bytes(arena, &word));
		*text = slice_from(*text, word.length);
		size_t space = 0;
		while (space < text->len && (text->ptr[space] == ' ' || text->ptr[space] == '\t'))
			space++;
		struct slice next = slice_from(*text, space);
		struct word following;
		if (!slice_starts_with(next, SLICE("=?")) || !take_word(next, &following))
			break;
		*text = next;
		if (!slice_equal_nocase(following.charset, word.charset))
			break;
		word = following;
	}
	struct slice utf8;
	if (charset_to_utf8(arena, word.charset, buf_as_slice(&bytes), &utf8))
		buf_append(out, utf8);
}

struct slice encoded_words_decode(struct arena *arena, struct slice value)
{
	struct slice text = header_unfold(arena, value);
	if (slice_find(text, SLICE("=?")) == text.len && utf8_is_valid(text))
		return text;
	struct buf out = buf_in(arena);
	while (text.len) {
		size_t start = slice_find(text, SLICE("=?"));
		append_plain(arena, &out, slice_range(text, 0, start));
		text = slice_from(text, start);
		struct word word;
		if (text.len && take_word(text, &word)) {
			decode_run(arena, &out, &text, word);
		} else if (text.len) {
			buf_append(&out, slice_range(text, 0, 2));
			text = slice_from(text, 2);
		}
	}
	return buf_as_slice(&out);
}

bool encoded_parameter_split(
	struct arena *arena, struct slice value, struct slice *ret_charset, struct slice *ret_bytes)
{
	struct slice language;
	struct slice rest = value;
	if (!slice_split(&rest, '\'', ret_charset) || !slice_split(&rest, '\'', &language) ||
		!rest.ptr)
		return false;
	char *bytes = arena_alloc_raw(arena, rest.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < rest.len; i++) {
		char c = rest.ptr[i];
		if (c == '%' && i + 2 < rest.len && hex_digit(rest.ptr[i + 1]) >= 0 &&
			hex_digit(rest.ptr[i + 2]) >= 0) {
			c = (char)(hex_digit(rest.ptr[i + 1]) * 16 + hex_digit(rest.ptr[i + 2]));
			i += 2;
		}
		bytes[len++] = c;
	}
	*ret_bytes = slice_of(bytes, len);
	return true;
}

bool encoded_parameter_decode(struct arena *arena, struct slice value, struct slice *ret_utf8)
{
	struct slice charset, bytes;
	return encoded_parameter_split(arena, value, &charset, &bytes) &&
	       charset_to_utf8(arena, charset, bytes, ret_utf8);
}
