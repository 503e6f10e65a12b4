#include "commit/commit_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "base/world.h"

METRIC_COUNTER(rows_applied, "projection_rows_total", "Projection rows written after a commit");
METRIC_COUNTER(apply_failures, "projection_write_failures_total",
	"Projection writes that failed and are owed");
METRIC_GAUGE(accounts_owed, "projection_accounts_owed", "Accounts whose log is not applied yet");
METRIC_COUNTER(swept, "swept_accounts_total", "Accounts that the sweeper looked at");

/* A quiet account gets a commit of its own so that `applied` moves: later where a commit costs
 * several round trips, since reading its log's tail along costs none. */
#define QUIET_NS (1 * NS_PER_S)
#define QUIET_SHARED_NS (30 * NS_PER_S)
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_DOUBLINGS 7
#define SWEEP_PAGE 256
/* An operation lasts an hour at the most (the age of its content), and a slice five minutes. */
#define SLICE_KEEP_US (2 * 3600 * US_PER_S)
/* What a killed node left is found soon after; what is still noted later is looked at seldom, since
 * each look is a read of the account. */
#define SLICE_FRESH_US (600 * US_PER_S)
#define SWEEP_OLD_EVERY_US (600 * US_PER_S)

/* Log rows that are not applied yet, ascending. */
static struct error *unapplied(struct op *op, struct commit *commit, struct commit_account *account,
	struct log_row **ret_rows, size_t *ret_count, uint64_t *ret_applied)
{
	mutex_lock(&account->lock);
	uint64_t applied = MAX_OF(account->head.state.applied, account->applied_pending);
	mutex_unlock(&account->lock);
	bool complete;
	TRY(commit_log_known_since(
		op, commit, account->id, applied, ret_rows, ret_count, &complete));
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to what is applied");
	*ret_applied = applied;
	return NULL;
}

static struct error *write_rows(struct op *op, struct commit *commit, struct account_id account,
	const struct log_row *rows, size_t count, size_t *ret_written)
{
	if (is_planted(BUG_APPLIED_ALONE) && count > 1) {
		/* Newest first, as two appliers may do it. */
		TRY(write_rows(op, commit, account, rows + 1, count - 1, ret_written));
		return write_rows(op, commit, account, rows, 1, ret_written);
	}
	struct row_changes changes;
	row_changes_init(&changes, &op->arena);
	for (size_t i = 0; i < count; i++)
		TRY(commit->rules.derive(op, account, &rows[i], &changes));
	struct mutations out;
	mutations_init(&out, &op->arena);
	TRY(projection_rows(op, commit->engine, &changes, &out));
	if (is_planted(BUG_LOST_PROJECTION) && out.count)
		out.count--;
	TRY(engine_write(commit->engine, op, out.items, out.count, DURABLE));
	*ret_written = out.count;
	return NULL;
}

static struct error *move_applied(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	(void)context;
	/* The commit point itself puts `applied` into each CAS. */
	plan_log(plan, SLICE(""));
	return NULL;
}

static uint64_t quiet_ns(const struct commit *commit)
{
	return commit->engine->is_shared ? QUIET_SHARED_NS : QUIET_NS;
}

/* True in *ret_clean when nothing is owed any more; else *ret_again_ns is when to come back. */
static struct error *apply_account(struct op *op, struct commit *commit,
	struct commit_account *account, bool *ret_clean, uint64_t *ret_again_ns)
{
	struct log_row *rows;
	size_t count;
	uint64_t applied;
	TRY(unapplied(op, commit, account, &rows, &count, &applied));
	size_t written = 0;
	TRY(copy_behind_commit(op, commit, account));
	TRY(write_rows(op, commit, account->id, rows, count, &written));
	metric_add(&rows_applied, (int64_t)written);
	mutex_lock(&account->lock);
	if (count)
		account->applied_pending = MAX_OF(account->applied_pending, rows[count - 1].modseq);
	bool is_behind = account->head.state.applied < account->applied_pending;
	*ret_again_ns = account->last_commit_ns + quiet_ns(commit);
	bool is_quiet = clock_monotonic_ns() > *ret_again_ns;
	mutex_unlock(&account->lock);
	TRY(map_behind_commit(op, commit, account, is_quiet));
	/* Rows without content, such as the quiet account's own commit, owe nothing. */
	bool meant_something = false;
	for (size_t i = 0; i < count; i++)
		meant_something |= rows[i].row.entry.len != 0;
	*ret_clean = !meant_something && (!is_behind || (count && !written));
	if (*ret_clean || !is_quiet)
		return NULL;
	struct commit_change change = {.plan = move_applied};
	return commit_run(op, commit, account->id, &change);
}

