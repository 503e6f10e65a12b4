#pragma once

/* Worker threads in lanes: each lane has its own queue and its own threads, so that an engine that
 * hangs under one kind of work leaves the others alone. A worker waits only for I/O or for a worker
 * that is already running. Any thread. */

#include "base/op.h"

enum lane {
	LANE_QUICK,      /* memory only: NOOP, CAPABILITY, EHLO */
	LANE_STORE,      /* short reads and writes of the stores */
	LANE_BULK,       /* long answers: FETCH, SEARCH, RETR */
	LANE_DELIVER,    /* incoming mail */
	LANE_AUTH,       /* password hashes: tens of milliseconds of processor each */
	LANE_BACKGROUND, /* nobody waits for it */
	LANE_COUNT,
};

/* Embedded in what is to be run; in one queue at a time. */
struct lane_task {
	void (*run)(struct lane_task *task);
	struct lane_task *next;
};

/* Starts every lane's threads. `waits`: work in them mostly waits for servers elsewhere, so that a
 * lane without a number of its own gets more threads than it would have use for otherwise. */
void lanes_start(bool waits);

/* Lets queued tasks finish, then joins the threads. */
void lanes_stop(void);

/* Runs task->run on a thread of the lane. The task belongs to the lane until then. */
void lane_submit(enum lane lane, struct lane_task *task);
