#pragma once

/* Bytes by id, the latest used, of what never changes under its id. Any thread. */

#include "base/arena.h"
#include "base/metric.h"
#include "base/uuid.h"

struct byte_cache;

/* Keeps at most `max_bytes`, no entry longer than `entry_max`. `held`: a gauge of what is kept, of
 * all caches that share it; borrowed. */
struct byte_cache *byte_cache_new(uint64_t max_bytes, uint64_t entry_max, struct metric *held);

/* NULL is nothing. */
void byte_cache_free(struct byte_cache *cache);

/* Copies the bytes. What is there already stays. */
void byte_cache_put(struct byte_cache *cache, struct uuid id, struct slice bytes);

void byte_cache_forget(struct byte_cache *cache, struct uuid id);

/* A copy of what stands there from `offset` on, `length` bytes at the most; false: the id is not
 * known. */
bool byte_cache_find(struct byte_cache *cache, struct arena *arena, struct uuid id, uint64_t offset,
	uint64_t length, struct slice *ret_bytes);
