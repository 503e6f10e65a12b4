#include "consumer/consumer_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/metric.h"
#include "mailbox/store.h"

METRIC_COUNTER(troubles, "consumer_troubles_total",
	"Turns of consumers that ended because the store did not answer");
METRIC_COUNTER(found_behind, "consumer_found_behind_total",
	"Times that a look at the notes found a consumer behind with an account");

struct consumer_config consumer_config = {
	.tries = 8, .retry_first_ms = 100, .retry_most_ms = 60000, .sweep_interval_ms = 300000};

/* clang-format off */
const struct setting consumer_settings[] = {
	{"consumer.tries", SETTING_NUMBER, &consumer_config.tries, "8", 1, 100, NULL, true,
		"How often an event is tried before it becomes a dead letter."},
	{"consumer.retry_first", SETTING_DURATION, &consumer_config.retry_first_ms, "100 ms", 1, 3600000, NULL, true,
		"How long an event waits after its first failure, less up to half of it; twice as long after each further one."},
	{"consumer.retry_most", SETTING_DURATION, &consumer_config.retry_most_ms, "60 s", 1, 86400000, NULL, true,
		"The longest that it waits, also where a receiver asks for longer."},
	{"consumer.sweep_interval", SETTING_DURATION, &consumer_config.sweep_interval_ms, "5 min", 100, 86400000, NULL, true,
		"How often accounts that changed lately are looked at for what no hint has told of."},
};
const size_t consumer_setting_count = ARRAY_SIZE(consumer_settings);
/* clang-format on */

#define COUNT_LETTERS_EVERY_NS (60 * NS_PER_S)
#define AGAIN_NS NS_PER_S
/* Another node may be at work on it at this moment: afterwards there is nothing left to do. */
#define FOUND_DELAY_NS (2 * NS_PER_S)
/* Consumers yield to those that serve clients (nice(1)). */
#define NICENESS 5

struct lane *find_lane(struct consumers *consumers, struct slice name)
{
	for (size_t i = 0; i < consumers->lane_count; i++)
		if (slice_equal(consumers->lanes[i].name, name))
			return &consumers->lanes[i];
	return NULL;
}

/* ---- Who is behind ---- */

/* By two small reads: of accounts that are another node's no head is loaded. */
static struct error *find_behind(struct op *op, struct consumers *consumers,
	struct account_id account, bool ret_behind[static CONSUMERS_MOST])
{
	uint64_t modseq;
	uint64_t cursors[CONSUMERS_MOST];
	memset(ret_behind, 0, CONSUMERS_MOST * sizeof(bool));
	TRY(commit_stored_modseq(op, mail_store_commit(consumers->store), account, &modseq));
	TRY(positions_read(op, consumers, account, cursors));
	/* A cursor ahead of the account is none of its log, unless it is the consumer's birth. */
	for (size_t i = 0; i < consumers->lane_count; i++)
		ret_behind[i] = modseq && cursors[i] != modseq &&
				(cursors[i] < modseq || cursors[i] != consumers->lanes[i].born);
	return NULL;
}

/* The sweeper's question, of notes that are hours old. */
static bool is_behind(void *context, struct account_id account)
{
	AUTO_OP(op, "consumers");
	struct consumers *consumers = context;
	bool behind[CONSUMERS_MOST];
	if (!consumers->is_prepared)
		return consumers->lane_count > 0;
	struct error *err = find_behind(&op, consumers, account, behind);
	bool is_any = err != NULL;
	for (size_t i = 0; !err && i < consumers->lane_count; i++)
		is_any |= behind[i];
	return is_any;
}

struct error *consumers_sweep(struct op *op, struct consumers *consumers)
{
	struct account_id *accounts;
	size_t count;
	uint64_t delay_ns = consumers->engine->is_shared ? FOUND_DELAY_NS : 0;
	TRY(mail_store_noted(op, consumers->store, &accounts, &count));
	for (size_t i = 0; i < count; i++) {
		bool behind[CONSUMERS_MOST];
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(find_behind(op, consumers, accounts[i], behind));
		for (size_t n = 0; n < consumers->lane_count; n++) {
			metric_add(&found_behind, behind[n]);
			if (behind[n] && !backlog_put(&consumers->lanes[n].backlog, accounts[i],
						 delay_ns, NULL))
				consumers_forget(consumers);
		}
		arena_release(&op->arena, mark);
	}
	return NULL;
}

/* ---- Hints ---- */

