#include "engine/fault.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/sync.h"

/* A write on its way: its own copy of everything. */
struct late {
	struct op op; /* holds the copies */
	bool is_cas;
	struct cas cas;
	struct mutation *mutations;
	size_t count;
	struct late *next;
};

struct fault_engine {
	struct engine engine;
	struct engine *inner;
	struct mutex lock;
	uint64_t random;
	struct fault_rates rates;
	unsigned classes; /* of the n-th call */
	unsigned countdown;
	enum fault planned;
	bool is_down;
	bool is_short_sighted;
	struct late *late;
	void (*step)(void *context);
	void *step_context;
};

static struct fault_engine *self(struct engine *engine)
{
	return (struct fault_engine *)engine;
}

static uint64_t next_random(struct fault_engine *fault)
{
	return random_seeded(&fault->random);
}

static bool happens(struct fault_engine *fault, unsigned per_thousand)
{
	return per_thousand && next_random(fault) % 1000 < per_thousand;
}

static enum fault random_fault(struct fault_engine *fault, enum fault_class class)
{
	const struct fault_rates *rates = &fault->rates;
	unsigned refused = class == FAULT_READS    ? rates->refused_reads
			   : class == FAULT_WRITES ? rates->refused_writes
						   : rates->refused_cas;
	unsigned uncertain = class == FAULT_READS    ? 0
			     : class == FAULT_WRITES ? rates->uncertain_writes
						     : rates->uncertain_cas;
	if (happens(fault, refused))
		return FAULT_REFUSED;
	if (happens(fault, uncertain))
		return FAULT_UNCERTAIN_APPLIED + next_random(fault) % 3;
	return FAULT_NONE;
}

static enum fault choose(struct fault_engine *fault, enum fault_class class)
{
	AUTO_LOCK(&fault->lock);
	if (fault->is_down)
		return FAULT_REFUSED;
	if (fault->countdown && fault->classes & class && --fault->countdown == 0)
		return fault->planned;
	return random_fault(fault, class);
}

static void step(struct fault_engine *fault)
{
	if (fault->step)
		fault->step(fault->step_context);
}

static struct mutation *copy_mutations(
	struct arena *arena, const struct mutation *mutations, size_t count)
{
	struct mutation *copies = ARENA_ARRAY(arena, struct mutation, count ? count : 1);
	for (size_t i = 0; i < count; i++) {
		copies[i] = mutations[i];
		copies[i].partition = arena_dup(arena, mutations[i].partition);
		copies[i].key = arena_dup(arena, mutations[i].key);
		copies[i].value = arena_dup(arena, mutations[i].value);
	}
	return copies;
}

static void keep_late(struct fault_engine *fault, const struct cas *cas,
	const struct mutation *mutations, size_t count)
{
	struct late *late = HEAP_NEW(struct late);
	op_init(&late->op, "late write");
	struct arena *arena = &late->op.arena;
	late->is_cas = cas != NULL;
	if (cas) {
		late->cas = *cas;
		late->cas.partition = arena_dup(arena, cas->partition);
		if (cas->expected.ptr)
			late->cas.expected = arena_dup(arena, cas->expected);
		late->cas.mutations = copy_mutations(arena, cas->mutations, cas->mutation_count);
		for (size_t i = 0; i < cas->mutation_count; i++)
			((struct mutation *)late->cas.mutations)[i].partition = late->cas.partition;
		late->cas.also = copy_mutations(arena, cas->also, cas->also_count);
	} else {
		late->mutations = copy_mutations(arena, mutations, count);
		late->count = count;
	}
	AUTO_LOCK(&fault->lock);
	late->next = fault->late;
	fault->late = late;
}

static struct late *take_late(struct fault_engine *fault)
{
	AUTO_LOCK(&fault->lock);
	struct late *late = fault->late;
	if (late)
		fault->late = late->next;
	return late;
}

/* What comes here has its seal already (engine.c), so the inner engine's calls are used as they
 * are.
 */
static void end_late(struct fault_engine *fault, struct late *late, bool apply)
{
	struct slice current;
	/* Its condition may not hold any more: that is one of the things that happen to it. */
	struct error *err = NULL;
	if (apply && late->is_cas)
		err = fault->inner->ops->cas(fault->inner, &late->op, &late->cas, &current);
	else if (apply)
		err = fault->inner->ops->write(
			fault->inner, &late->op, late->mutations, late->count, DURABLE);
	(void)err;
	op_done(&late->op);
	free(late);
}

void fault_drop_late(struct engine *engine)
{
	struct late *late;
	while ((late = take_late(self(engine))))
		end_late(self(engine), late, false);
}

void fault_apply_late(struct engine *engine)
{
	struct late *late;
	while ((late = take_late(self(engine))))
		end_late(self(engine), late, true);
}

/* Now and then one of the late writes surfaces. */
static void maybe_surface(struct fault_engine *fault)
{
	mutex_lock(&fault->lock);
	bool now = fault->late && next_random(fault) % 4 == 0;
	mutex_unlock(&fault->lock);
	struct late *late = now ? take_late(fault) : NULL;
	if (late)
		end_late(fault, late, true);
}

