#include "blob/blob.h"

#include <stdlib.h>

#include "base/clock.h"

#define CHUNK_SIZE MIB(1)

struct blob_engine {
	struct blob_store store;
	struct engine *engine;
};

static struct engine *engine_of(struct blob_store *store)
{
	return ((struct blob_engine *)store)->engine;
}

static void add_rows(struct op *op, struct blob_id id, struct slice content, struct slice sha256,
	struct mutations *out)
{
	struct arena *arena = &op->arena;
	struct slice partition = key_id(arena, id.uuid);
	uint64_t now_us = clock_realtime_us();
	struct blob_info info = {.size = content.len, .sha256 = sha256};
	for (size_t from = 0; from < content.len; from += CHUNK_SIZE) {
		struct blob_chunk chunk = {.bytes = slice_range(content, from, from + CHUNK_SIZE)};
		mutations_put(out, &blob_table, partition, key_blob_chunk(arena, info.chunks++),
			row_encode_in(arena, &blob_chunk_row, &chunk), now_us);
	}
	mutations_put(out, &blob_table, partition, key_kind_row(arena, BLOB_INFO),
		row_encode_in(arena, &blob_info_row, &info), now_us);
}

static struct error *engine_blob_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	if (staged && content.len <= BLOB_STAGED_MAX) {
		add_rows(op, id, content, sha256, staged);
		return NULL;
	}
	struct mutations rows;
	mutations_init(&rows, &op->arena);
	add_rows(op, id, content, sha256, &rows);
	return engine_write(engine_of(store), op, rows.items, rows.count, DURABLE);
}

static struct error *read_info(
	struct op *op, struct engine *engine, struct blob_id id, struct blob_info *ret_info)
{
	bool found;
	struct engine_row row;
	TRY(engine_get(engine, op, &blob_table, key_id(&op->arena, id.uuid),
		key_kind_row(&op->arena, BLOB_INFO), READ_RELAXED, &found, &row));
	if (!found)
		return op_fail(op, ERR_NOT_FOUND, "no content %s", uuid_text(&op->arena, id.uuid));
	return row_decode(op, &blob_info_row, row.value, ret_info);
}

static struct error *read_chunk(struct op *op, struct engine *engine, struct blob_id id,
	uint32_t number, struct slice *ret_bytes)
{
	bool found;
	struct engine_row row;
	struct blob_chunk chunk;
	TRY(engine_get(engine, op, &blob_table, key_id(&op->arena, id.uuid),
		key_blob_chunk(&op->arena, number), READ_RELAXED, &found, &row));
	if (!found)
		return op_fail(op, ERR_CORRUPT, "content %s lacks chunk %u",
			uuid_text(&op->arena, id.uuid), number);
	TRY(row_decode(op, &blob_chunk_row, row.value, &chunk));
	*ret_bytes = chunk.bytes;
	return NULL;
}

static struct error *check_whole(
	struct op *op, struct blob_id id, const struct blob_info *info, struct slice bytes)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(bytes, digest);
	if (bytes.len != info->size || !slice_equal(slice_of(digest, sizeof(digest)), info->sha256))
		return op_fail(op, ERR_CORRUPT, "content %s does not have its checksum",
			uuid_text(&op->arena, id.uuid));
	return NULL;
}

static struct error *engine_blob_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct engine *engine = engine_of(store);
	struct blob_info info;
	TRY(read_info(op, engine, id, &info));
	uint64_t from = MIN_OF(offset, info.size);
	uint64_t to = length > info.size - from ? info.size : from + length;
	bool is_whole = from == 0 && to == info.size;
	struct slice bytes = SLICE("");
	if (is_whole && info.chunks == 1) {
		TRY(read_chunk(op, engine, id, 0, &bytes));
	} else if (to > from) {
		struct buf joined = buf_in(&op->arena);
		for (uint64_t at = from; at < to;) {
			struct slice chunk;
			TRY(read_chunk(op, engine, id, (uint32_t)(at / CHUNK_SIZE), &chunk));
			size_t start = (size_t)(at % CHUNK_SIZE);
			struct slice part = slice_range(
				chunk, start, start + (size_t)MIN_OF(to - at, CHUNK_SIZE));
			if (!part.len)
				return op_fail(op, ERR_CORRUPT,
					"content %s is shorter than it says",
					uuid_text(&op->arena, id.uuid));
			buf_append(&joined, part);
			at += part.len;
		}
		bytes = buf_as_slice(&joined);
	}
	if (is_whole)
		TRY(check_whole(op, id, &info, bytes));
	*ret_bytes = bytes;
	return NULL;
}

/* Every chunk that is there. A put whose outcome was uncertain may have left chunks without the
 * info row, and rows that no read sees yet: what is certain to have been sent is deleted unseen. */
static struct error *delete_chunks(
	struct op *op, struct engine *engine, struct slice partition, uint64_t now_us)
{
	struct arena *arena = &op->arena;
	struct engine_rows chunks;
	struct mutations rows;
	TRY(engine_scan(engine, op, &blob_table, partition, key_blob_chunk(arena, 0), SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &chunks));
	mutations_init(&rows, arena);
	mutations_delete(&rows, &blob_table, partition, key_blob_chunk(arena, 0), now_us);
	for (size_t i = 0; i < chunks.count; i++)
		if (!slice_equal(chunks.rows[i].key, rows.items[0].key))
			mutations_delete(&rows, &blob_table, partition, chunks.rows[i].key, now_us);
	return engine_write(engine, op, rows.items, rows.count, DURABLE);
}

static struct error *engine_blob_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	struct arena *arena = &op->arena;
	struct slice partition = key_id(arena, id.uuid);
	uint64_t now_us = clock_realtime_us();
	struct mutations rows;
	TRY(delete_chunks(op, engine_of(store), partition, now_us));
	/* The info row goes last: as long as it is there, removing can be done again. */
	mutations_init(&rows, arena);
	mutations_delete(&rows, &blob_table, partition, key_kind_row(arena, BLOB_INFO), now_us);
	return engine_write(engine_of(store), op, rows.items, rows.count, DURABLE);
}

static struct error *engine_blob_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	struct slice *partitions;
	TRY(engine_partitions(
		engine_of(store), op, &blob_table, after, limit, &partitions, ret_count));
	*ret_ids = ARENA_ARRAY(&op->arena, struct blob_id, *ret_count ? *ret_count : 1);
	for (size_t i = 0; i < *ret_count; i++)
		if (!uuid_from_slice(partitions[i], &(*ret_ids)[i].uuid))
			return op_fail(op, ERR_CORRUPT, "a blob has an id of %zu bytes",
				partitions[i].len);
	return NULL;
}

static void engine_blob_close(struct blob_store *store)
{
	free(store);
}

static const struct blob_ops engine_blob_ops = {
	.name = "engine",
	.put = engine_blob_put,
	.read = engine_blob_read,
	.remove = engine_blob_remove,
	.list = engine_blob_list,
	.close = engine_blob_close,
};

struct blob_store *blob_engine_new(struct engine *engine)
{
	struct blob_engine *blobs = HEAP_NEW(struct blob_engine);
	*blobs = (struct blob_engine){.store.ops = &engine_blob_ops, .engine = engine};
	return &blobs->store;
}
