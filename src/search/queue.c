#include "search/search_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"

METRIC_GAUGE(accounts_waiting, "index_accounts_waiting", "Accounts whose index is behind");
METRIC_HISTOGRAM(lag, "index_lag_seconds",
	"From the change of an account to the end of the turn that brought its index up to date");
METRIC_COUNTER(forgotten_hints, "index_hints_forgotten_total",
	"Changes of accounts that the indexer's queue had no room for");

#define WAITING_MOST 100000
#define RETRY_FIRST_NS (200 * NS_PER_MS)
#define RETRY_DOUBLINGS 8

void queue_init(struct queue *queue)
{
	mutex_init(&queue->lock);
	condition_init(&queue->wake);
	hash_map_init(&queue->waiting);
	queue->forgotten = 1;
}

static void unlink_waiting(struct queue *queue, struct waiting *waiting)
{
	*(waiting->previous ? &waiting->previous->next : &queue->first) = waiting->next;
	*(waiting->next ? &waiting->next->previous : &queue->last) = waiting->previous;
	waiting->next = waiting->previous = NULL;
}

static void put_last(struct queue *queue, struct waiting *waiting)
{
	waiting->previous = queue->last;
	*(queue->last ? &queue->last->next : &queue->first) = waiting;
	queue->last = waiting;
}

static void count_waiting(const struct queue *queue)
{
	if (queue->is_quiet)
		return;
	metric_set(&accounts_waiting, (int64_t)queue->waiting.count);
}

/* ---- Work of the bus ---- */

/* `is_done` false: the bus gives it to another node when this one has gone. */
static void end_work(struct queue *queue, struct held_work *held, bool is_done)
{
	if (held->is_held && is_done)
		bus_done(queue->bus, held->name);
	held->is_held = false;
}

/* It stands for what came before it: if it is given to another node, that one catches up with all.
 * So an account that fails again and again does not use up what a node may hold. */
static void hold_work(struct queue *queue, struct held_work *held, struct bus_work name)
{
	end_work(queue, held, true);
	*held = (struct held_work){.name = name, .is_held = true};
}

/* ---- Accounts ---- */

static void forget(struct queue *queue, struct waiting *waiting)
{
	end_work(queue, &waiting->work, false);
	end_work(queue, &waiting->work_of_turn, false);
	unlink_waiting(queue, waiting);
	hash_map_remove(&queue->waiting, ID_SLICE(waiting->account));
	free(waiting);
	count_waiting(queue);
}

void queue_done(struct queue *queue)
{
	while (queue->first)
		forget(queue, queue->first);
	hash_map_done(&queue->waiting);
	condition_done(&queue->wake);
	mutex_done(&queue->lock);
}

/* NULL when there is no room. */
static struct waiting *put(struct queue *queue, struct account_id account, uint64_t delay_ns)
{
	uint64_t now_ns = clock_monotonic_ns();
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	if (!waiting && queue->waiting.count >= WAITING_MOST) {
		metric_add(&forgotten_hints, 1);
		queue->forgotten++;
		return NULL;
	}
	if (waiting) {
		waiting->is_renewed = true;
		waiting->due_ns = delay_ns ? waiting->due_ns : now_ns;
	} else {
		waiting = HEAP_NEW(struct waiting);
		waiting->account = account;
		waiting->since_ns = now_ns;
		waiting->due_ns = now_ns + delay_ns;
		hash_map_put(&queue->waiting, ID_SLICE(account), waiting);
		put_last(queue, waiting);
		count_waiting(queue);
	}
	condition_signal(&queue->wake);
	return waiting;
}

void queue_put(struct queue *queue, struct account_id account, uint64_t delay_ns)
{
	AUTO_LOCK(&queue->lock);
	put(queue, account, delay_ns);
}

void queue_put_work(
	struct queue *queue, struct account_id account, uint64_t delay_ns, struct bus_work name)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = put(queue, account, delay_ns);
	/* Without room the notes stand for it, as for any other hint. */
	if (waiting)
		hold_work(queue, &waiting->work, name);
	else
		bus_done(queue->bus, name);
}

