#include "task/task_private.h"

#include <assert.h>

#include "commit/commit.h"

/* ---- What is put into a report ---- */

/* A line for people; what has no room is counted. */
void task_add_finding(struct task_run *run, struct slice line)
{
	if (run->findings.len + line.len + 1 > TASK_FINDINGS_BYTES) {
		run->findings_left_out++;
		return;
	}
	buf_append(&run->findings, line);
	buf_append_char(&run->findings, '\n');
}

void task_set_cursor(struct task_run *run, struct slice cursor)
{
	run->cursor.len = 0;
	buf_append(&run->cursor, cursor);
}

/* ---- Healing of accounts ---- */

enum {
	SOLVED_ACCOUNTS,
	SOLVED_FAILED,
	SOLVED_MAILBOXES,
	SOLVED_CHECKED,
	SOLVED_MISSING,
	SOLVED_STALE,
	SOLVED_ORPHANED,
	SOLVED_FIXED,
	SOLVED_MAPS_FIXED,
	SOLVED_COUNTS_WRONG,
	SOLVED_ROWS_LOST,
	SOLVED_CONTENT_LOST,
	SOLVED_BUSY,
	SOLVED_LOG_HOLES,
	SOLVED_LOG_DAMAGED,
	SOLVED_COUNT
};
static_assert(SOLVED_COUNT <= TASK_COUNTS_MOST, "a task has room for its counts");

static const char *const solved_counts[] = {"accounts", "failed", "mailboxes", "checked", "missing",
	"stale", "orphaned", "fixed", "maps_fixed", "counts_wrong", "rows_lost", "content_lost",
	"busy", "log_holes", "log_damaged", NULL};

struct account_facts {
	struct slice address;
	bool is_here; /* its changes are decided in this data centre */
	struct slice datacenter;
};

static struct error *read_facts(struct op *op, const struct head *head, void *context)
{
	struct account_facts *facts = context;
	facts->address = arena_dup(&op->arena, head->state.address);
	facts->is_here = !head->state.home.len || !facts->datacenter.len ||
			 slice_equal(head->state.home, facts->datacenter);
	return NULL;
}

static struct error *find_next(
	struct op *op, struct task_run *run, struct slice after, struct task_account *next)
{
	struct slice *partitions;
	size_t count;
	TRY(engine_partitions(
		mail_store_engine(run->store), op, &account_table, after, 1, &partitions, &count));
	*next = (struct task_account){.found = count != 0};
	if (!count)
		return NULL;
	next->key = partitions[0];
	if (!uuid_from_slice(
		    slice_range(partitions[0], 0, sizeof(struct uuid)), &next->account.uuid))
		return op_fail(op, ERR_CORRUPT, "the key of an account is too short");
	return NULL;
}

static struct error *find_subject(
	struct op *op, struct task_run *run, struct slice after, struct task_account *next)
{
	struct user_info user;
	*next = (struct task_account){.found = !after.len};
	if (!next->found)
		return NULL;
	TRY(user_get(op, run->accounts, task_subject_parse(run->task->subject).address, &user));
	next->account = user.account;
	next->key = arena_dup(&op->arena, ID_SLICE(user.account));
	return NULL;
}

struct error *task_next_account(
	struct op *op, struct task_run *run, struct slice after, struct task_account *ret_next)
{
	struct account_facts facts = {.datacenter = mail_store_engine(run->store)->datacenter};
	if (run->task->subject.len)
		TRY(find_subject(op, run, after, ret_next));
	else
		TRY(find_next(op, run, after, ret_next));
	if (!ret_next->found)
		return NULL;
	struct error *err = commit_read(
		op, mail_store_commit(run->store), ret_next->account, read_facts, &facts);
	/* It was removed meanwhile. */
	if (err && err->kind != ERR_NOT_FOUND)
		return err;
	ret_next->is_here = !err && facts.is_here;
	ret_next->address = err ? SLICE_NONE : facts.address;
	return NULL;
}

