#include "mailbox/map.h"
#include "mailbox/store_private.h"

#include "base/log.h"
#include "base/metric.h"

/* Solve: what is derived is compared with its truth. Message rows and places are held against the
 * log, as far back as it is kept; below it the rows themselves are the truth. The map and the
 * counts are held against the rows. */

METRIC_COUNTER(drift, "drift_total", "Counts that were not what the rows say: each is a bug");
METRIC_COUNTER(lost, "rows_lost_total", "Messages known to be there whose row is gone for good");

/* Rows are read so many UIDs at a time. */
#define PAGE 4096

static bool is_held_against_log(const struct row_change *change)
{
	return change->table == &mailbox_message_table ||
	       (change->table == &message_table && change->key.ptr[0] != MESSAGE_GONE);
}

/* A commit of nothing, for the MODSEQ that a repair is written at. */
static struct error *plan_step(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	(void)context;
	plan_log(plan, SLICE(""));
	return NULL;
}

static struct error *step_modseq(
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

static struct error *hold_against_log(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t version, struct repair_report *report)
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
	for (size_t i = 0; i < count && rows[i].modseq <= bounds.newest; i++)
		TRY(derive_projections(op, account, &rows[i], &all));
	for (size_t i = 0; i < all.count; i++)
		if (is_held_against_log(&all.items[i]))
			row_changes_add(&held, &all.items[i]);
	return projection_repair(op, store->engine, &held, &bounds, report);
}

struct error *repair_by_log(struct op *op, struct mail_store *store, struct account_id account,
	struct repair_report *inout_report)
{
	struct repair_report found = {0};
	uint64_t version;
	TRY(hold_against_log(op, store, account, 0, &found));
	if (!(found.missing + found.stale + found.orphaned)) {
		inout_report->checked += found.checked;
		return NULL;
	}
	TRY(step_modseq(op, store, account, &version));
	return hold_against_log(op, store, account, version, inout_report);
}

struct solving {
	struct mail_store *store;
	struct account_id account;
	struct mailbox_status mailbox;
	const struct solve_scope *scope;
	struct solve_report *report;
	struct snapshot_builder rows; /* the mailbox as its rows tell it */
	uint32_t count;
	uint64_t bytes;
};

static struct error *check_content(struct op *op, struct solving *s, const struct message *message)
{
	struct slice bytes;
	struct error *err = message_content(op, s->store, message, 0, UINT64_MAX, &bytes);
	if (err && err->kind != ERR_NOT_FOUND && err->kind != ERR_CORRUPT)
		return err;
	if (!err)
		return NULL;
	s->report->content_lost++;
	log_error(op, "content-lost", FIELD_ID("message", op, message->id.uuid),
		FIELD_ERROR(op, err));
	return NULL;
}

static struct error *keep_pace(struct op *op, const struct solve_scope *scope, size_t rows)
{
	if (!scope->pace || scope->pace(scope->pace_context, rows))
		return NULL;
	return op_fail(op, ERR_CANCELLED, "solving was stopped");
}

static struct error *read_page(struct op *op, struct solving *s, uint32_t first, uint32_t last)
{
	struct uid_set uids = {.arena = &op->arena};
	struct message *messages;
	size_t count;
	uid_set_add_range(&uids, first, last);
	TRY(read_messages(op, s->store, s->account, NULL, s->mailbox.id, &uids, &messages, &count));
	TRY(keep_pace(op, s->scope, count));
	for (size_t i = 0; i < count; i++) {
		builder_put(&s->rows, messages[i].uid, messages[i].flags, &messages[i].keywords,
			messages[i].modseq);
		s->bytes += messages[i].size;
		s->count++;
		if (s->scope->parts & SOLVE_CONTENT) {
			struct arena_mark mark = arena_mark(&op->arena);
			TRY(check_content(op, s, &messages[i]));
			arena_release(&op->arena, mark);
		}
	}
	return NULL;
}

