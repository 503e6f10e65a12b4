#include "wire/cql/cql_ring.h"

#include <stdlib.h>

#include "base/arena.h"
#include "wire/cql/cql_murmur3.h"

/* A keyspace that names more data centres than this is routed by the first ones. */
#define DATACENTERS_MAX 32

struct ring_token {
	int64_t token;
	size_t node; /* index */
};

struct ring_node {
	struct cql_node *node;
	bool is_local;
	size_t datacenter, rack; /* numbers; a rack's is its own within all data centres */
};

struct ring_datacenter {
	struct slice name;
	size_t nodes, racks;
};

enum strategy { STRATEGY_UNKNOWN, STRATEGY_SIMPLE, STRATEGY_TOPOLOGY };

struct ring_keyspace {
	struct slice name;
	enum strategy strategy;
	size_t replicas;                       /* simple */
	size_t by_datacenter[DATACENTERS_MAX]; /* topology; 0: none there */
};

struct cql_ring {
	uint32_t references;
	struct arena memory;
	struct ring_node *nodes; /* local ones first */
	size_t node_count, local_count;
	struct ring_token *tokens; /* ascending */
	size_t token_count;
	struct ring_datacenter datacenters[DATACENTERS_MAX];
	size_t datacenter_count;
	struct ring_keyspace *keyspaces;
	size_t keyspace_count;
};

/* ---- making ---- */

/* Its number; DATACENTERS_MAX when there are too many. */
static size_t number_datacenter(struct cql_ring *ring, struct slice name)
{
	size_t i = 0;
	while (i < ring->datacenter_count && !slice_equal(ring->datacenters[i].name, name))
		i++;
	if (i == ring->datacenter_count && i < DATACENTERS_MAX) {
		ring->datacenters[i].name = arena_dup(&ring->memory, name);
		ring->datacenter_count++;
	}
	return i;
}

static bool is_same_rack(const struct cql_ring_node *a, const struct cql_ring_node *b)
{
	return strcmp(a->datacenter, b->datacenter) == 0 && strcmp(a->rack, b->rack) == 0;
}

/* The index of the first node in the same rack is the rack's number. */
static size_t number_rack(const struct cql_ring_node *nodes, size_t index)
{
	size_t first = 0;
	while (!is_same_rack(&nodes[first], &nodes[index]))
		first++;
	return first;
}

static void add_node(struct cql_ring *ring, const struct cql_ring_node *nodes, size_t index)
{
	const struct cql_ring_node *from = &nodes[index];
	size_t number = ring->node_count++;
	struct ring_node *node = &ring->nodes[number];
	node->node = from->node;
	node->is_local = from->is_local;
	node->datacenter = number_datacenter(ring, slice_from_cstr(from->datacenter));
	node->rack = number_rack(nodes, index);
	if (node->datacenter == DATACENTERS_MAX)
		return;
	struct ring_datacenter *datacenter = &ring->datacenters[node->datacenter];
	datacenter->nodes++;
	datacenter->racks += node->rack == index;
	for (size_t i = 0; i < from->token_count; i++)
		ring->tokens[ring->token_count++] =
			(struct ring_token){.token = from->tokens[i], .node = number};
}

static int compare_tokens(const void *left, const void *right)
{
	const struct ring_token *a = left, *b = right;
	return (a->token > b->token) - (a->token < b->token);
}

static void add_nodes(struct cql_ring *ring, const struct cql_ring_node *nodes, size_t count)
{
	size_t token_count = 0;
	for (size_t i = 0; i < count; i++)
		token_count += nodes[i].token_count;
	ring->nodes = ARENA_ARRAY(&ring->memory, struct ring_node, count);
	ring->tokens = ARENA_ARRAY(&ring->memory, struct ring_token, token_count);
	for (size_t i = 0; i < count; i++)
		if (nodes[i].is_local)
			add_node(ring, nodes, i);
	ring->local_count = ring->node_count;
	for (size_t i = 0; i < count; i++)
		if (!nodes[i].is_local)
			add_node(ring, nodes, i);
	qsort(ring->tokens, ring->token_count, sizeof(struct ring_token), compare_tokens);
}

