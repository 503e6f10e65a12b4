/* The control connection: over it the cluster is learned, and told when it changes. A thread of its
 * own asks, so that nobody else waits for these answers. */

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "wire/cql/cql_learn.h"

/* Events come in swarms: what they tell is looked up once, this long after the first. */
#define DEBOUNCE_NS (1000 * NS_PER_MS)

/* Even without an event. */
#define REFRESH_NS (60 * NS_PER_S)

enum control_state { CONTROL_CONNECTING, CONTROL_READY, CONTROL_CLOSED };

struct cql_control {
	struct cql_cluster *cluster;
	pthread_t thread;
	bool has_thread;
	/* Under the cluster's lock. */
	struct cql_connection *connection; /* counted; NULL: none */
	enum control_state state;          /* of it */
	uint64_t refresh_at_ns;
};

static void set_state(
	struct cql_connection *connection, struct cql_cluster *cluster, enum control_state state)
{
	AUTO_LOCK(&cluster->lock);
	if (cluster->control->connection == connection)
		cluster->control->state = state;
	condition_broadcast(&cluster->changed);
}

static void control_ready(struct cql_connection *connection, void *owner)
{
	set_state(connection, owner, CONTROL_READY);
}

static void control_closed(struct cql_connection *connection, void *owner)
{
	set_state(connection, owner, CONTROL_CLOSED);
}

/* STATUS_CHANGE names a host: one that is up again need not wait for its back-off. */
static void hurry_host(struct cql_cluster *cluster, struct reader *in)
{
	bool up = slice_equal(cql_get_string(in), SLICE("UP"));
	struct slice inet = reader_bytes(in, reader_u8(in));
	int32_t port = (int32_t)reader_u32(in);
	char address[64];
	if (in->failed || !up || !cql_address_of_inet(cql_from_bytes(inet), port, address))
		return;
	AUTO_LOCK(&cluster->lock);
	for (size_t i = 0; i < cluster->node_count; i++)
		if (strcmp(cluster->nodes[i]->address, address) == 0)
			cql_pool_hurry(cluster->nodes[i]);
}

static void control_event(struct cql_connection *connection, void *owner, struct slice body)
{
	(void)connection;
	struct cql_cluster *cluster = owner;
	struct reader in = reader_of(body);
	if (slice_equal(cql_get_string(&in), SLICE("STATUS_CHANGE")))
		hurry_host(cluster, &in);
	AUTO_LOCK(&cluster->lock);
	uint64_t due = clock_monotonic_ns() + DEBOUNCE_NS;
	struct cql_control *control = cluster->control;
	control->refresh_at_ns = MIN_OF(control->refresh_at_ns, due);
	condition_broadcast(&cluster->changed);
}

static const struct cql_connection_events control_events = {
	.ready = control_ready,
	.closed = control_closed,
	.event = control_event,
};

struct target {
	char address[64];
	char server_name[64];
	struct sockaddr_storage socket_address;
	socklen_t socket_address_size;
};

static struct cql_connection *open_control(
	struct cql_cluster *cluster, const struct target *target, uint8_t version)
{
	return cql_connection_open(&(struct cql_connection_config){
		.link = &cluster->link,
		.events = &control_events,
		.owner = cluster,
		.role = CQL_ROLE_CONTROL,
		.version = version,
		.server_name = cluster->options.tls_verify_host ? target->server_name : NULL,
		.address = target->address,
		.socket_address = (const struct sockaddr *)&target->socket_address,
		.socket_address_size = target->socket_address_size,
	});
}

/* Under the cluster's lock. */
static void drop_connection(struct cql_control *control)
{
	if (!control->connection)
		return;
	cql_connection_close(control->connection);
	cql_connection_unref(control->connection);
	control->connection = NULL;
	control->state = CONTROL_CLOSED;
}

/* Under the cluster's lock: until it is ready, closed, or the time is over. */
static enum control_state await_state(struct cql_control *control, uint64_t deadline_ns)
{
	struct cql_cluster *cluster = control->cluster;
	while (control->state == CONTROL_CONNECTING && !cluster->is_closing)
		if (!condition_wait_until(&cluster->changed, &cluster->lock, deadline_ns))
			break;
	return control->state;
}

