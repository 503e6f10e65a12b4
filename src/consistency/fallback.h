#pragma once

/* Which of two consistency levels the queries of one kind go out at: the primary one, or after a
 * failure that means fallback the other, until the primary is seen to work again. No user pays for
 * finding that out: the primary is tried by a probe only. Pure: times (monotonic, nanoseconds) are
 * parameters, and nothing is locked. */

#include "engine/failure.h"

enum fallback_kind { FALLBACK_READ, FALLBACK_WRITE, FALLBACK_DELETE, FALLBACK_KIND_COUNT };

enum fallback_pin {
	FALLBACK_FREE,
	FALLBACK_PINNED_PRIMARY,
	FALLBACK_PINNED_FALLBACK,
};

/* The state of one kind. Its fields may be read by whoever owns it. */
struct fallback {
	enum level primary;
	enum level fallback; /* LEVEL_NONE: there is none, and then there is no state either */
	enum fallback_pin pin;
	bool is_down;           /* the primary failed and has not been seen to work since */
	bool is_probing;        /* a probe is under way */
	uint64_t turn;          /* counts the changes of the level in force */
	uint64_t since_ns;      /* of the level in force */
	uint64_t next_probe_ns; /* while it is down */
	uint64_t back_off_ns;   /* between the end of a failed probe and the next */
	uint64_t failures;      /* switches to the fallback and failed probes, for ever */
	/* Warnings: one a minute. */
	bool has_warned;
	uint64_t warned_ns;
	uint64_t swallowed;
	bool is_told; /* somebody was warned of the fallback now in force */
};

/* One attempt of a query: what fallback_begin() gave it and what became of it is told with it. */
struct fallback_attempt {
	enum level level;
	uint64_t turn;
};

struct fallback_warning {
	bool is_due;
	uint64_t swallowed; /* since the last one that was due */
};

void fallback_init(
	struct fallback *state, enum level primary, enum level fallback, uint64_t now_ns);

/* The level in force. */
enum level fallback_level(const struct fallback *state);

struct fallback_attempt fallback_begin(const struct fallback *state);

/* Could the same query be tried once more, should this attempt fail? */
bool fallback_may_try_again(const struct fallback *state, struct fallback_attempt attempt);

/* The attempt failed. Returns the level to try the same query at once more, LEVEL_NONE when there
 * is none. However many attempts of one turn fail, the level changes once. *ret_changed: it did. */
enum level fallback_failed(struct fallback *state, struct fallback_attempt attempt,
	const struct failure *failure, uint64_t now_ns, bool *ret_changed,
	struct fallback_warning *ret_warning);

/* When the primary is to be probed next; UINT64_MAX: not now, nothing is wrong or it is pinned. */
uint64_t fallback_next_probe_ns(const struct fallback *state);

/* True when a probe is due: the caller makes it, at the primary level, and tells how it ended. */
bool fallback_begin_probe(struct fallback *state, uint64_t now_ns);

/* The back-off counts from now. *ret_changed: the primary is in force again. The warning is due for
 * a primary that still fails, or, with ret_changed, for a fallback that somebody was warned of. */
void fallback_end_probe(struct fallback *state, bool has_worked, uint64_t now_ns, bool *ret_changed,
	struct fallback_warning *ret_warning);

/* Holds the level until it is released. False: there is no fallback to hold it at. */
bool fallback_hold(struct fallback *state, enum fallback_pin pin, uint64_t now_ns);

/* From the primary: it stays in force. From the fallback: it stays in force and a probe is due. */
void fallback_release(struct fallback *state, uint64_t now_ns);
