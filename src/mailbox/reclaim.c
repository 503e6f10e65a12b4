#include "mailbox/store_private.h"

#include "base/byte_cache.h"
#include "base/clock.h"
#include "base/metric.h"
#include "base/world.h"

/* Content last: a blob is removed when nothing has referred to it for the grace period. Reclaim
 * looks at candidates only: messages whose last place may have gone. Whoever shares a blob writes
 * its reference first and then looks whether the blob is condemned; reclaim condemns first and then
 * looks at the references. */

METRIC_COUNTER(blobs_removed, "blobs_removed_total", "Blobs removed after the grace period");
METRIC_COUNTER(candidates_left, "blob_candidates_left_total",
	"Candidates that could not be dealt with, and are left for the next round");
METRIC_COUNTER(candidates_kept, "blob_candidates_kept_total",
	"Candidates that turned out to have a place still");

#define DAY_US (86400 * US_PER_S)
#define REMOVE_NS (10 * NS_PER_S)
/* So many in a row that a store did not answer for end the round: it is down. */
#define UNANSWERED_MOST 16

static struct error *has_rows(struct op *op, struct engine *engine, const struct table *table,
	struct slice partition, bool *ret_has)
{
	struct engine_rows rows;
	TRY(engine_scan(engine, op, table, partition, SLICE_NONE, SLICE_NONE, 1, false, READ_NORMAL,
		&rows));
	*ret_has = rows.count != 0;
	return NULL;
}

static struct error *condemn(struct op *op, struct engine *engine, struct slice partition)
{
	bool found;
	struct engine_row row;
	struct blob_state state = {0};
	TRY(engine_get(
		engine, op, &blob_state_table, partition, SLICE_NONE, READ_SERIAL, &found, &row));
	if (found)
		TRY(row_decode(op, &blob_state_row, row.value, &state));
	if (state.condemned)
		return NULL;
	struct blob_state condemned = {.revision = state.revision + 1, .condemned = 1};
	struct mutation change = {.table = &blob_state_table,
		.partition = partition,
		.value = row_encode_in(&op->arena, &blob_state_row, &condemned)};
	struct cas cas = {.table = &blob_state_table,
		.partition = partition,
		.expected = found ? row.value : SLICE_NONE,
		.mutations = &change,
		.mutation_count = 1};
	struct slice current;
	return engine_cas(engine, op, &cas, &current);
}

/* Whose content is it still? Of the message of the same id, as long as that has its summary, and of
 * whoever is noted in blob_ref. */
static struct error *is_referred_to(
	struct op *op, struct engine *engine, struct blob_id blob, bool *ret_is)
{
	struct engine_row row;
	struct slice partition = key_id(&op->arena, blob.uuid);
	TRY(engine_get(engine, op, &message_table, partition,
		key_kind_row(&op->arena, MESSAGE_SUMMARY), READ_NORMAL, ret_is, &row));
	if (*ret_is)
		return NULL;
	return has_rows(op, engine, &blob_ref_table, partition, ret_is);
}

/* The round as a whole has no deadline: a content store that hangs must not make it endless. */
static struct error *remove_in_time(struct op *op, struct mail_store *store, struct blob_id blob)
{
	uint64_t deadline_ns = op->deadline_ns;
	op->deadline_ns = clock_monotonic_ns() + REMOVE_NS;
	struct error *err = blob_remove(store->blobs, op, blob);
	op->deadline_ns = deadline_ns;
	return err;
}

/* One candidate, and what its message's rows say. */
struct candidate {
	struct message_id message;
	struct blob_id blob;
	struct account_id account;
	uint64_t version; /* when its last place may have gone */
	bool is_purged;   /* it does not wait for the grace period */
	bool has_place;
	bool has_gone;
	uint64_t gone_version;
	struct message_gone gone;
};

