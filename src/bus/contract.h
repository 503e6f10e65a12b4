#pragma once

/* What every bus must do: one suite, run against each. Test code only. */

#include "bus/bus.h"

/* `renew` begins a bus that nobody has used; `open` gives one more node of it, not started. A work
 * group has at most `prefetch` hints at a node. Returns the number of failed tests. */
int bus_contract_run(
	const char *name, void (*renew)(void), struct bus *(*open)(void), size_t prefetch);
