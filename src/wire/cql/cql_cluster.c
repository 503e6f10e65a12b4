/* A cluster's opening, its end, and what is known of it. */

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "wire/cql/cql_cluster.h"
#include "wire/cql/cql_tls.h"

/* How often the pools are looked after. */
#define TICK_MS 100

struct cql_options cql_default_options(void)
{
	static const char *const loopback[] = {"127.0.0.1"};
	return (struct cql_options){
		.contact_points = loopback,
		.contact_point_count = 1,
		.port = 9042,
		.datacenter = "datacenter1",
		.tls_verify_host = true,
		.protocol_version = 5,
		.compression = true,
		.connections_per_host = 2,
		.max_requests_per_host = 1024,
		.connect_timeout_ms = 5000,
		.request_timeout_ms = 12000,
		.heartbeat_ms = 10000,
		.reconnect_min_ms = 250,
		.reconnect_max_ms = 30000,
	};
}

static const char *copy_text(struct arena *arena, const char *text)
{
	return text ? arena_cstr(arena, slice_from_cstr(text)) : NULL;
}

static void copy_options(struct cql_cluster *cluster, const struct cql_options *options)
{
	struct arena *arena = &cluster->memory;
	struct cql_options *copy = &cluster->options;
	*copy = *options;
	const char **points = ARENA_ARRAY(arena, const char *, options->contact_point_count);
	for (size_t i = 0; i < options->contact_point_count; i++)
		points[i] = copy_text(arena, options->contact_points[i]);
	copy->contact_points = points;
	copy->datacenter = copy_text(arena, options->datacenter);
	copy->keyspace = copy_text(arena, options->keyspace);
	copy->user = copy_text(arena, options->user);
	copy->password = copy_text(arena, options->password);
	copy->tls_ca_file = copy_text(arena, options->tls_ca_file);
	copy->tls_certificate_file = copy_text(arena, options->tls_certificate_file);
	copy->tls_key_file = copy_text(arena, options->tls_key_file);
	struct cql_address *map =
		ARENA_ARRAY(arena, struct cql_address, options->address_map_count);
	for (size_t i = 0; i < options->address_map_count; i++)
		map[i] = options->address_map[i];
	copy->address_map = map;
}

static struct error *check_options(struct op *op, const struct cql_options *options)
{
	if (!options->contact_point_count)
		return op_fail(op, ERR_INVALID, "cassandra: no contact point is named");
	if (!options->datacenter || !*options->datacenter)
		return op_fail(op, ERR_INVALID, "cassandra: the local data centre is not named");
	if (options->protocol_version != 4 && options->protocol_version != 5)
		return op_fail(op, ERR_INVALID, "cassandra: protocol version %u is not known",
			options->protocol_version);
	bool sane = options->port && options->connections_per_host &&
		    options->connections_per_host <= 64 && options->max_requests_per_host &&
		    options->max_requests_per_host <= 16384 && options->connect_timeout_ms &&
		    options->request_timeout_ms && options->heartbeat_ms &&
		    options->reconnect_min_ms &&
		    options->reconnect_max_ms >= options->reconnect_min_ms;
	if (!sane)
		return op_fail(
			op, ERR_INVALID, "cassandra: a number of the options is out of range");
	return NULL;
}

/* The reactor's thread. */
static void tick(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct cql_cluster *cluster = argument;
	uint64_t now = clock_monotonic_ns();
	AUTO_LOCK(&cluster->lock);
	for (size_t i = 0; i < cluster->node_count && !cluster->is_closing; i++)
		cql_pool_tick(cluster->nodes[i], now);
}

static struct cql_cluster *cluster_new(const struct cql_options *options)
{
	struct cql_cluster *cluster = HEAP_NEW(struct cql_cluster);
	arena_init(&cluster->memory);
	copy_options(cluster, options);
	mutex_init(&cluster->lock);
	condition_init(&cluster->changed);
	hash_map_init(&cluster->statements);
	cluster->ring = cql_ring_new(NULL, 0, NULL, 0);
	cluster->version = options->protocol_version;
	cluster->link = (struct cql_link){
		.reactor = reactor_new(900),
		.user = cluster->options.user,
		.password = cluster->options.password,
		.compression = options->compression,
		.max_requests = options->max_requests_per_host,
		.connect_timeout_ms = options->connect_timeout_ms,
		.heartbeat_ms = options->heartbeat_ms,
	};
	cluster->tick =
		event_new(reactor_base(cluster->link.reactor), -1, EV_PERSIST, tick, cluster);
	assert(cluster->tick);
	struct timeval period = {.tv_usec = TICK_MS * 1000};
	event_add(cluster->tick, &period);
	reactor_start(cluster->link.reactor);
	return cluster;
}

/* Have all pools that are wanted become ready, or failed once? Under lock. */
static bool all_tried(const struct cql_cluster *cluster, bool *ret_any_up)
{
	bool tried = true;
	*ret_any_up = false;
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cql_node *node = cluster->nodes[i];
		AUTO_LOCK(&node->lock);
		tried &= node->was_tried || !node->is_wanted;
		*ret_any_up |= cql_node_is_up(node);
	}
	return tried;
}

