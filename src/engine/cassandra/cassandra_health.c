#include "engine/cassandra/cassandra_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"

METRIC_GAUGE(repaired, "cassandra_repaired_microseconds",
	"When the last whole repair of the keyspace that succeeded has ended; 0: never seen");

/* Clocks further apart than this make plain deletes and writes of different nodes overtake each
 * other; MODSEQ itself is safe from it. */
#define SKEW_MOST_US (2 * US_PER_S)
/* Repairs must end within gc_grace of the tables, or what was deleted may come back. */
#define REPAIR_MOST_S 864000

struct health {
	struct op *op;
	struct cql_cluster *cluster;
	const struct cassandra_options *options;
	struct slice *items;
	size_t count;
	size_t capacity;
};

static void add(struct health *health, const char *text)
{
	if (health->count == health->capacity) {
		size_t capacity = health->capacity ? health->capacity * 2 : 16;
		struct slice *items = ARENA_ARRAY(&health->op->arena, struct slice, capacity);
		if (health->count)
			memcpy(items, health->items, health->count * sizeof(*items));
		health->items = items;
		health->capacity = capacity;
	}
	health->items[health->count++] = slice_from_cstr(text);
}

/* Asks one host, or anybody when `host` is NULL. */
static struct error *ask(
	struct health *health, const char *host, const char *text, struct cql_result *ret_result)
{
	struct cql_bound bound = {.text = text};
	struct cql_request request = {
		.statements = &bound, .count = 1, .level = CQL_ONE, .host = host};
	struct cql_failure why;
	struct error *err = cql_execute(health->op, health->cluster, &request, ret_result, &why);
	return err ? op_wrap(health->op, err, "ask %s", host ? host : "the cluster") : NULL;
}

static struct error *setting_of(
	struct health *health, const char *host, const char *name, struct slice *ret_value)
{
	struct cql_result result;
	*ret_value = SLICE_NONE;
	TRY(ask(health, host,
		arena_printf(&health->op->arena,
			"SELECT value FROM system_views.settings WHERE name = '%s'", name),
		&result));
	if (result.row_count)
		*ret_value = cql_to_bytes(cql_at(&result, 0, 0));
	return NULL;
}

static struct error *check_settings(struct health *health, const char *host)
{
	struct arena *arena = &health->op->arena;
	struct slice value;
	TRY(setting_of(health, host, "paxos_variant", &value));
	if (value.len && !slice_equal_nocase(value, SLICE("v2")))
		add(health, arena_printf(arena,
				    "host %s: paxos_variant is " SLICE_FMT
				    "; v2 needs half the round trips for a commit",
				    host, SLICE_ARG(value)));
	TRY(setting_of(health, host, "commitlog_sync", &value));
	if (slice_equal_nocase(value, SLICE("periodic")))
		add(health, arena_printf(arena,
				    "host %s: commitlog_sync is periodic: a power failure of all "
				    "replicas at once loses what was acknowledged in the last "
				    "seconds; group or batch does not",
				    host));
	return NULL;
}

static struct error *check_clock(struct health *health, const char *host)
{
	struct cql_result result;
	int64_t host_ms;
	int64_t before_us = (int64_t)clock_realtime_us();
	TRY(ask(health, host, "SELECT toUnixTimestamp(now()) FROM system.local", &result));
	int64_t after_us = (int64_t)clock_realtime_us();
	if (!result.row_count || !cql_to_bigint(cql_at(&result, 0, 0), &host_ms))
		return op_fail(health->op, ERR_CORRUPT, "host %s does not tell the time", host);
	int64_t skew_us = host_ms * 1000 - (before_us + after_us) / 2;
	if (llabs(skew_us) > (int64_t)SKEW_MOST_US + (after_us - before_us) / 2)
		add(health,
			arena_printf(&health->op->arena,
				"host %s: its clock is %.1f s %s this node's", host,
				(double)llabs(skew_us) / 1e6, skew_us > 0 ? "ahead of" : "behind"));
	return NULL;
}

static struct error *check_hosts(struct health *health)
{
	struct cql_host *hosts;
	size_t count;
	cql_cluster_hosts(health->cluster, &health->op->arena, &hosts, &count);
	for (size_t i = 0; i < count; i++) {
		const char *host = hosts[i].address;
		if (!hosts[i].is_up) {
			if (hosts[i].is_local)
				add(health, arena_printf(&health->op->arena,
						    "host %s of the local data centre cannot be "
						    "reached",
						    host));
			continue;
		}
		TRY(check_settings(health, host));
		TRY(check_clock(health, host));
	}
	return NULL;
}

/* Of each keyspace, when the last whole repair that succeeded has ended. */
static struct error *check_repair(struct health *health)
{
	struct cql_result result;
	int64_t newest_ms = 0;
	struct slice keyspace = slice_from_cstr(health->options->keyspace);
	TRY(ask(health, NULL,
		"SELECT keyspace_name, finished_at, exception_message FROM "
		"system_distributed.parent_repair_history LIMIT 10000",
		&result));
	for (size_t i = 0; i < result.row_count; i++) {
		int64_t ended_ms;
		if (slice_equal(cql_to_bytes(cql_at(&result, i, 0)), keyspace) &&
			cql_at(&result, i, 2).length <= 0 &&
			cql_to_bigint(cql_at(&result, i, 1), &ended_ms) && ended_ms > newest_ms)
			newest_ms = ended_ms;
	}
	metric_set(&repaired, newest_ms * 1000);
	int64_t age_s = ((int64_t)(clock_realtime_us() / 1000) - newest_ms) / 1000;
	if (newest_ms && age_s <= REPAIR_MOST_S)
		return NULL;
	add(health,
		newest_ms ? arena_printf(&health->op->arena,
				    "the last repair of keyspace %s ended %lld days ago; "
				    "gc_grace_seconds is 10 days",
				    health->options->keyspace, (long long)(age_s / 86400))
			  : arena_printf(&health->op->arena, "keyspace %s has never been repaired",
				    health->options->keyspace));
	return NULL;
}

struct error *cassandra_health(struct op *op, struct cql_cluster *cluster,
	const struct cassandra_options *options, struct slice **ret_findings, size_t *ret_count)
{
	struct health health = {.op = op, .cluster = cluster, .options = options};
	TRY(check_hosts(&health));
	TRY(check_repair(&health));
	*ret_findings = health.items;
	*ret_count = health.count;
	return NULL;
}
