#include "app/ctl_schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "app/config.h"
#include "app/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "consistency/levels.h"
#include "engine/cassandra/cassandra.h"

#define CONNECT_TIMEOUT_MS 60000
/* A table takes seconds where hosts are many and busy. */
#define SCHEMA_TIMEOUT_MS 300000

static struct error *check(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	struct slice *differences;
	size_t count;
	TRY(cassandra_schema_check(op, cluster, options, &differences, &count));
	for (size_t i = 0; i < count; i++)
		printf(SLICE_FMT "\n", SLICE_ARG(differences[i]));
	if (count)
		return op_fail(op, ERR_NOT_FOUND, "the keyspace %s is not as it should be",
			options->keyspace);
	printf("the keyspace %s is as it should be\n", options->keyspace);
	return NULL;
}

static struct error *create(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	TRY(cassandra_schema_create(op, cluster, options));
	return check(op, cluster, options);
}

/* A keyspace that is not there is made by `create` alone: it takes its replication for good. */
static struct error *upgrade(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	bool exists;
	TRY(cassandra_keyspace_exists(op, cluster, options, &exists));
	if (!exists)
		return op_fail(op, ERR_NOT_FOUND, "there is no keyspace %s to upgrade: create it",
			options->keyspace);
	return create(op, cluster, options);
}

static struct error *run(struct op *op, const char *config_path,
	struct error *(*work)(struct op *op, struct cql_cluster *cluster,
		const struct cassandra_options *options))
{
	struct cassandra_options options;
	struct cql_cluster *cluster;
	struct config *config = server_config_new();
	struct error *err = config_load(op, config, config_path);
	if (!err)
		err = cassandra_read_settings(op, levels_data_centre(), &options);
	if (!err) {
		options.cql.request_timeout_ms = SCHEMA_TIMEOUT_MS;
		op->deadline_ns = clock_monotonic_ns() + CONNECT_TIMEOUT_MS * NS_PER_MS;
		err = cql_cluster_open(op, &options.cql, &cluster);
	}
	if (!err) {
		op->deadline_ns = clock_monotonic_ns() + SCHEMA_TIMEOUT_MS * NS_PER_MS;
		err = work(op, cluster, &options);
		cql_cluster_close(cluster);
	}
	config_free(config);
	return err;
}

int ctl_schema(struct op *op, const char *config_path, const char *verb)
{
	static const struct {
		const char *verb;
		struct error *(*work)(struct op *op, struct cql_cluster *cluster,
			const struct cassandra_options *options);
	} verbs[] = {{"create", create}, {"check", check}, {"upgrade", upgrade}};
	log_set_level(LOG_LEVEL_WARNING);
	config_path = config_find(config_path);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verb, verbs[i].verb) != 0)
			continue;
		struct error *err = run(op, config_path, verbs[i].work);
		if (!err)
			return EXIT_SUCCESS;
		fprintf(stderr, "holdfastctl: %s\n", error_chain(&op->arena, err));
		return err->kind == ERR_INVALID ? EX_CONFIG : EXIT_FAILURE;
	}
	fprintf(stderr, "holdfastctl: schema create, schema check or schema upgrade\n");
	return EX_USAGE;
}
