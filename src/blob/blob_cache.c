#include "blob/blob_cache.h"

#include <stdlib.h>

#include "base/hash_map.h"
#include "base/metric.h"
#include "base/sync.h"

METRIC_COUNTER(cache_hits, "content_cache_hits_total", "Reads of content that the cache answered");
METRIC_COUNTER(cache_misses, "content_cache_misses_total", "Reads of content that it did not");
METRIC_GAUGE(cache_bytes, "content_cache_bytes", "Content that is in the cache");

/* Each id has its shard, with a lock and a part of the room of its own. */
#define SHARDS 16

struct entry {
	struct blob_id id;
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

struct blob_cache {
	struct blob_store store;
	struct blob_store *below;
	uint64_t shard_max;
	struct shard shards[SHARDS];
};

static struct blob_cache *self(struct blob_store *store)
{
	return (struct blob_cache *)store;
}

/* The last bytes of an id are random. */
static struct shard *shard_of(struct blob_store *store, struct blob_id id)
{
	return &self(store)->shards[id.uuid.bytes[15] % SHARDS];
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

static void drop(struct shard *shard, struct entry *entry)
{
	unlink_entry(shard, entry);
	hash_map_remove(&shard->by_id, ID_SLICE(entry->id));
	shard->bytes -= cost_of(entry);
	metric_add(&cache_bytes, -(int64_t)cost_of(entry));
	free(entry);
}

/* ---- The cache ---- */

static void keep(struct blob_store *store, struct blob_id id, struct slice content)
{
	struct shard *shard = shard_of(store, id);
	uint64_t cost = sizeof(struct entry) + content.len;
	if (content.len > BLOB_CACHE_ENTRY_MAX || cost > self(store)->shard_max)
		return;
	AUTO_LOCK(&shard->lock);
	if (hash_map_find(&shard->by_id, ID_SLICE(id)))
		return;
	while (shard->bytes + cost > self(store)->shard_max)
		drop(shard, shard->oldest);
	struct entry *entry = heap_alloc(sizeof(*entry) + content.len);
	entry->id = id;
	entry->length = content.len;
	if (content.len)
		memcpy(entry->bytes, content.ptr, content.len);
	link_newest(shard, entry);
	hash_map_put(&shard->by_id, ID_SLICE(entry->id), entry);
	shard->bytes += cost;
	metric_add(&cache_bytes, (int64_t)cost);
}

static void forget(struct blob_store *store, struct blob_id id)
{
	struct shard *shard = shard_of(store, id);
	AUTO_LOCK(&shard->lock);
	struct entry *entry = hash_map_find(&shard->by_id, ID_SLICE(id));
	if (entry)
		drop(shard, entry);
}

static struct slice part_of(struct slice content, uint64_t offset, uint64_t length)
{
	uint64_t from = MIN_OF(offset, content.len);
	return slice_range(content, from, from + MIN_OF(length, content.len - from));
}

static bool find(struct blob_store *store, struct op *op, struct blob_part *part)
{
	struct shard *shard = shard_of(store, part->id);
	AUTO_LOCK(&shard->lock);
	struct entry *entry = hash_map_find(&shard->by_id, ID_SLICE(part->id));
	metric_add(entry ? &cache_hits : &cache_misses, 1);
	if (!entry)
		return false;
	unlink_entry(shard, entry);
	link_newest(shard, entry);
	struct slice content = slice_of(entry->bytes, entry->length);
	part->bytes = arena_dup(&op->arena, part_of(content, part->offset, part->length));
	part->err = NULL;
	return true;
}

/* What is read from memory is not compared any more: it is now. */
static bool has_checksum(struct slice content, struct slice sha256)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	return slice_equal(slice_of(digest, sizeof(digest)), sha256);
}

static struct error *cache_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	TRY(blob_put(self(store)->below, op, id, content, sha256, staged));
	/* What was only staged may never be committed: then nobody asks for it. */
	if (content.len <= BLOB_CACHE_ENTRY_MAX && has_checksum(content, sha256))
		keep(store, id, content);
	return NULL;
}

