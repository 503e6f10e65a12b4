#pragma once

/* Which event bus there is, and what goes over it. */

#include "base/setting.h"
#include "bus/bus.h"

extern const struct setting event_bus_settings[];
extern const size_t event_bus_setting_count;

/* Are the settings of the chosen bus right? ERR_INVALID: *ret_setting is the one at fault. */
MUST_CHECK struct error *event_bus_check(struct op *op, const char **ret_setting);

/* Not started. */
MUST_CHECK struct error *event_bus_open(struct op *op, struct bus **ret_bus);

/* What an operator should know of it: NULL, or a sentence in the arena. */
const char *event_bus_fault(struct bus *bus, struct arena *arena);
