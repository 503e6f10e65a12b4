#include "app/neighbours.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash_map.h"
#include "base/log.h"
#include "base/metric.h"
#include "session/watch.h"

METRIC_COUNTER(polls, "watched_account_polls_total", "Reads of watched accounts' MODSEQ");
METRIC_COUNTER(news, "watched_account_news_total", "Polls that found another node's commit");
METRIC_COUNTER(hints, "watched_account_hints_total",
	"Hints of another node's commit to an account, from the bus");
METRIC_COUNTER(failures, "watched_account_failures_total", "Polls that failed");

#define ANNOUNCE_EVERY_NS (5 * NS_PER_S)
/* One poll waits so long; what it missed is asked again in the next round. */
#define POLL_TIMEOUT_NS NS_PER_S

static struct {
	uint64_t poll_ms;
	uint64_t bus_poll_ms;
} config;

/* clang-format off */
const struct setting neighbours_settings[] = {
	{"node.poll_interval", SETTING_DURATION, &config.poll_ms, "1 s", 50, 60000, NULL, true,
		"How often accounts with waiting sessions (IDLE) are looked at for what other nodes did to them, while no bus tells of it."},
	{"bus.poll_interval", SETTING_DURATION, &config.bus_poll_ms, "15 s", 50, 3600000, NULL, true,
		"How often they are while the bus tells of it: what it tells may be lost."},
};
const size_t neighbours_setting_count = ARRAY_SIZE(neighbours_settings);
/* clang-format on */

struct neighbours {
	struct mail_store *store;
	struct bus *bus;
	struct op node_op; /* its arena holds the node's texts */
	struct node_info node;
	struct hash_map seen; /* account -> struct seen */
	uint64_t announce_ns, polled_ns;
	struct mutex lock; /* of what follows */
	struct condition wake;
	bool is_stopping;
	bool has_missed; /* hints: all are to be looked at */
	pthread_t thread;
};

struct seen {
	uint64_t modseq;
	bool is_watched; /* in this round */
};

/* True when the account has moved since the last look, or is looked at for the first time. */
static bool has_moved(struct neighbours *neighbours, struct slice key, uint64_t modseq)
{
	struct seen *seen = hash_map_find(&neighbours->seen, key);
	if (!seen) {
		seen = HEAP_NEW(struct seen);
		hash_map_put(&neighbours->seen, key, seen);
	}
	bool moved = seen->modseq != modseq;
	*seen = (struct seen){.modseq = modseq, .is_watched = true};
	return moved;
}

static void poll_account(struct neighbours *neighbours, struct slice key)
{
	AUTO_OP(op, "poll");
	struct account_id account;
	uint64_t modseq;
	if (!uuid_from_slice(key, &account.uuid))
		return;
	op.deadline_ns = clock_monotonic_ns() + POLL_TIMEOUT_NS;
	struct error *err =
		commit_stored_modseq(&op, mail_store_commit(neighbours->store), account, &modseq);
	metric_add(&polls, 1);
	if (err) {
		metric_add(&failures, 1);
		log_debug(&op, "poll-failed", FIELD_ERROR(&op, err));
	} else if (has_moved(neighbours, key, modseq)) {
		metric_add(&news, 1);
		watch_wake(key);
	}
}

/* Of accounts that nobody watches any more nothing is kept. */
static void forget_unwatched(struct neighbours *neighbours, struct arena *arena)
{
	struct slice *gone = ARENA_ARRAY(arena, struct slice, neighbours->seen.count + 1);
	size_t count = 0;
	struct hash_cursor cursor = {0};
	struct slice key;
	void *value;
	while (hash_map_next(&neighbours->seen, &cursor, &key, &value)) {
		struct seen *seen = value;
		if (!seen->is_watched)
			gone[count++] = arena_dup(arena, key);
		seen->is_watched = false;
	}
	for (size_t i = 0; i < count; i++)
		free(hash_map_remove(&neighbours->seen, gone[i]));
}

static bool is_told_to_stop(struct neighbours *neighbours)
{
	AUTO_LOCK(&neighbours->lock);
	return neighbours->is_stopping;
}

static void poll_all(struct neighbours *neighbours)
{
	AUTO_OP(op, "poll");
	struct slice *keys;
	size_t count;
	watch_keys(&op.arena, &keys, &count);
	for (size_t i = 0; i < count && !is_told_to_stop(neighbours); i++)
		poll_account(neighbours, keys[i]);
	forget_unwatched(neighbours, &op.arena);
}

