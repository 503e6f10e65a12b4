#include "bus/fault.h"

#include <stdlib.h>

#include "base/random.h"
#include "base/sync.h"

#define HELD_MOST 32

struct fault_bus {
	struct bus bus;
	struct bus *inner;
	struct bus_faults faults;
	struct mutex lock; /* of what follows */
	uint64_t random;
	struct bus_hint held[HELD_MOST];
	size_t held_count;
};

static struct fault_bus *fault_of(struct bus *bus)
{
	return (struct fault_bus *)bus;
}

static bool falls(struct fault_bus *fault, unsigned per_thousand)
{
	return random_seeded(&fault->random) % 1000 < per_thousand;
}

static void fault_start(struct bus *bus)
{
	struct fault_bus *fault = fault_of(bus);
	bus_set_watcher(fault->inner, bus->watcher);
	for (size_t i = 0; i < bus->worker_count; i++)
		bus_join(fault->inner, bus->workers[i]);
	bus_start(fault->inner);
}

static void fault_publish(struct bus *bus, const struct bus_hint *hint)
{
	struct fault_bus *fault = fault_of(bus);
	AUTO_LOCK(&fault->lock);
	if (falls(fault, fault->faults.lost))
		return;
	if (fault->held_count < HELD_MOST && falls(fault, fault->faults.held_back)) {
		fault->held[fault->held_count++] = *hint;
		return;
	}
	bus_publish(fault->inner, hint);
	if (falls(fault, fault->faults.doubled))
		bus_publish(fault->inner, hint);
	/* The youngest first. */
	if (fault->held_count && falls(fault, 500))
		bus_publish(fault->inner, &fault->held[--fault->held_count]);
}

static void fault_watch(struct bus *bus, struct account_id account, bool is_watched)
{
	struct bus *inner = fault_of(bus)->inner;
	inner->ops->watch(inner, account, is_watched);
}

static void fault_done(struct bus *bus, struct bus_work work)
{
	bus_done(fault_of(bus)->inner, work);
}

static bool fault_is_live(struct bus *bus)
{
	return bus_is_live(fault_of(bus)->inner);
}

static void fault_status(struct bus *bus, struct arena *arena, struct bus_status *ret_status)
{
	bus_get_status(fault_of(bus)->inner, arena, ret_status);
}

static void fault_stop(struct bus *bus)
{
	bus_stop(fault_of(bus)->inner);
}

static void fault_free(struct bus *bus)
{
	struct fault_bus *fault = fault_of(bus);
	bus_close(fault->inner);
	mutex_done(&fault->lock);
	free(fault);
}

static const struct bus_ops ops = {
	.name = "fault",
	.start = fault_start,
	.publish = fault_publish,
	.watch = fault_watch,
	.done = fault_done,
	.is_live = fault_is_live,
	.status = fault_status,
	.stop = fault_stop,
	.free = fault_free,
};

struct bus *bus_fault_new(struct bus *inner, uint64_t seed, const struct bus_faults *faults)
{
	struct fault_bus *fault = HEAP_NEW(struct fault_bus);
	fault->bus.ops = &ops;
	fault->bus.reaches_others = inner->reaches_others;
	fault->inner = inner;
	fault->faults = *faults;
	fault->random = seed;
	mutex_init(&fault->lock);
	return &fault->bus;
}
