#include "base/hash_map.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/arena.h"

struct hash_entry {
	struct hash_entry *next;
	void *value;
	uint64_t hash;
	size_t key_len;
	char key[];
};

void hash_map_init(struct hash_map *map)
{
	*map = (struct hash_map){0};
}

void hash_map_done(struct hash_map *map)
{
	for (size_t i = 0; i < map->bucket_count; i++)
		for (struct hash_entry *entry = map->buckets[i]; entry;) {
			struct hash_entry *next = entry->next;
			free(entry);
			entry = next;
		}
	free(map->buckets);
	*map = (struct hash_map){0};
}

static uint64_t hash_of(struct slice key)
{
	return XXH3_64bits(key.len ? key.ptr : "", key.len);
}

static struct hash_entry **find_link(const struct hash_map *map, struct slice key, uint64_t hash)
{
	struct hash_entry **link = &map->buckets[hash & (map->bucket_count - 1)];
	while (*link && !((*link)->hash == hash &&
				slice_equal(key, slice_of((*link)->key, (*link)->key_len))))
		link = &(*link)->next;
	return link;
}

void *hash_map_find(const struct hash_map *map, struct slice key)
{
	if (!map->bucket_count)
		return NULL;
	struct hash_entry *entry = *find_link(map, key, hash_of(key));
	return entry ? entry->value : NULL;
}

static void enlarge(struct hash_map *map)
{
	size_t bucket_count = map->bucket_count ? map->bucket_count * 2 : 16;
	struct hash_entry **buckets = heap_alloc(bucket_count * sizeof(struct hash_entry *));
	for (size_t i = 0; i < map->bucket_count; i++)
		for (struct hash_entry *entry = map->buckets[i]; entry;) {
			struct hash_entry *next = entry->next;
			struct hash_entry **link = &buckets[entry->hash & (bucket_count - 1)];
			entry->next = *link;
			*link = entry;
			entry = next;
		}
	free(map->buckets);
	map->buckets = buckets;
	map->bucket_count = bucket_count;
}

void *hash_map_put(struct hash_map *map, struct slice key, void *value)
{
	if (map->count >= map->bucket_count)
		enlarge(map);
	uint64_t hash = hash_of(key);
	struct hash_entry **link = find_link(map, key, hash);
	if (*link) {
		void *old = (*link)->value;
		(*link)->value = value;
		return old;
	}
	struct hash_entry *entry = heap_alloc(sizeof(*entry) + key.len);
	entry->value = value;
	entry->hash = hash;
	entry->key_len = key.len;
	if (key.len)
		memcpy(entry->key, key.ptr, key.len);
	*link = entry;
	map->count++;
	return NULL;
}

void *hash_map_remove(struct hash_map *map, struct slice key)
{
	if (!map->bucket_count)
		return NULL;
	struct hash_entry **link = find_link(map, key, hash_of(key));
	struct hash_entry *entry = *link;
	if (!entry)
		return NULL;
	void *value = entry->value;
	*link = entry->next;
	free(entry);
	map->count--;
	return value;
}

bool hash_map_next(const struct hash_map *map, struct hash_cursor *cursor, struct slice *ret_key,
	void **ret_value)
{
	struct hash_entry *entry = cursor->entry ? cursor->entry->next : NULL;
	while (!entry && cursor->bucket < map->bucket_count)
		entry = map->buckets[cursor->bucket++];
	cursor->entry = entry;
	if (!entry)
		return false;
	if (ret_key)
		*ret_key = slice_of(entry->key, entry->key_len);
	if (ret_value)
		*ret_value = entry->value;
	return true;
}