static void announce(struct neighbours *neighbours)
{
	AUTO_OP(op, "announce");
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns < neighbours->announce_ns)
		return;
	neighbours->announce_ns = now_ns + ANNOUNCE_EVERY_NS;
	op.deadline_ns = now_ns + POLL_TIMEOUT_NS;
	struct error *err =
		node_announce(&op, mail_store_engine(neighbours->store), &neighbours->node);
	if (err)
		log_debug(&op, "announce-failed", FIELD_ERROR(&op, err));
}

/* ---- What the bus tells ---- */

/* What a poll has seen is left as it was: where rows come later than hints, it finds them then. */
static void hear(void *context, const struct bus_hint *hint)
{
	(void)context;
	metric_add(&hints, 1);
	watch_wake(ID_SLICE(hint->account));
}

static void hear_of_gap(void *context)
{
	struct neighbours *neighbours = context;
	AUTO_LOCK(&neighbours->lock);
	neighbours->has_missed = true;
	condition_signal(&neighbours->wake);
}

static void tell_bus(void *context, struct slice key, bool is_watched)
{
	struct neighbours *neighbours = context;
	struct account_id account;
	if (!uuid_from_slice(key, &account.uuid))
		return;
	if (is_watched)
		bus_watch(neighbours->bus, account);
	else
		bus_unwatch(neighbours->bus, account);
}

/* ---- The thread ---- */

static bool take_missed(struct neighbours *neighbours)
{
	AUTO_LOCK(&neighbours->lock);
	bool has_missed = neighbours->has_missed;
	neighbours->has_missed = false;
	return has_missed;
}

static void poll_if_due(struct neighbours *neighbours)
{
	bool has_missed = take_missed(neighbours);
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t interval_ms = neighbours->bus->reaches_others && bus_is_live(neighbours->bus)
				       ? MAX_OF(config.bus_poll_ms, config.poll_ms)
				       : config.poll_ms;
	bool is_due = now_ns - neighbours->polled_ns >= interval_ms * NS_PER_MS;
	if (!mail_store_engine(neighbours->store)->is_shared || (!has_missed && !is_due))
		return;
	poll_all(neighbours);
	neighbours->polled_ns = now_ns;
}

static void *run(void *argument)
{
	struct neighbours *neighbours = argument;
	while (!is_told_to_stop(neighbours)) {
		announce(neighbours);
		poll_if_due(neighbours);
		AUTO_LOCK(&neighbours->lock);
		uint64_t until_ns = clock_monotonic_ns() + config.poll_ms * NS_PER_MS;
		while (!neighbours->is_stopping && !neighbours->has_missed &&
			condition_wait_until(&neighbours->wake, &neighbours->lock, until_ns))
			;
	}
	return NULL;
}

struct neighbours *neighbours_start(
	struct mail_store *store, struct bus *bus, const struct node_info *node)
{
	struct neighbours *neighbours = HEAP_NEW(struct neighbours);
	neighbours->store = store;
	neighbours->bus = bus;
	op_init(&neighbours->node_op, "node");
	struct arena *arena = &neighbours->node_op.arena;
	neighbours->node = (struct node_info){.id = node->id,
		.name = arena_dup(arena, node->name),
		.datacenter = arena_dup(arena, node->datacenter),
		.version = arena_dup(arena, node->version),
		.started_us = node->started_us};
	hash_map_init(&neighbours->seen);
	mutex_init(&neighbours->lock);
	condition_init(&neighbours->wake);
	bus_set_watcher(bus, (struct bus_watcher){hear, hear_of_gap, neighbours});
	watch_listen(tell_bus, neighbours);
	thread_start(&neighbours->thread, "neighbours", run, neighbours);
	return neighbours;
}

void neighbours_stop(struct neighbours *neighbours)
{
	if (!neighbours)
		return;
	mutex_lock(&neighbours->lock);
	neighbours->is_stopping = true;
	condition_signal(&neighbours->wake);
	mutex_unlock(&neighbours->lock);
	thread_join(neighbours->thread);
	watch_listen(NULL, NULL);
	struct hash_cursor cursor = {0};
	void *value;
	while (hash_map_next(&neighbours->seen, &cursor, NULL, &value))
		free(value);
	hash_map_done(&neighbours->seen);
	mutex_done(&neighbours->lock);
	condition_done(&neighbours->wake);
	op_done(&neighbours->node_op);
	free(neighbours);
}
