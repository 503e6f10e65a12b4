#pragma once

/* Within wire/cql only: a cluster, its nodes and their pools, its statements.
 *
 * Locks, in this order: cluster, node, connection, waiter. A statement's lock is taken alone. */

#include "base/hash_map.h"
#include "base/sync.h"
#include "wire/cql/cql_connection.h"
#include "wire/cql/cql_result.h"
#include "wire/cql/cql_ring.h"

/* ---- nodes ---- */

struct cql_slot {
	struct cql_connection *connection; /* counted; NULL: none */
	bool is_ready;
	uint64_t retry_at_ns;
	uint32_t backoff_ms;
};

/* A host, known once and kept as long as the cluster, so that nobody need count it. */
struct cql_node {
	struct cql_cluster *cluster;
	size_t index;
	char address[64];
	char server_name[64];
	struct sockaddr_storage socket_address;
	socklen_t socket_address_size;

	/* Under the cluster's lock. */
	char datacenter[64], rack[64], release_version[32];
	bool is_present, is_local;

	struct mutex lock;
	/* Under lock. */
	struct cql_slot *slots; /* connections_per_host */
	bool is_wanted;         /* its pool is to be kept */
	bool was_tried;         /* a first connection has become ready, or has failed */
	size_t next_slot;
	bool is_preparing; /* somebody waits for the answer to a PREPARE */
	struct condition prepare_ended;
	bool is_refused;   /* the last connection ended because it does not take us */
	char trouble[200]; /* why the last connection ended */

	/* Without a lock, atomically. */
	uint32_t ready_count;
	uint32_t in_flight;
};

struct cql_cluster {
	struct cql_options options; /* its strings are owned */
	struct arena memory;        /* of the options */
	struct cql_link link;
	uint8_t version; /* settled by the first connection */

	struct mutex lock;
	struct condition changed; /* pools, calls that leave, work for the control thread */
	/* Under lock. */
	struct cql_node **nodes;
	size_t node_count;
	struct cql_ring *ring; /* counted */
	struct hash_map statements;
	uint64_t callers; /* within cql_execute and its like */
	bool is_closing;

	struct cql_control *control;
	struct event *tick;
	uint64_t next_start; /* of round robin; atomic */
};

/* ---- cql_node.c ---- */

/* "host" or "host:port" to an address; blocks on the resolver. False when there is none. */
bool cql_resolve(const char *text, uint16_t default_port, struct sockaddr_storage *ret_address,
	socklen_t *ret_size, char ret_name[static 64]);

/* "127.0.0.1:9042", "[::1]:9042". */
void cql_address_format(const struct sockaddr_storage *address, char ret_text[static 64]);

/* Of a value of type inet. False for null, and for "any" (0.0.0.0), which names nobody. */
bool cql_address_of_inet(struct cql_value inet, int32_t port, char ret_text[static 64]);

/* The node of that name, made when it is new; NULL when the name cannot be resolved. Under the
 * cluster's lock. */
struct cql_node *cql_node_get(struct cql_cluster *cluster, const char *address);
void cql_node_free(struct cql_node *node);

/* ---- cql_pool.c ---- */

extern const struct cql_connection_events cql_pool_events;

/* Opens what is missing and due, closes what is not wanted. The reactor's thread. */
void cql_pool_tick(struct cql_node *node, uint64_t now_ns);

/* Connects at once instead of waiting for the back-off. */
void cql_pool_hurry(struct cql_node *node);
void cql_pool_close(struct cql_node *node);

static inline bool cql_node_is_up(const struct cql_node *node)
{
	return __atomic_load_n(&node->ready_count, __ATOMIC_RELAXED) > 0;
}

/* A ready connection, counted; NULL: none. */
struct cql_connection *cql_pool_pick(struct cql_node *node);

/* Counts a request against the node's bound; false: it is reached. */
MUST_CHECK bool cql_node_enter(struct cql_node *node);
void cql_node_leave(struct cql_node *node);

/* ---- cql_cluster.c ---- */

/* Counts a caller in, whom a close waits for; false: the cluster closes. */
MUST_CHECK bool cql_cluster_enter(struct cql_cluster *cluster);
void cql_cluster_leave(struct cql_cluster *cluster);

bool cql_cluster_is_closing(struct cql_cluster *cluster);

/* Waits, but not for a cluster that closes. */
void cql_cluster_pause(struct cql_cluster *cluster, uint64_t until_ns);

/* The ring as it is now, counted. */
struct cql_ring *cql_cluster_ring(struct cql_cluster *cluster);

/* ---- cql_prepared.c ---- */

/* A statement as one node has prepared it. Immutable; counted. */
struct cql_prepared {
	uint32_t references;
	struct arena memory;
	struct slice id, result_id;
	struct slice keyspace;       /* of its marks; empty: not told */
	struct cql_metadata columns; /* of its result */
};

struct cql_statement {
	struct cql_cluster *cluster;
	char *text;
	bool idempotent;
	struct mutex lock;
	/* Under lock. */
	struct cql_prepared **by_node; /* counted; NULL: not prepared there */
	size_t node_count;
	char *keyspace; /* of the first that was prepared, set once; read without the lock */
};

void cql_statement_free(struct cql_statement *statement);

/* What the node knows it by, counted; NULL: not prepared there. */
struct cql_prepared *cql_prepared_find(
	struct cql_statement *statement, const struct cql_node *node);
void cql_prepared_unref(struct cql_prepared *prepared);

/* Forgets what the node knew, if it is still this. */
void cql_prepared_forget(struct cql_statement *statement, const struct cql_node *node,
	const struct cql_prepared *prepared);

/* v5: the result has another shape now. */
void cql_prepared_reshape(struct cql_statement *statement, const struct cql_node *node,
	const struct cql_prepared *prepared, const struct cql_metadata *metadata);

/* Prepares there, unless somebody has done so meanwhile: one PREPARE at a time on each node, since
 * Cassandra forgets a statement that it has just prepared when another PREPARE of it, begun before,
 * ends. On an error *failure has code and fields; nothing was executed. */
MUST_CHECK struct error *cql_prepare(struct op *op, struct cql_statement *statement,
	struct cql_node *node, struct cql_connection *connection, uint64_t deadline_ns,
	struct cql_prepared **ret_prepared, struct cql_failure *failure);

/* The keyspace that the statement is in; NULL: not known yet. */
const char *cql_statement_keyspace(const struct cql_statement *statement);

/* ---- cql_control.c ---- */

/* Connects to a contact point, settles the version, learns the nodes; then starts the thread that
 * keeps all that true. */
MUST_CHECK struct error *cql_control_open(struct op *op, struct cql_cluster *cluster);

/* The control connection, counted; NULL: none is ready. */
struct cql_connection *cql_control_connection(struct cql_cluster *cluster);

/* Ends the thread and its connection. NULL and half-opened ones too. */
void cql_control_close(struct cql_cluster *cluster);
void cql_control_free(struct cql_control *control);
