/* The contract of all engines, against a real cluster:
 *     cassandra_contract HOST DATACENTER REPLICATION [v4|lz4]
 * Uses the keyspace `contract`, which it makes and empties. */

#include <stdio.h>

#include "base/clock.h"
#include "base/test.h"
#include "consistency/levels.h"
#include "engine/cassandra/cassandra.h"
#include "engine/contract.h"
#include "schema/tables.h"

#define PATIENCE_NS (60 * NS_PER_S)

static struct cassandra_options options;
static const char *host;

static struct cql_cluster *connect_cluster(struct op *op)
{
	struct cql_cluster *cluster;
	options.cql.contact_points = &host;
	options.cql.contact_point_count = 1;
	struct error *err = cql_cluster_open(op, &options.cql, &cluster);
	if (err)
		fail_msg("%s", error_chain(&op->arena, err));
	return cluster;
}

static struct engine *engine_over(struct cql_cluster *cluster)
{
	const struct levels_config levels = {
		.kinds = {{LEVEL_LOCAL_QUORUM, LEVEL_NONE}, {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			{LEVEL_LOCAL_QUORUM, LEVEL_NONE}},
		.serial = LEVEL_LOCAL_SERIAL,
		.attempt_timeout_ms = 10000};
	return levels_engine_new(cassandra_store_new(cluster, &options), &levels);
}

static void empty_table(struct op *op, struct cql_cluster *cluster, const struct table *table)
{
	struct cql_bound bound = {
		.text = arena_printf(&op->arena, "TRUNCATE %s.%s", options.keyspace, table->name)};
	struct cql_request request = {.statements = &bound, .count = 1, .level = CQL_ALL};
	struct cql_result result;
	struct cql_failure why;
	struct error *err = cql_execute(op, cluster, &request, &result, &why);
	if (err)
		fail_msg("%s", error_chain(&op->arena, err));
}

static struct engine *open_empty(void)
{
	AUTO_OP(op, "open");
	op.deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct cql_cluster *cluster = connect_cluster(&op);
	empty_table(&op, cluster, &account_table);
	empty_table(&op, cluster, &mailbox_map_table);
	empty_table(&op, cluster, &blob_table);
	return engine_over(cluster);
}

static struct engine *reopen(struct engine *engine)
{
	AUTO_OP(op, "open");
	engine_close(engine);
	op.deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
	return engine_over(connect_cluster(&op));
}

/* Twice: the second time there is nothing to do. */
static bool make_schema(void)
{
	AUTO_OP(op, "schema");
	op.deadline_ns = clock_monotonic_ns() + 2 * PATIENCE_NS;
	struct cql_cluster *cluster = connect_cluster(&op);
	struct slice *differences = NULL;
	size_t count = 0;
	struct error *err = cassandra_schema_create(&op, cluster, &options);
	if (!err)
		err = cassandra_schema_create(&op, cluster, &options);
	if (!err)
		err = cassandra_schema_check(&op, cluster, &options, &differences, &count);
	cql_cluster_close(cluster);
	if (err)
		fprintf(stderr, "schema: %s\n", error_chain(&op.arena, err));
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, "schema: " SLICE_FMT "\n", SLICE_ARG(differences[i]));
	return !err && !count;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fputs("cassandra_contract HOST DATACENTER REPLICATION [v4|lz4]\n", stderr);
		return 2;
	}
	host = argv[1];
	options = (struct cassandra_options){
		.cql = cql_default_options(), .keyspace = "contract", .replication = argv[3]};
	options.cql.datacenter = argv[2];
	options.cql.request_timeout_ms = 30000;
	if (argc > 4 && strcmp(argv[4], "v4") == 0)
		options.cql.protocol_version = 4;
	options.cql.compression = argc > 4 && strcmp(argv[4], "lz4") == 0;
	return make_schema() ? engine_contract_run("engine cassandra", open_empty, reopen) : 1;
}
