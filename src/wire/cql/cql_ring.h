#pragma once

/* Who holds what: the nodes and, once they are known, their tokens and the keyspaces' replication.
 * Immutable and counted, so that a request plans without a lock. */

#include "base/slice.h"

struct cql_node;

/* The most nodes that a request tries. */
#define CQL_PLAN_MAX 32

struct cql_ring_node {
	struct cql_node *node;
	bool is_local;
	const char *datacenter, *rack; /* copied */
	const int64_t *tokens;         /* copied */
	size_t token_count;
};

struct cql_ring;

/* Copies everything but the nodes themselves. One reference is the caller's. */
struct cql_ring *cql_ring_new(const struct cql_ring_node *nodes, size_t count);
struct cql_ring *cql_ring_ref(struct cql_ring *ring);
void cql_ring_unref(struct cql_ring *ring);

/* The nodes to try, in this order, at most CQL_PLAN_MAX: local ones in turn from `start`, then, if
 * `remote`, the others. Returns how many. */
size_t cql_ring_plan(const struct cql_ring *ring, bool remote, uint64_t start,
	struct cql_node *ret_nodes[static CQL_PLAN_MAX]);