/* "3", or "3/1" where one of three is transient. */
static size_t parse_factor(struct slice value)
{
	uint32_t factor;
	struct slice number = slice_range(value, 0, slice_find_char(value, '/'));
	return slice_parse_u32(number, &factor) ? factor : 0;
}

static void add_keyspace(struct cql_ring *ring, const struct cql_ring_keyspace *from)
{
	struct ring_keyspace *keyspace = &ring->keyspaces[ring->keyspace_count++];
	keyspace->name = arena_dup(&ring->memory, from->name);
	if (slice_ends_with(from->strategy, SLICE("SimpleStrategy")))
		keyspace->strategy = STRATEGY_SIMPLE;
	else if (slice_ends_with(from->strategy, SLICE("NetworkTopologyStrategy")))
		keyspace->strategy = STRATEGY_TOPOLOGY;
	for (size_t i = 0; i < from->option_count; i++) {
		const struct cql_ring_option *option = &from->options[i];
		if (slice_equal(option->name, SLICE("replication_factor")))
			keyspace->replicas = parse_factor(option->value);
		for (size_t j = 0; j < ring->datacenter_count; j++)
			if (slice_equal(option->name, ring->datacenters[j].name))
				keyspace->by_datacenter[j] = parse_factor(option->value);
	}
}

struct cql_ring *cql_ring_new(const struct cql_ring_node *nodes, size_t node_count,
	const struct cql_ring_keyspace *keyspaces, size_t keyspace_count)
{
	struct cql_ring *ring = HEAP_NEW(struct cql_ring);
	ring->references = 1;
	arena_init(&ring->memory);
	add_nodes(ring, nodes, node_count);
	ring->keyspaces = ARENA_ARRAY(&ring->memory, struct ring_keyspace, keyspace_count);
	for (size_t i = 0; i < keyspace_count; i++)
		add_keyspace(ring, &keyspaces[i]);
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

/* ---- replicas ---- */

struct replicas {
	size_t nodes[CQL_PLAN_MAX];
	size_t count;
};

static bool holds(const struct replicas *replicas, size_t node)
{
	for (size_t i = 0; i < replicas->count; i++)
		if (replicas->nodes[i] == node)
			return true;
	return false;
}

/* The first token not below; past the last the ring begins again. */
static size_t find_token(const struct cql_ring *ring, int64_t token)
{
	size_t low = 0, high = ring->token_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ring->tokens[middle].token < token)
			low = middle + 1;
		else
			high = middle;
	}
	return low == ring->token_count ? 0 : low;
}

static void find_simple(
	const struct cql_ring *ring, size_t start, size_t factor, struct replicas *replicas)
{
	factor = MIN_OF(factor, (size_t)CQL_PLAN_MAX);
	for (size_t i = 0; i < ring->token_count && replicas->count < factor; i++) {
		size_t node = ring->tokens[(start + i) % ring->token_count].node;
		if (!holds(replicas, node))
			replicas->nodes[replicas->count++] = node;
	}
}

/* What a data centre still wants, on the way along the ring. */
struct wanted {
	size_t replicas;
	size_t repeats; /* nodes that may share a rack with one that was taken */
};

static size_t set_wanted(const struct cql_ring *ring, const struct ring_keyspace *keyspace,
	struct wanted wanted[static DATACENTERS_MAX])
{
	size_t sum = 0;
	for (size_t i = 0; i < ring->datacenter_count; i++) {
		size_t factor = keyspace->by_datacenter[i], racks = ring->datacenters[i].racks;
		wanted[i].replicas = MIN_OF(factor, ring->datacenters[i].nodes);
		wanted[i].repeats = factor > racks ? factor - racks : 0;
		sum += wanted[i].replicas;
	}
	return MIN_OF(sum, (size_t)CQL_PLAN_MAX);
}

