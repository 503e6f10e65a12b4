#pragma once

/* The commit point: turns many wishes into one CAS on an account, and its log into everybody's
 * news. Changes of one account that are queued while a CAS is under way go together in the next
 * one; each is planned in order against the head as the ones before it leave it, and has a MODSEQ,
 * a log row and an outcome of its own. Any thread. */

#include "base/sync.h"
#include "commit/head.h"
#include "consistency/ledger.h"
#include "consistency/projection.h"

struct commit;

/* Does the account have the mailbox, a deleted one that is not cleaned up included? */
struct mailbox_finder {
	struct error *(*find)(struct op *op, const struct mailbox_finder *finder,
		struct mailbox_id id, bool *ret_found);
};

/* What the owner of the log entries tells the commit point about them. All pure or read-only. */
struct commit_rules {
	/* The rows that a log row means in all projections. */
	struct error *(*derive)(struct op *op, struct account_id account, const struct log_row *log,
		struct row_changes *out);
	/* The rows of mailbox_map that a stretch of the log changes, as of its last row; none of
	 * mailboxes that are not there any more. */
	struct error *(*map)(struct op *op, struct engine *engine,
		const struct mailbox_finder *finder, const struct log_row *rows, size_t count,
		struct mutations *out);
	/* An uncertain change turned out not to be applied: `detail` is what it gave the ledger. */
	struct error *(*undo)(struct op *op, struct engine *engine, struct slice detail);
};

struct commit_settings {
	uint64_t group_changes; /* at most so many changes in one CAS */
	uint64_t group_bytes;   /* of log entries and content */
	uint64_t tail_entries;  /* trim when the log tail holds more */
	uint64_t tail_bytes;
	uint64_t resolve_budget_ms; /* how long a client waits for an uncertain outcome */
	uint64_t cached_accounts;
	uint64_t projection_delay_ms; /* so that one write serves several commits */
	uint64_t waiting_changes;     /* of one account; beyond it: ERR_UNAVAILABLE */
	/* A commit is not sent later than this after its content was put: it must be well below
	 * the grace period of content. An hour; less in the simulation only. */
	uint64_t content_age_ms;
};

extern struct commit_settings commit_settings;

struct commit *commit_new(
	struct engine *engine, struct ledger *ledger, const struct commit_rules *rules);
void commit_free(struct commit *commit);

/* Called after each commit, by the thread that made it, with the MODSEQ of its change. Set before
 * the first one. */
void commit_listen(struct commit *commit,
	void (*listener)(void *context, struct account_id account, uint64_t modseq), void *context);

/* Somebody follows the logs of accounts: while it is behind with one, the note in `dirty` that
 * finds the account after a crash is kept. Asked only about notes that are hours old: it may read a
 * row. Set before the first sweep, and ended (NULL) by the same context behind the last one. */
#define COMMIT_FOLLOWERS_MOST 4
void commit_follow(struct commit *commit,
	bool (*is_behind)(void *context, struct account_id account), void *context);

struct engine *commit_engine(struct commit *commit);
struct ledger *commit_ledger(struct commit *commit);

/* ---- Reading ---- */

/* Runs `read` on the account's head, fresh and locked: it must copy what it needs and not wait.
 * ERR_NOT_FOUND: no such account. */
MUST_CHECK struct error *commit_read(struct op *op, struct commit *commit,
	struct account_id account,
	struct error *(*read)(struct op *op, const struct head *head, void *context),
	void *context);

/* The same on the head as this node knows it: loaded if need be, but nobody is asked whether others
 * have changed the account since. For what the commit that follows checks again, and for what may
 * be late. */
MUST_CHECK struct error *commit_read_known(struct op *op, struct commit *commit,
	struct account_id account,
	struct error *(*read)(struct op *op, const struct head *head, void *context),
	void *context);

/* Rows of the log, ascending, in the arena. */
struct log_walk {
	struct log_row *rows;
	size_t count;
	bool is_complete; /* false: it does not reach back so far, or has a hole */
	uint64_t
		*damaged; /* MODSEQs of rows that cannot be read any more: what they said is lost */
	size_t damaged_count;
};

/* The log above `modseq` up to the head, from account_log and the tail. */
MUST_CHECK struct error *commit_log_walk(struct op *op, struct commit *commit,
	struct account_id account, uint64_t modseq, struct log_walk *ret_walk);

/* The same for who does not ask what is damaged: it is missing. */
MUST_CHECK struct error *commit_log_since(struct op *op, struct commit *commit,
	struct account_id account, uint64_t modseq, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete);

/* The same up to the head as this node knows it. */
MUST_CHECK struct error *commit_log_known_since(struct op *op, struct commit *commit,
	struct account_id account, uint64_t modseq, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete);

/* The account's MODSEQ as it is stored, whatever is cached: how a node without other news learns of
 * another's commits. 0: no such account. One read of one row. */
MUST_CHECK struct error *commit_stored_modseq(
	struct op *op, struct commit *commit, struct account_id account, uint64_t *ret_modseq);

/* ---- Changing ---- */

struct commit_plan;

struct commit_change {
	/* Checks the wish against the plan and says what becomes of the account; called again when
	 * another node was faster. An error drops this change alone. May return without calling
	 * plan_log: then there is nothing to do. */
	struct error *(*plan)(struct op *op, struct commit_plan *plan, void *context);
	void *context;
	bool makes_account; /* the account must not exist yet */
	/* A client hears that it is so even if there was nothing to do. Where other nodes write too
	 * that is certain behind a commit only: a read, even a serial one, may miss an earlier
	 * change that few replicas have heard of, and that becomes true afterwards. */
	bool is_promised;
	bool is_resolving; /* goes on although the ledger is full: it is what empties it */
	struct slice once_key;
	struct slice ledger_detail; /* for commit_rules.undo */
	const struct mutations
		*content;        /* plain rows to be written with it (atomic engines only) */
	uint64_t content_put_ns; /* clock_boottime_ns() when its content was put; 0: none */

