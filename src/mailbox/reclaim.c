#include "mailbox/store_private.h"

#include "base/clock.h"
#include "base/metric.h"
#include "base/world.h"

/* Content last: a blob is removed when nothing has referred to it for the grace period. Reclaim
 * looks at candidates only: messages whose last place may have gone. Whoever shares a blob writes
 * its reference first and then looks whether the blob is condemned; reclaim condemns first and then
 * looks at the references. */

METRIC_COUNTER(blobs_removed, "blobs_removed_total", "Blobs removed after the grace period");
METRIC_COUNTER(candidates_kept, "blob_candidates_kept_total",
	"Candidates that turned out to have a place still");

#define DAY_US (86400 * US_PER_S)
#define REMOVE_NS (10 * NS_PER_S)

static struct error *has_rows(struct op *op, struct engine *engine, const struct table *table,
	struct slice partition, struct slice from, bool *ret_has)
{
	struct engine_rows rows;
	TRY(engine_scan(
		engine, op, table, partition, from, SLICE_NONE, 1, false, READ_NORMAL, &rows));
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
	return has_rows(op, engine, &blob_ref_table, partition, SLICE_NONE, ret_is);
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

/* *ret_settled: the candidate needs no further look. */
static struct error *reclaim_one(struct op *op, struct mail_store *store, struct message_id message,
	struct blob_id blob, bool *ret_removed)
{
	struct arena *arena = &op->arena;
	struct slice message_partition = key_id(arena, message.uuid);
	struct slice blob_partition = key_id(arena, blob.uuid);
	bool has_place;
	bool is_shared;
	*ret_removed = false;
	TRY(has_rows(op, store->engine, &message_table, message_partition,
		key_kind_row(arena, MESSAGE_PLACE), &has_place));
	if (has_place && !is_planted(BUG_FORGOTTEN_PLACE)) {
		metric_add(&candidates_kept, 1);
		return NULL;
	}
	uint64_t now_us = clock_realtime_us();
	struct mutations rows;
	mutations_init(&rows, arena);
	mutations_delete(&rows, &message_table, message_partition,
		key_kind_row(arena, MESSAGE_SUMMARY), now_us);
	mutations_delete(
		&rows, &blob_ref_table, blob_partition, key_id_row(arena, 0, message.uuid), now_us);
	TRY(engine_write(store->engine, op, rows.items, rows.count, DURABLE));
	TRY(is_referred_to(op, store->engine, blob, &is_shared));
	if (is_shared)
		return NULL;
	TRY(condemn(op, store->engine, blob_partition));
	TRY(is_referred_to(op, store->engine, blob, &is_shared));
	if (is_shared)
		return NULL;
	TRY(remove_in_time(op, store, blob));
	*ret_removed = true;
	return NULL;
}

/* Candidates of one day and shard whose time has come. */
static struct error *reclaim_partition(struct op *op, struct mail_store *store,
	struct slice partition, uint64_t before_us, size_t *inout_removed)
{
	struct engine_rows rows;
	TRY(engine_scan(store->engine, op, &blob_candidate_table, partition, SLICE_NONE, SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct blob_candidate candidate;
		struct message_id message;
		bool removed;
		if (rows.rows[i].version > before_us)
			continue;
		TRY(row_decode(op, &blob_candidate_row, rows.rows[i].value, &candidate));
		if (!uuid_from_slice(slice_from(rows.rows[i].key, 1), &message.uuid))
			return op_fail(op, ERR_CORRUPT, "a candidate has a key of %zu bytes",
				rows.rows[i].key.len);
		TRY(reclaim_one(op, store, message, (struct blob_id){candidate.blob_id}, &removed));
		*inout_removed += removed;
		metric_add(&blobs_removed, removed);
		struct mutations done;
		mutations_init(&done, &op->arena);
		mutations_delete(&done, &blob_candidate_table, partition, rows.rows[i].key,
			rows.rows[i].version);
		TRY(engine_write(store->engine, op, done.items, done.count, DURABLE));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

struct error *mail_store_reclaim(
	struct op *op, struct mail_store *store, uint64_t grace_us, size_t *ret_removed)
{
	uint64_t now_us = clock_realtime_us();
	uint64_t before_us = now_us > grace_us ? now_us - grace_us : 0;
	struct slice after = SLICE_NONE;
	*ret_removed = 0;
	for (;;) {
		struct slice *partitions;
		size_t count;
		TRY(engine_partitions(
			store->engine, op, &blob_candidate_table, after, 64, &partitions, &count));
		if (!count)
			return NULL;
		for (size_t i = 0; i < count; i++) {
			struct reader reader = reader_of(partitions[i]);
			reader_u8(&reader);
			if (reader_u32(&reader) * DAY_US <= before_us)
				TRY(reclaim_partition(
					op, store, partitions[i], before_us, ret_removed));
		}
		after = partitions[count - 1];
	}
}
