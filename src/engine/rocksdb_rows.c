#include "engine/rocksdb_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"

/* A write that another still under way could follow is long over by then. */
#define TOMBSTONE_GRACE_US (7 * 24 * 3600 * US_PER_S)

/* Kinds of stored values; on disk for ever. */
enum value_kind { VALUE_ROW = 1, VALUE_TOMBSTONE = 2 };

static void put_prefix(struct buf *out, const struct table *table, struct slice partition)
{
	assert(partition.len <= UINT16_MAX);
	buf_u8(out, table->id);
	buf_u16(out, (uint16_t)partition.len);
	buf_append(out, partition);
}

struct slice rocksdb_key(struct arena *arena, const struct table *table, struct slice partition,
	struct slice row_key)
{
	struct buf out = buf_in(arena);
	put_prefix(&out, table, partition);
	buf_append(&out, row_key);
	return buf_as_slice(&out);
}

/* The next key after everything that starts with these bytes. Table ids are below 255, so there is
 * always a byte to raise. */
static struct slice prefix_end(struct buf *prefix)
{
	while ((uint8_t)prefix->ptr[prefix->len - 1] == UINT8_MAX)
		prefix->len--;
	prefix->ptr[prefix->len - 1]++;
	return buf_as_slice(prefix);
}

struct slice rocksdb_partition_end(
	struct arena *arena, const struct table *table, struct slice partition)
{
	struct buf out = buf_in(arena);
	put_prefix(&out, table, partition);
	return prefix_end(&out);
}

struct slice rocksdb_table_end(struct arena *arena, const struct table *table)
{
	struct buf out = buf_in(arena);
	buf_u8(&out, table->id);
	return prefix_end(&out);
}

bool rocksdb_key_parts(struct slice key, uint8_t *ret_table_id, struct slice *ret_partition,
	struct slice *ret_row_key)
{
	struct reader reader = reader_of(key);
	*ret_table_id = reader_u8(&reader);
	*ret_partition = reader_bytes(&reader, reader_u16(&reader));
	*ret_row_key = reader.rest;
	return !reader.failed;
}

struct slice rocksdb_value(struct arena *arena, const struct mutation *mutation)
{
	uint64_t ttl_us =
		mutation->is_delete ? TOMBSTONE_GRACE_US : mutation->table->ttl_s * US_PER_S;
	struct buf out = buf_in(arena);
	buf_reserve(&out, 17 + mutation->value.len);
	buf_u8(&out, mutation->is_delete ? VALUE_TOMBSTONE : VALUE_ROW);
	buf_u64(&out, mutation->version);
	buf_u64(&out, ttl_us ? clock_realtime_us() + ttl_us : 0);
	if (!mutation->is_delete)
		buf_append(&out, mutation->value);
	return buf_as_slice(&out);
}

bool rocksdb_value_read(struct slice bytes, struct stored_value *ret_value)
{
	struct reader reader = reader_of(bytes);
	uint8_t kind = reader_u8(&reader);
	ret_value->is_delete = kind == VALUE_TOMBSTONE;
	ret_value->version = reader_u64(&reader);
	ret_value->expires_us = reader_u64(&reader);
	ret_value->value = reader.rest;
	return !reader.failed && (kind == VALUE_ROW || kind == VALUE_TOMBSTONE);
}

/* A total order, so that the outcome does not depend on the order of arrival. */
bool rocksdb_value_wins(const struct stored_value *first, const struct stored_value *second)
{
	if (first->version != second->version)
		return first->version > second->version;
	if (first->is_delete != second->is_delete)
		return first->is_delete;
	int order = slice_compare(first->value, second->value);
	return order ? order > 0 : first->expires_us >= second->expires_us;
}

bool rocksdb_value_is_live(const struct stored_value *value, uint64_t now_us)
{
	return !value->is_delete && (!value->expires_us || value->expires_us > now_us);
}

/* ---- merging versions ---- */

static const char *merge_name(void *state)
{
	return "holdfast.version";
}

/* The library's rule is to return memory from malloc, or NULL with *success 0: the read or the
 * compaction then fails as corrupt, which is what undecodable bytes are. */
static char *merge_answer(const struct stored_value *best, struct slice bytes,
	unsigned char *success, size_t *ret_len)
{
	*success = best != NULL;
	*ret_len = bytes.len;
	if (!best)
		return NULL;
	char *answer = heap_alloc(bytes.len);
	memcpy(answer, bytes.ptr, bytes.len);
	return answer;
}

static bool merge_one(struct slice bytes, struct stored_value *best, struct slice *best_bytes)
{
	struct stored_value next;
	if (!rocksdb_value_read(bytes, &next))
		return false;
	if (!best_bytes->ptr || !rocksdb_value_wins(best, &next)) {
		*best = next;
		*best_bytes = bytes;
	}
	return true;
}

static char *merge_full(void *state, const char *key, size_t key_len, const char *existing,
	size_t existing_len, const char *const *operands, const size_t *operand_lens, int count,
	unsigned char *success, size_t *ret_len)
{
	struct stored_value best;
	struct slice bytes = SLICE_NONE;
	bool sound = !existing || merge_one(slice_of(existing, existing_len), &best, &bytes);
	for (int i = 0; sound && i < count; i++)
		sound = merge_one(slice_of(operands[i], operand_lens[i]), &best, &bytes);
	return merge_answer(sound && bytes.ptr ? &best : NULL, bytes, success, ret_len);
}

static char *merge_partial(void *state, const char *key, size_t key_len,
	const char *const *operands, const size_t *operand_lens, int count, unsigned char *success,
	size_t *ret_len)
{
	return merge_full(
		state, key, key_len, NULL, 0, operands, operand_lens, count, success, ret_len);
}

static void merge_delete_value(void *state, const char *value, size_t len)
{
	free((void *)value);
}

static void nothing_to_destroy(void *state)
{
}

rocksdb_mergeoperator_t *rocksdb_version_merge(void)
{
	return rocksdb_mergeoperator_create(NULL, nothing_to_destroy, merge_full, merge_partial,
		merge_delete_value, merge_name);
}

/* ---- forgetting ---- */

static const char *filter_name(void *state)
{
	return "holdfast.expiry";
}

/* True drops the row. What cannot be read is kept, for someone to look at. */
static unsigned char filter_row(void *state, int level, const char *key, size_t key_len,
	const char *value, size_t value_len, char **new_value, size_t *new_value_len,
	unsigned char *changed)
{
	uint8_t table_id;
	struct slice partition;
	struct slice row_key;
	struct stored_value stored;
	*changed = 0;
	if (!rocksdb_key_parts(slice_of(key, key_len), &table_id, &partition, &row_key))
		return false;
	const struct table *table = table_by_id(table_id);
	if (!table || table->kind == TABLE_CAS ||
		!rocksdb_value_read(slice_of(value, value_len), &stored))
		return false;
	return stored.expires_us && stored.expires_us <= clock_realtime_us();
}

rocksdb_compactionfilter_t *rocksdb_expiry_filter(void)
{
	return rocksdb_compactionfilter_create(NULL, nothing_to_destroy, filter_row, filter_name);
}
