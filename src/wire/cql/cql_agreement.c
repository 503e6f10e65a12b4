/* Do all hosts have the same schema? What one of them knows of the others is old by a gossip's
 * round, and may be the same old thing of all: so each that can be asked is asked for its own
 * version. */

#include "base/clock.h"
#include "wire/cql/cql_learn.h"

#define POLL_NS (100 * NS_PER_MS)
#define DEFAULT_NS (10 * NS_PER_S)

struct versions {
	struct uuid first;
	size_t count;
	bool differ;
};

static void add_version(struct versions *versions, struct uuid version)
{
	if (!versions->count++)
		versions->first = version;
	versions->differ |= !uuid_equal(version, versions->first);
}

static struct error *ask_own(struct op *op, struct cql_connection *connection, uint64_t deadline_ns,
	struct versions *versions)
{
	struct cql_result row;
	struct uuid version;
	TRY(cql_learn_rows(op, connection,
		"SELECT schema_version FROM system.local WHERE key = 'local'", deadline_ns, &row));
	if (row.row_count != 1 || row.column_count != 1 ||
		!cql_to_uuid(cql_at(&row, 0, 0), &version))
		return op_fail(op, ERR_UNAVAILABLE, "%s names no schema version",
			cql_connection_address(connection));
	add_version(versions, version);
	return NULL;
}

/* The nodes that have a pool, in the arena. Those that are down are left out: they keep an old
 * version as long as they are. */
static struct cql_node **nodes_up(struct op *op, struct cql_cluster *cluster, size_t *ret_count)
{
	AUTO_LOCK(&cluster->lock);
	struct cql_node **nodes = ARENA_ARRAY(&op->arena, struct cql_node *, cluster->node_count);
	size_t count = 0;
	for (size_t i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i]->is_present && cql_node_is_up(cluster->nodes[i]))
			nodes[count++] = cluster->nodes[i];
	*ret_count = count;
	return nodes;
}

static struct error *ask_pools(
	struct op *op, struct cql_cluster *cluster, uint64_t deadline_ns, struct versions *versions)
{
	size_t count;
	struct cql_node **nodes = nodes_up(op, cluster, &count);
	for (size_t i = 0; i < count; i++) {
		struct cql_connection *connection = cql_pool_pick(nodes[i]);
		if (!connection)
			continue;
		struct error *err = ask_own(op, connection, deadline_ns, versions);
		cql_connection_unref(connection);
		if (err)
			return err;
	}
	return NULL;
}

/* Nodes elsewhere, which have no pool, are known by hearsay only. */
static void add_hearsay(struct cql_cluster *cluster, const struct cql_member *members, size_t count,
	struct versions *versions)
{
	AUTO_LOCK(&cluster->lock);
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < cluster->node_count; j++)
			if (strcmp(cluster->nodes[j]->address, members[i].address) == 0 &&
				!cluster->nodes[j]->is_local &&
				!cluster->options.remote_datacenters)
				add_version(versions, members[i].schema_version);
}

static struct error *ask_control(
	struct op *op, struct cql_cluster *cluster, uint64_t deadline_ns, struct versions *versions)
{
	struct cql_connection *connection = cql_control_connection(cluster);
	if (!connection)
		return op_fail(op, ERR_UNAVAILABLE, "cassandra: no control connection");
	struct cql_member *members;
	size_t count;
	struct error *err = cql_learn_members(op, connection, cluster->options.port,
		cql_connection_address(connection), deadline_ns, &members, &count);
	cql_connection_unref(connection);
	if (!err)
		add_hearsay(cluster, members, count, versions);
	return err;
}

static struct error *ask_all(
	struct op *op, struct cql_cluster *cluster, uint64_t deadline_ns, bool *ret_agreed)
{
	struct versions versions = {0};
	TRY(ask_pools(op, cluster, deadline_ns, &versions));
	TRY(ask_control(op, cluster, deadline_ns, &versions));
	*ret_agreed = versions.count && !versions.differ;
	return NULL;
}

static struct error *poll_hosts(struct op *op, struct cql_cluster *cluster, bool *ret_agreed)
{
	uint64_t deadline = op->deadline_ns ? op->deadline_ns : clock_monotonic_ns() + DEFAULT_NS;
	for (;;) {
		bool agreed = false;
		struct error *err = ask_all(op, cluster, deadline, &agreed);
		if (agreed || clock_monotonic_ns() + POLL_NS >= deadline) {
			*ret_agreed = agreed;
			return err;
		}
		cql_cluster_pause(cluster, clock_monotonic_ns() + POLL_NS);
		if (cql_cluster_is_closing(cluster))
			return op_fail(op, ERR_UNAVAILABLE, "cassandra: the client closes");
	}
}

struct error *cql_await_schema_agreement(
	struct op *op, struct cql_cluster *cluster, bool *ret_agreed)
{
	if (!cql_cluster_enter(cluster))
		return op_fail(op, ERR_UNAVAILABLE, "cassandra: the client closes");
	struct error *err = poll_hosts(op, cluster, ret_agreed);
	cql_cluster_leave(cluster);
	return err;
}
