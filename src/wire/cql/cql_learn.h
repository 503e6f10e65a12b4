#pragma once

/* What the system tables say, read over one connection: who is in the cluster and what is where. */

#include "wire/cql/cql_cluster.h"

/* A row of system.local or of system.peers_v2. Text is in the operation's arena. */
struct cql_member {
	char address[64]; /* as clients reach it */
	const char *datacenter, *rack, *release_version;
	struct uuid schema_version;
	const int64_t *tokens;
	size_t token_count;
};

/* All members, the one asked first. `fallback_address`: of that one, where it knows none for
 * clients. ERR_UNAVAILABLE, ERR_TIMEOUT: no answer. */
MUST_CHECK struct error *cql_learn_members(struct op *op, struct cql_connection *connection,
	uint16_t default_port, const char *fallback_address, uint64_t deadline_ns,
	struct cql_member **ret_members, size_t *ret_count);

/* Rows of a question of our own. */
MUST_CHECK struct error *cql_learn_rows(struct op *op, struct cql_connection *connection,
	const char *text, uint64_t deadline_ns, struct cql_result *ret_result);

/* The replication of all keyspaces. Of none where that cannot be read: requests then go anywhere.
 */
MUST_CHECK struct error *cql_learn_keyspaces(struct op *op, struct cql_connection *connection,
	uint64_t deadline_ns, struct cql_ring_keyspace **ret_keyspaces, size_t *ret_count);