static struct error *closing_error(struct op *op, const struct cql_connection *connection)
{
	bool refused = cql_connection_closing(connection) != CQL_CLOSING_LOST;
	return op_fail(op, refused ? ERR_INVALID : ERR_UNAVAILABLE, "cassandra: %s: %s",
		cql_connection_address(connection), cql_connection_why(connection));
}

/* One host in one version. *ret_again: it may speak a lower one. */
static struct error *connect_as(struct op *op, struct cql_control *control,
	const struct target *target, uint8_t version, uint64_t deadline_ns, bool *ret_again)
{
	struct cql_cluster *cluster = control->cluster;
	*ret_again = false;
	AUTO_LOCK(&cluster->lock);
	drop_connection(control);
	if (cluster->is_closing)
		return op_fail(op, ERR_UNAVAILABLE, "cassandra: the client closes");
	control->connection = open_control(cluster, target, version);
	control->state = CONTROL_CONNECTING;
	enum control_state state = await_state(control, deadline_ns);
	if (!control->connection)
		return op_fail(op, ERR_UNAVAILABLE, "cassandra: the client closes");
	if (state == CONTROL_READY) {
		cluster->version = version;
		return NULL;
	}
	if (state == CONTROL_CONNECTING) {
		drop_connection(control);
		return op_fail(
			op, ERR_UNAVAILABLE, "cassandra: %s does not answer", target->address);
	}
	*ret_again = cql_connection_closing(control->connection) == CQL_CLOSING_VERSION;
	return closing_error(op, control->connection);
}

static struct error *connect_to(struct op *op, struct cql_control *control,
	const struct target *target, uint64_t deadline_ns)
{
	struct error *err;
	bool again;
	uint8_t version = control->cluster->version;
	do
		err = connect_as(op, control, target, version, deadline_ns, &again);
	while (err && again && --version >= 4);
	return err;
}

static void take_member(
	struct cql_cluster *cluster, struct cql_node *node, const struct cql_member *member)
{
	snprintf(node->datacenter, sizeof(node->datacenter), "%s", member->datacenter);
	snprintf(node->rack, sizeof(node->rack), "%s", member->rack);
	snprintf(node->release_version, sizeof(node->release_version), "%s",
		member->release_version);
	node->is_present = true;
	node->is_local = strcmp(node->datacenter, cluster->options.datacenter) == 0;
}

static void set_wanted(struct cql_cluster *cluster)
{
	for (size_t i = 0; i < cluster->node_count; i++) {
		struct cql_node *node = cluster->nodes[i];
		AUTO_LOCK(&node->lock);
		node->is_wanted = node->is_present && !cluster->is_closing &&
				  (node->is_local || cluster->options.remote_datacenters);
	}
}

/* Makes the members the cluster's nodes and the ring. */
static void take_members(struct op *op, struct cql_cluster *cluster,
	const struct cql_member *members, size_t count, const struct cql_ring_keyspace *keyspaces,
	size_t keyspace_count)
{
	struct cql_ring_node *ring = ARENA_ARRAY(&op->arena, struct cql_ring_node, count);
	size_t ring_count = 0;
	AUTO_LOCK(&cluster->lock);
	for (size_t i = 0; i < cluster->node_count; i++)
		cluster->nodes[i]->is_present = false;
	for (size_t i = 0; i < count; i++) {
		struct cql_node *node = cql_node_get(cluster, members[i].address);
		if (!node || node->is_present)
			continue;
		take_member(cluster, node, &members[i]);
		ring[ring_count++] = (struct cql_ring_node){
			.node = node,
			.is_local = node->is_local,
			.datacenter = node->datacenter,
			.rack = node->rack,
			.tokens = members[i].tokens,
			.token_count = members[i].token_count,
		};
	}
	set_wanted(cluster);
	cql_ring_unref(cluster->ring);
	cluster->ring = cql_ring_new(ring, ring_count, keyspaces, keyspace_count);
}

struct cql_connection *cql_control_connection(struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	struct cql_control *control = cluster->control;
	return control->state == CONTROL_READY ? cql_connection_ref(control->connection) : NULL;
}

