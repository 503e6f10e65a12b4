#pragma once

/* Wraps any bus and mistreats what is published as a bus may: loses it, doubles it, holds it back
 * until others have gone before it; by a seed, so that it can be repeated. Test code only. */

#include "bus/bus.h"

/* Parts per thousand of the hints. */
struct bus_faults {
	unsigned lost;
	unsigned doubled;
	unsigned held_back;
};

/* Takes the inner bus: closing this one closes it. */
struct bus *bus_fault_new(struct bus *inner, uint64_t seed, const struct bus_faults *faults);
