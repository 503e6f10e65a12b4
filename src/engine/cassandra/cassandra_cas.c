#include "engine/cassandra/cassandra_private.h"

#include <assert.h>

/* A column that a CAS compares, as Cassandra holds it: a number. */
static int64_t condition_number(const struct column *column, const void *row)
{
	const char *at = (const char *)row + column->offset;
	switch (column->type) {
	case COLUMN_U8:
		return *(const uint8_t *)at;
	case COLUMN_U16:
		return *(const uint16_t *)(const void *)at;
	case COLUMN_U32:
		return *(const uint32_t *)(const void *)at;
	case COLUMN_U64:
		return (int64_t) * (const uint64_t *)(const void *)at;
	case COLUMN_UUID:
	case COLUMN_BYTES:
	case COLUMN_TEXT:
		break;
	}
	assert(!"a condition column that is no number");
}

static struct error *append_conditions(struct op *op, const struct table *table,
	struct slice encoded, struct cql_value *values, size_t *count)
{
	void *row = arena_alloc(&op->arena, table->static_row->size);
	TRY(row_decode(op, table->static_row, encoded, row));
	for (size_t i = 0; i < table->condition_columns; i++)
		values[(*count)++] = cql_from_bigint(
			&op->arena, condition_number(&table->static_row->columns[i], row));
	return NULL;
}

static const struct mutation *find_state(const struct cas *cas)
{
	for (size_t i = 0; i < cas->mutation_count; i++)
		if (!cas->mutations[i].key.len)
			return &cas->mutations[i];
	return NULL;
}

/* The statement that decides: the static row. A CAS that does not change it writes it as it was. */
static struct error *bind_condition(
	struct replicated *store, struct op *op, const struct cas *cas, struct cql_bound *ret_bound)
{
	const struct table_statements *statements = cassandra_statements(store, cas->table);
	const struct mutation *state = find_state(cas);
	bool is_update = cas->expected.ptr != NULL;
	assert(state ? !state->is_delete : is_update);
	struct slice encoded = state ? state->value : cas->expected;
	struct cql_value *values =
		ARENA_ARRAY(&op->arena, struct cql_value, 2 * cas->table->condition_columns + 2);
	size_t count = 0;
	TRY(append_conditions(op, cas->table, encoded, values, &count));
	values[count++] = cql_from_bytes(encoded);
	values[count++] = cql_from_bytes(cas->partition);
	if (is_update)
		TRY(append_conditions(op, cas->table, cas->expected, values, &count));
	*ret_bound = (struct cql_bound){
		is_update ? statements->update : statements->create, NULL, values, count};
	return NULL;
}

static bool is_cleared(const struct cas *cas, const struct mutation *mutation)
{
	return cas->cleared_to.len && mutation->is_delete &&
	       slice_compare(mutation->key, cas->cleared_from) >= 0 &&
	       slice_compare(mutation->key, cas->cleared_to) < 0;
}

static struct cql_bound bind_row(const struct table_statements *statements, struct arena *arena,
	const struct mutation *mutation)
{
	struct cql_value *values = ARENA_ARRAY(arena, struct cql_value, 3);
	values[0] = cql_from_bytes(mutation->partition);
	values[1] = cql_from_bytes(mutation->key);
	values[2] = cql_from_bytes(mutation->value);
	if (mutation->is_delete)
		return (struct cql_bound){statements->remove, NULL, values, 2};
	return (struct cql_bound){statements->put, NULL, values, 3};
}

static struct cql_bound bind_range(
	const struct table_statements *statements, struct arena *arena, const struct cas *cas)
{
	struct cql_value *values = ARENA_ARRAY(arena, struct cql_value, 3);
	values[0] = cql_from_bytes(cas->partition);
	values[1] = cql_from_bytes(cas->cleared_from);
	values[2] = cql_from_bytes(cas->cleared_to);
	return (struct cql_bound){statements->remove_range, NULL, values, 3};
}

static struct error *bind_all(struct replicated *store, struct op *op, const struct cas *cas,
	struct cql_bound **ret_bound, size_t *ret_count)
{
	const struct table_statements *statements = cassandra_statements(store, cas->table);
	struct cql_bound *bound =
		ARENA_ARRAY(&op->arena, struct cql_bound, cas->mutation_count + 2);
	size_t count = 0;
	TRY(bind_condition(store, op, cas, &bound[count++]));
	if (cas->cleared_to.len)
		bound[count++] = bind_range(statements, &op->arena, cas);
	for (size_t i = 0; i < cas->mutation_count; i++)
		if (cas->mutations[i].key.len && !is_cleared(cas, &cas->mutations[i]))
			bound[count++] = bind_row(statements, &op->arena, &cas->mutations[i]);
	*ret_bound = bound;
	*ret_count = count;
	return NULL;
}

/* The answer to a conditional batch: [applied], and when that is false what is there now. */
static struct error *read_answer(struct op *op, const struct cas *cas,
	const struct cql_result *result, struct slice *ret_current)
{
	bool applied = false;
	if (!result->row_count || !cql_to_boolean(cql_at(result, 0, 0), &applied))
		return op_fail(op, ERR_UNCERTAIN,
			"Cassandra does not say whether a CAS of table %s was applied",
			cas->table->name);
	if (applied)
		return NULL;
	size_t column = cql_find_column(result, "state");
	*ret_current = SLICE_NONE;
	for (size_t i = 0; i < result->row_count && column != SIZE_MAX && !ret_current->ptr; i++)
		if (cql_at(result, i, column).length >= 0)
			*ret_current = cql_to_bytes(cql_at(result, i, column));
	return op_fail(op, ERR_CONFLICT, "the partition of table %s has changed", cas->table->name);
}

struct error *cassandra_cas(struct replicated *store, struct op *op, const struct cas *cas,
	enum level serial_level, enum level commit_level, struct failure *ret_failure,
	struct slice *ret_current)
{
	struct cql_bound *bound;
	size_t count;
	*ret_failure = (struct failure){0};
	TRY(bind_all(store, op, cas, &bound, &count));
	struct cql_request request = {.statements = bound,
		.count = count,
		.batch = CQL_BATCH_UNLOGGED,
		.level = cassandra_level(commit_level),
		.serial_level = cassandra_level(serial_level),
		.routing_key = cas->partition};
	struct cql_result result;
	struct cql_failure why;
	struct error *err = cql_execute(op, cassandra_of(store)->cluster, &request, &result, &why);
	if (err)
		return cassandra_fail(op, FAILURE_OF_CAS, &why, err, cas->table, ret_failure);
	return read_answer(op, cas, &result, ret_current);
}
