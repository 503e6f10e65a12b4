#include "task/task_private.h"

#include <assert.h>

#include "consumer/usage.h"

/* Kinds that make anew what can be made anew: texts of messages in the search index, their
 * summaries, what accounts hold. */

enum {
	INDEXED_ACCOUNTS,
	INDEXED_FAILED,
	INDEXED_REBUILT,
	INDEXED_MAILBOXES,
	INDEXED_CHECKED,
	INDEXED_MISSING,
	INDEXED_STALE,
	INDEXED_ORPHANED,
	INDEXED_UNREADABLE,
	INDEXED_BEHIND,
	INDEXED_FIXED,
	INDEXED_COUNT
};
static_assert(INDEXED_COUNT <= TASK_COUNTS_MOST, "a task has room for its counts");

const char *const task_index_counts[] = {"accounts", "failed", "rebuilt", "mailboxes", "checked",
	"missing", "stale", "orphaned", "unreadable", "behind", "fixed", NULL};

static void count_verified(struct task_run *run, const struct verify_report *report)
{
	uint64_t *counts = run->counts;
	counts[INDEXED_MAILBOXES] += report->mailboxes;
	counts[INDEXED_CHECKED] += report->checked;
	counts[INDEXED_MISSING] += report->missing;
	counts[INDEXED_STALE] += report->stale;
	counts[INDEXED_ORPHANED] += report->orphaned;
	counts[INDEXED_UNREADABLE] += report->unreadable;
	counts[INDEXED_BEHIND] += report->behind;
	counts[INDEXED_FIXED] += report->fixed;
}

static void tell_verified(struct op *op, struct task_run *run, const struct task_account *account,
	const struct verify_report *report)
{
	if (report->missing || report->stale || report->orphaned || report->unreadable)
		task_add_finding(run,
			slice_from_cstr(arena_printf(&op->arena,
				SLICE_FMT ": missing %llu stale %llu orphaned %llu unreadable %llu",
				SLICE_ARG(account->address), (unsigned long long)report->missing,
				(unsigned long long)report->stale,
				(unsigned long long)report->orphaned,
				(unsigned long long)report->unreadable)));
}

static struct error *verify_account(
	struct op *op, struct task_run *run, const struct task_account *account)
{
	struct verify_report report = {0};
	struct task_subject subject = task_subject_parse(run->task->subject);
	const struct verify_scope scope = {.mode = (enum verify_mode)run->kind->parts,
		.path = subject.path,
		.uid = subject.uid,
		.pace = {run->pace, run->pace_context}};
	struct error *err = search_verify(op, run->search, account->account, &scope, &report);
	TRY(task_account_failed(op, run, account, err, &run->counts[INDEXED_FAILED]));
	run->counts[INDEXED_ACCOUNTS]++;
	count_verified(run, &report);
	tell_verified(op, run, account, &report);
	return NULL;
}

static struct error *rebuild_account(struct op *op, struct task_run *run,
	const struct task_account *account, bool is_first, bool *ret_again)
{
	const struct search_pace pace = {run->pace, run->pace_context};
	*ret_again = false;
	struct error *err =
		search_rebuild_step(op, run->search, account->account, is_first, &pace, ret_again);
	TRY(task_account_failed(op, run, account, err, &run->counts[INDEXED_FAILED]));
	if (*ret_again && !err)
		return NULL;
	*ret_again = false;
	run->counts[INDEXED_ACCOUNTS]++;
	run->counts[INDEXED_REBUILT] += !err;
	return NULL;
}

/* The cursor: a byte, 1 when the account behind has been begun, and the key of the one before. */
static void set_index_cursor(struct op *op, struct task_run *run, bool is_begun, struct slice key)
{
	struct buf cursor = buf_in(&op->arena);
	buf_u8(&cursor, is_begun);
	buf_append(&cursor, key);
	task_set_cursor(run, buf_as_slice(&cursor));
}

