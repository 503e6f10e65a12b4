#pragma once

/* Inside commit/ only: the cache of accounts, the plan, and what its files call of each other. */

#include "base/sync.h"
#include "commit/commit.h"

struct commit_account {
	struct account_id id;
	struct mutex lock;
	struct condition led_no_more; /* leadership is free */
	struct head head;             /* read under lock; changed by the leader, under lock */
	bool is_led;
	struct commit_change *queue;
	struct commit_change **queue_end;
	size_t waiting;
	uint64_t applied_pending; /* projections are written up to here; goes into the next CAS */
	uint64_t mapped_pending;  /* the same of mailbox_map */
	uint64_t unmapped;        /* changes made here since mailbox_map was written */
	uint64_t copied;          /* log rows up to here stand in this segment of account_log */
	uint32_t copied_segment;
	uint64_t last_commit_ns;
	uint64_t looked_ns;   /* the head is no older than what was stored then */
	uint32_t dirty_slice; /* last one this node noted */

	/* The cache's, under the shard's lock. */
	size_t references;
	struct commit_account *newer;
	struct commit_account *older;
};

#define ACCOUNT_SHARDS 16

struct account_shard {
	struct mutex lock;
	struct hash_map accounts;
	struct commit_account *newest;
	struct commit_account *oldest;
};

struct commit {
	struct engine *engine;
	struct ledger *ledger;
	struct commit_rules rules;
	void (*listener)(void *context, struct account_id account, uint64_t modseq);
	void *listener_context;
	struct commit_follower {
		bool (*is_behind)(void *context, struct account_id account);
		void *context;
	} followers[COMMIT_FOLLOWERS_MOST];
	struct account_shard shards[ACCOUNT_SHARDS];
	struct mutex owed_lock;
	uint64_t swept_old_us; /* when old notes were last swept; 0: not yet */
	struct hash_map owed;  /* account_id -> struct owed: log rows not applied yet */
};

struct commit_account *account_get(struct commit *commit, struct account_id id);
void account_put(struct commit *commit, struct commit_account *account);

/* Waits until nobody leads, then leads; the lock is held before and after. */
void account_lead(struct commit_account *account);
void account_follow(struct commit_account *account);

/* For the leader, without the lock: replaces the head by what is stored. */
MUST_CHECK struct error *account_reload(struct op *op, struct commit *commit,
	struct commit_account *account, enum read_level level);

/* read.c: reads the account at the serial level, so that a commit which is decided and not written
 * everywhere is seen by every later read. */
MUST_CHECK struct error *commit_finish(struct op *op, struct commit *commit, struct account_id id);

/* apply.c: the account's log is not applied; it is looked at again at once. */
void owe_projections(struct commit *commit, struct account_id account);
void owed_free(struct commit *commit);

/* A row whose slices live in the operation. */
void log_copy_row(struct op *op, const struct log_row *row, struct log_row *ret_copy);

/* Does each row name the one before it? */
bool log_is_unbroken(const struct log_row *rows, size_t count);

/* Log rows above `from` that have been trimmed from the account. Whether they are complete is not
 * said. */
MUST_CHECK struct error *log_read_trimmed(struct op *op, struct commit *commit,
	struct account_id account, const struct account_static *state, uint64_t from,
	struct log_walk *ret_walk);

/* ---- plan.c ---- */

/* Are the account's changes decided in this node's data centre? Elsewhere it is only read: two
 * data centres that decided by themselves would give one UID twice. */
bool is_at_home(const struct commit *commit, const struct account_static *state);

struct plan_mailbox {
	struct mailbox_id id;
	struct account_mailbox row;
	bool is_removed;
	size_t index; /* in the plan: later rows of the same mailbox stand behind earlier ones */
};

struct commit_plan {
	struct op *op; /* the leader's */
	struct commit *commit;
	struct commit_account *account;
	const struct head *head;
	struct account_static state;
	struct account_static state_before; /* of the change being planned */
	struct plan_mailbox **mailboxes;
	size_t mailbox_count;
	size_t mailbox_capacity;
	size_t layer; /* first mailbox row of the change being planned */
	struct mutations extras;
	size_t extras_layer;
	struct log_row *logs;
	size_t log_count;
	size_t log_capacity;
	struct commit_change *current;
	uint64_t modseq;
	struct slice entry;
};

void plan_begin(struct commit_plan *plan, struct op *op, struct commit *commit,
	struct commit_account *account);

/* Plans one change: true when it is part of the group now; else its err or modseq 0 says why not.
 */
bool plan_one(struct commit_plan *plan, struct commit_change *change);

/* A log row without content for a change that has nothing to do. */
void plan_empty(struct commit_plan *plan, struct commit_change *change);

/* The rows of the account that the plan changes, each named once. */
void plan_mutations(struct commit_plan *plan, struct slice partition, struct mutations *out);

/* ---- spread.c ---- */

/* Writes log rows, found by their operation ids in the head, to account_log at the write level,
 * where data centres other than the one that decided the commit are to have them before it is
 * acknowledged. May be repeated. */
MUST_CHECK struct error *spread_log(struct op *op, struct commit *commit, struct account_id account,
	const struct head *head, const struct uuid *operations, size_t count);

/* ---- trim.c ---- */

/* Moves the older part of a full tail out of the account: adds the deletes to `account_rows` and
 * the copies to `plain` or writes them. */
MUST_CHECK struct error *trim_if_full(struct op *op, struct commit *commit,
	struct commit_plan *plan, struct mutations *account_rows, struct mutations *plain);

/* Where projections are written behind the commit: brings mailbox_map up to the log, so that
 * opening a mailbox needs little of it. ERR_*: what it could not write is tried again. */
MUST_CHECK struct error *map_behind_commit(
	struct op *op, struct commit *commit, struct commit_account *account, bool is_quiet);

/* There too: copies what a trim will move before it has to wait for it. */
MUST_CHECK struct error *copy_behind_commit(
	struct op *op, struct commit *commit, struct commit_account *account);

/* ---- resolve.c ---- */

enum verdict { VERDICT_UNKNOWN, VERDICT_APPLIED, VERDICT_NOT_APPLIED };

/* For the leader: reads the truth once. VERDICT_UNKNOWN: the account still stands at `expected`. */
MUST_CHECK struct error *resolve_read(struct op *op, struct commit *commit,
	struct commit_account *account, uint64_t expected, struct uuid operation,
	enum verdict *ret_verdict);
