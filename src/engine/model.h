#pragma once

/* A model of a cluster: replicas in data centres, each with rows of its own, coordinators that may
 * stop at any message, hints, read repair, and Paxos as Cassandra does it. Everything that goes
 * wrong follows from a seed, and time is base/clock's. consistency/levels.c makes an engine of it.
 * Test code and simulation only. Any thread. */

#include "engine/replicated.h"

#define MODEL_CENTRES_MOST 2
#define MODEL_REPLICAS_MOST 5 /* of one data centre */

struct model;

/* Parts per thousand. */
struct model_rates {
	unsigned lost;    /* messages to a replica that never arrive; a write may leave a hint */
	unsigned late;    /* messages to a replica that arrive after the coordinator gave up */
	unsigned unheard; /* answers of a replica that never arrive */
	unsigned refused; /* calls that no coordinator takes on */
	unsigned stopped; /* calls whose coordinator dies or pauses at any of its messages */
};

enum model_health {
	MODEL_UP,
	MODEL_SLOW, /* does what it is told, and is heard every other time */
	MODEL_DOWN,
};

/* `replicas` in each of `centres`; owned by the caller and by every store made of it. */
struct model *model_new(unsigned centres, unsigned replicas, uint64_t seed);
void model_free(struct model *model);

void model_set_rates(struct model *model, const struct model_rates *rates);
void model_set_health(
	struct model *model, unsigned centre, unsigned replica, enum model_health health);

/* Cut: no message passes between data centres. */
void model_set_cut(struct model *model, bool is_cut);

/* What is still on its way, and every hint, arrives now (or what cannot, as its target is down,
 * stays); or is forgotten. */
void model_deliver_late(struct model *model);
void model_drop_late(struct model *model);

/* The time is over in which a coordinator goes on with a conditional batch that its client has
 * given up: each of these goes on now or never. Messages stay on their way. */
void model_end_paused(struct model *model);

/* A client's way to the cluster by coordinators of one data centre. */
struct replicated *model_store_new(struct model *model, unsigned centre);

/* The client has crashed: its calls are not taken on any more. What it has begun goes on. */
void model_store_set_down(struct replicated *store, bool is_down);

/* Called around every message: where a simulation lets others run. */
void model_store_on_step(struct replicated *store, void (*run)(void *context), void *context);