/* An account whose log is not applied yet. */
struct owed {
	uint64_t due_ns;
	unsigned failures; /* since the last success */
	bool is_taken;     /* somebody works on it */
	bool is_renewed;   /* meanwhile it has come to owe more */
};

void owe_projections(struct commit *commit, struct account_id account)
{
	AUTO_LOCK(&commit->owed_lock);
	struct owed *owed = hash_map_find(&commit->owed, ID_SLICE(account));
	if (!owed) {
		owed = HEAP_NEW(struct owed);
		owed->due_ns = UINT64_MAX;
		hash_map_put(&commit->owed, ID_SLICE(account), owed);
	}
	uint64_t due_ns = clock_monotonic_ns() + commit_settings.projection_delay_ms * NS_PER_MS;
	owed->due_ns = MIN_OF(owed->due_ns, due_ns);
	owed->is_renewed = true;
}

void owed_free(struct commit *commit)
{
	struct hash_cursor cursor = {0};
	void *value;
	while (hash_map_next(&commit->owed, &cursor, NULL, &value))
		free(value);
	hash_map_done(&commit->owed);
}

static size_t list_due(struct op *op, struct commit *commit, struct account_id **ret_accounts)
{
	AUTO_LOCK(&commit->owed_lock);
	uint64_t now_ns = clock_monotonic_ns();
	size_t count = 0;
	*ret_accounts = ARENA_ARRAY(
		&op->arena, struct account_id, commit->owed.count ? commit->owed.count : 1);
	struct hash_cursor cursor = {0};
	struct slice key;
	void *value;
	while (hash_map_next(&commit->owed, &cursor, &key, &value)) {
		const struct owed *owed = value;
		if (!owed->is_taken && owed->due_ns <= now_ns &&
			uuid_from_slice(key, &(*ret_accounts)[count].uuid))
			count++;
	}
	return count;
}

/* False when another thread has it, or it is done. */
static bool take_owed(struct commit *commit, struct account_id account)
{
	AUTO_LOCK(&commit->owed_lock);
	struct owed *owed = hash_map_find(&commit->owed, ID_SLICE(account));
	if (!owed || owed->is_taken)
		return false;
	owed->is_taken = true;
	owed->is_renewed = false;
	owed->due_ns = UINT64_MAX;
	return true;
}

static uint64_t retry_pause_ns(unsigned failures)
{
	uint64_t most = RETRY_FIRST_NS << MIN_OF(failures - 1, RETRY_DOUBLINGS);
	return most / 2 + random_below(most / 2 + 1);
}

static void give_back(struct commit *commit, struct account_id account, bool is_clean,
	bool has_failed, uint64_t again_ns)
{
	AUTO_LOCK(&commit->owed_lock);
	struct owed *owed = hash_map_find(&commit->owed, ID_SLICE(account));
	owed->is_taken = false;
	owed->failures = has_failed ? owed->failures + 1 : 0;
	if (has_failed)
		owed->due_ns = clock_monotonic_ns() + retry_pause_ns(owed->failures);
	else if (!owed->is_renewed)
		owed->due_ns = again_ns;
	if (is_clean && !owed->is_renewed)
		free(hash_map_remove(&commit->owed, ID_SLICE(account)));
}

static void work_on(struct op *op, struct commit *commit, struct account_id id)
{
	struct commit_account *account = account_get(commit, id);
	bool clean = false;
	uint64_t again_ns = 0;
	struct error *err = apply_account(op, commit, account, &clean, &again_ns);
	account_put(commit, account);
	bool is_gone = err && err->kind == ERR_NOT_FOUND;
	if (err && !is_gone) {
		metric_add(&apply_failures, 1);
		log_debug(op, "projection-owed", FIELD_ID("account", op, id.uuid),
			FIELD_ERROR(op, err));
	}
	give_back(commit, id, clean || is_gone, err && !is_gone, again_ns);
}

size_t commit_apply_owed(struct op *op, struct commit *commit)
{
	struct account_id *accounts;
	size_t count = list_due(op, commit, &accounts);
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		if (take_owed(commit, accounts[i]))
			work_on(op, commit, accounts[i]);
		arena_release(&op->arena, mark);
	}
	mutex_lock(&commit->owed_lock);
	size_t left = commit->owed.count;
	mutex_unlock(&commit->owed_lock);
	metric_set(&accounts_owed, (int64_t)left);
	return left;
}

struct sweep_note {
	struct commit *commit;
	bool is_clean;
	bool is_elsewhere; /* its home applies its log */
};

