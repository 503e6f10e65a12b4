#pragma once

/* Inside task/ only. */

#include "account/accounts.h"
#include "base/sync.h"
#include "mailbox/store.h"
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
