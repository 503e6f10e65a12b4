#include "search/search_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"

METRIC_GAUGE(accounts_waiting, "index_accounts_waiting", "Accounts whose index is behind");
METRIC_COUNTER(forgotten, "index_hints_forgotten_total",
	"Changes of accounts that the indexer's queue had no room for");

#define WAITING_MOST 100000
#define RETRY_FIRST_NS (200 * NS_PER_MS)
#define RETRY_DOUBLINGS 8

void queue_init(struct queue *queue)
{
	mutex_init(&queue->lock);
	condition_init(&queue->wake);
	hash_map_init(&queue->waiting);
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
	metric_set(&accounts_waiting, (int64_t)queue->waiting.count);
}

static void forget(struct queue *queue, struct waiting *waiting)
{
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

bool queue_put(struct queue *queue, struct account_id account, uint64_t delay_ns)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	if (waiting) {
		waiting->is_renewed = true;
		return true;
	}
	if (queue->waiting.count >= WAITING_MOST) {
		metric_add(&forgotten, 1);
		queue->has_forgotten = true;
		return false;
	}
	waiting = HEAP_NEW(struct waiting);
	waiting->account = account;
	waiting->due_ns = clock_monotonic_ns() + delay_ns;
	hash_map_put(&queue->waiting, ID_SLICE(account), waiting);
	put_last(queue, waiting);
	count_waiting(queue);
	if (queue->first == waiting)
		condition_signal(&queue->wake);
	return true;
}

bool queue_has(struct queue *queue, struct account_id account)
{
	AUTO_LOCK(&queue->lock);
	return queue->has_forgotten || hash_map_find(&queue->waiting, ID_SLICE(account));
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

bool queue_take(struct queue *queue, struct account_id *ret_account, bool *ret_forgot)
{
	AUTO_LOCK(&queue->lock);
	*ret_forgot = false;
	while (!queue->is_stopping) {
		uint64_t next_ns;
		*ret_forgot = queue->has_forgotten && queue->waiting.count < WAITING_MOST / 2;
		if (*ret_forgot) {
			queue->has_forgotten = false;
			return false;
		}
		struct waiting *waiting = find_due(queue, &next_ns);
		if (waiting) {
			waiting->is_taken = true;
			waiting->is_renewed = false;
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

void queue_give_back(struct queue *queue, struct account_id account, enum turn turn)
{
	AUTO_LOCK(&queue->lock);
	struct waiting *waiting = hash_map_find(&queue->waiting, ID_SLICE(account));
	waiting->is_taken = false;
	if (turn == TURN_DONE && !waiting->is_renewed) {
		forget(queue, waiting);
		return;
	}
	waiting->failures = turn == TURN_FAILED ? waiting->failures + 1 : 0;
	waiting->due_ns = clock_monotonic_ns();
	if (waiting->failures)
		waiting->due_ns += RETRY_FIRST_NS << MIN_OF(waiting->failures - 1, RETRY_DOUBLINGS);
	unlink_waiting(queue, waiting);
	put_last(queue, waiting);
}
