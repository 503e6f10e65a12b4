#include "engine/memory.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/sync.h"
#include "base/world.h"
#include "engine/stored_key.h"

/* Rows in one array sorted by (table, partition, key): what is stored here is small, and a scan is
 * one moment because the lock is held. */
struct stored {
	struct slice full_key;
	struct slice value;
	uint64_t version;
	uint64_t expires_us; /* 0: never */
	bool is_deleted;     /* plain tables keep the tombstone */
};

/* What a row was before a write that is not durable yet. */
struct undo {
	struct slice full_key;
	struct slice value;
	uint64_t version;
	uint64_t expires_us;
	bool existed;
	bool is_deleted;
	struct undo *next; /* older */
};

struct memory_engine {
	struct engine engine;
	struct undo *undo;
	struct mutex lock;
	struct stored *rows;
	size_t count;
	size_t capacity;
};

static struct memory_engine *self(struct engine *engine)
{
	return (struct memory_engine *)engine;
}

static struct slice heap_dup(struct slice bytes)
{
	char *copy = heap_alloc(bytes.len);
	if (bytes.len)
		memcpy(copy, bytes.ptr, bytes.len);
	return slice_of(copy, bytes.len);
}

/* Index of the first row whose key is not below `key`. */
static size_t lower_bound(const struct memory_engine *memory, struct slice key)
{
	size_t low = 0;
	size_t high = memory->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (slice_compare(memory->rows[middle].full_key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_live(const struct stored *row)
{
	return !row->is_deleted && (!row->expires_us || row->expires_us > clock_realtime_us());
}

static struct stored *find_row(struct memory_engine *memory, struct slice key)
{
	size_t at = lower_bound(memory, key);
	if (at < memory->count && slice_equal(memory->rows[at].full_key, key))
		return &memory->rows[at];
	return NULL;
}

static struct stored *insert_row(struct memory_engine *memory, struct slice key)
{
	size_t at = lower_bound(memory, key);
	if (memory->count == memory->capacity) {
		memory->capacity = memory->capacity ? memory->capacity * 2 : 64;
		memory->rows = heap_realloc(memory->rows, memory->capacity * sizeof(struct stored));
	}
	memmove(&memory->rows[at + 1], &memory->rows[at],
		(memory->count - at) * sizeof(struct stored));
	memory->count++;
	memory->rows[at] = (struct stored){.full_key = heap_dup(key)};
	return &memory->rows[at];
}

static void remove_row(struct memory_engine *memory, struct stored *row)
{
	free((void *)row->full_key.ptr);
	free((void *)row->value.ptr);
	size_t at = (size_t)(row - memory->rows);
	memory->count--;
	memmove(row, row + 1, (memory->count - at) * sizeof(struct stored));
}

/* Does the stored row win over the mutation? Higher version; at equal ones a delete, then the
 * larger value, so that the outcome does not depend on the order of arrival. */
static bool stored_wins(const struct stored *row, const struct mutation *mutation)
{
	if (row->version != mutation->version)
		return row->version > mutation->version;
	if (row->is_deleted || mutation->is_delete)
		return row->is_deleted;
	return slice_compare(row->value, mutation->value) >= 0;
}

static void apply_mutation(
	struct memory_engine *memory, struct arena *arena, const struct mutation *mutation)
{
	struct slice key = stored_key(arena, mutation->table, mutation->partition, mutation->key);
	struct stored *row = find_row(memory, key);
	bool is_plain = mutation->table->kind == TABLE_PLAIN;
	if (row && is_plain && stored_wins(row, mutation))
		return;
	if (mutation->is_delete && !is_plain) {
		if (row)
			remove_row(memory, row);
		return;
	}
	if (!row)
		row = insert_row(memory, key);
	free((void *)row->value.ptr);
	row->value = heap_dup(mutation->is_delete ? SLICE_NONE : mutation->value);
	row->version = mutation->version;
	row->is_deleted = mutation->is_delete;
	row->expires_us = mutation->table->ttl_s && !mutation->is_delete
				  ? clock_realtime_us() + mutation->table->ttl_s * US_PER_S
				  : 0;
}

static void note_undo(
	struct memory_engine *memory, struct arena *arena, const struct mutation *mutation)
{
	struct slice key = stored_key(arena, mutation->table, mutation->partition, mutation->key);
	struct stored *row = find_row(memory, key);
	struct undo *undo = HEAP_NEW(struct undo);
	*undo = (struct undo){.full_key = heap_dup(key), .next = memory->undo};
	if (row) {
		undo->existed = true;
		undo->value = heap_dup(row->value);
		undo->version = row->version;
		undo->expires_us = row->expires_us;
		undo->is_deleted = row->is_deleted;
	}
	memory->undo = undo;
}

static void free_undo(struct undo *undo)
{
	free((void *)undo->full_key.ptr);
	free((void *)undo->value.ptr);
	free(undo);
}

/* A durable write makes everything before it durable. */
static void forget_undo(struct memory_engine *memory)
{
	while (memory->undo) {
		struct undo *undo = memory->undo;
		memory->undo = undo->next;
		free_undo(undo);
	}
}

void memory_engine_crash(struct engine *engine)
{
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	while (memory->undo) {
		struct undo *undo = memory->undo;
		memory->undo = undo->next;
		struct stored *row = find_row(memory, undo->full_key);
		if (!undo->existed && row)
			remove_row(memory, row);
		if (undo->existed) {
			if (!row)
				row = insert_row(memory, undo->full_key);
			free((void *)row->value.ptr);
			row->value = heap_dup(undo->value);
			row->version = undo->version;
			row->expires_us = undo->expires_us;
			row->is_deleted = undo->is_deleted;
		}
		free_undo(undo);
	}
}

static struct error *memory_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	(void)level;
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	struct stored *row = find_row(memory, stored_key(&op->arena, table, partition, key));
	*ret_found = row && is_live(row);
	if (*ret_found)
		*ret_row = (struct engine_row){.key = key,
			.value = arena_dup(&op->arena, row->value),
			.version = row->version};
	return NULL;
}

static struct error *memory_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	(void)level;
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	size_t prefix = stored_key_prefix_length(partition);
	size_t low = lower_bound(memory, stored_key(&op->arena, table, partition, from));
	size_t high = lower_bound(memory, to.ptr ? stored_key(&op->arena, table, partition, to)
						 : stored_key_after(&op->arena, table, partition));
	struct engine_row *rows =
		ARENA_ARRAY(&op->arena, struct engine_row, high > low ? high - low : 1);
	size_t count = 0;
	for (size_t i = 0; low + i < high && count < limit; i++) {
		struct stored *row = &memory->rows[backwards ? high - 1 - i : low + i];
		if (!is_live(row))
			continue;
		rows[count++] = (struct engine_row){
			.key = arena_dup(&op->arena, slice_from(row->full_key, prefix)),
			.value = arena_dup(&op->arena, row->value),
			.version = row->version};
	}
	*ret_rows = (struct engine_rows){.rows = rows, .count = count};
	return NULL;
}

static struct error *memory_write(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability)
{
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	if (durability == DURABLE)
		forget_undo(memory);
	for (size_t i = 0; i < count; i++) {
		if (durability == RELAXED)
			note_undo(memory, &op->arena, &mutations[i]);
		apply_mutation(memory, &op->arena, &mutations[i]);
	}
	return NULL;
}

static struct error *memory_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	struct stored *row =
		find_row(memory, stored_key(&op->arena, cas->table, cas->partition, SLICE_NONE));
	bool holds = cas->expected.ptr ? row && row_columns_equal(cas->table->static_row,
							cas->table->condition_columns, row->value,
							cas->expected)
				       : !row;
	if (!holds) {
		*ret_current = row ? arena_dup(&op->arena, row->value) : SLICE_NONE;
		return op_fail(op, ERR_CONFLICT, "the row of %s has changed", cas->table->name);
	}
	bool is_unsynced = is_planted(BUG_SKIPPED_FSYNC);
	if (!is_unsynced)
		forget_undo(memory);
	for (size_t i = 0; i < cas->mutation_count + cas->also_count; i++) {
		const struct mutation *mutation = i < cas->mutation_count
							  ? &cas->mutations[i]
							  : &cas->also[i - cas->mutation_count];
		if (is_unsynced)
			note_undo(memory, &op->arena, mutation);
		apply_mutation(memory, &op->arena, mutation);
	}
	return NULL;
}