struct error *task_index_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct task_account next;
	struct slice cursor = buf_as_slice(&run->cursor);
	bool is_begun = cursor.len && cursor.ptr[0];
	struct slice after = arena_dup(&op->arena, slice_from(cursor, cursor.len > 0));
	bool rebuilds = run->kind->parts == VERIFY_RENEWS &&
			!task_subject_parse(run->task->subject).path.len;
	bool again = false;
	if (!run->search)
		return op_fail(op, ERR_INVALID, "there is no index: search.index");
	TRY(task_next_account(op, run, after, &next));
	if (next.found && next.is_here && rebuilds)
		TRY(rebuild_account(op, run, &next, !is_begun, &again));
	else if (next.found && next.is_here)
		TRY(verify_account(op, run, &next));
	*ret_more = again || (next.found && !run->task->subject.len);
	if (!next.found && rebuilds && !run->task->subject.len && !run->counts[INDEXED_FAILED])
		TRY(search_settle(op, run->search));
	if (next.found)
		set_index_cursor(op, run, again, again ? after : next.key);
	return NULL;
}

/* What was made beside an index that is asked, of the account that was under way, does not stay. */
struct error *task_index_cancelled(struct op *op, struct task_run *run)
{
	struct task_account next;
	struct slice cursor = buf_as_slice(&run->cursor);
	if (!run->search || run->kind->parts != VERIFY_RENEWS ||
		task_subject_parse(run->task->subject).path.len)
		return NULL;
	TRY(task_next_account(
		op, run, arena_dup(&op->arena, slice_from(cursor, cursor.len > 0)), &next));
	return next.found ? search_rebuild_drop(op, run->search, next.account) : NULL;
}

/* ---- Summaries ---- */

enum {
	FILLED_ACCOUNTS,
	FILLED_FAILED,
	FILLED_MAILBOXES,
	FILLED_CHECKED,
	FILLED_MISSING,
	FILLED_UNREADABLE,
	FILLED_FIXED,
	FILLED_OLD
};

const char *const task_fill_counts[] = {"accounts", "failed", "mailboxes", "checked", "missing",
	"unreadable", "fixed", "old", NULL};

static struct error *fill_account(
	struct op *op, struct task_run *run, const struct task_account *account)
{
	struct fill_report report = {0};
	const struct solve_scope scope = {.pace = run->pace, .pace_context = run->pace_context};
	struct error *err =
		mail_store_fill_summaries(op, run->store, account->account, &scope, &report);
	TRY(task_account_failed(op, run, account, err, &run->counts[FILLED_FAILED]));
	run->counts[FILLED_ACCOUNTS]++;
	run->counts[FILLED_MAILBOXES] += report.mailboxes;
	run->counts[FILLED_CHECKED] += report.checked;
	run->counts[FILLED_MISSING] += report.missing;
	run->counts[FILLED_UNREADABLE] += report.unreadable;
	run->counts[FILLED_FIXED] += report.fixed;
	run->counts[FILLED_OLD] += report.old;
	return NULL;
}

struct error *task_fill_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct task_account next;
	TRY(task_next_account(op, run, buf_as_slice(&run->cursor), &next));
	*ret_more = next.found && !run->task->subject.len;
	if (next.found && next.is_here)
		TRY(fill_account(op, run, &next));
	if (next.found)
		task_set_cursor(run, next.key);
	return NULL;
}

/* ---- Usage ---- */

enum { COUNTED_ACCOUNTS, COUNTED_FAILED };

const char *const task_usage_counts[] = {"accounts", "failed", NULL};

static struct error *note_usage(
	struct op *op, struct task_run *run, const struct task_account *account)
{
	struct error *err = usage_note(op, run->store, account->account);
	TRY(task_account_failed(op, run, account, err, &run->counts[COUNTED_FAILED]));
	run->counts[COUNTED_ACCOUNTS]++;
	if (run->pace)
		(void)run->pace(run->pace_context, 1);
	return NULL;
}

struct error *task_usage_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct task_account next;
	TRY(task_next_account(op, run, buf_as_slice(&run->cursor), &next));
	*ret_more = next.found && !run->task->subject.len;
	if (next.found && next.is_here)
		TRY(note_usage(op, run, &next));
	if (next.found)
		task_set_cursor(run, next.key);
	return NULL;
}
