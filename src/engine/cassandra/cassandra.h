#pragma once

/* The distributed engine: rows in Apache Cassandra. Each declared table is one of Cassandra's with
 * the same shape: `partition blob, key blob, value blob`, a row being one cell, so that the newest
 * version wins whole; a CAS table has its static row as `state` and, beside it, the columns that a
 * CAS compares. A CAS is one conditional batch; plain writes are unlogged batches of one partition,
 * each row with its version as write timestamp. Any thread may call. */

#include "base/setting.h"
#include "engine/replicated.h"
#include "wire/cql/cql.h"

struct cassandra_options {
	struct cql_options cql; /* cql.keyspace is not used */
	const char *keyspace;
	const char *replication; /* "dc1=3, dc2=3": replicas by data centre */
};

/* What the configuration file says; the strings live as long as the process. */
extern const struct setting cassandra_settings[];
extern const size_t cassandra_setting_count;

/* ERR_INVALID: which setting is wrong, and why. */
MUST_CHECK struct error *cassandra_read_settings(
	struct op *op, const char *datacenter, struct cassandra_options *ret_options);

/* Takes the cluster: closing the store closes it. The options are copied. */
struct replicated *cassandra_store_new(
	struct cql_cluster *cluster, const struct cassandra_options *options);

/* ---- schema (also holdfastctl schema) ---- */

/* What differs between the declared tables and the stored ones, one sentence each, in the arena;
 * none: they are the same. A keyspace that is not there is one difference. */
MUST_CHECK struct error *cassandra_schema_check(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, struct slice **ret_differences, size_t *ret_count);

MUST_CHECK struct error *cassandra_keyspace_exists(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, bool *ret_exists);

/* Makes what is missing and sets what differs; drops nothing. Safe to repeat, and from two nodes at
 * once. ERR_INVALID where a difference cannot be mended so (another key, a newer format). */
MUST_CHECK struct error *cassandra_schema_create(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options);

/* ---- the state of the cluster (holdfastctl health) ---- */

/* What an operator should mend, one sentence each: serial reads that are not what Paxos v2 gives,
 * clocks that differ, a repair older than gc_grace, replicas fewer than a quorum can lose. */
MUST_CHECK struct error *cassandra_health(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, struct slice **ret_findings, size_t *ret_count);