static struct error *note_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	struct sweep_note *note = context;
	bool *is_clean = &note->is_clean;
	note->is_elsewhere = !is_at_home(note->commit, &head->state);
	*is_clean = head->state.applied == head->state.modseq;
	if (!*is_clean) {
		/* Only rows without content above it: as good as applied. */
		size_t from = head_tail_after(head, head->state.applied);
		*is_clean = head->state.trimmed <= head->state.applied;
		for (size_t i = from; i < head->tail_count; i++)
			*is_clean &= !head->tail[i].row.entry.len;
	}
	*is_clean &= !head->intents.count;
	return NULL;
}

static bool is_followed(const struct commit *commit, struct account_id account)
{
	for (size_t i = 0; i < COMMIT_FOLLOWERS_MOST; i++) {
		const struct commit_follower *follower = &commit->followers[i];
		if (follower->is_behind && follower->is_behind(follower->context, account))
			return false;
	}
	return true;
}

/* What the account owes, by a look that may miss a commit which is decided and has reached few
 * replicas: its node was killed before it knew. */
static struct error *look_at(struct op *op, struct commit *commit, struct account_id account,
	struct sweep_note *ret_note)
{
	*ret_note = (struct sweep_note){.commit = commit};
	return commit_read(op, commit, account, note_state, ret_note);
}

/* Before the note goes the account is looked at for good: nobody would look again. */
static bool wants_last_look(
	const struct commit *commit, const struct error *err, const struct sweep_note *note)
{
	if (!commit->engine->is_shared || note->is_elsewhere)
		return false;
	return err ? err->kind == ERR_NOT_FOUND : note->is_clean;
}

/* Has the slice ended so long ago? */
static bool is_older(uint32_t slice, uint64_t age_us, uint64_t now_us)
{
	return (uint64_t)slice * DIRTY_SLICE_US + DIRTY_SLICE_US + age_us < now_us;
}

static struct error *sweep_slice(struct op *op, struct commit *commit, struct slice partition,
	uint32_t slice, uint64_t now_us)
{
	struct engine_rows rows;
	TRY(engine_scan(commit->engine, op, &dirty_table, partition, SLICE_NONE, SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &rows));
	bool may_clear = is_older(slice, SLICE_KEEP_US, now_us);
	struct mutations cleared;
	mutations_init(&cleared, &op->arena);
	for (size_t i = 0; i < rows.count; i++) {
		struct account_id account;
		if (!uuid_from_slice(slice_from(rows.rows[i].key, 1), &account.uuid))
			return op_fail(op, ERR_CORRUPT, "a row of dirty has a key of %zu bytes",
				rows.rows[i].key.len);
		struct sweep_note note;
		struct error *err = look_at(op, commit, account, &note);
		if (may_clear && wants_last_look(commit, err, &note)) {
			TRY(commit_finish(op, commit, account));
			err = look_at(op, commit, account, &note);
		}
		if (err && err->kind != ERR_NOT_FOUND)
			return err;
		metric_add(&swept, 1);
		if (note.is_elsewhere)
			continue;
		if (!err && !note.is_clean)
			owe_projections(commit, account);
		if (may_clear && (err || note.is_clean) && is_followed(commit, account))
			mutations_delete(
				&cleared, &dirty_table, partition, rows.rows[i].key, now_us);
	}
	return engine_write(commit->engine, op, cleared.items, cleared.count, DURABLE);
}

static bool wants_old_slices(struct commit *commit, uint64_t now_us)
{
	AUTO_LOCK(&commit->owed_lock);
	uint64_t last_us = commit->swept_old_us;
	return now_us < last_us || now_us - last_us > SWEEP_OLD_EVERY_US;
}

static void note_old_slices_swept(struct commit *commit, uint64_t now_us)
{
	AUTO_LOCK(&commit->owed_lock);
	commit->swept_old_us = now_us;
}

struct error *commit_sweep(struct op *op, struct commit *commit)
{
	uint64_t now_us = clock_realtime_us();
	bool with_old = wants_old_slices(commit, now_us);
	struct slice after = SLICE_NONE;
	for (;;) {
		struct slice *partitions;
		size_t count;
		TRY(engine_partitions(
			commit->engine, op, &dirty_table, after, SWEEP_PAGE, &partitions, &count));
		if (!count)
			break;
		for (size_t i = 0; i < count; i++) {
			struct reader reader = reader_of(partitions[i]);
			reader_u8(&reader);
			uint32_t slice = reader_u32(&reader);
			if (with_old || !is_older(slice, SLICE_FRESH_US, now_us))
				TRY(sweep_slice(op, commit, partitions[i], slice, now_us));
		}
		after = partitions[count - 1];
	}
	if (with_old)
		note_old_slices_swept(commit, now_us);
	return NULL;
}
