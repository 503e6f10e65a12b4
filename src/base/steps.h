#pragma once

/* What lately became of operations, step by step: a ring in memory, of this process alone, for
 * whoever asks what happened to one mail. What it no longer holds is not known any more; nothing
 * is decided by it. Any thread. */

#include "base/arena.h"
#include "base/uuid.h"

struct step_note {
	uint64_t at_us; /* set by steps_note */
	struct uuid op; /* the operation's id, which answers and the log give */
	struct uuid account;
	const char *step;    /* static text */
	const char *outcome; /* static text */
	unsigned attempt;    /* from 1; 0: there is but one */
	uint32_t uid;        /* 0: none */
	uint64_t modseq;     /* 0: none */
	uint64_t name_hash;  /* of the Message-ID; 0: not known */
};

/* How many are held. */
#define STEPS_HELD 8192

void steps_note(const struct step_note *note);

/* Those of one operation, or of every operation whose mail has this Message-ID; the oldest first,
 * in the arena. */
size_t steps_find(struct arena *arena, const struct uuid *op, uint64_t name_hash,
	struct step_note **ret_notes);
