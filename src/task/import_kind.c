#include "task/task_private.h"

#include <assert.h>

#include "import/import.h"

/* Mail of another server: what a run keeps open is `import`'s. */

static const enum import_count import_order[] = {
	IMPORT_MAILBOXES, IMPORT_MESSAGES, IMPORT_ADDED, IMPORT_THERE, IMPORT_FAILED, IMPORT_BYTES};
const char *const task_import_counts[] = {
	"mailboxes", "messages", "added", "there_already", "failed", "bytes", NULL};
static_assert(ARRAY_SIZE(task_import_counts) == ARRAY_SIZE(import_order) + 1, "a name for each");

static const enum import_count compare_order[] = {
	IMPORT_MAILBOXES, IMPORT_MESSAGES, IMPORT_DIFFERENCES, IMPORT_FAILED};
const char *const task_compare_counts[] = {"mailboxes", "messages", "differences", "failed", NULL};
static_assert(ARRAY_SIZE(task_compare_counts) == ARRAY_SIZE(compare_order) + 1, "a name for each");

static bool goes_on(void *context)
{
	const struct task_run *run = context;
	return !run->pace || run->pace(run->pace_context, 0);
}

static bool pace(void *context, size_t messages)
{
	const struct task_run *run = context;
	return !run->pace || run->pace(run->pace_context, messages);
}

static void tell(void *context, struct slice line)
{
	task_add_finding(context, line);
}

static struct error *begin(struct op *op, struct task_run *run)
{
	struct import_request request;
	struct user_info user;
	if (!import_request_decode(&op->arena, run->task->input, &request))
		return op_fail(op, ERR_CORRUPT, "what is to be imported cannot be read");
	TRY(user_get(op, run->accounts, run->task->subject, &user));
	const struct import_config config = {.store = run->store,
		.account = user.account,
		.only_compares = run->kind->parts == IMPORT_COMPARES,
		.goes_on = goes_on,
		.pace = pace,
		.context = run};
	run->own = importing_new(&config, &request);
	return NULL;
}

struct error *task_import_step(struct op *op, struct task_run *run, bool *ret_more)
{
	bool compares = run->kind->parts == IMPORT_COMPARES;
	const enum import_count *order = compares ? compare_order : import_order;
	size_t findings_len = run->findings.len;
	uint32_t findings_left_out = run->findings_left_out;
	struct import_report report = {.tell = tell, .context = run};
	if (!run->own)
		TRY(begin(op, run));
	struct error *err = importing_step(op, run->own, &run->cursor, &report, ret_more);
	if (err) {
		/* They are found again. */
		run->findings.len = findings_len;
		run->findings_left_out = findings_left_out;
		return err;
	}
	for (size_t i = 0; run->kind->counts[i]; i++)
		run->counts[i] += report.counts[order[i]];
	return NULL;
}

void task_import_end(struct task_run *run)
{
	importing_free(run->own);
	run->own = NULL;
}
