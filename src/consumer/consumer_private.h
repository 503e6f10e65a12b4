#pragma once

/* Inside consumer/ only. */

#include <stdatomic.h>

#include "base/clock.h"
#include "base/hash_map.h"
#include "base/sync.h"
#include "consumer/consumer.h"
#include "mailbox/follow.h"

struct consumer_config {
	uint64_t tries;          /* of one event, before it is given up on */
	uint64_t retry_first_ms; /* after the first of them; twice as long after each further one */
	uint64_t retry_most_ms;
	uint64_t sweep_interval_ms;
};

extern struct consumer_config consumer_config;

/* ---- Hints of the bus, held until all that they are about is done ---- */

struct held_hint {
	struct bus_work name;
	_Atomic size_t references;
	struct bus *bus;
};

/* Drops a reference; the last one says that the work is done. NULL is fine. */
void held_hint_end(struct held_hint *hint);

#define REASON_MOST 500 /* bytes of why an event failed, as it is kept */

/* ---- backlog.c: the accounts that one consumer is behind with ---- */

enum turn_end {
	TURN_DONE,
	TURN_MORE,     /* there is more to do */
	TURN_RETRIES,  /* an event has failed: not before until_us */
	TURN_TROUBLED, /* the store does not answer */
};

struct turn {
	enum turn_end end;
	uint64_t until_us; /* realtime clock */
};

struct waiting {
	struct account_id account;
	uint64_t since_ns; /* it is behind */
	uint64_t due_ns;
	unsigned troubles; /* in a row */
	bool is_retrying;
	bool is_renewed; /* it has changed again since its turn began */
	struct held_hint *hint, *hint_of_turn;
};

/* Accounts by when they are due. */
struct backlog {
	struct mutex lock; /* of what follows */
	struct condition wake;
	struct hash_map waiting; /* account -> struct waiting */
	struct waiting **heap;
	size_t heap_count, heap_capacity;
	size_t held, retrying;
	bool is_stopping;
};

void backlog_init(struct backlog *backlog);
/* What it holds of the bus is given to others. */
void backlog_done(struct backlog *backlog);
void backlog_stop(struct backlog *backlog);

/* Takes a reference to the hint (NULL: none) if it is to be held. An account that waits for its
 * next try goes on waiting. False: there is no room. */
bool backlog_put(struct backlog *backlog, struct account_id account, uint64_t delay_ns,
	struct held_hint *hint);

/* Waits until an account is due and takes it; false when told to stop. */
bool backlog_take(struct backlog *backlog, struct account_id *ret_account);
void backlog_give_back(struct backlog *backlog, struct account_id account, const struct turn *turn);

bool backlog_is_stopping(struct backlog *backlog);

/* *ret_oldest_ns: since when the first waits, monotonic clock; 0: none does. */
void backlog_look(struct backlog *backlog, size_t *ret_waiting, size_t *ret_retrying,
	uint64_t *ret_oldest_ns);

/* ---- One consumer at work ---- */

struct lane {
	struct consumers *consumers;
	struct consumer consumer;
	struct slice name;
	/* Accounts without a cursor begin here: by the clock, when the consumer was first there. */
	uint64_t born;
	struct backlog backlog;
	pthread_t *threads;
	_Atomic uint64_t done, failures, dead, gaps, letters;
};

struct consumers {
	struct mail_store *store;
	struct engine *engine;
	struct lane lanes[CONSUMERS_MOST];
	size_t lane_count;
	struct bus *bus; /* NULL: none */
	bool is_started;
	_Atomic bool is_prepared; /* each lane knows when it was born */
	pthread_t sweeper;
	struct mutex lock; /* of what follows */
	struct condition wake;
	bool is_stopping;
	bool must_sweep; /* accounts may have been forgotten */
	_Atomic uint64_t letters;
};

/* NULL: there is no such consumer. */
struct lane *find_lane(struct consumers *consumers, struct slice name);

/* Finds out when each consumer was first there, and writes it for those that are new; once. */
MUST_CHECK struct error *consumers_prepare(struct op *op, struct consumers *consumers);

/* The thread that sweeps looks for accounts that were forgotten. */
void consumers_forget(struct consumers *consumers);

/* ---- cursor.c ---- */

struct position {
	uint64_t modseq;           /* the cursor */
	bool is_stored;            /* else it is the consumer's birth */
	uint64_t version;          /* of its row */
	bool has_retry;            /* the event behind the cursor has failed */
	struct cursor_retry retry; /* its texts are in the arena */
	bool has_retry_row;
	uint64_t retry_version; /* of the row that there is, or was */
};

MUST_CHECK struct error *position_read(struct op *op, const struct lane *lane,
	struct account_id account, struct position *ret_position);

/* The cursors of all consumers, by one read. */
MUST_CHECK struct error *positions_read(struct op *op, struct consumers *consumers,
	struct account_id account, uint64_t *ret_modseqs);

/* Moves the cursor, never back unless `is_reset`, and lets go of what was kept of a failure. */
MUST_CHECK struct error *position_move(struct op *op, const struct lane *lane,
	struct account_id account, uint64_t modseq, bool is_reset, struct position *inout_position);

/* Durable when it returns. */
MUST_CHECK struct error *position_retry(struct op *op, const struct lane *lane,
	struct account_id account, const struct cursor_retry *retry,
	struct position *inout_position);

/* ---- turn.c ---- */

MUST_CHECK struct error *turn_run(
	struct op *op, struct lane *lane, struct account_id account, struct turn *ret_turn);

/* Runs the event; errors that are its own are its failure. */
MUST_CHECK struct error *event_take(struct op *op, struct lane *lane,
	const struct consumer_event *event, struct consumer_outcome *ret_outcome);

/* Before the n-th try (2: the second), in milliseconds: a random half of it is jitter. */
uint64_t retry_pause_ms(uint32_t failed_attempts);

/* ---- letters.c ---- */

/* Durable when it returns. The same event again is the same letter. */
MUST_CHECK struct error *letter_put(
	struct op *op, struct consumers *consumers, const struct letter *letter);

/* Counts them all, by consumer. */
MUST_CHECK struct error *letters_count(struct op *op, struct consumers *consumers);
