#pragma once

/* The nodes that serve from one store of rows: each says now and then that it is there. Nothing is
 * decided by it; it is for the administrator to read. Any thread. */

#include "engine/engine.h"

struct node_info {
	struct uuid id; /* of its data directory */
	struct slice name;
	struct slice datacenter; /* empty: the engine has none */
	struct slice version;
	uint64_t started_us; /* by its own clock, as is seen_us */
	uint64_t seen_us;
};

/* A node that was not heard of for so long is gone from the list. */
#define NODE_KEEP_S 86400

MUST_CHECK struct error *node_announce(
	struct op *op, struct engine *engine, const struct node_info *node);

/* By id. */
MUST_CHECK struct error *node_list(
	struct op *op, struct engine *engine, struct node_info **ret_nodes, size_t *ret_count);