/* A little more than an entry may hold: content that ends within it was read whole. */
#define PROBE (BLOB_CACHE_ENTRY_MAX + 1)

/* A part near the start is read with all that stands before and behind it: who asks for one part of
 * a mail asks for the next. */
static bool is_near_the_start(const struct blob_part *part)
{
	return part->offset < PROBE && part->length <= PROBE - part->offset;
}

static struct blob_part widened(const struct blob_part *part)
{
	struct blob_part wide = *part;
	if (is_near_the_start(part)) {
		wide.offset = 0;
		wide.length = PROBE;
	}
	return wide;
}

static void take(struct blob_store *store, const struct blob_part *wide, struct blob_part *part)
{
	bool is_whole =
		wide->offset == 0 && (wide->length == UINT64_MAX || wide->bytes.len < PROBE);
	part->err = wide->err;
	if (wide->err)
		return;
	if (is_whole)
		keep(store, part->id, wide->bytes);
	part->bytes = is_near_the_start(part) ? part_of(wide->bytes, part->offset, part->length)
					      : wide->bytes;
}

static void cache_read_many(
	struct blob_store *store, struct op *op, struct blob_part *parts, size_t count)
{
	struct blob_part *missing = ARENA_ARRAY(&op->arena, struct blob_part, count);
	size_t *places = ARENA_ARRAY(&op->arena, size_t, count);
	size_t missing_count = 0;
	for (size_t i = 0; i < count; i++)
		if (op->asks_store || !find(store, op, &parts[i])) {
			places[missing_count] = i;
			missing[missing_count++] = widened(&parts[i]);
		}
	if (missing_count)
		blob_read_many(self(store)->below, op, missing, missing_count);
	for (size_t i = 0; i < missing_count; i++)
		take(store, &missing[i], &parts[places[i]]);
}

static struct error *cache_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct blob_part part = {.id = id, .offset = offset, .length = length};
	cache_read_many(store, op, &part, 1);
	TRY(part.err);
	*ret_bytes = part.bytes;
	return NULL;
}

static struct error *cache_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	forget(store, id);
	return blob_remove(self(store)->below, op, id);
}

static struct error *cache_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		forget(store, ids[i]);
	return blob_remove_many(self(store)->below, op, ids, count);
}

static struct error *cache_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	return blob_list(self(store)->below, op, after, limit, ret_ids, ret_count);
}

static struct error *cache_clean_up(
	struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed)
{
	return blob_clean_up(self(store)->below, op, before_us, ret_removed);
}

static void cache_close(struct blob_store *store)
{
	struct blob_cache *cache = self(store);
	blob_store_close(cache->below);
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &cache->shards[i];
		while (shard->oldest)
			drop(shard, shard->oldest);
		hash_map_done(&shard->by_id);
		mutex_done(&shard->lock);
	}
	free(cache);
}

static const struct blob_ops cache_ops = {
	.name = "cache",
	.put = cache_put,
	.read = cache_read,
	.read_many = cache_read_many,
	.remove = cache_remove,
	.remove_many = cache_remove_many,
	.list = cache_list,
	.clean_up = cache_clean_up,
	.close = cache_close,
};

struct blob_store *blob_cache_new(struct blob_store *below, uint64_t max_bytes)
{
	struct blob_cache *cache = HEAP_NEW(struct blob_cache);
	*cache = (struct blob_cache){.store = {.ops = &cache_ops,
					     .is_apart = below->is_apart,
					     .inline_max = below->inline_max},
		.below = below,
		.shard_max = max_bytes / SHARDS};
	for (size_t i = 0; i < SHARDS; i++) {
		mutex_init(&cache->shards[i].lock);
		hash_map_init(&cache->shards[i].by_id);
	}
	return &cache->store;
}
