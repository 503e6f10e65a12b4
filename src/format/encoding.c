#include "format/encoding.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum transfer_encoding transfer_encoding_of(struct slice name)
{
	static const struct {
		struct slice name;
		enum transfer_encoding encoding;
	} names[] = {
		{SLICE_INIT("7bit"), ENCODING_IDENTITY},
		{SLICE_INIT("8bit"), ENCODING_IDENTITY},
		{SLICE_INIT("binary"), ENCODING_IDENTITY},
		{SLICE_INIT("base64"), ENCODING_BASE64},
		{SLICE_INIT("quoted-printable"), ENCODING_QUOTED_PRINTABLE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (slice_equal_nocase(name, names[i].name))
			return names[i].encoding;
	return ENCODING_UNKNOWN;
}

int hex_digit(char c)
{
	if (ascii_is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (ascii_is_digit(c))
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Behind padding more base64 may follow, where two encodings were joined; a line that is none is
 * what somebody has added below, such as a list's footer. */
static bool is_base64_line(struct slice text, size_t at)
{
	struct slice line = slice_from(text, at);
	line = slice_trim(slice_range(line, 0, slice_find_char(line, '\n')));
	for (size_t i = 0; i < line.len; i++)
		if (base64_digit(line.ptr[i]) < 0 && line.ptr[i] != '=')
			return false;
	return true;
}

static struct slice decode_base64(struct arena *arena, struct slice text)
{
	char *bytes = arena_alloc_raw(arena, text.len / 4 * 3 + 3);
	size_t len = 0;
	uint32_t group = 0;
	unsigned digits = 0;
	bool is_padded = false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = base64_digit(text.ptr[i]);
		bool begins_line = i && text.ptr[i - 1] == '\n';
		if (is_padded && begins_line && !is_base64_line(text, i))
			break;
		if (digit < 0) {
			/* Padding ends a group. */
			if (text.ptr[i] == '=') {
				digits = 0;
				is_padded = true;
			}
			continue;
		}
		group = group << 6 | (uint32_t)digit;
		digits++;
		if (digits >= 2)
			bytes[len++] = (char)(group >> (8 - 2 * digits));
		if (digits == 4)
			digits = 0;
	}
	return slice_of(bytes, len);
}

/* White space before a line break is transport padding (RFC 2045 6.7 rule 3). */
static size_t trailing_space(struct slice text, size_t at)
{
	size_t end = at;
	while (end < text.len && (text.ptr[end] == ' ' || text.ptr[end] == '\t'))
		end++;
	bool ends_line = end == text.len || text.ptr[end] == '\n' ||
			 (text.ptr[end] == '\r' && end + 1 < text.len && text.ptr[end + 1] == '\n');
	return ends_line ? end - at : 0;
}

/* Bytes used up by an `=`; *ret_byte is -1 for a soft line break, -2 for a stray sign. */
static size_t decode_escape(struct slice text, size_t at, int *ret_byte)
{
	if (at + 2 < text.len && hex_digit(text.ptr[at + 1]) >= 0 &&
		hex_digit(text.ptr[at + 2]) >= 0) {
		*ret_byte = hex_digit(text.ptr[at + 1]) * 16 + hex_digit(text.ptr[at + 2]);
		return 3;
	}
	size_t end = at + 1 + trailing_space(text, at + 1);
	if (end < text.len && text.ptr[end] == '\r')
		end++;
	if (end >= text.len || text.ptr[end] == '\n') {
		*ret_byte = -1;
		return MIN_OF(end + 1, text.len) - at;
	}
	*ret_byte = -2;
	return 1;
}

static struct slice decode_quoted_printable(struct arena *arena, struct slice text)
{
	char *bytes = arena_alloc_raw(arena, text.len + 1);
	size_t len = 0;
	size_t i = 0;
	while (i < text.len) {
		char c = text.ptr[i];
		if (c == '=') {
			int byte;
			i += decode_escape(text, i, &byte);
			if (byte != -1)
				bytes[len++] = byte == -2 ? '=' : (char)byte;
			continue;
		}
		size_t space = c == ' ' || c == '\t' ? trailing_space(text, i) : 0;
		if (space) {
			i += space;
			continue;
		}
		/* A long run of spaces is looked at once, not once for each. */
		do {
			bytes[len++] = text.ptr[i++];
		} while (i < text.len && (c == ' ' || c == '\t') &&
			 (text.ptr[i] == ' ' || text.ptr[i] == '\t'));
	}
	return slice_of(bytes, len);
}

struct slice transfer_decode(
	struct arena *arena, enum transfer_encoding encoding, struct slice bytes)
{
	if (encoding == ENCODING_BASE64)
		return decode_base64(arena, bytes);
	if (encoding == ENCODING_QUOTED_PRINTABLE)
		return decode_quoted_printable(arena, bytes);
	return bytes;
}

bool base64_decode(struct arena *arena, struct slice text, struct slice *ret_bytes)
{
	if (text.len % 4)
		return false;
	size_t padding = slice_ends_with(text, SLICE("==")) ? 2 : slice_ends_with(text, SLICE("="));
	for (size_t i = 0; i + padding < text.len; i++)
		if (base64_digit(text.ptr[i]) < 0)
			return false;
	*ret_bytes = decode_base64(arena, text);
	return true;
}

void base64_encode(struct buf *out, struct slice bytes)
{
	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t have = MIN_OF(bytes.len - i, 3);
		uint32_t group = 0;
		for (size_t j = 0; j < 3; j++)
			group = group << 8 | (j < have ? (unsigned char)bytes.ptr[i + j] : 0);
		for (size_t j = 0; j < 4; j++)
			buf_append_char(
				out, j <= have ? alphabet[group >> (18 - 6 * j) & 63] : '=');
	}
}

bool percent_decode(struct arena *arena, struct slice text, struct slice *ret_text)
{
	char *out = arena_alloc_raw(arena, text.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			c = (char)(high * 16 + low);
			i += 2;
		}
		if (c == 0)
			return false;
		out[len++] = c;
	}
	*ret_text = slice_of(out, len);
	return true;
}
