#pragma once

/* The threads on which requests are worked on, with calls that wait for the stores, while the
 * thread that moves bytes goes on. What is due later than now waits without holding a thread. */

#include "base/arena.h"

struct admin_work;

/* Embedded in what is to be done; in one queue at a time. */
struct admin_job {
	struct admin_job *next;
	uint64_t due_ns; /* monotonic clock */
};

struct admin_work *admin_work_new(
	unsigned threads, void (*run)(void *context, struct admin_job *job), void *context);

/* Announces a job that comes by admin_work_add; false: no more are taken. */
MUST_CHECK bool admin_work_begin(struct admin_work *work);

/* A job that was begun has been done with. */
void admin_work_end(struct admin_work *work);

/* Any thread; `run` may add its own job again. */
void admin_work_add(struct admin_work *work, struct admin_job *job, uint64_t due_ns);

/* Takes no more jobs, and all are due at once; returns when each has ended. */
void admin_work_finish(struct admin_work *work);

/* Joins the threads; NULL is fine. After admin_work_finish. */
void admin_work_free(struct admin_work *work);
