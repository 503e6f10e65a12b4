#include "engine/engine.h"

#include <assert.h>

void engine_close(struct engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

struct error *engine_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	return engine->ops->get(engine, op, table, partition, key, level, ret_found, ret_row);
}

struct error *engine_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	return engine->ops->scan(
		engine, op, table, partition, from, to, limit, backwards, level, ret_rows);
}

struct error *engine_write(struct engine *engine, struct op *op, const struct mutation *mutations,
	size_t count, enum engine_durability durability)
{
	for (size_t i = 0; i < count; i++)
		assert(mutations[i].table->kind == TABLE_PLAIN);
	return count ? engine->ops->write(engine, op, mutations, count, durability) : NULL;
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
	return engine->ops->cas(engine, op, cas, ret_current);
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
