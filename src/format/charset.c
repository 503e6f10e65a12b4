#include "format/charset.h"

#include <unicode/ucnv.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#define CHARSET_NAME_MAX 40
#define PIECE_SIZE KIB(64)

/* ICU knows more, among them stateful ones that mail does not use and attacks do. A name that ends
 * in `-` or a letter stands for all that begin so. */
static const struct slice known_charsets[] = {
	SLICE_INIT("us-ascii"),
	SLICE_INIT("ascii"),
	SLICE_INIT("ansi_x3.4-1968"),
	SLICE_INIT("utf-8"),
	SLICE_INIT("utf8"),
	SLICE_INIT("utf-16"),
	SLICE_INIT("utf-16be"),
	SLICE_INIT("utf-16le"),
	SLICE_INIT("utf-32"),
	SLICE_INIT("latin1"),
	SLICE_INIT("gb2312"),
	SLICE_INIT("gbk"),
	SLICE_INIT("gb18030"),
	SLICE_INIT("big5"),
	SLICE_INIT("big5-hkscs"),
	SLICE_INIT("shift_jis"),
	SLICE_INIT("sjis"),
	SLICE_INIT("windows-31j"),
	SLICE_INIT("windows-874"),
	SLICE_INIT("windows-949"),
	SLICE_INIT("euc-jp"),
	SLICE_INIT("euc-kr"),
	SLICE_INIT("ks_c_5601-1987"),
	SLICE_INIT("iso-2022-jp"),
	SLICE_INIT("iso-2022-kr"),
	SLICE_INIT("koi8-r"),
	SLICE_INIT("koi8-u"),
	SLICE_INIT("tis-620"),
	SLICE_INIT("macintosh"),
	SLICE_INIT("ibm437"),
	SLICE_INIT("ibm850"),
	SLICE_INIT("cp850"),
	SLICE_INIT("cp866"),
	SLICE_INIT("ibm866"),
};

static const struct slice known_families[] = {
	SLICE_INIT("iso-8859-"),
	SLICE_INIT("windows-125"),
	SLICE_INIT("cp125"),
};

static bool is_one_of(struct slice charset, const struct slice *names, size_t count, bool prefix)
{
	for (size_t i = 0; i < count; i++)
		if (prefix ? slice_starts_with_nocase(charset, names[i])
			   : slice_equal_nocase(charset, names[i]))
			return true;
	return false;
}

bool charset_is_known(struct slice charset)
{
	if (charset.len == 0)
		return true;
	return charset.len <= CHARSET_NAME_MAX && memchr(charset.ptr, 0, charset.len) == NULL &&
	       (is_one_of(charset, known_charsets, ARRAY_SIZE(known_charsets), false) ||
		       is_one_of(charset, known_families, ARRAY_SIZE(known_families), true));
}

static bool is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] >= 0x80)
			return false;
	return true;
}

/* These never use bytes of ASCII for anything else. */
static bool is_ascii_superset(struct slice charset)
{
	return !slice_starts_with_nocase(charset, SLICE("utf-16")) &&
	       !slice_starts_with_nocase(charset, SLICE("utf-32")) &&
	       !slice_starts_with_nocase(charset, SLICE("iso-2022"));
}

bool charset_to_utf8(
	struct arena *arena, struct slice charset, struct slice bytes, struct slice *ret_utf8)
{
	if (!charset_is_known(charset))
		return false;
	bool is_utf8 = charset.len == 0 || slice_equal_nocase(charset, SLICE("utf-8")) ||
		       slice_equal_nocase(charset, SLICE("utf8")) ||
		       slice_equal_nocase(charset, SLICE("us-ascii"));
	if (bytes.len == 0 || (is_utf8 && utf8_is_valid(bytes)) ||
		(is_ascii_superset(charset) && is_ascii(bytes))) {
		*ret_utf8 = bytes;
		return true;
	}
	/* Half of 2 GiB at most: ICU counts in int32_t and a byte may become four. */
	if (bytes.len > INT32_MAX / 8)
		return false;
	UErrorCode status = U_ZERO_ERROR;
	UConverter *converter =
		ucnv_open(charset.len ? arena_cstr(arena, charset) : "utf-8", &status);
	if (U_FAILURE(status))
		return false;
	size_t capacity = bytes.len * 3 + 16;
	char *utf8 = arena_alloc_raw(arena, capacity);
	int32_t len = ucnv_toAlgorithmic(UCNV_UTF8, converter, utf8, (int32_t)capacity, bytes.ptr,
		(int32_t)bytes.len, &status);
	if (status == U_BUFFER_OVERFLOW_ERROR) {
		status = U_ZERO_ERROR;
		utf8 = arena_alloc_raw(arena, (size_t)len + 1);
		len = ucnv_toAlgorithmic(UCNV_UTF8, converter, utf8, len + 1, bytes.ptr,
			(int32_t)bytes.len, &status);
	}
	ucnv_close(converter);
	if (U_FAILURE(status))
		return false;
	*ret_utf8 = slice_of(utf8, (size_t)len);
	return true;
}

bool utf8_is_valid(struct slice text)
{
	size_t i = 0;
	while (i < text.len) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c < 0x80) {
			i++;
			continue;
		}
		size_t left = text.len - i;
		UChar32 code = 0;
		int32_t at = 0;
		U8_NEXT(text.ptr + i, at, (int32_t)MIN_OF(left, 4), code);
		if (code < 0)
			return false;
		i += (size_t)at;
	}
	return true;
}

