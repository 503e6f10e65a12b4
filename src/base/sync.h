#pragma once

/* Locks and waits. The only place that touches pthread locks, so that the simulation can run many
 * clients as fibers of one thread (base/world.h). */

#include <pthread.h>

#include "base/macros.h"

struct mutex {
	pthread_mutex_t native;
	bool held; /* simulation only */
};

struct condition {
	pthread_cond_t native;
	uint64_t signals; /* simulation only */
};

#define MUTEX_INIT                                  \
	{                                           \
		.native = PTHREAD_MUTEX_INITIALIZER \
	}

void mutex_init(struct mutex *mutex);
void mutex_done(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void condition_init(struct condition *condition);
void condition_done(struct condition *condition);
void condition_signal(struct condition *condition);
void condition_broadcast(struct condition *condition);

/* Releases the mutex while waiting; may wake spuriously. */
void condition_wait(struct condition *condition, struct mutex *mutex);

/* As condition_wait; false when deadline_ns (monotonic) has passed. */
bool condition_wait_until(struct condition *condition, struct mutex *mutex, uint64_t deadline_ns);

static inline void mutex_cleanup_(struct mutex **mutex)
{
	mutex_unlock(*mutex);
}

#define SYNC_JOIN2_(a, b) a##b
#define SYNC_JOIN_(a, b) SYNC_JOIN2_(a, b)

/* Locks now, unlocks at the end of the scope. */
#define AUTO_LOCK(mutex_pointer)                                                               \
	__attribute__((cleanup(mutex_cleanup_))) struct mutex *SYNC_JOIN_(locked_, __LINE__) = \
		(mutex_pointer);                                                               \
	mutex_lock(SYNC_JOIN_(locked_, __LINE__))

/* Starts a named thread (name up to 15 characters); aborts when the system has none left. */
void thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *argument);

/* Lets the calling thread yield to others (nice(1)). Never above those whose process was started
 * with a low priority. */
void thread_be_nice(int niceness);
void thread_join(pthread_t thread);
