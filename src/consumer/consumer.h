#pragma once

/* Followers of accounts' logs that must miss nothing. A consumer is a name and a function; for each
 * account it has a durable cursor, the MODSEQ up to which everything has had its effect. It is
 * given the log above it in order, each event at least once; one that fails is tried again later
 * and holds up this account of this consumer alone; one that goes on failing becomes a dead letter.
 * Any thread may call. */

#include "base/setting.h"
#include "bus/bus.h"
#include "mailbox/mailbox.h"
#include "schema/tables.h"

struct consumers;

/* consumer.* */
extern const struct setting consumer_settings[];
extern const size_t consumer_setting_count;

/* What one commit did. Account, MODSEQ and operation name it: whoever gets it again can tell. */
struct consumer_event {
	struct account_id account;
	struct slice address; /* of the account; a dead letter's is as it was called then */
	uint64_t modseq;
	struct uuid operation_id;
	struct slice entry; /* mailbox/log_entry.h */
};

enum delivery {
	DELIVERY_DONE,    /* its effect is durable */
	DELIVERY_NOTHING, /* it means nothing to this consumer */
	DELIVERY_FAILED,  /* to be tried again */
	DELIVERY_REFUSED, /* not to be tried again */
};

struct consumer_outcome {
	enum delivery delivery;
	const char *reason;      /* why it failed or was refused; in the operation's arena */
	uint64_t retry_after_ms; /* not earlier than that; 0: as the consumer's turn comes */
};

#define CONSUMER_NAME_MOST 64

struct consumer {
	const char *name; /* "usage", "webhook-crm": small letters, digits and '-', for ever */
	/* Only how things are in the end counts: of many events it is given the last. */
	bool only_last;
	uint64_t delay_ms; /* so that one turn serves several commits */
	unsigned workers;  /* threads */
	/* Returns an error when it could not be tried: the store does not answer, the server stops.
	 * That is no failure of the event, and it is tried again however often it comes. Errors of
	 * other kinds are the event's. */
	struct error *(*take)(struct op *op, void *context, const struct consumer_event *event,
		struct consumer_outcome *ret_outcome);
	void (*stop)(void *context); /* a call under way is to end soon; NULL: it does */
	void (*free)(void *context); /* NULL: nothing to free */
	void *context;
};

#define CONSUMERS_MOST 32

/* Borrows the store. It holds the notes in `dirty` of accounts that a consumer is behind with. */
struct consumers *consumers_new(struct mail_store *store);

/* Copies what it is given, and takes the context. Before all that follows. */
void consumers_add(struct consumers *consumers, const struct consumer *consumer);

/* Joins the work group `consumers` of a bus that has not started. */
void consumers_join(struct consumers *consumers, struct bus *bus);

void consumers_start(struct consumers *consumers);

/* When the bus calls no more, and the sweeper has ended. NULL is fine. */
void consumers_free(struct consumers *consumers);

/* For mail_store_listen, while no bus carries hints. Quick. */
void consumers_account_changed(struct consumers *consumers, struct account_id account);

/* Looks for accounts that consumers are behind with, by the sweeper's notes. For tests; a thread
 * does it at the start, after hints were lost, and now and then. */
MUST_CHECK struct error *consumers_sweep(struct op *op, struct consumers *consumers);

/* ---- For the administrator ---- */

struct consumer_status {
	const char *name;
	uint64_t waiting;   /* accounts that it is behind with, as far as this node knows */
	uint64_t retrying;  /* of them: whose next event has failed */
	uint64_t oldest_ms; /* since when the first of them waits */
	uint64_t done;      /* events, by this node since it started; so are the following */
	uint64_t failures;  /* tries that failed */
	uint64_t dead;      /* events given up on */
	uint64_t gaps;      /* accounts whose log did not reach back to the cursor */
	uint64_t letters;   /* dead letters that there are, as last counted */
};

/* In the arena. */
void consumers_status(struct op *op, struct consumers *consumers,
	struct consumer_status **ret_status, size_t *ret_count);

/* Dead letters that there are, as last counted, of this or any other consumer. */
uint64_t consumers_letters(const struct consumers *consumers);

/* ---- Dead letters ---- */

struct letter {
	struct slice consumer;
	struct account_id account;
	uint64_t modseq;
	uint64_t version; /* of the row */
	struct dead_letter row;
};

/* Empty fields: whatever it is. */
struct letter_filter {
	struct slice consumer;
	struct slice domain;
	struct slice address;
};

/* "webhook-crm:01a2…:1764273600000000": its name, in the arena. */
struct slice letter_name(struct arena *arena, const struct letter *letter);

/* Those behind the one of the name `after` (empty: from the first), the oldest day first; at most
 * `limit`. *ret_more: there are others behind them. ERR_INVALID: `after` is no name. */
MUST_CHECK struct error *letters_list(struct op *op, struct consumers *consumers,
	const struct letter_filter *filter, struct slice after, size_t limit,
	struct letter **ret_letters, size_t *ret_count, bool *ret_more);

/* ERR_NOT_FOUND. */
MUST_CHECK struct error *letter_get(
	struct op *op, struct consumers *consumers, struct slice name, struct letter *ret_letter);

/* Gives the event to its consumer once more. When its effect is durable the letter goes; else it
 * stays, and tells of one attempt more. ERR_NOT_FOUND: this node has no such consumer. */
MUST_CHECK struct error *letter_redeliver(struct op *op, struct consumers *consumers,
	const struct letter *letter, struct consumer_outcome *ret_outcome);

MUST_CHECK struct error *letter_delete(
	struct op *op, struct consumers *consumers, const struct letter *letter);
