#pragma once

/* A thread with an event loop. Everything that happens to a descriptor happens on its reactor's
 * thread; other threads hand over tasks. */

#include "base/macros.h"

struct reactor;
struct event_base;

/* Embedded in what is to be done on the reactor's thread; in one queue at a time. */
struct reactor_task {
	void (*run)(struct reactor_task *task);
	struct reactor_task *next;
};

struct reactor *reactor_new(unsigned number);
void reactor_start(struct reactor *reactor);

/* Ends the loop when the tasks posted so far have run, and joins the thread. */
void reactor_stop(struct reactor *reactor);
void reactor_free(struct reactor *reactor);

/* Any thread. */
void reactor_post(struct reactor *reactor, struct reactor_task *task);

/* Runs the task after a delay; from the reactor's own thread. */
void reactor_post_later(struct reactor *reactor, struct reactor_task *task, uint64_t delay_ns);

/* For what is bound to the loop: before reactor_start, or on its thread. */
struct event_base *reactor_base(struct reactor *reactor);
