#pragma once

/* Inside task/ only. */

#include "account/accounts.h"
#include "base/sync.h"
#include "mailbox/store.h"
#include "search/search.h"
#include "task/runner.h"
#include "task/task.h"

/* ---- The list ---- */

struct task_holder {
	struct uuid node_id;
	struct slice node;
	/* Of this process: what leases an earlier one of the same node had are nobody's. */
	struct uuid born;
	uint64_t lease_us;
	uint64_t keep_us; /* ended tasks are kept so long */
};

/* Takes the oldest task that may be run: one that waits or whose lease has run out, and of whose
 * kind and subject no other runs. Tidies the list on the way. */
MUST_CHECK struct error *task_take(struct op *op, struct engine *engine,
	const struct task_holder *holder, struct task_entry *ret_task, bool *ret_found);

/* Writes the task as it is now and renews the lease; `task->is_cancelling` is filled in. With a
 * state other than TASK_RUNNING the lease is given up. *ret_lost: the lease is another's, or the
 * task is gone; nothing was written. */
MUST_CHECK struct error *task_write(struct op *op, struct engine *engine,
	const struct task_holder *holder, struct task_entry *inout_task, bool *ret_lost);

/* Renews the lease alone; does nothing when it is another's. */
MUST_CHECK struct error *task_renew(struct op *op, struct engine *engine,
	const struct task_holder *holder, struct uuid id, struct uuid lease);

/* ---- The kinds ---- */

/* A task while it is run. */
struct task_run {
	struct mail_store *store;
	struct accounts *accounts;
	struct search *search; /* NULL: there is no index */
	const struct task_kind *kind;
	const struct task *task; /* kind and subject; what changes is below */
	/* What a step goes on from, and leaves behind when it returns NULL; heap. */
	struct buf cursor;
	uint64_t counts[TASK_COUNTS_MOST];
	struct buf findings;
	uint32_t findings_left_out;
	void *own; /* of the kind */
	/* See struct solve_scope. */
	bool (*pace)(void *context, size_t rows);
	void *pace_context;
};

/* A line for people; what has no room is counted. */
void task_add_finding(struct task_run *run, struct slice line);
void task_set_cursor(struct task_run *run, struct slice cursor);

struct task_account {
	bool found;
	struct account_id account;
	struct slice key; /* what is after it comes next */
	struct slice address;
	bool is_here; /* it is there, and its changes are decided in this data centre */
};

/* The account behind this key; for a task of one account that one, and then none. */
MUST_CHECK struct error *task_next_account(
	struct op *op, struct task_run *run, struct slice after, struct task_account *ret_next);

/* An error that is the account's own is counted and told, and NULL: others go on. One that has gone
 * meanwhile is no error. */
MUST_CHECK struct error *task_account_failed(struct op *op, struct task_run *run,
	const struct task_account *account, struct error *err, uint64_t *failed);

/* ---- index_kinds.c ---- */

extern const char *const task_index_counts[];
extern const char *const task_fill_counts[];
struct error *task_index_step(struct op *op, struct task_run *run, bool *ret_more);
struct error *task_index_cancelled(struct op *op, struct task_run *run);
extern const char *const task_usage_counts[];
struct error *task_usage_step(struct op *op, struct task_run *run, bool *ret_more);
struct error *task_fill_step(struct op *op, struct task_run *run, bool *ret_more);

/* ---- import_kind.c ---- */

enum { IMPORT_TAKES, IMPORT_COMPARES };

extern const char *const task_import_counts[];
extern const char *const task_compare_counts[];
struct error *task_import_step(struct op *op, struct task_run *run, bool *ret_more);
void task_import_end(struct task_run *run);
