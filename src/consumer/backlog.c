#include "consumer/consumer_private.h"

#include <stdlib.h>

#include "base/metric.h"

METRIC_GAUGE(accounts_waiting, "consumer_accounts_waiting",
	"Accounts that consumers are behind with, each consumer by itself");
METRIC_GAUGE(accounts_retrying, "consumer_accounts_retrying",
	"Of them those whose next event has failed and is tried again");
METRIC_HISTOGRAM(lag, "consumer_lag_seconds",
	"From the change of an account to the end of the turn that had brought a consumer up to "
	"it");

#define WAITING_MOST 100000
/* Hints of the bus; further ones are the notes' affair, so that a consumer that hangs does not use
 * up what a node may hold. */
#define HELD_MOST 32
#define TROUBLE_FIRST_NS (100 * NS_PER_MS)
#define TROUBLE_DOUBLINGS 7

void held_hint_end(struct held_hint *hint)
{
	if (!hint || --hint->references)
		return;
	bus_done(hint->bus, hint->name);
	free(hint);
}

void backlog_init(struct backlog *backlog)
{
	mutex_init(&backlog->lock);
	condition_init(&backlog->wake);
	hash_map_init(&backlog->waiting);
}

/* ---- The heap ---- */

static void rise(struct backlog *backlog, size_t at)
{
	struct waiting *waiting = backlog->heap[at];
	for (size_t parent; at && backlog->heap[parent = (at - 1) / 2]->due_ns > waiting->due_ns;
		at = parent)
		backlog->heap[at] = backlog->heap[parent];
	backlog->heap[at] = waiting;
}

static void sink(struct backlog *backlog, size_t at)
{
	struct waiting *waiting = backlog->heap[at];
	for (size_t child; (child = at * 2 + 1) < backlog->heap_count; at = child) {
		if (child + 1 < backlog->heap_count &&
			backlog->heap[child + 1]->due_ns < backlog->heap[child]->due_ns)
			child++;
		if (backlog->heap[child]->due_ns >= waiting->due_ns)
			break;
		backlog->heap[at] = backlog->heap[child];
	}
	backlog->heap[at] = waiting;
}

static void push(struct backlog *backlog, struct waiting *waiting)
{
	if (backlog->heap_count == backlog->heap_capacity) {
		backlog->heap_capacity = backlog->heap_capacity * 2 + 64;
		backlog->heap = heap_realloc(
			backlog->heap, backlog->heap_capacity * sizeof(struct waiting *));
	}
	backlog->heap[backlog->heap_count++] = waiting;
	rise(backlog, backlog->heap_count - 1);
}

static struct waiting *pop(struct backlog *backlog)
{
	struct waiting *first = backlog->heap[0];
	struct waiting *last = backlog->heap[--backlog->heap_count];
	if (backlog->heap_count) {
		backlog->heap[0] = last;
		sink(backlog, 0);
	}
	return first;
}

/* ---- Accounts ---- */

static void set_retrying(struct backlog *backlog, struct waiting *waiting, bool is_retrying)
{
	backlog->retrying += (size_t)is_retrying - (size_t)waiting->is_retrying;
	metric_add(&accounts_retrying, (int64_t)is_retrying - (int64_t)waiting->is_retrying);
	waiting->is_retrying = is_retrying;
}

static void end_hint(struct backlog *backlog, struct held_hint **hint)
{
	backlog->held -= *hint != NULL;
	held_hint_end(*hint);
	*hint = NULL;
}

static void forget(struct backlog *backlog, struct waiting *waiting)
{
	set_retrying(backlog, waiting, false);
	hash_map_remove(&backlog->waiting, ID_SLICE(waiting->account));
	free(waiting);
	metric_add(&accounts_waiting, -1);
}

void backlog_stop(struct backlog *backlog)
{
	AUTO_LOCK(&backlog->lock);
	backlog->is_stopping = true;
	condition_broadcast(&backlog->wake);
}

bool backlog_is_stopping(struct backlog *backlog)
{
	AUTO_LOCK(&backlog->lock);
	return backlog->is_stopping;
}

void backlog_done(struct backlog *backlog)
{
	while (backlog->heap_count) {
		struct waiting *waiting = backlog->heap[--backlog->heap_count];
		/* The bus has stopped: what is not done by now is another node's. */
		held_hint_end(waiting->hint);
		held_hint_end(waiting->hint_of_turn);
		forget(backlog, waiting);
	}
	free(backlog->heap);
	hash_map_done(&backlog->waiting);
	condition_done(&backlog->wake);
	mutex_done(&backlog->lock);
}

