#pragma once

/* A set of UIDs as ascending, disjoint ranges, in an arena. Pure. */

#include "base/buf.h"

struct uid_range {
	uint32_t first;
	uint32_t last; /* inclusive */
};

struct uid_set {
	struct uid_range *ranges;
	size_t count;
	size_t capacity;
	struct arena *arena;
};

void uid_set_init(struct uid_set *set, struct arena *arena);

/* In any order; cheap when ascending. Adjacent and overlapping ranges are joined. */
void uid_set_add(struct uid_set *set, uint32_t uid);
void uid_set_add_range(struct uid_set *set, uint32_t first, uint32_t last);
void uid_set_add_all(struct uid_set *set, const struct uid_set *more);
bool uid_set_contains(const struct uid_set *set, uint32_t uid);
uint64_t uid_set_size(const struct uid_set *set);

static inline bool uid_set_is_empty(const struct uid_set *set)
{
	return set->count == 0;
}

/* The IMAP form: "1:3,5,7:9" (RFC 9051 sequence-set without '*'). */
void uid_set_print(const struct uid_set *set, struct buf *out);

/* How stored rows hold it. */
void uid_set_encode(const struct uid_set *set, struct buf *out);

/* False when the bytes are not ascending ranges. */
bool uid_set_decode(struct arena *arena, struct reader *reader, struct uid_set *ret_set);