/* UTF-16 in the arena, U+FFFD for what is no UTF-8; text.len < 2^30. */
static UChar *to_utf16(struct arena *arena, struct slice text, int32_t *ret_len)
{
	UErrorCode status = U_ZERO_ERROR;
	UChar *wide = arena_alloc_raw(arena, (text.len + 1) * sizeof(*wide));
	u_strFromUTF8WithSub(wide, (int32_t)text.len + 1, ret_len, text.ptr, (int32_t)text.len,
		0xfffd, NULL, &status);
	return U_FAILURE(status) ? NULL : wide;
}

/* One UTF-16 unit becomes this many at the very worst (U+FDFA in NFKC). */
#define GROWTH 18

static UChar *normalise_wide(
	struct arena *arena, const UNormalizer2 *form, const UChar *wide, int32_t *inout_len)
{
	UErrorCode status = U_ZERO_ERROR;
	int32_t capacity = *inout_len * GROWTH + 16;
	UChar *normal = arena_alloc_raw(arena, (size_t)capacity * sizeof(*normal));
	*inout_len = unorm2_normalize(form, wide, *inout_len, normal, capacity, &status);
	return U_FAILURE(status) ? NULL : normal;
}

/* `then` NULL: the one form is all. */
static bool normalise(struct arena *arena, const UNormalizer2 *form, const UNormalizer2 *then,
	struct slice text, struct slice *ret_text)
{
	int32_t len;
	if (text.len > PIECE_SIZE * 8)
		return false;
	UChar *wide = to_utf16(arena, text, &len);
	if (wide)
		wide = normalise_wide(arena, form, wide, &len);
	if (wide && then)
		wide = normalise_wide(arena, then, wide, &len);
	if (!wide)
		return false;
	UErrorCode status = U_ZERO_ERROR;
	char *utf8 = arena_alloc_raw(arena, (size_t)len * 3 + 1);
	int32_t utf8_len;
	u_strToUTF8WithSub(utf8, len * 3 + 1, &utf8_len, wide, len, 0xfffd, NULL, &status);
	if (U_FAILURE(status))
		return false;
	*ret_text = slice_of(utf8, (size_t)utf8_len);
	return true;
}

bool utf8_to_nfc(struct arena *arena, struct slice text, struct slice *ret_nfc)
{
	if (is_ascii(text)) {
		*ret_nfc = text;
		return true;
	}
	UErrorCode status = U_ZERO_ERROR;
	const UNormalizer2 *form = unorm2_getNFCInstance(&status);
	return U_SUCCESS(status) && utf8_is_valid(text) &&
	       normalise(arena, form, NULL, text, ret_nfc);
}

static struct slice fold_ascii(struct arena *arena, struct slice text)
{
	char *folded = arena_alloc_raw(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++)
		folded[i] = ascii_lower(text.ptr[i]);
	return slice_of(folded, text.len);
}

/* At most a piece. */
static struct slice fold_piece(struct arena *arena, struct slice text)
{
	if (is_ascii(text))
		return fold_ascii(arena, text);
	UErrorCode status = U_ZERO_ERROR;
	const UNormalizer2 *form = unorm2_getNFKCCasefoldInstance(&status);
	const UNormalizer2 *decomposed = unorm2_getNFDInstance(&status);
	struct slice folded;
	if (U_FAILURE(status) || !normalise(arena, form, decomposed, text, &folded))
		return fold_ascii(arena, text);
	return folded;
}

/* Where the text may be cut: after a line break if one is near, since no character combines with
 * it; else before a byte that begins a character. */
static size_t piece_length(struct slice text)
{
	if (text.len <= PIECE_SIZE)
		return text.len;
	const char *line = memrchr(text.ptr, '\n', PIECE_SIZE);
	if (line)
		return (size_t)(line - text.ptr) + 1;
	size_t end = PIECE_SIZE;
	while (end > PIECE_SIZE - 4 && ((unsigned char)text.ptr[end] & 0xc0) == 0x80)
		end--;
	return end;
}

struct slice utf8_fold(struct arena *arena, struct slice text)
{
	if (text.len <= PIECE_SIZE)
		return fold_piece(arena, text);
	char *all = NULL;
	size_t len = 0;
	while (text.len) {
		size_t length = piece_length(text);
		struct slice folded = fold_piece(arena, slice_range(text, 0, length));
		all = arena_grow(arena, all, len, len + folded.len);
		memcpy(all + len, folded.ptr, folded.len);
		len += folded.len;
		text = slice_from(text, length);
	}
	return slice_of(all, len);
}

bool utf8_contains(struct arena *arena, struct slice text, struct slice folded_needle)
{
	if (folded_needle.len == 0)
		return true;
	struct arena_mark mark = arena_mark(arena);
	size_t overlap = folded_needle.len - 1;
	char *tail = arena_alloc_raw(arena, overlap + 1);
	size_t tail_len = 0;
	bool found = false;
	while (text.len && !found) {
		struct arena_mark round = arena_mark(arena);
		size_t length = piece_length(text);
		struct slice piece = fold_piece(arena, slice_range(text, 0, length));
		char *joined = arena_alloc_raw(arena, tail_len + piece.len + 1);
		memcpy(joined, tail, tail_len);
		if (piece.len)
			memcpy(joined + tail_len, piece.ptr, piece.len);
		struct slice window = slice_of(joined, tail_len + piece.len);
		found = slice_find(window, folded_needle) < window.len;
		tail_len = MIN_OF(overlap, window.len);
		memcpy(tail, window.ptr + window.len - tail_len, tail_len);
		arena_release(arena, round);
		text = slice_from(text, length);
	}
	arena_release(arena, mark);
	return found;
}
