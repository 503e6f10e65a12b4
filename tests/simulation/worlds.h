#pragma once

/* The stores that a scenario runs on, from the strongest to the weakest: an embedded engine with
 * atomic writes, one that changes a partition at a time and fails, a cluster of replicas. */

#include "simulation/clients.h"

/* Draws which, and opens each node's way to it. */
void world_open(struct sim_world *w);
void world_close(struct sim_world *w);

/* Draws how badly it goes from now on; off: not at all. */
void world_set_faults(struct sim_world *w, bool on);

/* What is still on its way arrives: paused coordinators go on, hints reach their replicas. */
void world_settle(struct sim_world *w);

/* Coordinators that are paused still go on now or give up for good; hints stay. */
void world_end_paused(struct sim_world *w);

/* A node is cut off: nothing that it still asks for is done. */
void world_set_node_down(struct sim_world *w, int number, bool is_down);

/* Called now and then by each node: probes. */
void world_work(struct sim_world *w, int number);

/* A fiber that changes the state of replicas for as long as there are clients. */
void world_weather(void *argument);
