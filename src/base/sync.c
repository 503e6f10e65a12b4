#include "base/sync.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/world.h"

void mutex_init(struct mutex *mutex)
{
	pthread_mutex_init(&mutex->native, NULL);
	mutex->held = false;
}

void mutex_done(struct mutex *mutex)
{
	pthread_mutex_destroy(&mutex->native);
}

void mutex_lock(struct mutex *mutex)
{
	if (!world_hooks) {
		int failed = pthread_mutex_lock(&mutex->native);
		assert(!failed);
		(void)failed;
		return;
	}
	while (mutex->held)
		world_hooks->yield();
	mutex->held = true;
}

void mutex_unlock(struct mutex *mutex)
{
	if (!world_hooks) {
		pthread_mutex_unlock(&mutex->native);
		return;
	}
	assert(mutex->held);
	mutex->held = false;
}

void condition_init(struct condition *condition)
{
	pthread_condattr_t attributes;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&condition->native, &attributes);
	pthread_condattr_destroy(&attributes);
	condition->signals = 0;
}

void condition_done(struct condition *condition)
{
	pthread_cond_destroy(&condition->native);
}

void condition_signal(struct condition *condition)
{
	if (world_hooks)
		condition->signals++;
	else
		pthread_cond_signal(&condition->native);
}

void condition_broadcast(struct condition *condition)
{
	if (world_hooks)
		condition->signals++;
	else
		pthread_cond_broadcast(&condition->native);
}

static bool simulated_wait(struct condition *condition, struct mutex *mutex, uint64_t deadline_ns)
{
	uint64_t seen = condition->signals;
	mutex_unlock(mutex);
	bool in_time = true;
	while (condition->signals == seen && in_time) {
		world_hooks->yield();
		in_time = clock_monotonic_ns() < deadline_ns;
	}
	mutex_lock(mutex);
	return in_time;
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
	if (world_hooks)
		simulated_wait(condition, mutex, UINT64_MAX);
	else
		pthread_cond_wait(&condition->native, &mutex->native);
}

bool condition_wait_until(struct condition *condition, struct mutex *mutex, uint64_t deadline_ns)
{
	if (world_hooks)
		return simulated_wait(condition, mutex, deadline_ns);
	if (deadline_ns == UINT64_MAX) {
		pthread_cond_wait(&condition->native, &mutex->native);
		return true;
	}
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S)};
	return pthread_cond_timedwait(&condition->native, &mutex->native, &until) != ETIMEDOUT;
}

void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *argument)
{
	/* Signals are the main thread's business. */
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(ret_thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed) {
		fprintf(stderr, "holdfast: cannot start thread %s\n", name);
		abort();
	}
	pthread_setname_np(*ret_thread, name);
}

void thread_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

void thread_be_nice(int niceness)
{
	if (getpriority(PRIO_PROCESS, 0) < niceness)
		setpriority(PRIO_PROCESS, 0, niceness);
}