	/* Results. */
	uint64_t modseq; /* 0: there was nothing to do */

	/* The commit point's own. */
	struct operation_id operation;
	struct op *op;
	struct error *err;
	struct commit_change *next;
	unsigned surprises;    /* times that rows did not agree with the head */
	bool is_settled;       /* the leader knows its outcome */
	bool is_idle;          /* there is nothing to do; the group's commit says so */
	bool is_done;          /* its owner may know it too, and go on */
	struct condition wake; /* it is done, or it is the first in the queue and nobody leads */
};

MUST_CHECK struct error *commit_run(struct op *op, struct commit *commit, struct account_id account,
	struct commit_change *change);

/* ---- For plan functions ---- */

struct account_id plan_account(const struct commit_plan *plan);
struct operation_id plan_operation(const struct commit_plan *plan);

/* The MODSEQ that this change will have. */
uint64_t plan_modseq(const struct commit_plan *plan);

/* The static row as it will be; modseq, applied, trimmed, mapped and segment are not the plan's. */
struct account_static *plan_state(struct commit_plan *plan);

/* As earlier changes of the group leave it; NULL when there is none. */
const struct account_mailbox *plan_mailbox(struct commit_plan *plan, struct mailbox_id id);

/* By path, live ones only. */
bool plan_find_path(struct commit_plan *plan, struct slice path, struct mailbox_id *ret_id);

/* Every mailbox row: ids and rows in the arena. */
void plan_all_mailboxes(struct op *op, struct commit_plan *plan, struct mailbox_id **ret_ids,
	const struct account_mailbox ***ret_rows, size_t *ret_count);

/* A row to change; its slices must live in the change's op. */
struct account_mailbox *plan_change_mailbox(struct commit_plan *plan, struct mailbox_id id);
struct account_mailbox *plan_add_mailbox(struct commit_plan *plan, struct mailbox_id id);
void plan_remove_mailbox(struct commit_plan *plan, struct mailbox_id id);

void plan_put_intent(
	struct commit_plan *plan, struct uuid operation_id, const struct account_intent *intent);
void plan_remove_intent(struct commit_plan *plan, struct uuid operation_id);
bool plan_has_intent(struct commit_plan *plan, struct uuid operation_id);
void plan_subscribe(struct commit_plan *plan, struct slice name, bool subscribed);
bool plan_is_subscribed(struct commit_plan *plan, struct slice name);

/* Annotations of mailboxes, and, under the nil id, of the account. */
void plan_annotate(
	struct commit_plan *plan, struct mailbox_id mailbox, struct slice name, struct slice value);
void plan_remove_annotation(struct commit_plan *plan, struct mailbox_id mailbox, struct slice name);

/* All of them as earlier changes of the group, and this one, leave them; in the op's arena. */
struct planned_annotation {
	struct mailbox_id mailbox;
	struct slice name;
	size_t value_bytes;
};
void plan_annotations(struct op *op, struct commit_plan *plan,
	struct planned_annotation **ret_annotations, size_t *ret_count);

/* What this change did; the entry's bytes must live in the change's op. */
void plan_log(struct commit_plan *plan, struct slice entry);

/* The head that the group is planned on. The leader's alone: nothing changes under it. */
const struct head *plan_head(const struct commit_plan *plan);

/* What it means when rows do not agree with the head that is planned on. Where other nodes write
 * too, the head may be behind: ERR_CONFLICT, and the change is planned anew on a fresh one. Else:
 * ERR_CORRUPT. */
enum error_kind plan_mismatch(const struct commit_plan *plan);

/* Log rows of earlier changes of this group, not yet committed. */
void plan_earlier(
	const struct commit_plan *plan, const struct log_row **ret_rows, size_t *ret_count);

/* As commit_log_since, up to the head that is planned on and the earlier changes of this group. */
MUST_CHECK struct error *plan_log_since(struct op *op, struct commit_plan *plan, uint64_t modseq,
	struct log_row **ret_rows, size_t *ret_count, bool *ret_complete);

/* Is this once-key among the log rows of the head or of earlier changes? NULL when not. */
const struct log_row *plan_find_once(const struct commit_plan *plan, struct slice once_key);

/* ---- Work of its own, to be called now and then by a background thread ---- */

/* Writes the projections that are still owed and due; returns how many accounts still owe some.
 * Several threads may do it at once. */
size_t commit_apply_owed(struct op *op, struct commit *commit);

/* Finds accounts that a crash left with unapplied log rows, by the `dirty` slices that have ended.
 */
MUST_CHECK struct error *commit_sweep(struct op *op, struct commit *commit);

/* Works off one of `parts` parts of the ledger, so that several threads may share it; returns the
 * first error. An engine that does not answer is not asked about every entry. */
MUST_CHECK struct error *commit_resolve_owed(
	struct op *op, struct commit *commit, unsigned part, unsigned parts);

/* Finds out the truth about one uncertain operation: ERR_UNCERTAIN when it cannot be had now. */
MUST_CHECK struct error *commit_resolve(
	struct op *op, struct commit *commit, const struct ledger_entry *entry, bool *ret_applied);

/* Forgets cached heads: for tests, and after another process changed the rows. */
void commit_forget_heads(struct commit *commit);