static void count_solved(struct task_run *run, const struct solve_report *report)
{
	uint64_t *counts = run->counts;
	counts[SOLVED_MAILBOXES] += report->mailboxes;
	counts[SOLVED_CHECKED] += report->rows.checked;
	counts[SOLVED_MISSING] += report->rows.missing;
	counts[SOLVED_STALE] += report->rows.stale;
	counts[SOLVED_ORPHANED] += report->rows.orphaned;
	counts[SOLVED_FIXED] += report->rows.fixed;
	counts[SOLVED_MAPS_FIXED] += report->maps_fixed;
	counts[SOLVED_COUNTS_WRONG] += report->counts_wrong;
	counts[SOLVED_ROWS_LOST] += report->rows_lost;
	counts[SOLVED_CONTENT_LOST] += report->content_lost;
	counts[SOLVED_BUSY] += report->busy;
	counts[SOLVED_LOG_HOLES] += report->log_holes;
	counts[SOLVED_LOG_DAMAGED] += report->log_damaged;
}

static bool has_solved(const struct solve_report *report)
{
	const struct repair_report *rows = &report->rows;
	return rows->missing || rows->stale || rows->orphaned || report->maps_fixed ||
	       report->counts_wrong || report->rows_lost || report->content_lost || report->busy ||
	       report->log_holes || report->log_damaged;
}

static void tell_solved(struct op *op, struct task_run *run, const struct task_account *account,
	const struct solve_report *report)
{
	if (!has_solved(report))
		return;
	struct buf line = buf_in(&op->arena);
	buf_printf(&line, SLICE_FMT ":", SLICE_ARG(account->address));
	const struct {
		const char *name;
		uint64_t count;
	} told[] = {{"missing", report->rows.missing}, {"stale", report->rows.stale},
		{"orphaned", report->rows.orphaned}, {"fixed", report->rows.fixed},
		{"maps fixed", report->maps_fixed}, {"counts wrong", report->counts_wrong},
		{"rows lost", report->rows_lost}, {"content lost", report->content_lost},
		{"busy", report->busy}, {"log holes", report->log_holes},
		{"log damaged", report->log_damaged}};
	for (size_t i = 0; i < ARRAY_SIZE(told); i++)
		if (told[i].count)
			buf_printf(
				&line, " %s %llu", told[i].name, (unsigned long long)told[i].count);
	task_add_finding(run, buf_as_slice(&line));
}

/* Is it the account's own fault, so that others go on? */
static bool is_of_account(const struct error *err)
{
	return err->kind != ERR_UNAVAILABLE && err->kind != ERR_TIMEOUT &&
	       err->kind != ERR_UNCERTAIN && err->kind != ERR_CANCELLED;
}

struct error *task_account_failed(struct op *op, struct task_run *run,
	const struct task_account *account, struct error *err, uint64_t *failed)
{
	if (!err || err->kind == ERR_NOT_FOUND)
		return NULL;
	if (!is_of_account(err))
		return err;
	++*failed;
	task_add_finding(run, slice_from_cstr(arena_printf(&op->arena, SLICE_FMT ": %s",
				      SLICE_ARG(account->address), error_chain(&op->arena, err))));
	return NULL;
}

static struct error *solve_account(
	struct op *op, struct task_run *run, const struct task_account *account)
{
	struct solve_report report = {0};
	struct solve_scope scope = {
		.parts = run->kind->parts, .pace = run->pace, .pace_context = run->pace_context};
	struct error *err =
		mail_store_solve_parts(op, run->store, account->account, &scope, &report);
	if (err && !is_of_account(err))
		return err;
	run->counts[SOLVED_ACCOUNTS]++;
	count_solved(run, &report);
	tell_solved(op, run, account, &report);
	return task_account_failed(op, run, account, err, &run->counts[SOLVED_FAILED]);
}