/* The newer one stands for both: whoever is given it catches up with all. */
static void hold(struct backlog *backlog, struct waiting *waiting, struct held_hint *hint)
{
	if (!hint || (!waiting->hint && backlog->held >= HELD_MOST))
		return;
	hint->references++;
	end_hint(backlog, &waiting->hint);
	waiting->hint = hint;
	backlog->held++;
}

bool backlog_put(struct backlog *backlog, struct account_id account, uint64_t delay_ns,
	struct held_hint *hint)
{
	AUTO_LOCK(&backlog->lock);
	struct waiting *waiting = hash_map_find(&backlog->waiting, ID_SLICE(account));
	if (waiting) {
		waiting->is_renewed = true;
		hold(backlog, waiting, hint);
		return true;
	}
	if (backlog->waiting.count >= WAITING_MOST)
		return false;
	waiting = HEAP_NEW(struct waiting);
	waiting->account = account;
	waiting->since_ns = clock_monotonic_ns();
	waiting->due_ns = waiting->since_ns + delay_ns;
	hash_map_put(&backlog->waiting, ID_SLICE(account), waiting);
	metric_add(&accounts_waiting, 1);
	push(backlog, waiting);
	hold(backlog, waiting, hint);
	condition_signal(&backlog->wake);
	return true;
}

bool backlog_take(struct backlog *backlog, struct account_id *ret_account)
{
	AUTO_LOCK(&backlog->lock);
	while (!backlog->is_stopping) {
		if (!backlog->heap_count) {
			condition_wait(&backlog->wake, &backlog->lock);
			continue;
		}
		uint64_t due_ns = backlog->heap[0]->due_ns;
		if (due_ns > clock_monotonic_ns()) {
			condition_wait_until(&backlog->wake, &backlog->lock, due_ns);
			continue;
		}
		struct waiting *waiting = pop(backlog);
		waiting->is_renewed = false;
		/* What a turn has left undone is held on, unless a newer hint stands for it. */
		if (waiting->hint) {
			end_hint(backlog, &waiting->hint_of_turn);
			waiting->hint_of_turn = waiting->hint;
			waiting->hint = NULL;
		}
		*ret_account = waiting->account;
		return true;
	}
	return false;
}

static uint64_t due_after(const struct waiting *waiting, const struct turn *turn, uint64_t now_ns)
{
	uint64_t now_us = clock_realtime_us();
	if (turn->end == TURN_RETRIES)
		return now_ns + (turn->until_us - MIN_OF(turn->until_us, now_us)) * 1000;
	if (turn->end == TURN_TROUBLED)
		return now_ns +
		       (TROUBLE_FIRST_NS << MIN_OF(waiting->troubles - 1, TROUBLE_DOUBLINGS));
	return now_ns;
}

void backlog_give_back(struct backlog *backlog, struct account_id account, const struct turn *turn)
{
	AUTO_LOCK(&backlog->lock);
	struct waiting *waiting = hash_map_find(&backlog->waiting, ID_SLICE(account));
	uint64_t now_ns = clock_monotonic_ns();
	/* A failure is durable, too: another node would wait for its next try as well. */
	if (turn->end == TURN_DONE || turn->end == TURN_RETRIES)
		end_hint(backlog, &waiting->hint_of_turn);
	if (turn->end == TURN_DONE) {
		metric_observe_ns(&lag, now_ns - waiting->since_ns);
		waiting->since_ns = now_ns;
		if (!waiting->is_renewed) {
			forget(backlog, waiting);
			return;
		}
	}
	set_retrying(backlog, waiting, turn->end == TURN_RETRIES);
	waiting->troubles = turn->end == TURN_TROUBLED ? waiting->troubles + 1 : 0;
	waiting->due_ns = due_after(waiting, turn, now_ns);
	push(backlog, waiting);
	condition_signal(&backlog->wake);
}

void backlog_look(
	struct backlog *backlog, size_t *ret_waiting, size_t *ret_retrying, uint64_t *ret_oldest_ns)
{
	AUTO_LOCK(&backlog->lock);
	struct hash_cursor cursor = {0};
	void *value;
	*ret_waiting = backlog->waiting.count;
	*ret_retrying = backlog->retrying;
	*ret_oldest_ns = 0;
	while (hash_map_next(&backlog->waiting, &cursor, NULL, &value)) {
		const struct waiting *waiting = value;
		if (!*ret_oldest_ns || waiting->since_ns < *ret_oldest_ns)
			*ret_oldest_ns = waiting->since_ns;
	}
}
