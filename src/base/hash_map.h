#pragma once

/* A hash map from byte strings to pointers. Keys are copied; values are borrowed. Not thread-safe.
 */

#include "base/slice.h"

struct hash_entry;

struct hash_map {
	struct hash_entry **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

void hash_map_init(struct hash_map *map);
void hash_map_done(struct hash_map *map);

/* NULL if absent. */
void *hash_map_find(const struct hash_map *map, struct slice key);

/* Returns the value replaced, or NULL. */
void *hash_map_put(struct hash_map *map, struct slice key, void *value);

/* Returns the value removed, or NULL. */
void *hash_map_remove(struct hash_map *map, struct slice key);

/* Walks in no order: start with a zeroed cursor; false at the end. The map must not change. */
struct hash_cursor {
	size_t bucket;
	struct hash_entry *entry;
};
bool hash_map_next(const struct hash_map *map, struct hash_cursor *cursor, struct slice *ret_key,
	void **ret_value);
