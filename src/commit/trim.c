#include "commit/commit_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/world.h"

METRIC_COUNTER(rows_trimmed, "log_rows_trimmed_total", "Log rows moved to account_log");
METRIC_COUNTER(
	map_failures, "map_write_failures_total", "mailbox_map rows that could not be written");

#define SEGMENT_ENTRIES 4096
/* Log rows that whoever opens a mailbox may have to read beside its map. */
#define UNMAPPED_MOST 2048
/* Past these a commit does not go on without a trim. */
#define TAIL_ENTRIES_HARD 512
#define TAIL_BYTES_HARD KIB(256)

struct head_finder {
	struct mailbox_finder finder;
	const struct head *head;
};

static struct error *find_in_head(
	struct op *op, const struct mailbox_finder *finder, struct mailbox_id id, bool *ret_found)
{
	(void)op;
	*ret_found = head_mailbox(((const struct head_finder *)finder)->head, id) != NULL;
	return NULL;
}

/* Brings mailbox_map up to the head within the commit, where one write can do both. Without it the
 * log is read from account_log instead: a failure is counted and costs nothing but time. */
static void map_with_commit(
	struct op *op, struct commit *commit, struct commit_plan *plan, struct mutations *plain)
{
	struct head_finder finder = {{find_in_head}, plan->head};
	struct log_row *rows;
	size_t count;
	bool complete;
	size_t before = plain->count;
	struct error *err =
		plan_log_since(op, plan, plan->head->state.mapped, &rows, &count, &complete);
	/* The rows of the group itself are not true yet. */
	while (!err && count && rows[count - 1].modseq > plan->head->state.modseq)
		count--;
	if (!err && count)
		err = commit->rules.map(op, commit->engine, &finder.finder, rows, count, plain);
	if (err || !complete)
		metric_add(&map_failures, 1);
	if (err) {
		plain->count = before;
		return;
	}
	plan->state.mapped = plan->head->state.modseq;
}

struct account_finder {
	struct mailbox_finder finder;
	struct commit *commit;
	struct account_id account;
	struct mailbox_id wanted;
	bool found;
};

static struct error *copy_has(struct op *op, const struct head *head, void *context)
{
	(void)op;
	struct account_finder *finder = context;
	finder->found = head_mailbox(head, finder->wanted) != NULL;
	return NULL;
}

static struct error *find_in_account(
	struct op *op, const struct mailbox_finder *base, struct mailbox_id id, bool *ret_found)
{
	struct account_finder finder = *(const struct account_finder *)base;
	finder.wanted = id;
	TRY(commit_read_known(op, finder.commit, finder.account, copy_has, &finder));
	*ret_found = finder.found;
	return NULL;
}

/* While changes come one after the other, a chunk of the map is written for many of them; the first
 * one as soon as part of the log has been trimmed. */
static bool wants_map(struct commit_account *account, bool is_quiet, uint64_t *ret_mapped)
{
	AUTO_LOCK(&account->lock);
	const struct head *head = &account->head;
	*ret_mapped = MAX_OF(head->state.mapped, account->mapped_pending);
	bool is_first = !*ret_mapped && head->state.trimmed;
	bool is_behind = *ret_mapped < head->state.trimmed ||
			 head->tail_count - head_tail_after(head, *ret_mapped) >=
				 commit_settings.tail_entries / 2;
	return is_behind && (is_first || is_quiet || account->unmapped >= UNMAPPED_MOST);
}

struct error *map_behind_commit(
	struct op *op, struct commit *commit, struct commit_account *account, bool is_quiet)
{
	uint64_t mapped;
	struct account_finder finder = {
		.finder = {find_in_account}, .commit = commit, .account = account->id};
	struct log_row *rows;
	size_t count;
	bool complete;
	struct mutations out;
	if (engine_is_atomic(commit->engine) || !wants_map(account, is_quiet, &mapped))
		return NULL;
	mutations_init(&out, &op->arena);
	struct error *err =
		commit_log_known_since(op, commit, account->id, mapped, &rows, &count, &complete);
	/* A hole stays one, and the map must not stop at it for ever: a mailbox whose map does not
	 * hold what is counted is made anew from its rows. */
	if (!err && !complete)
		metric_add(&map_failures, 1);
	if (!err && count)
		err = commit->rules.map(op, commit->engine, &finder.finder, rows, count, &out);
	if (!err)
		err = engine_write(commit->engine, op, out.items, out.count, DURABLE);
	if (err) {
		metric_add(&map_failures, 1);
		err = op_wrap(op, err, "bring the map up to the log");
		if (err->kind != ERR_CORRUPT)
			return err;
		/* Damage is nothing that waiting mends; the rest of the account's work goes on. */
		log_error(op, "map-not-written", FIELD_ID("account", op, account->id.uuid),
			FIELD_ERROR(op, err));
		return NULL;
	}
	mutex_lock(&account->lock);
	if (count)
		account->mapped_pending = MAX_OF(account->mapped_pending, rows[count - 1].modseq);
	account->unmapped = 0;
	mutex_unlock(&account->lock);
	return NULL;
}