void queue_forget(struct queue *queue)
{
	AUTO_LOCK(&queue->lock);
	queue->forgotten++;
	condition_signal(&queue->wake);
}

/* In one step: a turn that began in between would be its last one. */
bool queue_put_rebuilt(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = put(queue, account, 0);
	if (waiting)
		waiting->is_rebuilt = true;
	return waiting;
}

void queue_end_rebuilt(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	if (waiting)
		waiting->is_rebuilt = false;
}

bool queue_is_rebuilt(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	const struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	return waiting && waiting->is_rebuilt;
}

void queue_put_doubted(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = put(queue, account, 0);
	if (waiting)
		waiting->is_doubted = true;
}

bool queue_end_doubted(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	bool was_doubted = waiting && waiting->is_doubted;
	if (waiting)
		waiting->is_doubted = false;
	return was_doubted;
}

bool queue_has(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	return queue->forgotten != queue->remembered ||
	       hash_map_find(&queue->waiting, ID_SLICE(account));
}

bool queue_is_stopping(struct queue *queue)
{
	AUTO_LOCK(&queue->lock);
	return queue->is_stopping;
}

void queue_stop(struct queue *queue)
{
	AUTO_LOCK(&queue->lock);
	queue->is_stopping = true;
	condition_broadcast(&queue->wake);
}

void queue_pause(struct queue *queue, uint64_t until_ns)
{
	AUTO_LOCK(&queue->lock);
	while (!queue->is_stopping && clock_monotonic_ns() < until_ns)
		condition_wait_until(&queue->wake, &queue->lock, until_ns);
}

/* NULL: none is due; *ret_next_ns is when one will be. */
static struct waiting *find_due(const struct queue *queue, uint64_t *ret_next_ns)
{
	uint64_t now_ns = clock_monotonic_ns();
	*ret_next_ns = UINT64_MAX;
	for (struct waiting *waiting = queue->first; waiting; waiting = waiting->next) {
		if (waiting->due_ns <= now_ns)
			return waiting;
		*ret_next_ns = MIN_OF(*ret_next_ns, waiting->due_ns);
	}
	return NULL;
}

bool queue_take(struct queue *queue, struct account_id *ret_account, uint64_t *ret_forgotten)
{
	AUTO_LOCK(&queue->lock);
	*ret_forgotten = 0;
	while (!queue->is_stopping) {
		uint64_t next_ns;
		bool has_room = queue->waiting.count < WAITING_MOST / 2;
		if (has_room && queue->forgotten != queue->remembered) {
			*ret_forgotten = queue->forgotten;
			return false;
		}
		struct waiting *waiting = find_due(queue, &next_ns);
		if (waiting) {
			waiting->is_renewed = false;
			if (waiting->work.is_held)
				hold_work(queue, &waiting->work_of_turn, waiting->work.name);
			waiting->work.is_held = false;
			*ret_account = waiting->account;
			return true;
		}
		if (next_ns == UINT64_MAX)
			condition_wait(&queue->wake, &queue->lock);
		else
			condition_wait_until(&queue->wake, &queue->lock, next_ns);
	}
	return false;
}

void queue_remember(struct queue *queue, uint64_t forgotten)
{
	AUTO_LOCK(&queue->lock);
	queue->remembered = forgotten;
}

void queue_give_back(struct queue *queue, struct account_id account, enum turn turn)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	uint64_t now_ns = clock_monotonic_ns();
	if (turn == TURN_DONE) {
		if (!queue->is_quiet)
			metric_observe_ns(&lag, now_ns - waiting->since_ns);
		waiting->since_ns = now_ns;
		end_work(queue, &waiting->work_of_turn, true);
	}
	if (turn == TURN_DONE && !waiting->is_renewed) {
		forget(queue, waiting);
		return;
	}
	waiting->failures = turn == TURN_FAILED ? waiting->failures + 1 : 0;
	waiting->due_ns = now_ns;
	if (waiting->failures)
		waiting->due_ns += RETRY_FIRST_NS << MIN_OF(waiting->failures - 1, RETRY_DOUBLINGS);
	unlink_waiting(queue, waiting);
	put_last(queue, waiting);
}