static struct error *refused(struct op *op)
{
	return op_fail(op, ERR_UNAVAILABLE, "the engine is not available (injected)");
}

static struct error *uncertain(struct op *op)
{
	return op_fail(op, ERR_UNCERTAIN, "no answer from the engine (injected)");
}

static bool reads_at(struct fault_engine *fault, enum read_level level)
{
	if (choose(fault, FAULT_READS) != FAULT_NONE)
		return false;
	AUTO_LOCK(&fault->lock);
	return !fault->is_short_sighted || level == READ_RELAXED;
}

static struct error *fault_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	struct fault_engine *fault = self(engine);
	step(fault);
	if (!reads_at(fault, level))
		return refused(op);
	maybe_surface(fault);
	struct error *err = fault->inner->ops->get(
		fault->inner, op, table, partition, key, level, ret_found, ret_row);
	step(fault);
	return err;
}

static struct error *fault_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	struct fault_engine *fault = self(engine);
	step(fault);
	if (!reads_at(fault, level))
		return refused(op);
	maybe_surface(fault);
	struct error *err = fault->inner->ops->scan(
		fault->inner, op, table, partition, from, to, limit, backwards, level, ret_rows);
	step(fault);
	return err;
}

static struct error *fault_write(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability)
{
	struct fault_engine *fault = self(engine);
	struct error *err;
	step(fault);
	switch (choose(fault, FAULT_WRITES)) {
	case FAULT_NONE:
		err = fault->inner->ops->write(fault->inner, op, mutations, count, durability);
		step(fault);
		return err;
	case FAULT_REFUSED:
		return refused(op);
	case FAULT_UNCERTAIN_APPLIED:
		TRY(fault->inner->ops->write(fault->inner, op, mutations, count, durability));
		break;
	case FAULT_UNCERTAIN_NOT_APPLIED:
		break;
	case FAULT_UNCERTAIN_LATER:
		keep_late(fault, NULL, mutations, count);
		break;
	}
	step(fault);
	return uncertain(op);
}

static struct error *fault_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	struct fault_engine *fault = self(engine);
	struct error *err;
	step(fault);
	switch (choose(fault, FAULT_CAS)) {
	case FAULT_NONE:
		err = fault->inner->ops->cas(fault->inner, op, cas, ret_current);
		step(fault);
		return err;
	case FAULT_REFUSED:
		return refused(op);
	case FAULT_UNCERTAIN_APPLIED:
		err = fault->inner->ops->cas(fault->inner, op, cas, ret_current);
		(void)err; /* applied or refused: nobody is told */
		break;
	case FAULT_UNCERTAIN_NOT_APPLIED:
		break;
	case FAULT_UNCERTAIN_LATER:
		keep_late(fault, cas, NULL, 0);
		break;
	}
	step(fault);
	return uncertain(op);
}

static struct error *fault_partitions(struct engine *engine, struct op *op,
	const struct table *table, struct slice after, size_t limit, struct slice **ret_partitions,
	size_t *ret_count)
{
	struct fault_engine *fault = self(engine);
	step(fault);
	if (choose(fault, FAULT_READS) != FAULT_NONE)
		return refused(op);
	return engine_partitions(fault->inner, op, table, after, limit, ret_partitions, ret_count);
}

static void fault_close(struct engine *engine)
{
	struct fault_engine *fault = self(engine);
	fault_drop_late(engine);
	engine_close(fault->inner);
	mutex_done(&fault->lock);
	free(fault);
}

static const struct engine_ops fault_ops = {
	.name = "fault",
	.get = fault_get,
	.scan = fault_scan,
	.write = fault_write,
	.cas = fault_cas,
	.partitions = fault_partitions,
	.close = fault_close,
};

struct engine *fault_engine_new(struct engine *inner, uint64_t seed)
{
	struct fault_engine *fault = HEAP_NEW(struct fault_engine);
	fault->engine = *inner;
	fault->engine.ops = &fault_ops;
	fault->inner = inner;
	fault->random = seed;
	mutex_init(&fault->lock);
	return &fault->engine;
}

void fault_set_rates(struct engine *engine, const struct fault_rates *rates)
{
	AUTO_LOCK(&self(engine)->lock);
	self(engine)->rates = *rates;
}

void fault_on_call(struct engine *engine, unsigned classes, unsigned n, enum fault planned)
{
	struct fault_engine *fault = self(engine);
	AUTO_LOCK(&fault->lock);
	fault->classes = classes;
	fault->countdown = n;
	fault->planned = planned;
}

void fault_set_down(struct engine *engine, bool is_down)
{
	AUTO_LOCK(&self(engine)->lock);
	self(engine)->is_down = is_down;
}

void fault_set_short_sighted(struct engine *engine, bool is_short_sighted)
{
	AUTO_LOCK(&self(engine)->lock);
	self(engine)->is_short_sighted = is_short_sighted;
}

void fault_on_step(struct engine *engine, void (*run)(void *context), void *context)
{
	self(engine)->step = run;
	self(engine)->step_context = context;
}