/* ---- Rows on their way to account_log ---- */

/* Which segment takes so many rows more, and how many it has. */
static uint32_t segment_for(const struct account_static *state, size_t count, uint32_t *ret_entries)
{
	*ret_entries = state->segment_entries;
	if (!*ret_entries || *ret_entries + count <= SEGMENT_ENTRIES)
		return state->segment;
	*ret_entries = 0;
	return state->segment + 1;
}

static void copy_row(
	struct op *op, struct slice segment, const struct log_row *row, struct mutations *out)
{
	struct arena *arena = &op->arena;
	mutations_put(out, &account_log_table, segment, key_u64_row(arena, row->modseq),
		row_encode_in(arena, &account_log_row, &row->row), row->modseq);
}

/* Up to which row the segment has been given copies already. With the lock held. */
static uint64_t copied_in(const struct commit_account *account, uint32_t segment)
{
	return account->copied_segment == segment ? account->copied : 0;
}

struct copying {
	const struct commit_account *account;
	uint32_t segment;
	struct log_row *rows;
	size_t count;
};

static struct error *choose_copies(struct op *op, const struct head *head, void *context)
{
	struct copying *copying = context;
	uint32_t entries;
	copying->count = 0;
	if (head->tail_count < commit_settings.tail_entries / 2 &&
		head->tail_bytes < commit_settings.tail_bytes / 2)
		return NULL;
	copying->segment = segment_for(&head->state, head->tail_count, &entries);
	size_t from = head_tail_after(head, copied_in(copying->account, copying->segment));
	copying->rows = ARENA_ARRAY(&op->arena, struct log_row, head->tail_count - from + 1);
	for (size_t i = from; i < head->tail_count; i++)
		log_copy_row(op, &head->tail[i], &copying->rows[copying->count++]);
	return NULL;
}

struct error *copy_behind_commit(
	struct op *op, struct commit *commit, struct commit_account *account)
{
	struct copying copying = {.account = account};
	struct mutations copies;
	bool is_planted_here = is_planted(BUG_TRIMMED_APPLIED) || is_planted(BUG_TRIMMED_EARLY);
	if (engine_is_atomic(commit->engine) || is_planted_here)
		return NULL;
	TRY(commit_read_known(op, commit, account->id, choose_copies, &copying));
	if (!copying.count)
		return NULL;
	struct slice target = key_log_segment(&op->arena, account->id, copying.segment);
	mutations_init(&copies, &op->arena);
	for (size_t i = 0; i < copying.count; i++)
		copy_row(op, target, &copying.rows[i], &copies);
	TRY(engine_write(commit->engine, op, copies.items, copies.count, DURABLE));
	AUTO_LOCK(&account->lock);
	account->copied_segment = copying.segment;
	account->copied = copying.rows[copying.count - 1].modseq;
	return NULL;
}

static struct error *move_rows(struct op *op, struct commit *commit, struct commit_plan *plan,
	size_t count, struct mutations *account_rows, struct mutations *plain)
{
	const struct head *head = plan->head;
	struct arena *arena = &op->arena;
	uint32_t entries;
	uint32_t segment = segment_for(&head->state, count, &entries);
	mutex_lock(&plan->account->lock);
	uint64_t before = copied_in(plan->account, segment);
	mutex_unlock(&plan->account->lock);
	struct slice partition = key_account(arena, plan->account->id, 0);
	struct slice target = key_log_segment(arena, plan->account->id, segment);
	struct mutations copies;
	mutations_init(&copies, arena);
	struct mutations *out = engine_is_atomic(commit->engine) ? plain : &copies;
	for (size_t i = 0; i < count; i++) {
		const struct log_row *row = &head->tail[i];
		if (is_planted(BUG_TRIMMED_APPLIED) && row->modseq <= plan->state.applied)
			continue;
		if (row->modseq > before)
			copy_row(op, target, row, out);
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
	if (engine_is_atomic(commit->engine))
		map_with_commit(op, commit, plan, plain);
	struct error *err = move_rows(op, commit, plan, count, account_rows, plain);
	if (err && (head->tail_count >= TAIL_ENTRIES_HARD || head->tail_bytes >= TAIL_BYTES_HARD)) {
		/* The copy is idempotent and nobody reads it before the CAS: nothing is uncertain.
		 */
		err->kind = ERR_UNAVAILABLE;
		return op_wrap(op, err, "the log tail is full and cannot be trimmed");
	}
	return NULL;
}
