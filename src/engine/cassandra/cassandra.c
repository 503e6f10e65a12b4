#include "engine/cassandra/cassandra_private.h"

#include <stdlib.h>

/* One request carries so much of one partition at most. */
#define BATCH_ROWS 200
#define BATCH_BYTES KIB(64)

static bool same_partition(const struct mutation *a, const struct mutation *b)
{
	return a->table == b->table && slice_equal(a->partition, b->partition);
}

static struct cql_bound bind(const struct table_statements *statements, struct arena *arena,
	const struct mutation *mutation)
{
	struct cql_value *values = ARENA_ARRAY(arena, struct cql_value, 4);
	struct cql_value version = cql_from_bigint(arena, (int64_t)mutation->version);
	if (mutation->is_delete) {
		values[0] = version;
		values[1] = cql_from_bytes(mutation->partition);
		values[2] = cql_from_bytes(mutation->key);
		return (struct cql_bound){statements->remove, NULL, values, 3};
	}
	values[0] = cql_from_bytes(mutation->partition);
	values[1] = cql_from_bytes(mutation->key);
	values[2] = cql_from_bytes(mutation->value);
	values[3] = version;
	return (struct cql_bound){statements->put, NULL, values, 4};
}

/* Plain writes as requests: each an unlogged batch of rows of one partition. */
struct plan {
	struct cql_request *requests;
	const struct table **tables;
	size_t count;
};

/* Takes the mutations of one partition from the list that are not yet `taken`, up to a request's
 * bounds. */
static void add_request(struct replicated *store, struct op *op, struct plan *plan,
	const struct mutation *mutations, size_t count, size_t first, bool *taken, enum level level)
{
	const struct mutation *head = &mutations[first];
	struct cql_bound *bound =
		ARENA_ARRAY(&op->arena, struct cql_bound, MIN_OF(count - first, BATCH_ROWS));
	size_t rows = 0;
	size_t bytes = 0;
	for (size_t i = first; i < count && rows < BATCH_ROWS && bytes < BATCH_BYTES; i++) {
		if (taken[i] || !same_partition(head, &mutations[i]))
			continue;
		taken[i] = true;
		bytes += mutations[i].value.len + mutations[i].key.len;
		bound[rows++] =
			bind(cassandra_statements(store, head->table), &op->arena, &mutations[i]);
	}
	plan->tables[plan->count] = head->table;
	plan->requests[plan->count++] = (struct cql_request){.statements = bound,
		.count = rows,
		.batch = rows > 1 ? CQL_BATCH_UNLOGGED : CQL_NO_BATCH,
		.level = cassandra_level(level),
		.routing_key = head->partition,
		.idempotent = true};
}

static struct plan plan_writes(struct replicated *store, struct op *op,
	const struct mutation *mutations, size_t count, enum level level)
{
	struct plan plan = {.requests = ARENA_ARRAY(&op->arena, struct cql_request, count),
		.tables = ARENA_ARRAY(&op->arena, const struct table *, count)};
	bool *taken = ARENA_ARRAY(&op->arena, bool, count);
	for (size_t i = 0; i < count; i++)
		if (!taken[i])
			add_request(store, op, &plan, mutations, count, i, taken, level);
	return plan;
}

/* The list is as uncertain as the least certain of its requests; and where some of it was written,
 * it is not true that nothing was. */
static struct error *worst(struct op *op, const struct plan *plan, struct error **errors,
	const struct cql_failure *whys, struct failure *ret_failure)
{
	size_t failed = 0;
	struct error *found = NULL;
	for (size_t i = 0; i < plan->count; i++) {
		if (!errors[i])
			continue;
		struct failure failure;
		struct error *err = cassandra_fail(
			op, FAILURE_OF_WRITE, &whys[i], errors[i], plan->tables[i], &failure);
		failed++;
		if (found && (found->kind == ERR_UNCERTAIN || err->kind != ERR_UNCERTAIN))
			continue;
		found = err;
		*ret_failure = failure;
	}
	if (found && failed < plan->count) {
		ret_failure->tried_before = true;
		found->kind = ERR_UNCERTAIN;
	}
	return found;
}

static struct error *write_rows(struct replicated *store, struct op *op,
	const struct mutation *mutations, size_t count, enum level level,
	struct failure *ret_failure)
{
	*ret_failure = (struct failure){0};
	if (!count)
		return NULL;
	struct plan plan = plan_writes(store, op, mutations, count, level);
	struct cql_result *results = ARENA_ARRAY(&op->arena, struct cql_result, plan.count);
	struct cql_failure *whys = ARENA_ARRAY(&op->arena, struct cql_failure, plan.count);
	struct error **errors = ARENA_ARRAY(&op->arena, struct error *, plan.count);
	cql_execute_many(
		op, cassandra_of(store)->cluster, plan.requests, plan.count, results, whys, errors);
	return worst(op, &plan, errors, whys, ret_failure);
}

static void close_store(struct replicated *store)
{
	struct cassandra *cassandra = cassandra_of(store);
	cql_cluster_close(cassandra->cluster);
	free(cassandra);
}

static const struct replicated_ops cassandra_ops = {
	.name = "cassandra",
	.get = cassandra_get,
	.get_many = cassandra_get_many,
	.scan = cassandra_scan,
	.write = write_rows,
	.cas = cassandra_cas,
	.partitions = cassandra_partitions,
	.close = close_store,
};

struct replicated *cassandra_store_new(
	struct cql_cluster *cluster, const struct cassandra_options *options)
{
	struct cassandra *cassandra = HEAP_NEW(struct cassandra);
	cassandra->store.ops = &cassandra_ops;
	cassandra->cluster = cluster;
	size_t count;
	const struct table *const *tables = table_all(&count);
	for (size_t i = 0; i < count; i++)
		cassandra_make_statements(
			&cassandra->tables[tables[i]->id], cluster, options->keyspace, tables[i]);
	return &cassandra->store;
}