static struct error *look_at_places(struct op *op, struct mail_store *store, struct candidate *c)
{
	struct arena *arena = &op->arena;
	struct engine_rows rows;
	c->has_place = c->has_gone = false;
	TRY(engine_scan(store->engine, op, &message_table, key_id(arena, c->message.uuid),
		key_kind_row(arena, MESSAGE_PLACE), key_kind_row(arena, MESSAGE_GONE + 1), SIZE_MAX,
		false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		const struct engine_row *row = &rows.rows[i];
		if (row->key.ptr[0] == MESSAGE_PLACE) {
			c->has_place = true;
			continue;
		}
		/* A damaged one says nothing but when it was written. */
		struct error *err = row_decode(op, &message_gone_row, row->value, &c->gone);
		if (err && err->kind != ERR_CORRUPT)
			return err;
		if (err)
			c->gone = (struct message_gone){.modseq = row->version};
		c->has_gone = true;
		c->gone_version = row->version;
	}
	return NULL;
}

/* What made this candidate is no longer to be seen; what is newer stays. */
static struct error *forget_gone(
	struct op *op, struct mail_store *store, const struct candidate *c, uint64_t version)
{
	struct arena *arena = &op->arena;
	struct mutations rows;
	if (!c->has_gone)
		return NULL;
	mutations_init(&rows, arena);
	mutations_delete(&rows, &message_table, key_id(arena, c->message.uuid),
		key_kind_row(arena, MESSAGE_GONE), version);
	struct slice earlier = key_vault(arena, c->account, c->version);
	struct slice latest = key_vault(arena, c->account, c->gone.modseq);
	mutations_delete(
		&rows, &vault_table, earlier, key_id_row(arena, 0, c->message.uuid), version);
	if (!slice_equal(earlier, latest))
		mutations_delete(&rows, &vault_table, latest, key_id_row(arena, 0, c->message.uuid),
			version);
	if (c->is_purged)
		mutations_delete(&rows, &blob_candidate_table,
			key_candidates(arena, c->message, c->gone.modseq),
			key_id_row(arena, 0, c->message.uuid), version);
	return engine_write(store->engine, op, rows.items, rows.count, DURABLE);
}

static struct error *remove_content(
	struct op *op, struct mail_store *store, const struct candidate *c, bool *ret_removed)
{
	struct arena *arena = &op->arena;
	struct slice blob_partition = key_id(arena, c->blob.uuid);
	uint64_t now_us = clock_realtime_us();
	bool is_shared;
	struct mutations rows;
	mutations_init(&rows, arena);
	mutations_delete(&rows, &message_table, key_id(arena, c->message.uuid),
		key_kind_row(arena, MESSAGE_SUMMARY), now_us);
	mutations_delete(&rows, &blob_ref_table, blob_partition,
		key_id_row(arena, 0, c->message.uuid), now_us);
	byte_cache_forget(store->summaries, c->message.uuid);
	TRY(engine_write(store->engine, op, rows.items, rows.count, DURABLE));
	TRY(is_referred_to(op, store->engine, c->blob, &is_shared));
	if (is_shared)
		return NULL;
	TRY(condemn(op, store->engine, blob_partition));
	TRY(is_referred_to(op, store->engine, c->blob, &is_shared));
	if (is_shared)
		return NULL;
	TRY(remove_in_time(op, store, c->blob));
	*ret_removed = true;
	return NULL;
}

/* A message that was moved or copied and expunged later has a candidate for each time: the last one
 * counts. One that was purged counts as long as nobody has restored it. */
static bool is_due(const struct candidate *c, uint64_t before_us)
{
	if (c->is_purged)
		return c->has_gone && c->gone.state == GONE_PURGED;
	return !c->has_gone || c->gone.modseq <= before_us;
}

static struct error *read_state(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(struct account_static *)context = head->state;
	return NULL;
}

/* Do the rows tell all that was known when this became a candidate? A node may have stopped for
 * long between two rows of one commit: what they say before the rest has come is not so. What was
 * purged was nowhere then, so no later change can bring it back. */
static struct error *is_applied(
	struct op *op, struct mail_store *store, struct candidate *c, bool *ret_is)
{
	struct account_static state;
	bool owes;
	*ret_is = true;
	if (c->is_purged)
		TRY(look_at_places(op, store, c));
	else if (engine_is_atomic(store->engine))
		return NULL;
	struct error *err = commit_read(op, store->commit, c->account, read_state, &state);
	*ret_is = err || state.applied >= (c->is_purged ? c->gone.known_modseq : c->version);
	if (err)
		return err->kind == ERR_NOT_FOUND ? NULL : err;
	if (*ret_is)
		return NULL;
	TRY(account_owes(op, store, c->account, &owes));
	*ret_is = !owes;
	return NULL;
}

/* The places that one change gave the message, and those that it took. */
static struct error *count_places(struct op *op, const struct candidate *c,
	const struct log_row *row, size_t *inout_given, size_t *inout_taken)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item)) {
		if (item.kind == LOG_APPEND)
			*inout_given += uuid_equal(item.row.message_id, c->message.uuid);
		for (size_t i = 0; item.kind == LOG_EXPUNGE && i < item.expunged_count; i++)
			*inout_taken += ID_EQUAL(item.expunged[i].message, c->message);
	}
	return log.err;
}

