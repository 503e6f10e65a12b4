#pragma once

/* Many clients on one thread: each is a fiber that runs until it waits. Which one runs next, and
 * how far the virtual clock moves, is drawn from the seed, so a run can be repeated exactly. */

#include "base/macros.h"

void fibers_init(uint64_t seed, int planted_bug);
void fibers_done(void);

/* Starts a fiber; `node` is whose clock it reads. */
void fiber_start(int node, void (*run)(void *argument), void *argument);

/* Runs until every fiber has ended. */
void fibers_run(void);

/* The node of the running fiber. */
int fiber_node(void);

/* Real-time clock of a node against the true one. */
void fibers_set_skew(int node, int64_t skew_us);

void fiber_yield(void);

/* From the seed. */
uint64_t sim_random(void);
unsigned sim_below(unsigned bound);
