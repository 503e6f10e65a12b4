#include "blob/blob_cache.h"

#include <stdlib.h>

#include "base/byte_cache.h"
#include "base/metric.h"

METRIC_COUNTER(cache_hits, "content_cache_hits_total", "Reads of content that the cache answered");
METRIC_COUNTER(cache_misses, "content_cache_misses_total", "Reads of content that it did not");
METRIC_GAUGE(cache_bytes, "content_cache_bytes", "Content that is in the cache");

struct blob_cache {
	struct blob_store store;
	struct blob_store *below;
	struct byte_cache *kept;
};

static struct blob_cache *self(struct blob_store *store)
{
	return (struct blob_cache *)store;
}

static struct slice part_of(struct slice content, uint64_t offset, uint64_t length)
{
	uint64_t from = MIN_OF(offset, content.len);
	return slice_range(content, from, from + MIN_OF(length, content.len - from));
}

static bool find(struct blob_store *store, struct op *op, struct blob_part *part)
{
	bool is_found = byte_cache_find(self(store)->kept, &op->arena, part->id.uuid, part->offset,
		part->length, &part->bytes);
	metric_add(is_found ? &cache_hits : &cache_misses, 1);
	if (is_found)
		part->err = NULL;
	return is_found;
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
		byte_cache_put(self(store)->kept, id.uuid, content);
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
		byte_cache_put(self(store)->kept, part->id.uuid, wide->bytes);
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
	byte_cache_forget(self(store)->kept, id.uuid);
	return blob_remove(self(store)->below, op, id);
}

static struct error *cache_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	for (size_t i = 0; i < count; i++)
		byte_cache_forget(self(store)->kept, ids[i].uuid);
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
	byte_cache_free(cache->kept);
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
		.kept = byte_cache_new(max_bytes, BLOB_CACHE_ENTRY_MAX, &cache_bytes)};
	return &cache->store;
}
