#pragma once

/* A borrowed run of bytes, passed by value. Mail contains NULs: a slice is never NUL-terminated by
 * contract. Pure functions, any thread. */

#include <string.h>

#include "base/macros.h"

struct slice {
	const char *ptr;
	size_t len;
};

/* For string literals only; usable in static tables. */
#define SLICE(literal)                                          \
	(struct slice)                                          \
	{                                                       \
		.ptr = ("" literal), .len = sizeof(literal) - 1 \
	}
#define SLICE_INIT(literal)                                     \
	{                                                       \
		.ptr = ("" literal), .len = sizeof(literal) - 1 \
	}
#define SLICE_ARG(s) (int)(s).len, (s).ptr
#define SLICE_FMT "%.*s"
#define SLICE_NONE                    \
	(struct slice)                \
	{                             \
		.ptr = NULL, .len = 0 \
	}

static inline struct slice slice_of(const void *ptr, size_t len)
{
	return (struct slice){.ptr = ptr, .len = len};
}

static inline struct slice slice_from_cstr(const char *text)
{
	return (struct slice){.ptr = text, .len = text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The bytes from `from` up to but not including `to`, clamped to the slice. */
static inline struct slice slice_range(struct slice s, size_t from, size_t to)
{
	to = to > s.len ? s.len : to;
	from = from > to ? to : from;
	return from ? slice_of(s.ptr + from, to - from) : slice_of(s.ptr, to);
}

static inline struct slice slice_from(struct slice s, size_t from)
{
	return slice_range(s, from, s.len);
}

/* ASCII case only. */
bool slice_equal_nocase(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_starts_with_nocase(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);

/* Order of memcmp, shorter first. */
int slice_compare(struct slice a, struct slice b);

/* Index of the first `c`, or s.len. */
size_t slice_find_char(struct slice s, char c);

/* Index of the first `needle`, or s.len. */
size_t slice_find(struct slice s, struct slice needle);

/* Without leading and trailing spaces, tabs, CRs and LFs. */
struct slice slice_trim(struct slice s);

/* Takes the part before the first `separator` off the front of *rest; *rest keeps what follows it.
 * Returns false when *rest is exhausted (ptr NULL). */
bool slice_split(struct slice *rest, char separator, struct slice *ret_part);

/* Decimal digits only, no sign, the whole slice; false on overflow or anything else. */
bool slice_parse_u64(struct slice s, uint64_t *ret_value);
bool slice_parse_u32(struct slice s, uint32_t *ret_value);

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static inline bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
