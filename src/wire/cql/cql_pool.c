/* The connections to one node: opened, lost, opened again with growing pauses. */

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "wire/cql/cql_cluster.h"

static struct cql_slot *slot_of(struct cql_node *node, const struct cql_connection *connection)
{
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++)
		if (node->slots[i].connection == connection)
			return &node->slots[i];
	return NULL;
}

/* Under the node's lock: how many are ready, before and now. */
static void count_ready(struct cql_node *node, uint32_t *ret_before, uint32_t *ret_now)
{
	uint32_t now = 0;
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++)
		now += node->slots[i].is_ready;
	*ret_before = __atomic_exchange_n(&node->ready_count, now, __ATOMIC_RELAXED);
	*ret_now = now;
}

static void tell_waiting(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	condition_broadcast(&cluster->changed);
}

static void pool_ready(struct cql_connection *connection, void *owner)
{
	struct cql_node *node = owner;
	uint32_t before = 0, now = 0;
	mutex_lock(&node->lock);
	struct cql_slot *slot = slot_of(node, connection);
	if (slot) {
		slot->is_ready = true;
		slot->backoff_ms = 0;
	}
	node->was_tried = true;
	count_ready(node, &before, &now);
	mutex_unlock(&node->lock);
	if (!before && now)
		log_info(NULL, "cql-host-up", FIELD_TEXT("host", node->address));
	tell_waiting(node->cluster);
}

/* Doubled each time up to the limit, and up to a quarter less, so that clients do not come back all
 * at once. */
static void set_retry(struct cql_slot *slot, const struct cql_options *options)
{
	uint64_t pause =
		slot->backoff_ms ? (uint64_t)slot->backoff_ms * 2 : options->reconnect_min_ms;
	pause = MIN_OF(pause, (uint64_t)options->reconnect_max_ms);
	slot->backoff_ms = (uint32_t)MAX_OF(pause, (uint64_t)1);
	uint64_t pause_ns = slot->backoff_ms * NS_PER_MS;
	slot->retry_at_ns = clock_monotonic_ns() + pause_ns - random_below(pause_ns / 4 + 1);
}

static void pool_closed(struct cql_connection *connection, void *owner)
{
	struct cql_node *node = owner;
	uint32_t before = 0, now = 0;
	mutex_lock(&node->lock);
	struct cql_slot *slot = slot_of(node, connection);
	if (slot) {
		slot->connection = NULL;
		slot->is_ready = false;
		set_retry(slot, &node->cluster->options);
	}
	bool first = !node->was_tried;
	bool wanted = node->is_wanted;
	node->was_tried = true;
	node->is_refused = cql_connection_closing(connection) != CQL_CLOSING_LOST;
	snprintf(node->trouble, sizeof(node->trouble), "%s", cql_connection_why(connection));
	count_ready(node, &before, &now);
	mutex_unlock(&node->lock);
	if (slot)
		cql_connection_unref(connection);
	if (wanted && !now && (before || first))
		log_warn(NULL, "cql-host-down", FIELD_TEXT("host", node->address),
			FIELD_TEXT("why", node->trouble));
	tell_waiting(node->cluster);
}

const struct cql_connection_events cql_pool_events = {
	.ready = pool_ready,
	.closed = pool_closed,
};

static struct cql_connection *open_one(struct cql_node *node)
{
	const struct cql_cluster *cluster = node->cluster;
	return cql_connection_open(&(struct cql_connection_config){
		.link = &cluster->link,
		.events = &cql_pool_events,
		.owner = node,
		.role = CQL_ROLE_REQUESTS,
		.version = cluster->version,
		.keyspace = cluster->options.keyspace,
		.server_name = cluster->options.tls_verify_host ? node->server_name : NULL,
		.address = node->address,
		.socket_address = (const struct sockaddr *)&node->socket_address,
		.socket_address_size = node->socket_address_size,
	});
}

void cql_pool_tick(struct cql_node *node, uint64_t now_ns)
{
	AUTO_LOCK(&node->lock);
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++) {
		struct cql_slot *slot = &node->slots[i];
		/* What is under way may end: a host is often unwanted for a moment only. */
		if (slot->connection && !node->is_wanted &&
			!cql_connection_in_flight(slot->connection))
			cql_connection_close(slot->connection);
		else if (!slot->connection && node->is_wanted && now_ns >= slot->retry_at_ns)
			slot->connection = open_one(node);
	}
}

void cql_pool_hurry(struct cql_node *node)
{
	AUTO_LOCK(&node->lock);
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++)
		node->slots[i].retry_at_ns = 0;
}

void cql_pool_close(struct cql_node *node)
{
	AUTO_LOCK(&node->lock);
	node->is_wanted = false;
	for (uint32_t i = 0; i < node->cluster->options.connections_per_host; i++)
		if (node->slots[i].connection)
			cql_connection_close(node->slots[i].connection);
}

struct cql_connection *cql_pool_pick(struct cql_node *node)
{
	AUTO_LOCK(&node->lock);
	uint32_t count = node->cluster->options.connections_per_host;
	struct cql_connection *best = NULL;
	size_t start = node->next_slot++;
	for (uint32_t i = 0; i < count; i++) {
		struct cql_slot *slot = &node->slots[(start + i) % count];
		if (slot->is_ready && (!best || cql_connection_in_flight(slot->connection) <
							cql_connection_in_flight(best)))
			best = slot->connection;
	}
	return best ? cql_connection_ref(best) : NULL;
}
