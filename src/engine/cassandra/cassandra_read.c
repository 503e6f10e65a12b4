#include "engine/cassandra/cassandra_private.h"

#include "base/clock.h"

/* A page holds so many rows; the whole of a usual partition. */
#define PAGE_ROWS 10000
#define PAGE_ROWS_LARGE 8
/* A partition that changes while its pages are read is read again so often. */
#define SCAN_TRIES 4

static struct error *run(struct replicated *store, struct op *op, const struct table *table,
	struct cql_bound *bound, struct cql_request request, struct failure *ret_failure,
	struct cql_result *ret_result)
{
	struct cql_failure why;
	request.statements = bound;
	request.count = 1;
	request.idempotent = true;
	struct error *err =
		cql_execute(op, cassandra_of(store)->cluster, &request, ret_result, &why);
	return err ? cassandra_fail(op, FAILURE_OF_READ, &why, err, table, ret_failure) : NULL;
}

/* Does the answer have the columns that its statement asks for? */
static struct error *expect_columns(
	struct op *op, const struct cql_result *result, size_t count, const struct table *table)
{
	if (result->column_count == count)
		return NULL;
	return op_fail(op, ERR_INTERNAL,
		"Cassandra answers %zu columns of table %s where %zu are asked for",
		result->column_count, table->name, count);
}

static uint64_t number_of(struct cql_value value)
{
	int64_t number;
	return cql_to_bigint(value, &number) ? (uint64_t)number : 0;
}

static struct error *take_state(struct op *op, const struct cql_result *result,
	const struct table *table, bool *ret_found, struct engine_row *ret_row)
{
	TRY(expect_columns(op, result, 2, table));
	*ret_found = result->row_count && cql_at(result, 0, 1).length >= 0;
	if (*ret_found)
		*ret_row = (struct engine_row){
			.key = SLICE_NONE, .value = cql_to_bytes(cql_at(result, 0, 1))};
	return NULL;
}

static struct error *take_keyed(struct op *op, const struct cql_result *result,
	const struct table *table, struct slice key, bool *ret_found, struct engine_row *ret_row)
{
	bool has_version = table->kind == TABLE_PLAIN;
	TRY(expect_columns(op, result, has_version ? 2 : 1, table));
	*ret_found = result->row_count && cql_at(result, 0, 0).length >= 0;
	if (*ret_found)
		*ret_row = (struct engine_row){.key = key,
			.value = cql_to_bytes(cql_at(result, 0, 0)),
			.version = has_version ? number_of(cql_at(result, 0, 1)) : 0};
	return NULL;
}

static struct error *get_state(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, enum level level, struct failure *ret_failure, bool *ret_found,
	struct engine_row *ret_row)
{
	struct cql_value values[] = {cql_from_bytes(partition)};
	struct cql_bound bound = {cassandra_statements(store, table)->get_state, NULL, values, 1};
	struct cql_request request = {.level = cassandra_level(level), .routing_key = partition};
	struct cql_result result;
	TRY(run(store, op, table, &bound, request, ret_failure, &result));
	return take_state(op, &result, table, ret_found, ret_row);
}

struct error *cassandra_get(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum level level, struct failure *ret_failure,
	bool *ret_found, struct engine_row *ret_row)
{
	if (table->kind == TABLE_CAS && !key.len)
		return get_state(
			store, op, table, partition, level, ret_failure, ret_found, ret_row);
	struct cql_value values[] = {cql_from_bytes(partition), cql_from_bytes(key)};
	struct cql_bound bound = {cassandra_statements(store, table)->get, NULL, values, 2};
	struct cql_request request = {.level = cassandra_level(level), .routing_key = partition};
	struct cql_result result;
	TRY(run(store, op, table, &bound, request, ret_failure, &result));
	return take_keyed(op, &result, table, key, ret_found, ret_row);
}

/* ---- several rows at once ---- */

/* So many requests are under way together. */
#define READS_TOGETHER 64

static bool is_static_row(const struct engine_read *read)
{
	return read->table->kind == TABLE_CAS && !read->key.len;
}

static struct cql_request request_of(struct replicated *store, struct op *op,
	const struct engine_read *read, enum level level, struct cql_bound *bound)
{
	const struct table_statements *statements = cassandra_statements(store, read->table);
	struct cql_value *values = ARENA_ARRAY(&op->arena, struct cql_value, 2);
	values[0] = cql_from_bytes(read->partition);
	values[1] = cql_from_bytes(read->key);
	*bound = is_static_row(read) ? (struct cql_bound){statements->get_state, NULL, values, 1}
				     : (struct cql_bound){statements->get, NULL, values, 2};
	return (struct cql_request){.statements = bound,
		.count = 1,
		.level = cassandra_level(level),
		.routing_key = read->partition,
		.idempotent = true};
}

