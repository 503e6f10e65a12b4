#include "format/utf7.h"

#include <unicode/utf16.h>
#include <unicode/utf8.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_of(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;
	return at ? (int)(at - alphabet) : -1;
}

static bool is_direct(UChar32 c)
{
	return c >= 0x20 && c <= 0x7e;
}

static void append_utf8(struct buf *out, UChar32 c)
{
	char *at = buf_reserve(out, 4);
	int32_t len = 0;
	U8_APPEND_UNSAFE(at, len, c);
	out->len += (size_t)len;
}

struct unit_state {
	uint16_t high; /* a surrogate that waits for its other half, or 0 */
};

/* One UTF-16 unit out of a shifted run. */
static bool take_unit(struct buf *out, struct unit_state *state, uint16_t unit)
{
	if (state->high) {
		if (!U16_IS_TRAIL(unit))
			return false;
		append_utf8(out, U16_GET_SUPPLEMENTARY(state->high, unit));
		state->high = 0;
		return true;
	}
	if (U16_IS_TRAIL(unit) || is_direct(unit) || unit == 0)
		return false;
	if (U16_IS_LEAD(unit))
		state->high = unit;
	else
		append_utf8(out, unit);
	return true;
}

/* Between `&` and `-`. */
static bool decode_run(struct buf *out, struct slice digits)
{
	struct unit_state state = {0};
	uint32_t bits = 0;
	unsigned count = 0;
	for (size_t i = 0; i < digits.len; i++) {
		int digit = digit_of(digits.ptr[i]);
		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
		count += 6;
		if (count < 16)
			continue;
		count -= 16;
		if (!take_unit(out, &state, (uint16_t)(bits >> count)))
			return false;
	}
	/* What pads the last digit must be zero and less than a digit. */
	return count < 6 && (bits & ((1U << count) - 1)) == 0 && !state.high;
}

bool utf7_to_utf8(struct arena *arena, struct slice text, struct slice *ret_utf8)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < text.len; i++) {
		if (!is_direct((unsigned char)text.ptr[i]))
			return false;
		if (text.ptr[i] != '&') {
			buf_append_char(&out, text.ptr[i]);
			continue;
		}
		struct slice rest = slice_from(text, i + 1);
		size_t end = slice_find_char(rest, '-');
		if (end == rest.len)
			return false;
		if (end == 0)
			buf_append_char(&out, '&');
		else if (!decode_run(&out, slice_range(rest, 0, end)))
			return false;
		/* Two runs side by side could have been one: a second name for the same mailbox. */
		if (end && end + 2 < rest.len && rest.ptr[end + 1] == '&' &&
			rest.ptr[end + 2] != '-')
			return false;
		i += end + 1;
	}
	*ret_utf8 = out.len ? buf_as_slice(&out) : SLICE("");
	return true;
}

struct run {
	bool open;
	uint32_t bits;
	unsigned count;
};

static void print_unit(struct buf *out, struct run *run, uint16_t unit)
{
	if (!run->open)
		buf_append_char(out, '&');
	run->open = true;
	run->bits = run->bits << 16 | unit;
	run->count += 16;
	while (run->count >= 6) {
		run->count -= 6;
		buf_append_char(out, alphabet[run->bits >> run->count & 63]);
	}
	run->bits &= (1U << run->count) - 1;
}

static void close_run(struct buf *out, struct run *run)
{
	if (!run->open)
		return;
	if (run->count)
		buf_append_char(out, alphabet[run->bits << (6 - run->count) & 63]);
	buf_append_char(out, '-');
	*run = (struct run){0};
}

void utf7_print(struct buf *out, struct slice utf8)
{
	struct run run = {0};
	int32_t i = 0;
	int32_t len = (int32_t)MIN_OF(utf8.len, (size_t)INT32_MAX);
	while (i < len) {
		UChar32 c = 0;
		U8_NEXT_OR_FFFD(utf8.ptr, i, len, c);
		if (is_direct(c)) {
			close_run(out, &run);
			buf_append_char(out, (char)c);
			if (c == '&')
				buf_append_char(out, '-');
		} else if (c > 0xffff) {
			print_unit(out, &run, U16_LEAD(c));
			print_unit(out, &run, U16_TRAIL(c));
		} else {
			print_unit(out, &run, (uint16_t)c);
		}
	}
	close_run(out, &run);
}