void consumers_forget(struct consumers *consumers)
{
	AUTO_LOCK(&consumers->lock);
	consumers->must_sweep = true;
	condition_broadcast(&consumers->wake);
}

static void put(struct consumers *consumers, struct account_id account, struct held_hint *hint)
{
	bool has_room = true;
	for (size_t i = 0; i < consumers->lane_count; i++) {
		struct lane *lane = &consumers->lanes[i];
		has_room &= backlog_put(
			&lane->backlog, account, lane->consumer.delay_ms * NS_PER_MS, hint);
	}
	if (!has_room)
		consumers_forget(consumers);
}

void consumers_account_changed(struct consumers *consumers, struct account_id account)
{
	put(consumers, account, NULL);
}

static void take_work(void *context, const struct bus_hint *hint, struct bus_work work)
{
	struct consumers *consumers = context;
	struct held_hint *held = HEAP_NEW(struct held_hint);
	held->name = work;
	held->references = 1;
	held->bus = consumers->bus;
	put(consumers, hint->account, held);
	held_hint_end(held);
}

static void look_for_missed(void *context)
{
	consumers_forget(context);
}

void consumers_join(struct consumers *consumers, struct bus *bus)
{
	consumers->bus = bus;
	bus_join(bus, (struct bus_worker){"consumers", take_work, look_for_missed, consumers});
}

/* ---- Threads ---- */

static void work_on(struct lane *lane, struct account_id account)
{
	AUTO_OP(op, lane->consumer.name);
	struct turn turn;
	struct error *err = turn_run(&op, lane, account, &turn);
	if (err) {
		turn.end = TURN_TROUBLED;
		metric_add(&troubles, 1);
		log_debug(&op, "consumer-troubled", FIELD_ID("account", &op, account.uuid),
			FIELD_ERROR(&op, err));
	}
	backlog_give_back(&lane->backlog, account, &turn);
}

static void *work(void *argument)
{
	struct lane *lane = argument;
	struct account_id account;
	thread_be_nice(NICENESS);
	while (backlog_take(&lane->backlog, &account))
		work_on(lane, account);
	return NULL;
}

static void start_lanes(struct consumers *consumers)
{
	for (size_t i = 0; i < consumers->lane_count; i++) {
		struct lane *lane = &consumers->lanes[i];
		lane->threads = heap_alloc(lane->consumer.workers * sizeof(pthread_t));
		for (unsigned n = 0; n < lane->consumer.workers; n++)
			thread_start(&lane->threads[n], "consumer", work, lane);
	}
}

static bool report(struct op *op, const char *what, struct error *err)
{
	if (err)
		log_warn(op, "consumers-failed", FIELD_TEXT("step", what), FIELD_ERROR(op, err));
	return !err;
}

/* False when it is time to stop. */
static bool wait_until(struct consumers *consumers, uint64_t until_ns)
{
	AUTO_LOCK(&consumers->lock);
	while (!consumers->is_stopping && !consumers->must_sweep &&
		condition_wait_until(&consumers->wake, &consumers->lock, until_ns))
		;
	return !consumers->is_stopping;
}

/* Where it fails it is tried again soon. */
static bool pause_after_failure(struct consumers *consumers)
{
	AUTO_LOCK(&consumers->lock);
	uint64_t until_ns = clock_monotonic_ns() + AGAIN_NS;
	while (!consumers->is_stopping &&
		condition_wait_until(&consumers->wake, &consumers->lock, until_ns))
		;
	return !consumers->is_stopping;
}

static bool take_must_sweep(struct consumers *consumers)
{
	AUTO_LOCK(&consumers->lock);
	bool must_sweep = consumers->must_sweep;
	consumers->must_sweep = false;
	return must_sweep;
}

static bool is_to_sweep(struct consumers *consumers)
{
	AUTO_LOCK(&consumers->lock);
	return consumers->must_sweep;
}

static bool prepare(struct consumers *consumers)
{
	for (;;) {
		AUTO_OP(op, "consumers");
		if (report(&op, "prepare", consumers_prepare(&op, consumers)))
			return true;
		if (!pause_after_failure(consumers))
			return false;
	}
}

static void sweep(struct consumers *consumers)
{
	AUTO_OP(op, "consumers");
	/* Where there was no room another look is wanted already: not without a rest. */
	if (report(&op, "sweep", consumers_sweep(&op, consumers)) && !is_to_sweep(consumers))
		return;
	consumers_forget(consumers);
	(void)pause_after_failure(consumers);
}

