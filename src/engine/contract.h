#pragma once

/* What every engine must do: one suite, run against each. Test code only. */

#include "engine/engine.h"

/* `open` gives a new, empty engine each time; `reopen` closes and opens the same data again, or is
 * NULL for an engine that keeps nothing. Returns the number of failed tests. */
int engine_contract_run(const char *name, struct engine *(*open)(void),
	struct engine *(*reopen)(struct engine *engine));
