#pragma once

/* System flags and keywords of a message. Pure. */

#include "base/buf.h"

enum message_flag {
	FLAG_SEEN = 1 << 0,
	FLAG_ANSWERED = 1 << 1,
	FLAG_FLAGGED = 1 << 2,
	FLAG_DELETED = 1 << 3,
	FLAG_DRAFT = 1 << 4,
};

#define FLAGS_ALL 0x1f

struct message_flag_name {
	struct slice name; /* "\Seen" */
	uint16_t flag;
};
#define MESSAGE_FLAG_COUNT 5
extern const struct message_flag_name message_flag_names[MESSAGE_FLAG_COUNT];

/* The system flag of this name, in any case; 0: it is none of ours. */
uint16_t message_flag_named(struct slice name);

/* An atom (RFC 9051 9) that no server gives a meaning to by itself, and that is not too long. */
bool keyword_is_valid(struct slice name);
#define KEYWORDS_MAX 256
#define KEYWORD_LENGTH_MAX 128

/* Bit n: the n-th keyword of the mailbox. A bit is never given to another keyword. */
struct keyword_set {
	uint64_t bits[KEYWORDS_MAX / 64];
};

static inline bool keyword_set_has(const struct keyword_set *set, unsigned bit)
{
	return set->bits[bit / 64] >> (bit % 64) & 1;
}

static inline void keyword_set_add(struct keyword_set *set, unsigned bit)
{
	set->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static inline bool keyword_set_is_empty(const struct keyword_set *set)
{
	return !(set->bits[0] | set->bits[1] | set->bits[2] | set->bits[3]);
}

static inline bool keyword_set_equal(const struct keyword_set *a, const struct keyword_set *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* Little-endian bytes without trailing zeros. */
struct slice keyword_set_encode(struct arena *arena, const struct keyword_set *set);
bool keyword_set_decode(struct slice bytes, struct keyword_set *ret_set);

/* The names behind the bits, as the mailbox row holds them. */
struct keyword_names {
	struct slice *names;
	size_t count;
};
struct slice keyword_names_encode(struct arena *arena, const struct keyword_names *names);
bool keyword_names_decode(struct arena *arena, struct slice bytes, struct keyword_names *ret_names);

/* Compared without regard to ASCII case (RFC 9051 2.3.2); -1 when absent. */
int keyword_names_find(const struct keyword_names *names, struct slice name);

/* What a client asks for. */
enum flag_mode { FLAGS_REPLACE, FLAGS_ADD, FLAGS_REMOVE };

struct flag_change {
	enum flag_mode mode;
	uint16_t flags;
	const struct slice *keywords; /* names */
	size_t keyword_count;
	bool has_unchanged_since; /* RFC 7162 3.1.3: leave alone what has a higher mod-sequence */
	uint64_t unchanged_since;
};