static struct error *learn_over(
	struct op *op, struct cql_control *control, struct cql_connection *connection)
{
	struct cql_cluster *cluster = control->cluster;
	uint64_t now = clock_monotonic_ns();
	mutex_lock(&cluster->lock);
	control->refresh_at_ns = now + REFRESH_NS;
	mutex_unlock(&cluster->lock);
	uint64_t deadline = now + cluster->options.request_timeout_ms * NS_PER_MS;
	if (op->deadline_ns)
		deadline = MIN_OF(deadline, op->deadline_ns);
	struct cql_member *members;
	size_t count;
	TRY(cql_learn_members(op, connection, cluster->options.port,
		cql_connection_address(connection), deadline, &members, &count));
	struct cql_ring_keyspace *keyspaces = NULL;
	size_t keyspace_count;
	TRY(cql_learn_keyspaces(op, connection, deadline, &keyspaces, &keyspace_count));
	take_members(op, cluster, members, count, keyspaces, keyspace_count);
	return NULL;
}

static struct error *learn(struct op *op, struct cql_control *control)
{
	struct cql_connection *connection = cql_control_connection(control->cluster);
	if (!connection)
		return op_fail(op, ERR_UNAVAILABLE, "cassandra: no control connection");
	struct error *err = learn_over(op, control, connection);
	cql_connection_unref(connection);
	return err;
}

static bool point_target(
	const struct cql_cluster *cluster, const char *point, struct target *target)
{
	if (!cql_resolve(point, cluster->options.port, &target->socket_address,
		    &target->socket_address_size, target->server_name))
		return false;
	cql_address_format(&target->socket_address, target->address);
	return true;
}

/* The first contact point that answers is asked who is there. */
static struct error *connect_first(struct op *op, struct cql_control *control)
{
	struct cql_cluster *cluster = control->cluster;
	const struct cql_options *options = &cluster->options;
	struct error *err = NULL, *worst = NULL;
	for (size_t i = 0; i < options->contact_point_count; i++) {
		struct target target;
		uint64_t until = clock_monotonic_ns() + options->connect_timeout_ms * NS_PER_MS;
		if (op->deadline_ns)
			until = MIN_OF(until, op->deadline_ns);
		if (point_target(cluster, options->contact_points[i], &target))
			err = connect_to(op, control, &target, until);
		else
			err = op_fail(op, ERR_UNAVAILABLE, "cassandra: %s cannot be resolved",
				options->contact_points[i]);
		if (!err)
			err = learn(op, control);
		if (!err)
			return NULL;
		worst = !worst || err->kind == ERR_INVALID ? err : worst;
	}
	return worst;
}

/* A contact point in another data centre would have us work from afar without anybody's knowing. */
static struct error *check_datacenters(struct op *op, struct cql_cluster *cluster)
{
	const struct cql_options *options = &cluster->options;
	for (size_t i = 0; i < options->contact_point_count; i++) {
		struct target target;
		if (!point_target(cluster, options->contact_points[i], &target))
			continue;
		AUTO_LOCK(&cluster->lock);
		for (size_t j = 0; j < cluster->node_count; j++) {
			const struct cql_node *node = cluster->nodes[j];
			if (node->is_present && !node->is_local &&
				strcmp(node->address, target.address) == 0)
				return op_fail(op, ERR_INVALID,
					"cassandra: contact point %s is in data centre %s, not %s",
					options->contact_points[i], node->datacenter,
					options->datacenter);
		}
	}
	return NULL;
}

static struct error *check_local_hosts(struct op *op, struct cql_cluster *cluster)
{
	AUTO_LOCK(&cluster->lock);
	const char *other = "none";
	for (size_t i = 0; i < cluster->node_count; i++) {
		if (cluster->nodes[i]->is_present && cluster->nodes[i]->is_local)
			return NULL;
		other = cluster->nodes[i]->datacenter;
	}
	return op_fail(op, ERR_INVALID,
		"cassandra: no host is in data centre %s; the contact point is in %s",
		cluster->options.datacenter, arena_cstr(&op->arena, slice_from_cstr(other)));
}

/* ---- the thread ---- */

