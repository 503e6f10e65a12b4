#include "commit/commit_private.h"

/* Reading the log: its tail stands in the account, what was trimmed in account_log. */

void log_copy_row(struct op *op, const struct log_row *row, struct log_row *ret_copy)
{
	*ret_copy = (struct log_row){.modseq = row->modseq, .row = row->row};
	ret_copy->row.once_key = arena_dup(&op->arena, row->row.once_key);
	ret_copy->row.entry = arena_dup(&op->arena, row->row.entry);
}

struct tail_request {
	uint64_t after;
	struct account_static state;
	struct log_row *rows;
	size_t count;
};

static struct error *copy_tail(struct op *op, const struct head *head, void *context)
{
	struct tail_request *request = context;
	request->state = head->state;
	size_t from = head_tail_after(head, request->after);
	request->count = head->tail_count - from;
	request->rows =
		ARENA_ARRAY(&op->arena, struct log_row, request->count ? request->count : 1);
	for (size_t i = 0; i < request->count; i++)
		log_copy_row(op, &head->tail[from + i], &request->rows[i]);
	return NULL;
}

static struct error *read_segment(struct op *op, struct commit *commit, struct account_id account,
	uint32_t segment, uint64_t from, uint64_t to, struct engine_rows *ret_rows)
{
	struct arena *arena = &op->arena;
	return engine_scan(commit->engine, op, &account_log_table,
		key_log_segment(arena, account, segment), key_u64_row(arena, from + 1),
		key_u64_row(arena, to + 1), SIZE_MAX, false, READ_NORMAL, ret_rows);
}

static struct error *decode_segment(
	struct op *op, const struct engine_rows *rows, struct log_row *ret_rows)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct reader reader = reader_of(slice_from(rows->rows[i].key, 1));
		ret_rows[i] = (struct log_row){.modseq = reader_u64(&reader)};
		TRY(row_decode(op, &account_log_row, rows->rows[i].value, &ret_rows[i].row));
	}
	return NULL;
}

struct error *log_read_trimmed(struct op *op, struct commit *commit, struct account_id account,
	const struct account_static *state, uint64_t from, struct log_row **ret_rows,
	size_t *ret_count)
{
	*ret_rows = NULL;
	*ret_count = 0;
	/* Backwards through the segments, until one reaches back to `from`. */
	for (uint32_t segment = state->segment;; segment--) {
		struct engine_rows found;
		TRY(read_segment(op, commit, account, segment, from, state->trimmed, &found));
		struct log_row *rows =
			ARENA_ARRAY(&op->arena, struct log_row, found.count + *ret_count + 1);
		TRY(decode_segment(op, &found, rows));
		size_t older = found.count;
		/* A row that was spread before the next segment was begun stands in both. */
		while (*ret_count && older && rows[older - 1].modseq >= (*ret_rows)[0].modseq)
			older--;
		if (*ret_count)
			memcpy(rows + older, *ret_rows, *ret_count * sizeof(struct log_row));
		*ret_rows = rows;
		*ret_count += older;
		bool reaches_back = found.count && rows[0].row.previous <= from;
		/* A segment that holds nothing newer ends the walk, except the one being filled. */
		if (!segment || reaches_back || (!found.count && segment != state->segment))
			return NULL;
	}
}

bool log_is_unbroken(const struct log_row *rows, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (rows[i].row.previous != rows[i - 1].modseq)
			return false;
	return true;
}

/* Joins what was trimmed above `modseq` with the rows of the tail, and says whether the chain is
 * whole. */
static struct error *join(struct op *op, struct commit *commit, struct account_id account,
	const struct tail_request *tail, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete)
{
	struct log_row *old = NULL;
	size_t old_count = 0;
	if (tail->state.trimmed > tail->after)
		TRY(log_read_trimmed(
			op, commit, account, &tail->state, tail->after, &old, &old_count));
	struct log_row *all = ARENA_ARRAY(&op->arena, struct log_row, old_count + tail->count + 1);
	if (old_count)
		memcpy(all, old, old_count * sizeof(*all));
	if (tail->count)
		memcpy(all + old_count, tail->rows, tail->count * sizeof(*all));
	*ret_rows = all;
	*ret_count = old_count + tail->count;
	*ret_complete =
		*ret_count ? all[0].row.previous <= tail->after : tail->after >= tail->state.modseq;
	*ret_complete &= log_is_unbroken(all, *ret_count);
	return NULL;
}

struct error *commit_log_since(struct op *op, struct commit *commit, struct account_id account,
	uint64_t modseq, struct log_row **ret_rows, size_t *ret_count, bool *ret_complete)
{
	struct tail_request tail = {.after = modseq};
	TRY(commit_read(op, commit, account, copy_tail, &tail));
	return join(op, commit, account, &tail, ret_rows, ret_count, ret_complete);
}

struct error *commit_log_known_since(struct op *op, struct commit *commit,
	struct account_id account, uint64_t modseq, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete)
{
	struct tail_request tail = {.after = modseq};
	TRY(commit_read_known(op, commit, account, copy_tail, &tail));
	return join(op, commit, account, &tail, ret_rows, ret_count, ret_complete);
}

struct error *plan_log_since(struct op *op, struct commit_plan *plan, uint64_t modseq,
	struct log_row **ret_rows, size_t *ret_count, bool *ret_complete)
{
	const struct head *head = plan->head;
	size_t from = head_tail_after(head, modseq);
	size_t in_tail = head->tail_count - from;
	struct tail_request tail = {.after = modseq, .state = head->state};
	tail.state.modseq = plan->state.modseq;
	tail.rows = ARENA_ARRAY(&op->arena, struct log_row, in_tail + plan->log_count + 1);
	if (in_tail)
		memcpy(tail.rows, head->tail + from, in_tail * sizeof(struct log_row));
	tail.count = in_tail;
	for (size_t i = 0; i < plan->log_count; i++)
		if (plan->logs[i].modseq > modseq)
			tail.rows[tail.count++] = plan->logs[i];
	return join(op, plan->commit, plan->account->id, &tail, ret_rows, ret_count, ret_complete);
}
