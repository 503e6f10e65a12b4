#include "mailbox/store_private.h"

#include "base/log.h"
#include "base/metric.h"

/* Solve: what is derived is compared with its truth. Message rows and places are held against the
 * log, as far back as it is kept; below it the rows themselves are the truth. The map and the
 * counts are held against the rows. */

METRIC_COUNTER(holes, "log_holes_total", "Places where rows of an account's log are missing");

/* The messages that are to be repaired; mailbox nil: all, and their places. */
struct repaired {
	struct mailbox_id mailbox;
	const struct uid_set *uids;
};

static bool is_repaired(const struct repaired *only, const struct row_change *change)
{
	if (uuid_is_nil(only->mailbox.uuid))
		return true;
	struct reader key = reader_of(slice_from(change->key, 1));
	return change->table == &mailbox_message_table &&
	       slice_starts_with(change->partition, ID_SLICE(only->mailbox)) &&
	       uid_set_contains(only->uids, reader_u32(&key));
}

static bool is_held_against_log(const struct row_change *change)
{
	return change->table == &mailbox_message_table || change->table == &shared_to_table ||
	       (change->table == &message_table && change->key.ptr[0] != MESSAGE_GONE);
}

static struct error *plan_step(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	(void)context;
	plan_log(plan, SLICE(""));
	return NULL;
}

struct error *step_modseq(
	struct op *op, struct mail_store *store, struct account_id account, uint64_t *ret_modseq)
{
	struct commit_change step = {.plan = plan_step};
	TRY(commit_run(op, store->commit, account, &step));
	*ret_modseq = step.modseq;
	return NULL;
}

static struct error *read_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(struct account_static *)context = head->state;
	return NULL;
}

/* The rows behind the last hole: what a row of a message comes to is only known from a log that is
 * whole from that message's beginning. */
static size_t whole_from(struct op *op, struct account_id account, const struct log_row *rows,
	size_t count, struct solve_report *report)
{
	size_t from = 0;
	for (size_t i = 1; i < count; i++) {
		if (rows[i].row.previous == rows[i - 1].modseq)
			continue;
		from = i;
		report->log_holes++;
		log_error(op, "log-hole", FIELD_ID("account", op, account.uuid),
			FIELD_U64("after", rows[i - 1].modseq),
			FIELD_U64("before", rows[i].modseq));
	}
	return from;
}

static struct error *hold_against_log(struct op *op, struct mail_store *store,
	struct account_id account, const struct repaired *only, uint64_t version,
	struct solve_report *report)
{
	struct account_static state;
	struct log_row *rows;
	size_t count;
	bool complete;
	TRY(commit_read(op, store->commit, account, read_state, &state));
	TRY(commit_log_since(op, store->commit, account, 0, &rows, &count, &complete));
	struct repair_bounds bounds = {.applied = version ? version : state.applied,
		.newest = version ? version : state.modseq,
		.version = version};
	struct row_changes all;
	struct row_changes held;
	row_changes_init(&all, &op->arena);
	row_changes_init(&held, &op->arena);
	size_t from = whole_from(op, account, rows, count, report);
	for (size_t i = from; i < count && rows[i].modseq <= bounds.newest; i++)
		TRY(derive_projections(op, account, &rows[i], &all));
	for (size_t i = 0; i < all.count; i++)
		if (is_held_against_log(&all.items[i]) && is_repaired(only, &all.items[i]))
			row_changes_add(&held, &all.items[i]);
	return projection_repair(op, store->engine, &held, &bounds, &report->rows);
}

static struct error *repair(struct op *op, struct mail_store *store, struct account_id account,
	const struct repaired *only, struct solve_report *inout_report)
{
	struct solve_report found = {0};
	struct solve_report mended = {0};
	uint64_t version;
	TRY(hold_against_log(op, store, account, only, 0, &found));
	metric_add(&holes, (int64_t)found.log_holes);
	inout_report->log_holes += found.log_holes;
	if (!(found.rows.missing + found.rows.stale + found.rows.orphaned)) {
		inout_report->rows.checked += found.rows.checked;
		return NULL;
	}
	TRY(step_modseq(op, store, account, &version));
	struct error *err = hold_against_log(op, store, account, only, version, &mended);
	repair_report_add(&inout_report->rows, &mended.rows);
	return err;
}

struct error *repair_by_log(struct op *op, struct mail_store *store, struct account_id account,
	struct solve_report *inout_report)
{
	const struct repaired all = {0};
	return repair(op, store, account, &all, inout_report);
}

struct error *repair_messages_by_log(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	struct solve_report *inout_report)
{
	const struct repaired only = {mailbox, uids};
	return repair(op, store, account, &only, inout_report);
}

struct error *solve_keep_pace(struct op *op, const struct solve_scope *scope, size_t rows)
{
	if (!scope->pace || scope->pace(scope->pace_context, rows))
		return NULL;
	return op_fail(op, ERR_CANCELLED, "solving was stopped");
}

struct error *mail_store_solve_parts(struct op *op, struct mail_store *store,
	struct account_id account, const struct solve_scope *scope,
	struct solve_report *inout_report)
{
	struct mailbox_list list;
	uint64_t checked = inout_report->rows.checked;
	if (scope->parts & SOLVE_ROWS) {
		TRY(repair_by_log(op, store, account, inout_report));
		TRY(solve_grants(op, store, account, inout_report));
		TRY(solve_keep_pace(op, scope, inout_report->rows.checked - checked));
	}
	if (!(scope->parts & ~(unsigned)SOLVE_ROWS))
		return NULL;
	TRY(mailbox_list(op, store, account, &list));
	for (size_t i = 0; i < list.count; i++) {
		struct error *err =
			solve_mailbox(op, store, account, list.items[i].path, scope, inout_report);
		if (err && err->kind != ERR_NOT_FOUND)
			return err;
	}
	return NULL;
}

struct error *mail_store_solve(struct op *op, struct mail_store *store, struct account_id account,
	bool with_content, struct solve_report *ret_report)
{
	struct solve_scope scope = {.parts = SOLVE_ROWS | SOLVE_MAPS | SOLVE_COUNTS};
	if (with_content)
		scope.parts |= SOLVE_CONTENT;
	*ret_report = (struct solve_report){0};
	return mail_store_solve_parts(op, store, account, &scope, ret_report);
}
