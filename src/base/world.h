#pragma once

/* The four things that make a run unrepeatable (time, randomness, waiting, locking), as hooks. NULL
 * in a server; the simulation sets them before anything else runs and executes every client as a
 * fiber on one thread. */

#include "base/macros.h"

/* Bugs that the simulation plants to show that it finds them: never in a server. */
enum planted_bug {
	BUG_NONE,
	BUG_LOST_PROJECTION, /* `applied` moves although a row was not written */
	BUG_DOUBLED_UID,     /* UIDNEXT is not raised now and then */
	BUG_GUESSED_OUTCOME, /* an uncertain commit is taken for a failed one */
	BUG_SKIPPED_FSYNC,   /* a crash of the engine loses commits that were acknowledged */
	BUG_TRIMMED_EARLY,   /* log rows are trimmed without having been copied */
	BUG_TRIMMED_APPLIED, /* those that are applied need no copy, do they */
	BUG_TORN_HEAD,       /* a poll is repaired, and a head is read at the level of polls */
	BUG_HASTY_VERDICT,   /* an account that stands where it stood: not applied, it is said */
	BUG_RESENT_CAS,      /* a CAS that failed is sent again at the fallback level */
	BUG_APPLIED_ALONE,   /* each change is applied by itself, not on top of those before it */
	BUG_FORGOTTEN_PLACE, /* content is removed although another place shares it */
	BUG_LATE_COMMIT,     /* a commit is sent however old its content is */
	BUG_MIXED_BATCH,     /* a trim's deletes reach as far as the row that its CAS inserts */
	BUG_COUNT,
};

struct world_hooks {
	uint64_t (*monotonic_ns)(void);
	uint64_t (*realtime_us)(void);
	void (*random_bytes)(void *bytes, size_t len);
	/* Lets other fibers run; returns when this one is scheduled again. */
	void (*yield)(void);
	/* As yield, but not before the monotonic clock has reached this. */
	void (*sleep_until)(uint64_t monotonic_ns);
	enum planted_bug planted;
};

extern const struct world_hooks *world_hooks;

static inline bool is_planted(enum planted_bug bug)
{
	return __builtin_expect(world_hooks != NULL, 0) && world_hooks->planted == bug;
}