/* A message that was moved when it became a candidate, and never deleted, has a place; if its rows
 * do not tell of one, that is damage, and no reason to remove anything. */
static struct error *lives_by_log(
	struct op *op, struct mail_store *store, const struct candidate *c, bool *ret_lives)
{
	struct log_walk log;
	size_t given = 1; /* the place that it lost */
	size_t taken = 0;
	*ret_lives = false;
	struct error *err = commit_log_walk(op, store->commit, c->account, c->version - 1, &log);
	/* The account has gone, and all that was its own. */
	if (err && err->kind == ERR_NOT_FOUND)
		return NULL;
	TRY(err);
	if (log.damaged_count)
		return op_fail(
			op, ERR_CORRUPT, "the log is damaged: it does not tell of all places");
	/* Content that no commit took became a candidate at no commit, but perhaps in the same
	 * microsecond as one. */
	if (!log.count || log.rows[0].modseq != c->version)
		return NULL;
	TRY(count_places(op, c, &log.rows[0], &given, &taken));
	if (!taken)
		return NULL;
	if (!log.is_complete)
		return op_fail(
			op, ERR_CORRUPT, "the log has a hole: it does not tell of all places");
	for (size_t i = 1; i < log.count; i++)
		TRY(count_places(op, c, &log.rows[i], &given, &taken));
	*ret_lives = given > taken;
	return NULL;
}

/* *ret_settled: the candidate needs no further look. */
static struct error *reclaim_one(struct op *op, struct mail_store *store, struct candidate *c,
	uint64_t before_us, bool *ret_removed, bool *ret_settled)
{
	*ret_removed = false;
	TRY(is_applied(op, store, c, ret_settled));
	if (!*ret_settled)
		return NULL;
	TRY(look_at_places(op, store, c));
	if (c->has_place && !is_planted(BUG_FORGOTTEN_PLACE)) {
		metric_add(&candidates_kept, 1);
		return forget_gone(op, store, c, c->version);
	}
	if (!c->has_gone && !c->has_place) {
		struct solve_report report = {0};
		bool lives;
		TRY(lives_by_log(op, store, c, &lives));
		if (lives) {
			metric_add(&candidates_kept, 1);
			return repair_by_log(op, store, c->account, &report);
		}
	}
	if (!is_due(c, before_us))
		return c->is_purged ? NULL : forget_gone(op, store, c, c->version);
	TRY(remove_content(op, store, c, ret_removed));
	return forget_gone(op, store, c, MAX_OF(clock_realtime_us(), c->gone_version + 1));
}

