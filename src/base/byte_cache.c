#include "base/byte_cache.h"

#include <stdlib.h>

#include "base/hash_map.h"
#include "base/sync.h"

/* Each id has its shard, with a lock and a part of the room of its own. */
#define SHARDS 16

struct entry {
	struct uuid id;
	struct entry *newer, *older;
	size_t length;
	char bytes[];
};

struct shard {
	struct mutex lock;
	struct hash_map by_id;
	struct entry *newest, *oldest;
	uint64_t bytes;
};

struct byte_cache {
	uint64_t shard_max;
	uint64_t entry_max;
	struct metric *held;
	struct shard shards[SHARDS];
};

/* The last bytes of an id are random. */
static struct shard *shard_of(struct byte_cache *cache, struct uuid id)
{
	return &cache->shards[id.bytes[15] % SHARDS];
}

static struct slice key_of(const struct uuid *id)
{
	return slice_of(id->bytes, sizeof(id->bytes));
}

/* ---- One shard, under its lock ---- */

static void unlink_entry(struct shard *shard, struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &shard->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &shard->oldest) = entry->newer;
}

static void link_newest(struct shard *shard, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = shard->newest;
	*(shard->newest ? &shard->newest->newer : &shard->oldest) = entry;
	shard->newest = entry;
}

static uint64_t cost_of(const struct entry *entry)
{
	return sizeof(*entry) + entry->length;
}

static void drop(struct byte_cache *cache, struct shard *shard, struct entry *entry)
{
	unlink_entry(shard, entry);
	hash_map_remove(&shard->by_id, key_of(&entry->id));
	shard->bytes -= cost_of(entry);
	metric_add(cache->held, -(int64_t)cost_of(entry));
	free(entry);
}

/* ---- The cache ---- */

void byte_cache_put(struct byte_cache *cache, struct uuid id, struct slice bytes)
{
	struct shard *shard = shard_of(cache, id);
	uint64_t cost = sizeof(struct entry) + bytes.len;
	if (bytes.len > cache->entry_max || cost > cache->shard_max)
		return;
	AUTO_LOCK(&shard->lock);
	if (hash_map_find(&shard->by_id, key_of(&id)))
		return;
	while (shard->bytes + cost > cache->shard_max)
		drop(cache, shard, shard->oldest);
	struct entry *entry = heap_alloc(sizeof(*entry) + bytes.len);
	entry->id = id;
	entry->length = bytes.len;
	if (bytes.len)
		memcpy(entry->bytes, bytes.ptr, bytes.len);
	link_newest(shard, entry);
	hash_map_put(&shard->by_id, key_of(&entry->id), entry);
	shard->bytes += cost;
	metric_add(cache->held, (int64_t)cost);
}

void byte_cache_forget(struct byte_cache *cache, struct uuid id)
{
	struct shard *shard = shard_of(cache, id);
	AUTO_LOCK(&shard->lock);
	struct entry *entry = hash_map_find(&shard->by_id, key_of(&id));
	if (entry)
		drop(cache, shard, entry);
}

bool byte_cache_find(struct byte_cache *cache, struct arena *arena, struct uuid id, uint64_t offset,
	uint64_t length, struct slice *ret_bytes)
{
	struct shard *shard = shard_of(cache, id);
	AUTO_LOCK(&shard->lock);
	struct entry *entry = hash_map_find(&shard->by_id, key_of(&id));
	if (!entry)
		return false;
	unlink_entry(shard, entry);
	link_newest(shard, entry);
	uint64_t from = MIN_OF(offset, entry->length);
	uint64_t len = MIN_OF(length, entry->length - from);
	*ret_bytes = arena_dup(arena, slice_of(entry->bytes + from, len));
	return true;
}

struct byte_cache *byte_cache_new(uint64_t max_bytes, uint64_t entry_max, struct metric *held)
{
	struct byte_cache *cache = HEAP_NEW(struct byte_cache);
	*cache = (struct byte_cache){
		.shard_max = max_bytes / SHARDS, .entry_max = entry_max, .held = held};
	for (size_t i = 0; i < SHARDS; i++) {
		mutex_init(&cache->shards[i].lock);
		hash_map_init(&cache->shards[i].by_id);
	}
	return cache;
}

void byte_cache_free(struct byte_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];
		while (shard->oldest)
			drop(cache, shard, shard->oldest);
		hash_map_done(&shard->by_id);
		mutex_done(&shard->lock);
	}
	free(cache);
}
