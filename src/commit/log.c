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

/* A row that is damaged is as good as missing, and told. */
static struct error *decode_segment(
	struct op *op, const struct engine_rows *rows, struct log_walk *ret_segment)
{
	*ret_segment =
		(struct log_walk){.rows = ARENA_ARRAY(&op->arena, struct log_row, rows->count + 1),
			.damaged = ARENA_ARRAY(&op->arena, uint64_t, rows->count + 1)};
	for (size_t i = 0; i < rows->count; i++) {
		struct log_row *row = &ret_segment->rows[ret_segment->count];
		struct reader reader = reader_of(slice_from(rows->rows[i].key, 1));
		*row = (struct log_row){.modseq = reader_u64(&reader)};
		struct error *err =
			row_decode(op, &account_log_row, rows->rows[i].value, &row->row);
		if (err && err->kind != ERR_CORRUPT)
			return err;
		if (err)
			ret_segment->damaged[ret_segment->damaged_count++] = row->modseq;
		else
			ret_segment->count++;
	}
	return NULL;
}

/* A row that was spread before the next segment was begun stands in both. */
static void put_before(struct op *op, const struct log_walk *older, struct log_walk *walk)
{
	size_t most = older->count + walk->count, at = 0, count = 0;
	struct log_row *rows = ARENA_ARRAY(&op->arena, struct log_row, most + 1);
	for (size_t i = 0; i < older->count || at < walk->count;) {
		bool is_older =
			i < older->count &&
			(at == walk->count || older->rows[i].modseq < walk->rows[at].modseq);
		rows[count] = is_older ? older->rows[i] : walk->rows[at];
		i += i < older->count && older->rows[i].modseq == rows[count].modseq;
		at += at < walk->count && walk->rows[at].modseq == rows[count].modseq;
		count++;
	}
	walk->rows = rows;
	walk->count = count;
}

static bool has_row(const struct log_walk *walk, uint64_t modseq)
{
	for (size_t i = 0; i < walk->count; i++)
		if (walk->rows[i].modseq == modseq)
			return true;
	return false;
}

static bool is_told(const struct log_walk *walk, uint64_t modseq)
{
	for (size_t i = 0; i < walk->damaged_count; i++)
		if (walk->damaged[i] == modseq)
			return true;
	return false;
}

/* What is damaged in one segment may be whole in the next. */
static void tell_damaged(struct op *op, const struct log_walk *segment, struct log_walk *walk)
{
	uint64_t *damaged =
		ARENA_ARRAY(&op->arena, uint64_t, walk->damaged_count + segment->damaged_count + 1);
	struct log_walk all = *walk;
	all.damaged = damaged;
	all.damaged_count = 0;
	for (size_t i = 0; i < walk->damaged_count; i++)
		if (!has_row(walk, walk->damaged[i]))
			damaged[all.damaged_count++] = walk->damaged[i];
	for (size_t i = 0; i < segment->damaged_count; i++)
		if (!has_row(walk, segment->damaged[i]) && !is_told(&all, segment->damaged[i]))
			damaged[all.damaged_count++] = segment->damaged[i];
	*walk = all;
}

struct error *log_read_trimmed(struct op *op, struct commit *commit, struct account_id account,
	const struct account_static *state, uint64_t from, struct log_walk *ret_walk)
{
	*ret_walk = (struct log_walk){0};
	/* Backwards through the segments, until one reaches back to `from`. */
	for (uint32_t segment = state->segment;; segment--) {
		struct engine_rows found;
		struct log_walk older;
		TRY(read_segment(op, commit, account, segment, from, state->trimmed, &found));
		TRY(decode_segment(op, &found, &older));
		put_before(op, &older, ret_walk);
		if (older.damaged_count || ret_walk->damaged_count)
			tell_damaged(op, &older, ret_walk);
		bool reaches_back = older.count && older.rows[0].row.previous <= from;
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
	const struct tail_request *tail, struct log_walk *ret_walk)
{
	struct log_walk old = {0};
	if (tail->state.trimmed > tail->after)
		TRY(log_read_trimmed(op, commit, account, &tail->state, tail->after, &old));
	struct log_walk walk = old;
	walk.rows = ARENA_ARRAY(&op->arena, struct log_row, old.count + tail->count + 1);
	walk.count = old.count + tail->count;
	if (old.count)
		memcpy(walk.rows, old.rows, old.count * sizeof(struct log_row));
	if (tail->count)
		memcpy(walk.rows + old.count, tail->rows, tail->count * sizeof(struct log_row));
	walk.is_complete = walk.count ? walk.rows[0].row.previous <= tail->after
				      : tail->after >= tail->state.modseq;
	walk.is_complete &= log_is_unbroken(walk.rows, walk.count);
	*ret_walk = walk;
	return NULL;
}

struct error *commit_log_walk(struct op *op, struct commit *commit, struct account_id account,
	uint64_t modseq, struct log_walk *ret_walk)
{
	struct tail_request tail = {.after = modseq};
	TRY(commit_read(op, commit, account, copy_tail, &tail));
	return join(op, commit, account, &tail, ret_walk);
}

static void give_rows(const struct log_walk *walk, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete)
{
	*ret_rows = walk->rows;
	*ret_count = walk->count;
	*ret_complete = walk->is_complete;
}

struct error *commit_log_since(struct op *op, struct commit *commit, struct account_id account,
	uint64_t modseq, struct log_row **ret_rows, size_t *ret_count, bool *ret_complete)
{
	struct log_walk walk;
	TRY(commit_log_walk(op, commit, account, modseq, &walk));
	give_rows(&walk, ret_rows, ret_count, ret_complete);
	return NULL;
}

struct error *commit_log_known_since(struct op *op, struct commit *commit,
	struct account_id account, uint64_t modseq, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete)
{
	struct tail_request tail = {.after = modseq};
	struct log_walk walk;
	TRY(commit_read_known(op, commit, account, copy_tail, &tail));
	TRY(join(op, commit, account, &tail, &walk));
	give_rows(&walk, ret_rows, ret_count, ret_complete);
	return NULL;
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
	struct log_walk walk;
	TRY(join(op, plan->commit, plan->account->id, &tail, &walk));
	give_rows(&walk, ret_rows, ret_count, ret_complete);
	return NULL;
}
