#pragma once

/* The four things that make a run unrepeatable (time, randomness, waiting, locking), as hooks. NULL
 * in a server; the simulation sets them before anything else runs and executes every client as a
 * fiber on one thread. */

#include "base/macros.h"

struct world_hooks {
	uint64_t (*monotonic_ns)(void);
	uint64_t (*realtime_us)(void);
	void (*random_bytes)(void *bytes, size_t len);
	/* Lets other fibers run; returns when this one is scheduled again. */
	void (*yield)(void);
};

extern const struct world_hooks *world_hooks;
