#include "blob/blob_inline.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"

METRIC_COUNTER(inline_puts, "content_inline_puts_total",
	"Contents that were put among the rows of their message");
METRIC_COUNTER(inline_reads, "content_inline_reads_total",
	"Reads of content that stands among the rows of its message");

struct blob_inline {
	struct blob_store store;
	struct blob_store *below;
	struct engine *engine;
};

static struct blob_inline *self(struct blob_store *store)
{
	return (struct blob_inline *)store;
}

static void add_row(struct op *op, struct blob_id id, struct slice content, struct slice sha256,
	struct mutations *out)
{
	struct arena *arena = &op->arena;
	struct message_content row = {.sha256 = sha256, .bytes = content};
	mutations_put(out, &message_table, key_id(arena, id.uuid),
		key_kind_row(arena, MESSAGE_CONTENT),
		row_encode_in(arena, &message_content_row, &row), clock_realtime_us());
	metric_add(&inline_puts, 1);
}

static struct error *inline_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	struct mutations rows;
	if (!blob_is_inline(id))
		return blob_put(self(store)->below, op, id, content, sha256, staged);
	if (staged) {
		add_row(op, id, content, sha256, staged);
		return NULL;
	}
	mutations_init(&rows, &op->arena);
	add_row(op, id, content, sha256, &rows);
	return engine_write(self(store)->engine, op, rows.items, rows.count, DURABLE);
}

/* Content never changes, so a row that is found is right at any level; that there is none is only
 * believed at one that sees all. */
static struct error *find_row(struct blob_store *store, struct op *op, struct blob_id id,
	bool *ret_found, struct engine_row *ret_row)
{
	static const enum read_level levels[] = {READ_RELAXED, READ_NORMAL};
	struct slice partition = key_id(&op->arena, id.uuid);
	struct slice key = key_kind_row(&op->arena, MESSAGE_CONTENT);
	*ret_found = false;
	for (size_t i = 0; i < ARRAY_SIZE(levels) && !*ret_found; i++)
		TRY(engine_get(self(store)->engine, op, &message_table, partition, key, levels[i],
			ret_found, ret_row));
	return NULL;
}

static struct error *read_row(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	bool found;
	struct engine_row row;
	struct message_content content;
	uint8_t digest[SHA256_SIZE];
	TRY(find_row(store, op, id, &found, &row));
	if (!found)
		return op_fail(op, ERR_NOT_FOUND, "no content %s", uuid_text(&op->arena, id.uuid));
	TRY(row_decode(op, &message_content_row, row.value, &content));
	sha256_of(content.bytes, digest);
	if (!slice_equal(slice_of(digest, sizeof(digest)), content.sha256))
		return op_fail(op, ERR_CORRUPT, "content %s does not have its checksum",
			uuid_text(&op->arena, id.uuid));
	metric_add(&inline_reads, 1);
	uint64_t from = MIN_OF(offset, content.bytes.len);
	*ret_bytes =
		slice_range(content.bytes, from, from + MIN_OF(length, content.bytes.len - from));
	return NULL;
}

static struct error *inline_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	if (!blob_is_inline(id))
		return blob_read(self(store)->below, op, id, offset, length, ret_bytes);
	return read_row(store, op, id, offset, length, ret_bytes);
}

static void inline_read_many(
	struct blob_store *store, struct op *op, struct blob_part *parts, size_t count)
{
	struct blob_part *others = ARENA_ARRAY(&op->arena, struct blob_part, count + 1);
	size_t other_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct blob_part *part = &parts[i];
		if (blob_is_inline(part->id))
			part->err = read_row(
				store, op, part->id, part->offset, part->length, &part->bytes);
		else
			others[other_count++] = *part;
	}
	if (other_count)
		blob_read_many(self(store)->below, op, others, other_count);
	for (size_t i = 0, next = 0; i < count; i++)
		if (!blob_is_inline(parts[i].id))
			parts[i] = others[next++];
}

static struct error *inline_remove_many(
	struct blob_store *store, struct op *op, const struct blob_id *ids, size_t count)
{
	struct arena *arena = &op->arena;
	uint64_t now_us = clock_realtime_us();
	struct blob_id *others = ARENA_ARRAY(arena, struct blob_id, count + 1);
	size_t other_count = 0;
	struct mutations rows;
	mutations_init(&rows, arena);
	for (size_t i = 0; i < count; i++) {
		if (blob_is_inline(ids[i]))
			mutations_delete(&rows, &message_table, key_id(arena, ids[i].uuid),
				key_kind_row(arena, MESSAGE_CONTENT), now_us);
		else
			others[other_count++] = ids[i];
	}
	if (rows.count)
		TRY(engine_write(self(store)->engine, op, rows.items, rows.count, DURABLE));
	return other_count ? blob_remove_many(self(store)->below, op, others, other_count) : NULL;
}

static struct error *inline_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	if (!blob_is_inline(id))
		return blob_remove(self(store)->below, op, id);
	return inline_remove_many(store, op, &id, 1);
}

/* Those among the rows: messages whose id says so. The rest of a page that brings more of them than
 * are wanted is read again. */
static struct error *list_rows(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id *ids, size_t *ret_count)
{
	*ret_count = 0;
	while (*ret_count < limit) {
		struct slice *partitions;
		size_t count;
		TRY(engine_partitions(self(store)->engine, op, &message_table, after, limit,
			&partitions, &count));
		if (!count)
			return NULL;
		for (size_t i = 0; i < count && *ret_count < limit; i++) {
			struct blob_id *id = &ids[*ret_count];
			if (!uuid_from_slice(partitions[i], &id->uuid))
				return op_fail(op, ERR_CORRUPT, "a message has an id of %zu bytes",
					partitions[i].len);
			*ret_count += blob_is_inline(*id);
		}
		after = partitions[count - 1];
	}
	return NULL;
}

/* First those among the rows, then those below. */
static struct error *inline_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	struct blob_id last = {0};
	bool is_below = after.len && uuid_from_slice(after, &last.uuid) && !blob_is_inline(last);
	if (!is_below) {
		*ret_ids = ARENA_ARRAY(&op->arena, struct blob_id, limit + 1);
		TRY(list_rows(store, op, after, limit, *ret_ids, ret_count));
		if (*ret_count)
			return NULL;
		after = SLICE_NONE;
	}
	return blob_list(self(store)->below, op, after, limit, ret_ids, ret_count);
}

static struct error *inline_clean_up(
	struct blob_store *store, struct op *op, uint64_t before_us, size_t *ret_removed)
{
	return blob_clean_up(self(store)->below, op, before_us, ret_removed);
}

static void inline_close(struct blob_store *store)
{
	blob_store_close(self(store)->below);
	free(store);
}

static const struct blob_ops inline_ops = {
	.name = "inline",
	.put = inline_put,
	.read = inline_read,
	.read_many = inline_read_many,
	.remove = inline_remove,
	.remove_many = inline_remove_many,
	.list = inline_list,
	.clean_up = inline_clean_up,
	.close = inline_close,
};

struct blob_store *blob_inline_new(
	struct blob_store *below, struct engine *engine, uint64_t max_bytes)
{
	struct blob_inline *blobs = HEAP_NEW(struct blob_inline);
	*blobs = (struct blob_inline){.store = {.ops = &inline_ops,
					      .is_apart = below->is_apart,
					      .inline_max = MIN_OF(max_bytes, BLOB_INLINE_MOST)},
		.below = below,
		.engine = engine};
	return &blobs->store;
}