static struct error *solve_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct task_account next;
	TRY(task_next_account(op, run, buf_as_slice(&run->cursor), &next));
	*ret_more = next.found && !run->task->subject.len;
	if (next.found && next.is_here)
		TRY(solve_account(op, run, &next));
	if (next.found)
		task_set_cursor(run, next.key);
	return NULL;
}

/* ---- Names for listing ---- */

enum {
	LISTED_CHECKED,
	LISTED_MISSING,
	LISTED_STALE,
	LISTED_ORPHANED,
	LISTED_FIXED,
};

static const char *const listed_counts[] = {
	"checked", "missing", "stale", "orphaned", "fixed", NULL};

/* The cursor: a kind of names, and the last record of it that was looked at. */
static struct error *directory_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct repair_report report = {0};
	struct slice cursor = buf_as_slice(&run->cursor);
	uint8_t kind = cursor.len ? (uint8_t)cursor.ptr[0] : DIRECTORY_DOMAIN;
	struct slice last = arena_dup(&op->arena, slice_from(cursor, cursor.len > 0));
	struct buf next = buf_in(&op->arena);
	size_t count;
	TRY(accounts_hold_records(op, run->accounts, kind, last, &last, &count, &report));
	if (!count) {
		TRY(accounts_hold_names(op, run->accounts, kind, &report));
		kind++;
		last = SLICE_NONE;
	}
	*ret_more = kind <= DIRECTORY_ALIAS;
	run->counts[LISTED_CHECKED] += report.checked;
	run->counts[LISTED_MISSING] += report.missing;
	run->counts[LISTED_STALE] += report.stale;
	run->counts[LISTED_ORPHANED] += report.orphaned;
	run->counts[LISTED_FIXED] += report.fixed;
	buf_u8(&next, kind);
	buf_append(&next, last);
	task_set_cursor(run, buf_as_slice(&next));
	/* Told to stop: the runner sees it after the step as well. */
	if (run->pace)
		(void)run->pace(run->pace_context, count);
	return NULL;
}

/* ---- Content ---- */

enum { AUDITED_BLOBS, AUDITED_LIVE, AUDITED_WAITING, AUDITED_ORPHANED, AUDITED_LEFT };

static const char *const audited_counts[] = {"blobs", "live", "waiting", "orphaned", "left", NULL};

enum { AUDIT_TELLS, AUDIT_LEAVES };

static void audit_kind_begin(struct task_run *run)
{
	bool leaves = run->kind->parts == AUDIT_LEAVES;
	run->own = audit_begin(run->store, leaves ? mail_settings.grace_ms * 1000 : 0);
}

static void audit_kind_end(struct task_run *run)
{
	audit_end(run->own);
}

static struct error *audit_step(struct op *op, struct task_run *run, bool *ret_more)
{
	struct blob_id last = {0};
	struct audit_report report = {0};
	size_t count;
	if (run->cursor.len && !uuid_from_slice(buf_as_slice(&run->cursor), &last.uuid))
		return op_fail(op, ERR_CORRUPT, "the cursor is no id of content");
	TRY(audit_page(op, run->own, &last, &count, &report));
	*ret_more = count != 0;
	run->counts[AUDITED_BLOBS] += report.blobs;
	run->counts[AUDITED_LIVE] += report.live;
	run->counts[AUDITED_WAITING] += report.waiting;
	run->counts[AUDITED_ORPHANED] += report.orphaned;
	run->counts[AUDITED_LEFT] += report.left;
	if (report.orphaned)
		task_add_finding(
			run, slice_from_cstr(arena_printf(&op->arena, "%llu up to %s are nobody's",
				     (unsigned long long)report.orphaned,
				     uuid_text(&op->arena, last.uuid))));
	task_set_cursor(run, ID_SLICE(last));
	/* Told to stop: the runner sees it after the step as well. */
	if (run->pace)
		(void)run->pace(run->pace_context, count);
	return NULL;
}

