#pragma once

/* Wraps any engine and makes its calls fail as engines fail: the n-th one, or at random by a seed,
 * so that a run can be repeated. Test code and simulation only. */

#include "engine/engine.h"

enum fault {
	FAULT_NONE,
	FAULT_REFUSED,               /* ERR_UNAVAILABLE: nothing is written */
	FAULT_UNCERTAIN_APPLIED,     /* ERR_UNCERTAIN: it is written */
	FAULT_UNCERTAIN_NOT_APPLIED, /* ERR_UNCERTAIN: it is not, and never will be */
	FAULT_UNCERTAIN_LATER, /* ERR_UNCERTAIN: it surfaces later, a CAS if its condition then
				  holds */
};

enum fault_class { FAULT_READS = 1, FAULT_WRITES = 2, FAULT_CAS = 4 };

/* Parts per thousand of the calls of a class. */
struct fault_rates {
	unsigned refused_reads;
	unsigned refused_writes;
	unsigned uncertain_writes; /* a third of each kind */
	unsigned refused_cas;
	unsigned uncertain_cas;
};

/* Takes the inner engine: closing this one closes it. */
struct engine *fault_engine_new(struct engine *inner, uint64_t seed);

void fault_set_rates(struct engine *engine, const struct fault_rates *rates);

/* The n-th call (1: the next) of the classes from now on fails so; once. */
void fault_on_call(struct engine *engine, unsigned classes, unsigned n, enum fault planned);

/* Everything fails with ERR_UNAVAILABLE, and nothing is written, until it is told otherwise. */
void fault_set_down(struct engine *engine, bool is_down);

/* Only READ_RELAXED is answered, as when too few replicas are left for the other levels. */
void fault_set_short_sighted(struct engine *engine, bool is_short_sighted);

/* What was to surface later never does, or does now. */
void fault_drop_late(struct engine *engine);
void fault_apply_late(struct engine *engine);

/* Called before and after each call: where a simulation lets others run. */
void fault_on_step(struct engine *engine, void (*run)(void *context), void *context);