/* The n-th host to try: those that are up first, then all others; false: no more. */
static bool node_target(struct cql_cluster *cluster, size_t n, struct target *target)
{
	AUTO_LOCK(&cluster->lock);
	for (int up = 1; up >= 0; up--)
		for (size_t i = 0; i < cluster->node_count; i++) {
			const struct cql_node *node = cluster->nodes[i];
			if (!node->is_present || cql_node_is_up(node) != (up == 1) || n--)
				continue;
			memcpy(target->address, node->address, sizeof(target->address));
			memcpy(target->server_name, node->server_name, sizeof(target->server_name));
			target->socket_address = node->socket_address;
			target->socket_address_size = node->socket_address_size;
			return true;
		}
	return false;
}

static bool try_target(struct op *op, struct cql_control *control, const struct target *target)
{
	uint64_t until =
		clock_monotonic_ns() + control->cluster->options.connect_timeout_ms * NS_PER_MS;
	struct error *err = connect_to(op, control, target, until);
	return !err && !learn(op, control);
}

/* All hosts, then the contact points: a cluster whose addresses have all changed. */
static bool try_all(struct op *op, struct cql_control *control)
{
	struct cql_cluster *cluster = control->cluster;
	struct target target = {0};
	for (size_t n = 0; node_target(cluster, n, &target) && !cql_cluster_is_closing(cluster);
		n++)
		if (try_target(op, control, &target))
			return true;
	for (size_t i = 0;
		i < cluster->options.contact_point_count && !cql_cluster_is_closing(cluster); i++)
		if (point_target(cluster, cluster->options.contact_points[i], &target) &&
			try_target(op, control, &target))
			return true;
	return false;
}

static void reconnect(struct cql_control *control)
{
	struct cql_cluster *cluster = control->cluster;
	uint64_t pause_ms = cluster->options.reconnect_min_ms;
	while (!cql_cluster_is_closing(cluster)) {
		AUTO_OP(op, "cql control");
		if (try_all(&op, control))
			return;
		uint64_t pause_ns = pause_ms * NS_PER_MS;
		cql_cluster_pause(
			cluster, clock_monotonic_ns() + pause_ns - random_below(pause_ns / 4 + 1));
		pause_ms = MIN_OF(pause_ms * 2, (uint64_t)cluster->options.reconnect_max_ms);
	}
}

enum work { WORK_END, WORK_RECONNECT, WORK_REFRESH };

static enum work await_work(struct cql_control *control)
{
	struct cql_cluster *cluster = control->cluster;
	AUTO_LOCK(&cluster->lock);
	for (;;) {
		if (cluster->is_closing)
			return WORK_END;
		if (control->state != CONTROL_READY)
			return WORK_RECONNECT;
		if (clock_monotonic_ns() >= control->refresh_at_ns)
			return WORK_REFRESH;
		condition_wait_until(&cluster->changed, &cluster->lock, control->refresh_at_ns);
	}
}

static void refresh(struct cql_control *control)
{
	AUTO_OP(op, "cql control");
	struct error *err = learn(&op, control);
	if (!err)
		return;
	log_warn(&op, "cql-refresh-failed", FIELD_ERROR(&op, err));
	AUTO_LOCK(&control->cluster->lock);
	drop_connection(control);
}

static void *control_run(void *argument)
{
	struct cql_control *control = argument;
	for (;;) {
		switch (await_work(control)) {
		case WORK_END:
			return NULL;
		case WORK_RECONNECT:
			reconnect(control);
			break;
		case WORK_REFRESH:
			refresh(control);
			break;
		}
	}
}

struct error *cql_control_open(struct op *op, struct cql_cluster *cluster)
{
	struct cql_control *control = HEAP_NEW(struct cql_control);
	control->cluster = cluster;
	control->state = CONTROL_CLOSED;
	cluster->control = control;
	TRY(connect_first(op, control));
	TRY(check_datacenters(op, cluster));
	TRY(check_local_hosts(op, cluster));
	control->has_thread = true;
	thread_start(&control->thread, "cql control", control_run, control);
	return NULL;
}

void cql_control_close(struct cql_cluster *cluster)
{
	struct cql_control *control = cluster->control;
	if (!control)
		return;
	mutex_lock(&cluster->lock);
	drop_connection(control);
	mutex_unlock(&cluster->lock);
	if (control->has_thread)
		thread_join(control->thread);
	mutex_lock(&cluster->lock);
	drop_connection(control);
	mutex_unlock(&cluster->lock);
}

void cql_control_free(struct cql_control *control)
{
	free(control);
}
