#include "wire/cql/cql_ring.h"

#include <stdlib.h>

#include "base/arena.h"

struct cql_ring {
	uint32_t references;
	struct arena memory;
	struct cql_ring_node *nodes; /* local ones first */
	size_t count, local_count;
};

static void add_nodes(
	struct cql_ring *ring, const struct cql_ring_node *nodes, size_t count, bool local)
{
	for (size_t i = 0; i < count; i++) {
		if (nodes[i].is_local != local)
			continue;
		struct cql_ring_node *node = &ring->nodes[ring->count++];
		*node = nodes[i];
		node->datacenter = arena_cstr(&ring->memory, slice_from_cstr(nodes[i].datacenter));
		node->rack = arena_cstr(&ring->memory, slice_from_cstr(nodes[i].rack));
	}
}

struct cql_ring *cql_ring_new(const struct cql_ring_node *nodes, size_t count)
{
	struct cql_ring *ring = HEAP_NEW(struct cql_ring);
	ring->references = 1;
	arena_init(&ring->memory);
	ring->nodes = ARENA_ARRAY(&ring->memory, struct cql_ring_node, count);
	add_nodes(ring, nodes, count, true);
	ring->local_count = ring->count;
	add_nodes(ring, nodes, count, false);
	return ring;
}

struct cql_ring *cql_ring_ref(struct cql_ring *ring)
{
	__atomic_fetch_add(&ring->references, 1, __ATOMIC_RELAXED);
	return ring;
}

void cql_ring_unref(struct cql_ring *ring)
{
	if (!ring || __atomic_fetch_sub(&ring->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	arena_done(&ring->memory);
	free(ring);
}

static size_t add_in_turn(const struct cql_ring_node *nodes, size_t count, uint64_t start,
	struct cql_node **plan, size_t planned)
{
	for (size_t i = 0; i < count && planned < CQL_PLAN_MAX; i++)
		plan[planned++] = nodes[(start + i) % count].node;
	return planned;
}

size_t cql_ring_plan(const struct cql_ring *ring, bool remote, uint64_t start,
	struct cql_node *ret_nodes[static CQL_PLAN_MAX])
{
	size_t planned = add_in_turn(ring->nodes, ring->local_count, start, ret_nodes, 0);
	if (remote)
		planned = add_in_turn(ring->nodes + ring->local_count,
			ring->count - ring->local_count, start, ret_nodes, planned);
	return planned;
}