struct round {
	struct mail_store *store;
	uint64_t before_us;
	size_t removed;
	size_t left;
	size_t unanswered;   /* in a row */
	struct error *first; /* why the first one was left */
};

static struct error *reclaim_row(struct op *op, struct round *round, struct slice partition,
	bool is_purged, const struct engine_row *stored)
{
	struct blob_candidate row;
	struct candidate candidate = {.version = stored->version, .is_purged = is_purged};
	bool removed;
	bool settled;
	struct mutations done;
	TRY(row_decode(op, &blob_candidate_row, stored->value, &row));
	candidate.blob.uuid = row.blob_id;
	candidate.account.uuid = row.account_id;
	if (!uuid_from_slice(slice_from(stored->key, 1), &candidate.message.uuid))
		return op_fail(
			op, ERR_CORRUPT, "a candidate has a key of %zu bytes", stored->key.len);
	TRY(reclaim_one(op, round->store, &candidate, round->before_us, &removed, &settled));
	round->removed += removed;
	metric_add(&blobs_removed, removed);
	if (!settled)
		return NULL;
	mutations_init(&done, &op->arena);
	mutations_delete(&done, &blob_candidate_table, partition, stored->key, stored->version);
	return engine_write(round->store->engine, op, done.items, done.count, DURABLE);
}

/* One that fails, for a store of content that does not answer, an account that cannot be read or a
 * damaged row, does not hold up the others. */
static void leave(struct round *round, struct error *err)
{
	metric_add(&candidates_left, 1);
	round->left++;
	if (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT || err->kind == ERR_UNCERTAIN)
		round->unanswered++;
	if (!round->first)
		round->first = err;
}

/* Candidates of one day and shard whose time has come. */
static struct error *reclaim_partition(
	struct op *op, struct round *round, struct slice partition, bool is_purged)
{
	struct engine_rows rows;
	TRY(engine_scan(round->store->engine, op, &blob_candidate_table, partition, SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		if (!is_purged && rows.rows[i].version > round->before_us)
			continue;
		struct arena_mark mark = arena_mark(&op->arena);
		struct error *err = reclaim_row(op, round, partition, is_purged, &rows.rows[i]);
		if (err && err->kind == ERR_CANCELLED)
			return err;
		if (err)
			leave(round, err);
		else
			round->unanswered = 0;
		if (round->unanswered == UNANSWERED_MOST)
			return op_wrap(op, err, "%d contents in a row", UNANSWERED_MOST);
		/* The first error is told at the end. */
		if (!err || round->first != err)
			arena_release(&op->arena, mark);
	}
	return NULL;
}

static struct error *reclaim_all(struct op *op, struct round *round)
{
	struct slice after = SLICE_NONE;
	for (;;) {
		struct slice *partitions;
		size_t count;
		TRY(engine_partitions(round->store->engine, op, &blob_candidate_table, after, 64,
			&partitions, &count));
		if (!count)
			return NULL;
		for (size_t i = 0; i < count; i++) {
			struct reader reader = reader_of(partitions[i]);
			reader_u8(&reader);
			uint32_t day = reader_u32(&reader);
			if (day * DAY_US <= round->before_us)
				TRY(reclaim_partition(
					op, round, partitions[i], day == CANDIDATE_DAY_PURGED));
		}
		after = partitions[count - 1];
	}
}

struct error *mail_store_reclaim(
	struct op *op, struct mail_store *store, uint64_t grace_us, size_t *ret_removed)
{
	uint64_t now_us = clock_realtime_us();
	struct round round = {
		.store = store, .before_us = now_us > grace_us ? now_us - grace_us : 0};
	struct error *err = reclaim_all(op, &round);
	*ret_removed = round.removed;
	TRY(err);
	return round.left ? op_wrap(op, round.first, "%zu contents are left to the next round",
				    round.left)
			  : NULL;
}
