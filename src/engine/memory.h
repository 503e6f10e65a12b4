#pragma once

/* The engine of tests and of the simulation: rows in memory, one lock. */

#include "engine/engine.h"

/* `is_atomic` false makes it as weak as a distributed engine: a CAS changes its own partition only.
 */
struct engine *memory_engine_new(bool is_atomic);

/* What a power cut does: RELAXED writes since the last durable one are gone. */
void memory_engine_crash(struct engine *engine);