static struct error *take_row(
	struct op *op, const struct cql_result *result, struct engine_read *read)
{
	return is_static_row(read)
		       ? take_state(op, result, read->table, &read->found, &read->row)
		       : take_keyed(op, result, read->table, read->key, &read->found, &read->row);
}

static struct error *get_together(struct replicated *store, struct op *op,
	struct engine_read *reads, size_t count, enum level level, struct failure *ret_failure)
{
	struct arena *arena = &op->arena;
	struct cql_bound *bound = ARENA_ARRAY(arena, struct cql_bound, count);
	struct cql_request *requests = ARENA_ARRAY(arena, struct cql_request, count);
	struct cql_result *results = ARENA_ARRAY(arena, struct cql_result, count);
	struct cql_failure *whys = ARENA_ARRAY(arena, struct cql_failure, count);
	struct error **errors = ARENA_ARRAY(arena, struct error *, count);
	for (size_t i = 0; i < count; i++)
		requests[i] = request_of(store, op, &reads[i], level, &bound[i]);
	cql_execute_many(op, cassandra_of(store)->cluster, requests, count, results, whys, errors);
	for (size_t i = 0; i < count; i++) {
		if (errors[i])
			return cassandra_fail(op, FAILURE_OF_READ, &whys[i], errors[i],
				reads[i].table, ret_failure);
		TRY(take_row(op, &results[i], &reads[i]));
	}
	return NULL;
}

struct error *cassandra_get_many(struct replicated *store, struct op *op, struct engine_read *reads,
	size_t count, enum level level, struct failure *ret_failure)
{
	for (size_t at = 0; at < count; at += READS_TOGETHER)
		TRY(get_together(store, op, reads + at, MIN_OF(count - at, READS_TOGETHER), level,
			ret_failure));
	return NULL;
}

/* ---- scans ---- */

struct scan {
	struct replicated *store;
	const struct table *table;
	struct slice partition;
	struct slice from, to;
	size_t limit;
	bool backwards;
	enum level level;
	struct failure *ret_failure;

	struct engine_row *rows;
	size_t count;
	size_t capacity;
	bool has_state;
	struct slice state;
	struct cql_value first_condition; /* of the first page: every page must have it */
};

static void add_row(struct scan *scan, struct arena *arena, struct engine_row row)
{
	if (scan->count == scan->capacity) {
		size_t capacity = scan->capacity ? scan->capacity * 2 : 64;
		struct engine_row *rows = ARENA_ARRAY(arena, struct engine_row, capacity);
		if (scan->count)
			memcpy(rows, scan->rows, scan->count * sizeof(*rows));
		scan->rows = rows;
		scan->capacity = capacity;
	}
	scan->rows[scan->count++] = row;
}

static bool values_equal(struct cql_value a, struct cql_value b)
{
	return a.length == b.length &&
	       (a.length <= 0 || memcmp(a.ptr, b.ptr, (size_t)a.length) == 0);
}

static void take_page(struct scan *scan, struct op *op, const struct cql_result *result)
{
	bool is_cas = scan->table->kind == TABLE_CAS;
	size_t state_column = result->column_count - 1;
	if (is_cas && result->row_count && cql_at(result, 0, state_column).length >= 0) {
		scan->has_state = true;
		scan->state = cql_to_bytes(cql_at(result, 0, state_column));
	}
	for (size_t i = 0; i < result->row_count; i++) {
		struct cql_value value = cql_at(result, i, 1);
		if (value.length < 0)
			continue;
		add_row(scan, &op->arena,
			(struct engine_row){.key = cql_to_bytes(cql_at(result, i, 0)),
				.value = cql_to_bytes(value),
				.version = is_cas ? 0 : number_of(cql_at(result, i, 2))});
	}
}

static struct error *read_page(
	struct scan *scan, struct op *op, struct slice paging_state, struct cql_result *ret_result)
{
	int variant = (scan->from.len ? SCAN_FROM : 0) | (scan->to.ptr ? SCAN_TO : 0) |
		      (scan->backwards ? SCAN_BACKWARDS : 0);
	struct cql_value values[4] = {cql_from_bytes(scan->partition)};
	size_t count = 1;
	if (scan->from.len)
		values[count++] = cql_from_bytes(scan->from);
	if (scan->to.ptr)
		values[count++] = cql_from_bytes(scan->to);
	int32_t limit = scan->limit < INT32_MAX ? (int32_t)scan->limit : INT32_MAX;
	values[count++] = cql_from_int(&op->arena, limit);
	struct cql_bound bound = {
		cassandra_statements(scan->store, scan->table)->scan[variant], NULL, values, count};
	struct cql_request request = {.level = cassandra_level(scan->level),
		.routing_key = scan->partition,
		.page_rows = scan->table->large_values ? PAGE_ROWS_LARGE : PAGE_ROWS,
		.paging_state = paging_state};
	TRY(run(scan->store, op, scan->table, &bound, request, scan->ret_failure, ret_result));
	size_t columns = scan->table->kind == TABLE_CAS ? scan->table->condition_columns + 3 : 3;
	return expect_columns(op, ret_result, columns, scan->table);
}