static void count_letters(struct consumers *consumers)
{
	AUTO_OP(op, "consumers");
	(void)report(&op, "count-letters", letters_count(&op, consumers));
}

static void *look_after(void *argument)
{
	struct consumers *consumers = argument;
	uint64_t sweep_ns = 0, count_ns = 0;
	thread_be_nice(NICENESS);
	if (!prepare(consumers))
		return NULL;
	start_lanes(consumers);
	do {
		uint64_t now_ns = clock_monotonic_ns();
		if (take_must_sweep(consumers) || now_ns >= sweep_ns) {
			sweep(consumers);
			sweep_ns = clock_monotonic_ns() +
				   consumer_config.sweep_interval_ms * NS_PER_MS;
		}
		if (now_ns >= count_ns) {
			count_letters(consumers);
			count_ns = clock_monotonic_ns() + COUNT_LETTERS_EVERY_NS;
		}
	} while (wait_until(consumers, MIN_OF(sweep_ns, count_ns)));
	return NULL;
}

/* ---- Life ---- */

struct consumers *consumers_new(struct mail_store *store)
{
	struct consumers *consumers = HEAP_NEW(struct consumers);
	consumers->store = store;
	consumers->engine = mail_store_engine(store);
	mutex_init(&consumers->lock);
	condition_init(&consumers->wake);
	mail_store_follow(store, is_behind, consumers);
	return consumers;
}

void consumers_add(struct consumers *consumers, const struct consumer *consumer)
{
	assert(consumers->lane_count < CONSUMERS_MOST);
	struct lane *lane = &consumers->lanes[consumers->lane_count++];
	lane->consumers = consumers;
	lane->consumer = *consumer;
	lane->consumer.name = heap_cstr(slice_from_cstr(consumer->name));
	lane->name = slice_from_cstr(lane->consumer.name);
	backlog_init(&lane->backlog);
}

void consumers_start(struct consumers *consumers)
{
	consumers->is_started = true;
	thread_start(&consumers->sweeper, "consumers", look_after, consumers);
}

static void stop(struct consumers *consumers)
{
	mutex_lock(&consumers->lock);
	consumers->is_stopping = true;
	condition_broadcast(&consumers->wake);
	mutex_unlock(&consumers->lock);
	for (size_t i = 0; i < consumers->lane_count; i++) {
		struct lane *lane = &consumers->lanes[i];
		backlog_stop(&lane->backlog);
		if (lane->consumer.stop)
			lane->consumer.stop(lane->consumer.context);
	}
	if (consumers->is_started)
		thread_join(consumers->sweeper);
}

static void free_lane(struct lane *lane)
{
	for (unsigned n = 0; lane->threads && n < lane->consumer.workers; n++)
		thread_join(lane->threads[n]);
	free(lane->threads);
	backlog_done(&lane->backlog);
	if (lane->consumer.free)
		lane->consumer.free(lane->consumer.context);
	free((void *)(uintptr_t)lane->consumer.name);
}

void consumers_free(struct consumers *consumers)
{
	if (!consumers)
		return;
	stop(consumers);
	for (size_t i = 0; i < consumers->lane_count; i++)
		free_lane(&consumers->lanes[i]);
	mail_store_follow(consumers->store, NULL, consumers);
	mutex_done(&consumers->lock);
	condition_done(&consumers->wake);
	free(consumers);
}

/* ---- For the administrator ---- */

void consumers_status(struct op *op, struct consumers *consumers,
	struct consumer_status **ret_status, size_t *ret_count)
{
	struct consumer_status *list =
		ARENA_ARRAY(&op->arena, struct consumer_status, consumers->lane_count + 1);
	uint64_t now_ns = clock_monotonic_ns();
	for (size_t i = 0; i < consumers->lane_count; i++) {
		struct lane *lane = &consumers->lanes[i];
		size_t waiting, retrying;
		uint64_t oldest_ns;
		backlog_look(&lane->backlog, &waiting, &retrying, &oldest_ns);
		list[i] = (struct consumer_status){.name = lane->consumer.name,
			.waiting = waiting,
			.retrying = retrying,
			.oldest_ms =
				oldest_ns ? (now_ns - MIN_OF(now_ns, oldest_ns)) / NS_PER_MS : 0,
			.done = lane->done,
			.failures = lane->failures,
			.dead = lane->dead,
			.gaps = lane->gaps,
			.letters = lane->letters};
	}
	*ret_status = list;
	*ret_count = consumers->lane_count;
}

uint64_t consumers_letters(const struct consumers *consumers)
{
	return consumers->letters;
}
