#include "engine/engine.h"

#include <assert.h>

#include "base/metric.h"
#include "engine/seal.h"

METRIC_COUNTER(
	damaged, "rows_damaged_total", "Rows read whose bytes are not those that were written");

void engine_close(struct engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

/* What a reader is given of a stored row. One that is damaged has no value: whoever reads it meets
 * bytes that cannot be decoded, and whoever only asks whether it is there is told so. */
static void take_off_seal(
	const struct table *table, struct slice partition, struct engine_row *inout_row)
{
	struct slice value;
	inout_row->is_damaged = !row_unseal(
		table, partition, inout_row->key, inout_row->version, inout_row->value, &value);
	inout_row->value = inout_row->is_damaged ? SLICE_NONE : value;
	metric_add(&damaged, inout_row->is_damaged);
}

struct error *engine_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	TRY(engine->ops->get(engine, op, table, partition, key, level, ret_found, ret_row));
	if (*ret_found)
		take_off_seal(table, partition, ret_row);
	return NULL;
}

struct error *engine_get_many(struct engine *engine, struct op *op, struct engine_read *reads,
	size_t count, enum read_level level)
{
	if (!engine->ops->get_many || count < 2) {
		for (size_t i = 0; i < count; i++)
			TRY(engine_get(engine, op, reads[i].table, reads[i].partition, reads[i].key,
				level, &reads[i].found, &reads[i].row));
		return NULL;
	}
	TRY(engine->ops->get_many(engine, op, reads, count, level));
	for (size_t i = 0; i < count; i++)
		if (reads[i].found)
			take_off_seal(reads[i].table, reads[i].partition, &reads[i].row);
	return NULL;
}

struct error *engine_checkpoint(struct engine *engine, struct op *op, const char *folder)
{
	if (engine->ops->checkpoint)
		return engine->ops->checkpoint(engine, op, folder);
	return op_fail(op, ERR_INVALID,
		"the store of rows is not this server's own (engine.kind): "
		"its own tools back it up");
}

struct error *engine_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	TRY(engine->ops->scan(
		engine, op, table, partition, from, to, limit, backwards, level, ret_rows));
	for (size_t i = 0; i < ret_rows->count; i++)
		take_off_seal(table, partition, &ret_rows->rows[i]);
	return NULL;
}

static struct mutation *seal_all(
	struct arena *arena, const struct mutation *mutations, size_t count)
{
	struct mutation *sealed = ARENA_ARRAY(arena, struct mutation, count ? count : 1);
	for (size_t i = 0; i < count; i++) {
		sealed[i] = mutations[i];
		if (!sealed[i].is_delete)
			sealed[i].value = row_seal(arena, sealed[i].table, sealed[i].partition,
				sealed[i].key, sealed[i].version, sealed[i].value);
	}
	return sealed;
}

struct error *engine_write(struct engine *engine, struct op *op, const struct mutation *mutations,
	size_t count, enum engine_durability durability)
{
	for (size_t i = 0; i < count; i++)
		assert(mutations[i].table->kind == TABLE_PLAIN);
	if (!count)
		return NULL;
	return engine->ops->write(
		engine, op, seal_all(&op->arena, mutations, count), count, durability);
}

struct error *engine_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	assert(cas->table->kind == TABLE_CAS);
	assert(engine->is_atomic || !cas->also_count);
	for (size_t i = 0; i < cas->mutation_count; i++)
		assert(cas->mutations[i].table == cas->table &&
			slice_equal(cas->mutations[i].partition, cas->partition));
	for (size_t i = 0; i < cas->also_count; i++)
		assert(cas->also[i].table->kind == TABLE_PLAIN);
	struct cas sealed = *cas;
	sealed.mutations = seal_all(&op->arena, cas->mutations, cas->mutation_count);
	sealed.also = seal_all(&op->arena, cas->also, cas->also_count);
	/* An engine may write it back as it is. */
	if (cas->expected.ptr)
		sealed.expected = row_seal(
			&op->arena, cas->table, cas->partition, SLICE_NONE, 0, cas->expected);
	*ret_current = SLICE_NONE;
	struct error *err = engine->ops->cas(engine, op, &sealed, ret_current);
	struct engine_row current = {.value = *ret_current};
	if (err && err->kind == ERR_CONFLICT && ret_current->ptr) {
		take_off_seal(cas->table, cas->partition, &current);
		*ret_current = current.is_damaged ? SLICE("") : current.value;
	}
	return err;
}

struct error *engine_partitions(struct engine *engine, struct op *op, const struct table *table,
	struct slice after, size_t limit, struct slice **ret_partitions, size_t *ret_count)
{
	return engine->ops->partitions(engine, op, table, after, limit, ret_partitions, ret_count);
}

void mutations_init(struct mutations *list, struct arena *arena)
{
	*list = (struct mutations){.arena = arena};
}

static struct mutation *add_mutation(struct mutations *list)
{
	if (list->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 16;
		list->items = arena_grow(list->arena, list->items,
			list->capacity * sizeof(struct mutation),
			capacity * sizeof(struct mutation));
		list->capacity = capacity;
	}
	return &list->items[list->count++];
}

void mutations_put(struct mutations *list, const struct table *table, struct slice partition,
	struct slice key, struct slice value, uint64_t version)
{
	*add_mutation(list) = (struct mutation){.table = table,
		.partition = partition,
		.key = key,
		.value = value,
		.version = version};
}

void mutations_delete(struct mutations *list, const struct table *table, struct slice partition,
	struct slice key, uint64_t version)
{
	*add_mutation(list) = (struct mutation){.table = table,
		.partition = partition,
		.key = key,
		.version = version,
		.is_delete = true};
}
