#include "session/lane.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/sync.h"
#include "session/session_private.h"

struct lane_queue {
	struct mutex lock;
	struct condition more;
	struct lane_task *first, **last; /* under lock */
	bool stopping;                   /* under lock */
	pthread_t *threads;
	size_t thread_count;
};

static struct lane_queue queues[LANE_COUNT];

static struct lane_task *take(struct lane_queue *queue)
{
	AUTO_LOCK(&queue->lock);
	while (!queue->first && !queue->stopping)
		condition_wait(&queue->more, &queue->lock);
	struct lane_task *task = queue->first;
	if (!task)
		return NULL;
	queue->first = task->next;
	if (!queue->first)
		queue->last = &queue->first;
	return task;
}

static void *work(void *argument)
{
	struct lane_queue *queue = argument;
	struct lane_task *task;
	while ((task = take(queue)))
		task->run(task);
	return NULL;
}

static void queue_start(struct lane_queue *queue, const char *name, uint64_t threads)
{
	mutex_init(&queue->lock);
	condition_init(&queue->more);
	queue->first = NULL;
	queue->last = &queue->first;
	queue->stopping = false;
	queue->thread_count = threads ? (size_t)threads : 1;
	queue->threads = heap_alloc(queue->thread_count * sizeof(*queue->threads));
	for (size_t i = 0; i < queue->thread_count; i++)
		thread_start(&queue->threads[i], name, work, queue);
}

/* A thread that waits costs little, and what it asks goes out together with what others ask: the
 * changes of one commit are no more than the threads that bring them. */
static uint64_t threads_of(enum lane lane, bool waits)
{
	static const uint64_t usual[LANE_COUNT] = {
		[LANE_STORE] = 32, [LANE_BULK] = 16, [LANE_DELIVER] = 64};
	static const uint64_t waiting[LANE_COUNT] = {
		[LANE_STORE] = 256, [LANE_BULK] = 64, [LANE_DELIVER] = 128};
	uint64_t wanted = session_config.lane_threads[lane];
	return wanted ? wanted : waits ? waiting[lane] : usual[lane];
}

void lanes_start(bool waits)
{
	static const char *const names[LANE_COUNT] = {[LANE_QUICK] = "quick",
		[LANE_STORE] = "store",
		[LANE_BULK] = "bulk",
		[LANE_DELIVER] = "deliver",
		[LANE_AUTH] = "auth",
		[LANE_BACKGROUND] = "background"};
	for (size_t i = 0; i < LANE_COUNT; i++)
		queue_start(&queues[i], names[i], threads_of(i, waits));
}

void lanes_stop(void)
{
	for (size_t i = 0; i < LANE_COUNT; i++) {
		AUTO_LOCK(&queues[i].lock);
		queues[i].stopping = true;
		condition_broadcast(&queues[i].more);
	}
	for (size_t i = 0; i < LANE_COUNT; i++) {
		for (size_t j = 0; j < queues[i].thread_count; j++)
			thread_join(queues[i].threads[j]);
		free(queues[i].threads);
		condition_done(&queues[i].more);
		mutex_done(&queues[i].lock);
		queues[i] = (struct lane_queue){0};
	}
}

void lane_submit(enum lane lane, struct lane_task *task)
{
	struct lane_queue *queue = &queues[lane];
	AUTO_LOCK(&queue->lock);
	assert(queue->last);
	task->next = NULL;
	*queue->last = task;
	queue->last = &task->next;
	condition_signal(&queue->more);
}
