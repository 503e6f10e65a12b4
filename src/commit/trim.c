#include "commit/commit_private.h"

#include "base/metric.h"
#include "base/world.h"

METRIC_COUNTER(rows_trimmed, "log_rows_trimmed_total", "Log rows moved to account_log");
METRIC_COUNTER(
	map_failures, "map_write_failures_total", "mailbox_map rows that could not be written");

#define SEGMENT_ENTRIES 4096
/* Past these a commit does not go on without a trim. */
#define TAIL_ENTRIES_HARD 512
#define TAIL_BYTES_HARD KIB(256)

/* Brings mailbox_map up to the head, so that opening a mailbox needs little of the log. Without it
 * the log is read from account_log instead: a failure is counted and costs nothing but time. */
static void refresh_map(
	struct op *op, struct commit *commit, struct commit_plan *plan, struct mutations *plain)
{
	const struct head *head = plan->head;
	const struct account_static *state = &head->state;
	struct log_row *rows = NULL;
	size_t count = 0;
	struct error *err = NULL;
	if (state->mapped < state->trimmed)
		err = log_read_trimmed(
			op, commit, plan->account->id, state, state->mapped, &rows, &count);
	size_t from = head_tail_after(head, MAX_OF(state->mapped, state->trimmed));
	size_t tail_count = head->tail_count - from;
	struct log_row *all = ARENA_ARRAY(&op->arena, struct log_row, count + tail_count + 1);
	if (count)
		memcpy(all, rows, count * sizeof(*all));
	if (tail_count)
		memcpy(all + count, head->tail + from, tail_count * sizeof(*all));

	struct mutations map_rows;
	mutations_init(&map_rows, &op->arena);
	if (!err)
		err = commit->rules.map(
			op, commit->engine, head, all, count + tail_count, &map_rows);
	if (!err && !engine_is_atomic(commit->engine))
		err = engine_write(commit->engine, op, map_rows.items, map_rows.count, DURABLE);
	if (err) {
		metric_add(&map_failures, 1);
		return;
	}
	if (engine_is_atomic(commit->engine))
		for (size_t i = 0; i < map_rows.count; i++)
			mutations_put(plain, map_rows.items[i].table, map_rows.items[i].partition,
				map_rows.items[i].key, map_rows.items[i].value,
				map_rows.items[i].version);
	plan->state.mapped = state->modseq;
}

static struct error *move_rows(struct op *op, struct commit *commit, struct commit_plan *plan,
	size_t count, struct mutations *account_rows, struct mutations *plain)
{
	const struct head *head = plan->head;
	struct arena *arena = &op->arena;
	uint32_t segment = head->state.segment;
	uint32_t entries = head->state.segment_entries;
	if (entries && entries + count > SEGMENT_ENTRIES) {
		segment++;
		entries = 0;
	}
	struct slice partition = key_account(arena, plan->account->id, 0);
	struct slice target = key_log_segment(arena, plan->account->id, segment);
	struct mutations copies;
	mutations_init(&copies, arena);
	struct mutations *out = engine_is_atomic(commit->engine) ? plain : &copies;
	for (size_t i = 0; i < count; i++) {
		const struct log_row *row = &head->tail[i];
		if (is_planted(BUG_TRIMMED_APPLIED) && row->modseq <= plan->state.applied)
			continue;
		mutations_put(out, &account_log_table, target, key_u64_row(arena, row->modseq),
			row_encode_in(arena, &account_log_row, &row->row), row->modseq);
	}
	if (is_planted(BUG_TRIMMED_EARLY))
		plain->count = copies.count = 0;
	TRY(engine_write(commit->engine, op, copies.items, copies.count, DURABLE));
	for (size_t i = 0; i < count; i++)
		mutations_delete(account_rows, &account_table, partition,
			key_account_log(arena, head->tail[i].modseq), 0);
	if (is_planted(BUG_MIXED_BATCH))
		mutations_delete(account_rows, &account_table, partition,
			key_account_log(arena, plan->state.modseq), 0);
	plan->state.trimmed = head->tail[count - 1].modseq;
	plan->state.segment = segment;
	plan->state.segment_entries = entries + (uint32_t)count;
	metric_add(&rows_trimmed, (int64_t)count);
	return NULL;
}

struct error *trim_if_full(struct op *op, struct commit *commit, struct commit_plan *plan,
	struct mutations *account_rows, struct mutations *plain)
{
	const struct head *head = plan->head;
	if (head->tail_count < commit_settings.tail_entries &&
		head->tail_bytes < commit_settings.tail_bytes)
		return NULL;
	/* The older half by number, or whatever brings the bytes down; never the newest row. */
	size_t count = 0;
	size_t bytes = head->tail_bytes;
	while (count + 1 < head->tail_count &&
		(head->tail_count - count > commit_settings.tail_entries / 2 ||
			bytes > commit_settings.tail_bytes / 2))
		bytes -= head->tail[count++].size;
	if (!count)
		return NULL;
	refresh_map(op, commit, plan, plain);
	struct error *err = move_rows(op, commit, plan, count, account_rows, plain);
	if (err && (head->tail_count >= TAIL_ENTRIES_HARD || head->tail_bytes >= TAIL_BYTES_HARD)) {
		/* The copy is idempotent and nobody reads it before the CAS: nothing is uncertain.
		 */
		err->kind = ERR_UNAVAILABLE;
		return op_wrap(op, err, "the log tail is full and cannot be trimmed");
	}
	return NULL;
}