/* All pages of one try. Pages are read one after another: in a CAS table the first condition column
 * says whether they show the same moment. */
static struct error *read_pages(struct scan *scan, struct op *op, bool *ret_is_one_moment)
{
	struct slice paging_state = SLICE_NONE;
	bool is_first = true;
	scan->count = 0;
	scan->has_state = false;
	*ret_is_one_moment = true;
	do {
		struct cql_result result;
		TRY(read_page(scan, op, paging_state, &result));
		if (scan->table->kind == TABLE_CAS && result.row_count) {
			struct cql_value condition = cql_at(&result, 0, 2);
			if (!is_first && !values_equal(condition, scan->first_condition))
				*ret_is_one_moment = false;
			scan->first_condition = condition;
			is_first = false;
		}
		take_page(scan, op, &result);
		paging_state = result.paging_state;
	} while (paging_state.len && *ret_is_one_moment);
	return NULL;
}

static struct error *read_one_moment(struct scan *scan, struct op *op)
{
	for (int tries = 0; tries < SCAN_TRIES; tries++) {
		bool is_one_moment;
		TRY(read_pages(scan, op, &is_one_moment));
		if (is_one_moment)
			return NULL;
	}
	*scan->ret_failure = (struct failure){.code = FAILURE_READ_TIMEOUT};
	return op_fail(op, ERR_TIMEOUT,
		"a partition of table %s changed while each of %d readings of its pages",
		scan->table->name, SCAN_TRIES);
}

/* With a bound and no row within it Cassandra does not return the static row. */
static struct error *find_state(struct scan *scan, struct op *op)
{
	if (scan->has_state || scan->count || !scan->to.ptr)
		return NULL;
	struct engine_row row;
	TRY(get_state(scan->store, op, scan->table, scan->partition, scan->level, scan->ret_failure,
		&scan->has_state, &row));
	if (scan->has_state)
		scan->state = row.value;
	return NULL;
}

static void add_state(struct scan *scan, struct arena *arena)
{
	struct engine_row state = {.key = SLICE_NONE, .value = scan->state};
	add_row(scan, arena, state);
	if (scan->backwards)
		return;
	memmove(scan->rows + 1, scan->rows, (scan->count - 1) * sizeof(*scan->rows));
	scan->rows[0] = state;
}

struct error *cassandra_scan(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum level level, struct failure *ret_failure, struct engine_rows *ret_rows)
{
	struct scan scan = {.store = store,
		.table = table,
		.partition = partition,
		.from = from,
		.to = to,
		.limit = limit,
		.backwards = backwards,
		.level = level,
		.ret_failure = ret_failure};
	if (!limit) {
		*ret_rows = (struct engine_rows){0};
		return NULL;
	}
	TRY(read_one_moment(&scan, op));
	if (table->kind == TABLE_CAS && !from.len) {
		TRY(find_state(&scan, op));
		if (scan.has_state)
			add_state(&scan, &op->arena);
	}
	*ret_rows = (struct engine_rows){
		.rows = scan.rows, .count = scan.count < limit ? scan.count : limit};
	return NULL;
}

/* In the order of tokens. Two partitions with one token (one pair among 2^32 partitions) may be
 * parted by a page's end, and the second then is not listed in this walk. */
struct error *cassandra_partitions(struct replicated *store, struct op *op,
	const struct table *table, struct slice after, size_t limit, enum level level,
	struct failure *ret_failure, struct slice **ret_partitions, size_t *ret_count)
{
	const struct table_statements *statements = cassandra_statements(store, table);
	struct cql_value values[2];
	size_t count = 0;
	if (after.len)
		values[count++] = cql_from_bytes(after);
	values[count++] = cql_from_int(&op->arena, limit < PAGE_ROWS ? (int32_t)limit : PAGE_ROWS);
	struct cql_bound bound = {after.len ? statements->partitions_after : statements->partitions,
		NULL, values, count};
	struct cql_request request = {.level = cassandra_level(level)};
	struct cql_result result;
	TRY(run(store, op, table, &bound, request, ret_failure, &result));
	TRY(expect_columns(op, &result, 1, table));
	*ret_partitions = ARENA_ARRAY(&op->arena, struct slice, result.row_count + 1);
	for (size_t i = 0; i < result.row_count; i++)
		(*ret_partitions)[i] = cql_to_bytes(cql_at(&result, i, 0));
	*ret_count = result.row_count;
	return NULL;
}
