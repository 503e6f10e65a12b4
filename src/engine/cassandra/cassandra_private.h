#pragma once

/* Shared by the files of this folder. */

#include "engine/cassandra/cassandra.h"

enum scan_bound { SCAN_FROM = 1, SCAN_TO = 2, SCAN_BACKWARDS = 4, SCAN_VARIANTS = 8 };

/* The prepared statements of one table. Those of CAS tables are NULL in plain ones and the other
 * way round, where they have no meaning. */
struct table_statements {
	const struct table *table;
	struct cql_statement *get;
	struct cql_statement *get_state;
	struct cql_statement *scan[SCAN_VARIANTS];
	struct cql_statement *put;
	struct cql_statement *remove;
	struct cql_statement *create; /* the CAS that there must be no static row for */
	struct cql_statement *update; /* the CAS on the condition columns */
	struct cql_statement *remove_range;
	struct cql_statement *partitions;
	struct cql_statement *partitions_after;
};

struct cassandra {
	struct replicated store;
	struct cql_cluster *cluster;
	struct table_statements tables[UINT8_MAX + 1]; /* by the table's id */
};

/* In cassandra_statements.c: texts from the declaration alone. */
void cassandra_make_statements(struct table_statements *out, struct cql_cluster *cluster,
	const char *keyspace, const struct table *table);

/* In cassandra_outcome.c */
struct failure cassandra_failure(const struct cql_failure *from);
enum cql_level cassandra_level(enum level level);

/* In cassandra_cas.c and cassandra_read.c: the calls of struct replicated_ops. */
struct error *cassandra_cas(struct replicated *store, struct op *op, const struct cas *cas,
	enum level serial_level, enum level commit_level, struct failure *ret_failure,
	struct slice *ret_current);
struct error *cassandra_get(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum level level, struct failure *ret_failure,
	bool *ret_found, struct engine_row *ret_row);
struct error *cassandra_get_many(struct replicated *store, struct op *op, struct engine_read *reads,
	size_t count, enum level level, struct failure *ret_failure);
struct error *cassandra_scan(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum level level, struct failure *ret_failure, struct engine_rows *ret_rows);
struct error *cassandra_partitions(struct replicated *store, struct op *op,
	const struct table *table, struct slice after, size_t limit, enum level level,
	struct failure *ret_failure, struct slice **ret_partitions, size_t *ret_count);

/* Wraps a request's error so that its kind is the outcome. */
struct error *cassandra_fail(struct op *op, enum failure_request request,
	const struct cql_failure *why, struct error *err, const struct table *table,
	struct failure *ret_failure);

static inline struct cassandra *cassandra_of(struct replicated *store)
{
	return (struct cassandra *)store;
}

static inline const struct table_statements *cassandra_statements(
	struct replicated *store, const struct table *table)
{
	return &cassandra_of(store)->tables[table->id];
}