static struct error *say_trouble(struct op *op, const struct cql_cluster *cluster)
{
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cql_node *node = cluster->nodes[i];
		AUTO_LOCK(&node->lock);
		if (node->is_wanted && node->was_tried)
			return op_fail(op, node->is_refused ? ERR_INVALID : ERR_UNAVAILABLE,
				"cassandra: %s: %s", node->address, node->trouble);
	}
	return op_fail(op, ERR_UNAVAILABLE, "cassandra: no host of data centre %s answers",
		cluster->options.datacenter);
}

/* So that the first request finds the hosts that are there. */
static struct error *await_pools(struct op *op, struct cql_cluster *cluster)
{
	uint64_t until = clock_monotonic_ns() + cluster->options.connect_timeout_ms * NS_PER_MS;
	if (op->deadline_ns)
		until = MIN_OF(until, op->deadline_ns);
	AUTO_LOCK(&cluster->lock);
	bool any_up;
	while (!all_tried(cluster, &any_up) &&
		condition_wait_until(&cluster->changed, &cluster->lock, until))
		;
	return any_up ? NULL : say_trouble(op, cluster);
}

struct error *cql_cluster_open(
	struct op *op, const struct cql_options *options, struct cql_cluster **ret_cluster)
{
	TRY(check_options(op, options));
	struct cql_tls *tls = NULL;
	if (options->tls)
		TRY(cql_tls_open(op, options, &tls));
	struct cql_cluster *cluster = cluster_new(options);
	cluster->link.tls = tls;
	struct error *err = cql_control_open(op, cluster);
	if (!err)
		err = await_pools(op, cluster);
	if (err) {
		cql_cluster_close(cluster);
		return err;
	}
	*ret_cluster = cluster;
	return NULL;
}

static void free_all(struct cql_cluster *cluster)
{
	cql_control_free(cluster->control);
	for (size_t i = 0; i < cluster->node_count; i++)
		cql_node_free(cluster->nodes[i]);
	free(cluster->nodes);
	struct hash_cursor cursor = {0};
	void *statement;
	while (hash_map_next(&cluster->statements, &cursor, NULL, &statement))
		cql_statement_free(statement);
	hash_map_done(&cluster->statements);
	cql_ring_unref(cluster->ring);
	cql_tls_free(cluster->link.tls);
	condition_done(&cluster->changed);
	mutex_done(&cluster->lock);
	arena_done(&cluster->memory);
	free(cluster);
}

void cql_cluster_close(struct cql_cluster *cluster)
{
	if (!cluster)
		return;
	mutex_lock(&cluster->lock);
	cluster->is_closing = true;
	condition_broadcast(&cluster->changed);
	for (size_t i = 0; i < cluster->node_count; i++)
		cql_pool_close(cluster->nodes[i]);
	mutex_unlock(&cluster->lock);
	cql_control_close(cluster);

	mutex_lock(&cluster->lock);
	while (cluster->callers)
		condition_wait(&cluster->changed, &cluster->lock);
	mutex_unlock(&cluster->lock);
	reactor_stop(cluster->link.reactor);
	event_free(cluster->tick);
	reactor_free(cluster->link.reactor);
	free_all(cluster);
}

bool cql_cluster_enter(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	if (cluster->is_closing)
		return false;
	cluster->callers++;
	return true;
}

void cql_cluster_leave(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	cluster->callers--;
	if (cluster->is_closing)
		condition_broadcast(&cluster->changed);
}

bool cql_cluster_is_closing(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	return cluster->is_closing;
}

void cql_cluster_pause(struct cql_cluster *cluster, uint64_t until_ns)
{
	AUTO_LOCK(&cluster->lock);
	while (!cluster->is_closing)
		if (!condition_wait_until(&cluster->changed, &cluster->lock, until_ns))
			return;
}

struct cql_ring *cql_cluster_ring(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	return cql_ring_ref(cluster->ring);
}

void cql_cluster_hosts(struct cql_cluster *cluster, struct arena *arena,
	struct cql_host **ret_hosts, size_t *ret_count)
{
	AUTO_LOCK(&cluster->lock);
	struct cql_host *hosts = ARENA_ARRAY(arena, struct cql_host, cluster->node_count);
	size_t count = 0;
	for (size_t i = 0; i < cluster->node_count; i++) {
		const struct cql_node *node = cluster->nodes[i];
		if (!node->is_present)
			continue;
		struct cql_host *host = &hosts[count++];
		memcpy(host->address, node->address, sizeof(host->address));
		memcpy(host->datacenter, node->datacenter, sizeof(host->datacenter));
		memcpy(host->rack, node->rack, sizeof(host->rack));
		memcpy(host->release_version, node->release_version, sizeof(host->release_version));
		host->is_up = cql_node_is_up(node);
		host->is_local = node->is_local;
	}
	*ret_hosts = hosts;
	*ret_count = count;
}