static bool has_rack(const struct cql_ring *ring, const struct replicas *replicas, size_t rack)
{
	for (size_t i = 0; i < replicas->count; i++)
		if (ring->nodes[replicas->nodes[i]].rack == rack)
			return true;
	return false;
}

/* In each data centre its own number of nodes, in as many racks as can be. */
static void find_topology(const struct cql_ring *ring, size_t start,
	const struct ring_keyspace *keyspace, struct replicas *replicas)
{
	struct wanted wanted[DATACENTERS_MAX] = {0};
	size_t sum = set_wanted(ring, keyspace, wanted);
	for (size_t i = 0; i < ring->token_count && replicas->count < sum; i++) {
		size_t number = ring->tokens[(start + i) % ring->token_count].node;
		const struct ring_node *node = &ring->nodes[number];
		struct wanted *of_datacenter = &wanted[node->datacenter];
		if (!of_datacenter->replicas || holds(replicas, number))
			continue;
		if (has_rack(ring, replicas, node->rack)) {
			if (!of_datacenter->repeats)
				continue;
			of_datacenter->repeats--;
		}
		of_datacenter->replicas--;
		replicas->nodes[replicas->count++] = number;
	}
}

static void find_replicas(
	const struct cql_ring *ring, const struct cql_ring_query *query, struct replicas *replicas)
{
	if (!query->routing_key.len || !ring->token_count)
		return;
	const struct ring_keyspace *keyspace = NULL;
	for (size_t i = 0; i < ring->keyspace_count && !keyspace; i++)
		if (slice_equal(ring->keyspaces[i].name, query->keyspace))
			keyspace = &ring->keyspaces[i];
	if (!keyspace)
		return;
	size_t start = find_token(ring, cql_murmur3_token(query->routing_key));
	if (keyspace->strategy == STRATEGY_SIMPLE)
		find_simple(ring, start, keyspace->replicas, replicas);
	else if (keyspace->strategy == STRATEGY_TOPOLOGY)
		find_topology(ring, start, keyspace, replicas);
}

/* ---- plans ---- */

struct plan {
	const struct cql_ring *ring;
	struct cql_node **nodes;
	size_t count;
	struct replicas taken;
};

static void add(struct plan *plan, size_t number)
{
	if (plan->count == CQL_PLAN_MAX || holds(&plan->taken, number))
		return;
	plan->taken.nodes[plan->taken.count++] = number;
	plan->nodes[plan->count++] = plan->ring->nodes[number].node;
}

static void add_replicas(
	struct plan *plan, const struct replicas *replicas, bool local, uint64_t turn)
{
	size_t chosen[CQL_PLAN_MAX], count = 0;
	for (size_t i = 0; i < replicas->count; i++)
		if (plan->ring->nodes[replicas->nodes[i]].is_local == local)
			chosen[count++] = replicas->nodes[i];
	for (size_t i = 0; i < count; i++)
		add(plan, chosen[(turn + i) % count]);
}

static void add_others(struct plan *plan, size_t first, size_t count, uint64_t turn)
{
	for (size_t i = 0; i < count; i++)
		add(plan, first + (turn + i) % count);
}

size_t cql_ring_plan(const struct cql_ring *ring, const struct cql_ring_query *query,
	struct cql_node *ret_nodes[static CQL_PLAN_MAX])
{
	struct replicas replicas = {.count = 0};
	find_replicas(ring, query, &replicas);
	struct plan plan = {.ring = ring, .nodes = ret_nodes};
	uint64_t replica_turn = query->in_ring_order ? 0 : query->turn;
	add_replicas(&plan, &replicas, true, replica_turn);
	add_others(&plan, 0, ring->local_count, query->turn);
	if (query->remote) {
		add_replicas(&plan, &replicas, false, replica_turn);
		add_others(&plan, ring->local_count, ring->node_count - ring->local_count,
			query->turn);
	}
	return plan.count;
}
