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

/* The MODSEQ behind the last hole, 0 if there is none: what a row of a message comes to is only
 * known from a log that is whole from that message's beginning. */
static uint64_t whole_from(struct op *op, struct account_id account, const struct log_walk *log,
	struct solve_report *report)
{
	uint64_t from = 0;
	for (size_t i = 1; i < log->count; i++) {
		if (log->rows[i].row.previous == log->rows[i - 1].modseq)
			continue;
		from = log->rows[i].modseq;
		report->log_holes++;
		log_error(op, "log-hole", FIELD_ID("account", op, account.uuid),
			FIELD_U64("after", log->rows[i - 1].modseq),
			FIELD_U64("before", log->rows[i].modseq));
	}
	for (size_t i = 0; i < log->damaged_count; i++)
		log_error(op, "log-row-damaged", FIELD_ID("account", op, account.uuid),
			FIELD_U64("modseq", log->damaged[i]));
	report->log_damaged += log->damaged_count;
	return from;
}

/* What is certain across a hole. */
struct crossing {
	struct op *op;
	struct mail_store *store;
	struct account_id account;
	uint64_t whole_from;
	struct known_mailbox {
		struct mailbox_id id;
		struct snapshot *snapshot; /* by its map; NULL: that cannot be read */
		struct known_mailbox *next;
	} * known;
};

static const struct snapshot *known_of(struct crossing *crossing, struct mailbox_id mailbox)
{
	struct known_mailbox *known = crossing->known;
	for (; known; known = known->next)
		if (ID_EQUAL(known->id, mailbox))
			return known->snapshot;
	known = ARENA_NEW(&crossing->op->arena, struct known_mailbox);
	known->id = mailbox;
	known->next = crossing->known;
	crossing->known = known;
	/* Without one nothing is certain of its messages, and that is no failure. */
	if (snapshot_of_map(
		    crossing->op, crossing->store, crossing->account, mailbox, &known->snapshot))
		known->snapshot = NULL;
	return known->snapshot;
}

static void forget_known(struct crossing *crossing)
{
	for (struct known_mailbox *known = crossing->known; known; known = known->next)
		snapshot_unref(known->snapshot);
}

/* A message that has gone does not come back. One that is there, and that has not changed since its
 * last change that the log tells, is as the log tells. */
static bool is_certain(void *context, const struct made_row *row)
{
	struct crossing *crossing = context;
	struct mailbox_id mailbox;
	struct snapshot_message message;
	uint32_t position;
	bool is_place = row->table == &message_table;
	bool is_row = row->table == &mailbox_message_table;
	if (row->begun >= crossing->whole_from)
		return true;
	if (!is_place && !is_row)
		return false;
	if (!row->exists)
		return true;
	struct reader key = reader_of(slice_from(row->key, 1));
	struct slice id = is_place ? reader_bytes(&key, sizeof(mailbox.uuid.bytes))
				   : slice_range(row->partition, 0, sizeof(mailbox.uuid.bytes));
	uint32_t uid = reader_u32(&key);
	if (!reader_is_complete(&key) || !uuid_from_slice(id, &mailbox.uuid))
		return false;
	const struct snapshot *known = known_of(crossing, mailbox);
	return known && snapshot_find(known, uid, &position, &message) &&
	       (is_place || message.modseq == row->version);
}

static struct error *hold_against_log(struct op *op, struct mail_store *store,
	struct account_id account, const struct repaired *only, uint64_t version,
	struct solve_report *report)
{
	struct account_static state;
	struct log_walk log;
	TRY(commit_read(op, store->commit, account, read_state, &state));
	TRY(commit_log_walk(op, store->commit, account, 0, &log));
	struct crossing crossing = {.op = op, .store = store, .account = account};
	struct repair_bounds bounds = {.applied = version ? version : state.applied,
		.newest = version ? version : state.modseq,
		.version = version,
		.context = &crossing};
	struct row_changes all;
	struct row_changes held;
	row_changes_init(&all, &op->arena);
	row_changes_init(&held, &op->arena);
	crossing.whole_from = whole_from(op, account, &log, report);
	if (crossing.whole_from)
		bounds.is_certain = is_certain;
	for (size_t i = 0; i < log.count && log.rows[i].modseq <= bounds.newest; i++)
		TRY(derive_projections(op, account, &log.rows[i], &all));
	for (size_t i = 0; i < all.count; i++)
		if (is_held_against_log(&all.items[i]) && is_repaired(only, &all.items[i]))
			row_changes_add(&held, &all.items[i]);
	struct error *err = projection_repair(op, store->engine, &held, &bounds, &report->rows);
	forget_known(&crossing);
	return err;
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
	inout_report->log_damaged += found.log_damaged;
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