/* ---- The table ---- */

#define SOLVES(solve_parts) \
	.takes_account = true, .counts = solved_counts, .parts = (solve_parts), .step = solve_step
#define AUDITS(what)                                                                              \
	.counts = audited_counts, .parts = (what), .begin = audit_kind_begin, .step = audit_step, \
	.end = audit_kind_end
#define INDEXES(mode)                                                              \
	.takes_account = true, .takes_mailbox = true, .counts = task_index_counts, \
	.parts = (mode), .step = task_index_step, .cancelled = task_index_cancelled

#define IMPORTS(names, what)                                                            \
	.takes_account = true, .takes_input = true, .counts = (names), .parts = (what), \
	.step = task_import_step, .end = task_import_end

const struct task_kind task_kinds[] = {
	{.name = "solve",
		.help = "Holds message rows, places, maps and counts against each other and "
			"puts right what is derived.",
		SOLVES(SOLVE_ROWS | SOLVE_MAPS | SOLVE_COUNTS)},
	{.name = "solve-rows",
		.help = "Only message rows and places, against the log.",
		SOLVES(SOLVE_ROWS)},
	{.name = "solve-maps",
		.help = "Only the maps of mailboxes, against the message rows.",
		SOLVES(SOLVE_MAPS)},
	{.name = "recount",
		.help = "Holds the counts of mailboxes against the message rows; changes nothing, "
			"and must find nothing.",
		SOLVES(SOLVE_COUNTS)},
	{.name = "directory",
		.help = "Holds the names for listing against the domains, users and aliases.",
		.counts = listed_counts,
		.step = directory_step},
	{.name = "content",
		.help = "Reads the content of every message, and tells what is lost; changes "
			"nothing.",
		SOLVES(SOLVE_CONTENT)},
	{.name = "audit",
		.help = "Holds all stored content against what refers to it; changes nothing.",
		AUDITS(AUDIT_TELLS)},
	{.name = "tidy",
		.help = "As audit, and leaves to reclaim what is nobody's for longer than "
			"content.grace.",
		AUDITS(AUDIT_LEAVES)},
	{.name = "summaries",
		.help = "Makes the summaries (envelope, structure) that are missing or of an older "
			"format, out of the content.",
		.takes_account = true,
		.counts = task_fill_counts,
		.step = task_fill_step},
	{.name = "usage",
		.help = "Writes down what accounts hold, for holdfastctl usage: after an update, "
			"or where it was off.",
		.takes_account = true,
		.counts = task_usage_counts,
		.step = task_usage_step},
	{.name = "index-audit",
		.help = "Holds the search index against every message; changes nothing.",
		INDEXES(VERIFY_TELLS)},
	{.name = "reindex-stale",
		.help = "As index-audit, and indexes again what differs.",
		INDEXES(VERIFY_MENDS)},
	{.name = "reindex-failed",
		.help = "Indexes again what could not be read when it was to be indexed.",
		INDEXES(VERIFY_RETRIES)},
	{.name = "reindex",
		.help = "Indexes every message again: whole accounts beside the index that is "
			"searched meanwhile.",
		INDEXES(VERIFY_RENEWS)},
	{.name = "import",
		.help = "Takes in the mail of another IMAP server: holdfastctl import imap.",
		IMPORTS(task_import_counts, IMPORT_TAKES)},
	{.name = "import-compare",
		.help = "Holds the mail of another IMAP server against what was imported; changes "
			"nothing.",
		IMPORTS(task_compare_counts, IMPORT_COMPARES)},
};
const size_t task_kind_count = ARRAY_SIZE(task_kinds);

const struct task_kind *task_kind_find(struct slice name)
{
	for (size_t i = 0; i < task_kind_count; i++)
		if (slice_equal(name, slice_from_cstr(task_kinds[i].name)))
			return &task_kinds[i];
	return NULL;
}
