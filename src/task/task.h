#pragma once

/* Long work that an administrator starts, watches and cancels: healing of one account or of all,
 * checks of the whole store. Tasks are rows; any node of the data centre runs them, and goes on
 * with those of a node that was killed. Any thread. */

#include "engine/engine.h"
#include "schema/tables.h"

#define TASK_COUNTS_MOST 16
/* Tasks in the list, ended ones among them. */
#define TASKS_MOST 256
/* Of one task's report. */
#define TASK_FINDINGS_BYTES 4096

struct task_run;

struct task_kind {
	const char *name;
	const char *help;                    /* one sentence */
	bool takes_account;                  /* its subject may be one account */
	bool takes_mailbox;                  /* or a mailbox of it, or a message in that */
	bool takes_input;                    /* it is submitted with what only it can read */
	const char *const *counts;           /* names of what its report counts; NULL-ended */
	unsigned parts;                      /* of what the step can do */
	void (*begin)(struct task_run *run); /* NULL: nothing to do, as with `end` */
	/* From the run's cursor to the next; *ret_more false: it was the last. After an error
	 * cursor and counts are as before, and the step may be tried again. */
	struct error *(*step)(struct op *op, struct task_run *run, bool *ret_more);
	void (*end)(struct task_run *run);
	/* It was cancelled here, maybe within a step: removes what nobody will go on with. NULL:
	 * nothing to do. */
	struct error *(*cancelled)(struct op *op, struct task_run *run);
};

extern const struct task_kind task_kinds[];
extern const size_t task_kind_count;

/* NULL: there is no such kind. */
const struct task_kind *task_kind_find(struct slice name);

const char *task_state_name(enum task_state state);

struct task_entry {
	struct uuid id;
	struct task task;
};

struct task_request {
	struct slice kind;
	struct slice subject; /* as below; empty: everything */
	uint32_t rate;        /* rows in a second at the most; 0: the setting's */
	struct slice source;  /* see struct task */
	struct slice input;
};

/* What a task may be of: "alice@example.org", "alice@example.org/Archive/2024", and of one message
 * "alice@example.org/INBOX;UID=17". */
struct task_subject {
	struct slice address; /* as the account has it */
	struct slice path;    /* empty: all mailboxes */
	uint32_t uid;         /* 0: all messages */
};

/* Borrows the text. */
struct task_subject task_subject_parse(struct slice text);
struct slice task_subject_print(struct arena *arena, const struct task_subject *subject);

/* ERR_INVALID: no such kind, or not of such a subject. ERR_LIMIT: so many wait already. */
MUST_CHECK struct error *task_submit(struct op *op, struct engine *engine,
	const struct task_request *request, struct uuid *ret_id);

/* The oldest first. */
MUST_CHECK struct error *task_list(
	struct op *op, struct engine *engine, struct task_entry **ret_tasks, size_t *ret_count);
MUST_CHECK struct error *task_get(
	struct op *op, struct engine *engine, struct uuid id, struct task_entry *ret_task);

/* One that waits is cancelled at once, one that runs within a second or so: its node writes that it
 * is. ERR_INVALID: it has ended. */
MUST_CHECK struct error *task_cancel(struct op *op, struct engine *engine, struct uuid id);

/* What a row's counts are, in the order of its kind's names; zeros for what is not there. */
void task_counts(const struct task *task, uint64_t ret_counts[TASK_COUNTS_MOST]);

static inline bool task_has_ended(const struct task *task)
{
	return task->state >= TASK_DONE;
}
