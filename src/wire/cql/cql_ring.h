#pragma once

/* Who holds what: the nodes with their tokens, and the replication of the keyspaces. Immutable and
 * counted, so that a request plans without a lock. */

#include "base/slice.h"

struct cql_node;

/* The most nodes that a request tries. */
#define CQL_PLAN_MAX 32

struct cql_ring_node {
	struct cql_node *node;
	bool is_local;
	const char *datacenter, *rack;
	const int64_t *tokens;
	size_t token_count;
};

/* As system_schema.keyspaces writes it: the strategy's class, and the other options. */
struct cql_ring_keyspace {
	struct slice name;
	struct slice strategy; /* with or without its package */
	const struct cql_ring_option {
		struct slice name, value;
	} * options;
	size_t option_count;
};

struct cql_ring;

/* Copies everything but the nodes themselves. One reference is the caller's. */
struct cql_ring *cql_ring_new(const struct cql_ring_node *nodes, size_t node_count,
	const struct cql_ring_keyspace *keyspaces, size_t keyspace_count);
struct cql_ring *cql_ring_ref(struct cql_ring *ring);
void cql_ring_unref(struct cql_ring *ring);

struct cql_ring_query {
	struct slice keyspace;
	struct slice routing_key; /* empty: any node is as good */
	bool remote;              /* nodes of other data centres too, after the local ones */
	bool in_ring_order;       /* replicas as the ring has them; else in turn */
	uint64_t turn;
};

/* The nodes to try, in this order: local replicas, other local nodes, remote replicas, other remote
 * nodes. Returns how many. */
size_t cql_ring_plan(const struct cql_ring *ring, const struct cql_ring_query *query,
	struct cql_node *ret_nodes[static CQL_PLAN_MAX]);