static struct error *read_rows(struct op *op, struct solving *s)
{
	for (uint64_t first = 1; first < s->mailbox.uidnext; first += PAGE) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(read_page(op, s, (uint32_t)first,
			(uint32_t)MIN_OF(first + PAGE - 1, (uint64_t)s->mailbox.uidnext - 1)));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static bool same_message(const struct snapshot *a, const struct snapshot *b, uint32_t position)
{
	struct snapshot_message x = snapshot_at(a, position);
	struct snapshot_message y = snapshot_at(b, position);
	return x.uid == y.uid && x.flags == y.flags && x.modseq == y.modseq &&
	       keyword_set_equal(snapshot_keywords(a, &x), snapshot_keywords(b, &y));
}

static bool same_messages(const struct snapshot *a, const struct snapshot *b)
{
	if (snapshot_count(a) != snapshot_count(b))
		return false;
	for (uint32_t i = 0; i < snapshot_count(a); i++)
		if (!same_message(a, b, i))
			return false;
	return true;
}

/* Writes every chunk anew, as of `as_of`. */
static struct error *rewrite_map(struct op *op, struct solving *s, const struct snapshot *rows)
{
	struct snapshot_builder builder;
	struct mutations out;
	mutations_init(&out, &op->arena);
	builder_begin(&builder, rows);
	uint32_t last = (s->mailbox.uidnext - 1) >> MAILBOX_MAP_CHUNK_BITS;
	for (uint32_t chunk = 0; chunk <= last; chunk++) {
		struct mailbox_map row = {
			.as_of = rows->as_of, .chunk = map_encode_chunk(op, &builder, chunk)};
		mutations_put(&out, &mailbox_map_table, key_id(&op->arena, s->mailbox.id.uuid),
			key_u32_row(&op->arena, chunk),
			row_encode_in(&op->arena, &mailbox_map_row, &row), rows->as_of);
	}
	builder_drop(&builder);
	s->report->maps_fixed++;
	return engine_write(s->store->engine, op, out.items, out.count, DURABLE);
}

static void count_lost(
	struct op *op, struct solving *s, const struct snapshot *map, const struct snapshot *rows)
{
	struct snapshot_difference difference;
	snapshot_diff(&op->arena, map, rows, &difference);
	uint64_t gone = uid_set_size(&difference.expunged);
	if (!gone)
		return;
	s->report->rows_lost += gone;
	metric_add(&lost, (int64_t)gone);
	struct buf uids = buf_in(&op->arena);
	uid_set_print(&difference.expunged, &uids);
	log_error(op, "message-rows-lost", FIELD_SLICE("mailbox", s->mailbox.path),
		FIELD_SLICE("uids", buf_as_slice(&uids)));
}

static struct error *compare_map(struct op *op, struct solving *s, struct snapshot *rows)
{
	struct snapshot *map;
	struct error *err = snapshot_of_map(op, s->store, s->account, s->mailbox.id, &map);
	if (err && err->kind != ERR_CORRUPT)
		return err;
	bool is_right = !err && same_messages(map, rows);
	bool is_newer = !err && map->as_of > rows->as_of;
	if (!err && !is_right && !is_newer)
		count_lost(op, s, map, rows);
	bool rows_hold_all = err || snapshot_count(map) <= snapshot_count(rows);
	if (!err)
		snapshot_unref(map);
	/* What is only in the map is not thrown away with it: an administrator decides. */
	return is_right || is_newer || !rows_hold_all ? NULL : rewrite_map(op, s, rows);
}

static void compare_counts(struct op *op, struct solving *s, const struct snapshot *rows)
{
	bool seen_right = snapshot_count_flags(rows, 0, FLAG_SEEN) == s->mailbox.unseen;
	if (s->count == s->mailbox.messages && s->bytes == s->mailbox.bytes && seen_right)
		return;
	s->report->counts_wrong++;
	metric_add(&drift, 1);
	log_error(op, "mailbox-counts-drifted", FIELD_SLICE("mailbox", s->mailbox.path),
		FIELD_U64("counted", s->mailbox.messages), FIELD_U64("rows", s->count));
}

static struct error *solve_mailbox(struct op *op, struct solving *s)
{
	struct snapshot *rows;
	uint64_t as_of = s->mailbox.highest_modseq;
	struct account_mailbox numbers = {.uidnext = s->mailbox.uidnext};
	struct mailbox_status after;
	struct error *err = NULL;
	/* A map can only be rewritten as of a MODSEQ that it was never written at. */
	if (s->scope->parts & SOLVE_MAPS)
		TRY(step_modseq(op, s->store, s->account, &as_of));
	TRY(mailbox_find(op, s->store, s->account, s->mailbox.path, &s->mailbox));
	TRY(read_rows(op, s));
	TRY(mailbox_find(op, s->store, s->account, s->mailbox.path, &after));
	/* Somebody was faster: the mailbox is looked at again next time. */
	if (after.highest_modseq != s->mailbox.highest_modseq)
		return NULL;
	numbers.uidvalidity = s->mailbox.uidvalidity;
	TRY(builder_finish(op, &s->rows, s->mailbox.id, &numbers, as_of, &rows));
	if (s->scope->parts & SOLVE_MAPS)
		err = compare_map(op, s, rows);
	if (s->scope->parts & SOLVE_COUNTS)
		compare_counts(op, s, rows);
	snapshot_unref(rows);
	s->report->mailboxes++;
	return err;
}

struct error *mail_store_solve_parts(struct op *op, struct mail_store *store,
	struct account_id account, const struct solve_scope *scope,
	struct solve_report *inout_report)
{
	struct mailbox_list list;
	uint64_t checked = inout_report->rows.checked;
	if (scope->parts & SOLVE_ROWS) {
		TRY(repair_by_log(op, store, account, &inout_report->rows));
		TRY(keep_pace(op, scope, inout_report->rows.checked - checked));
	}
	if (!(scope->parts & ~(unsigned)SOLVE_ROWS))
		return NULL;
	TRY(mailbox_list(op, store, account, &list));
	for (size_t i = 0; i < list.count; i++) {
		struct solving s = {.store = store,
			.account = account,
			.mailbox = list.items[i],
			.scope = scope,
			.report = inout_report};
		builder_begin(&s.rows, NULL);
		struct error *err = solve_mailbox(op, &s);
		builder_drop(&s.rows);
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
