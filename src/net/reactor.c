#include "net/reactor.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/sync.h"

struct reactor {
	struct event_base *base;
	struct event *wakeup;
	int wakeup_fd;
	pthread_t thread;
	char name[16];
	struct reactor_task stop;

	struct mutex lock;
	struct reactor_task *first, **last; /* under lock */
};

static void run_posted(evutil_socket_t fd, short what, void *argument)
{
	(void)what;
	struct reactor *reactor = argument;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0)
		return; /* woken for nothing */

	mutex_lock(&reactor->lock);
	struct reactor_task *task = reactor->first;
	reactor->first = NULL;
	reactor->last = &reactor->first;
	mutex_unlock(&reactor->lock);

	while (task) {
		struct reactor_task *next = task->next;
		task->run(task);
		task = next;
	}
}

struct reactor *reactor_new(unsigned number)
{
	struct reactor *reactor = HEAP_NEW(struct reactor);
	*reactor = (struct reactor){0};
	snprintf(reactor->name, sizeof(reactor->name), "reactor %u", number);
	mutex_init(&reactor->lock);
	reactor->last = &reactor->first;

	struct event_config *config = event_config_new();
	assert(config);
	/* Only the reactor's thread touches the base; others come through the eventfd. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	reactor->base = event_base_new_with_config(config);
	event_config_free(config);
	assert(reactor->base);

	reactor->wakeup_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert(reactor->wakeup_fd >= 0);
	reactor->wakeup = event_new(
		reactor->base, reactor->wakeup_fd, EV_READ | EV_PERSIST, run_posted, reactor);
	assert(reactor->wakeup);
	event_add(reactor->wakeup, NULL);
	return reactor;
}

static void *reactor_run(void *argument)
{
	struct reactor *reactor = argument;
	event_base_loop(reactor->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

void reactor_start(struct reactor *reactor)
{
	thread_start(&reactor->thread, reactor->name, reactor_run, reactor);
}

static void reactor_break(struct reactor_task *task)
{
	struct reactor *reactor = (struct reactor *)((char *)task - offsetof(struct reactor, stop));
	event_base_loopexit(reactor->base, NULL);
}

void reactor_stop(struct reactor *reactor)
{
	reactor->stop.run = reactor_break;
	reactor_post(reactor, &reactor->stop);
	thread_join(reactor->thread);
}

void reactor_free(struct reactor *reactor)
{
	if (!reactor)
		return;
	event_free(reactor->wakeup);
	event_base_free(reactor->base);
	close(reactor->wakeup_fd);
	mutex_done(&reactor->lock);
	free(reactor);
}

void reactor_post(struct reactor *reactor, struct reactor_task *task)
{
	mutex_lock(&reactor->lock);
	bool was_empty = !reactor->first;
	task->next = NULL;
	*reactor->last = task;
	reactor->last = &task->next;
	mutex_unlock(&reactor->lock);

	if (was_empty) {
		uint64_t one = 1;
		ssize_t written = write(reactor->wakeup_fd, &one, sizeof(one));
		(void)written; /* fails only when the counter is full, and then it is awake */
	}
}

static void run_later(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct reactor_task *task = argument;
	task->run(task);
}

void reactor_post_later(struct reactor *reactor, struct reactor_task *task, uint64_t delay_ns)
{
	struct timeval delay = {.tv_sec = (time_t)(delay_ns / NS_PER_S),
		.tv_usec = (suseconds_t)(delay_ns % NS_PER_S / 1000)};
	int failed = event_base_once(reactor->base, -1, EV_TIMEOUT, run_later, task, &delay);
	assert(!failed);
}

struct event_base *reactor_base(struct reactor *reactor)
{
	return reactor->base;
}