static struct error *memory_partitions(struct engine *engine, struct op *op,
	const struct table *table, struct slice after, size_t limit, struct slice **ret_partitions,
	size_t *ret_count)
{
	struct memory_engine *memory = self(engine);
	AUTO_LOCK(&memory->lock);
	struct slice *found = ARENA_ARRAY(&op->arena, struct slice, limit ? limit : 1);
	size_t count = 0;
	struct slice last = after.len ? after : SLICE_NONE;
	bool past = !after.len;
	for (size_t i = 0; i < memory->count && count < limit; i++) {
		uint8_t table_id;
		struct slice partition;
		stored_key_read(memory->rows[i].full_key, &table_id, &partition);
		if (table_id != table->id || !is_live(&memory->rows[i]))
			continue;
		if (last.ptr && slice_equal(partition, last)) {
			past = true;
			continue;
		}
		if (!past &&
			(partition.len < after.len || (partition.len == after.len &&
							      slice_compare(partition, after) < 0)))
			continue;
		past = true;
		last = found[count++] = arena_dup(&op->arena, partition);
	}
	*ret_partitions = found;
	*ret_count = count;
	return NULL;
}

static void memory_close(struct engine *engine)
{
	struct memory_engine *memory = self(engine);
	forget_undo(memory);
	while (memory->count)
		remove_row(memory, &memory->rows[memory->count - 1]);
	free(memory->rows);
	mutex_done(&memory->lock);
	free(memory);
}

static const struct engine_ops memory_ops = {
	.name = "memory",
	.get = memory_get,
	.scan = memory_scan,
	.write = memory_write,
	.cas = memory_cas,
	.partitions = memory_partitions,
	.close = memory_close,
};

struct engine *memory_engine_new(bool is_atomic)
{
	struct memory_engine *memory = HEAP_NEW(struct memory_engine);
	memory->engine = (struct engine){.ops = &memory_ops, .is_atomic = is_atomic};
	mutex_init(&memory->lock);
	return &memory->engine;
}
