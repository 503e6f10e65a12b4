#include "consumer/consumer_private.h"

/* The rows in which consumers say how far they are. A cursor's version is its own MODSEQ, so the
 * higher one wins whatever the order of arrival: of two nodes at work on one account the slower one
 * takes nothing back. */

/* The partition that tells when consumers were first there. */
static const struct account_id nobody;

static struct error *scan(
	struct op *op, struct engine *engine, struct account_id account, struct engine_rows *rows)
{
	return engine_scan(engine, op, &cursor_table, key_id(&op->arena, account.uuid), SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, rows);
}

static const struct engine_row *find_row(
	const struct engine_rows *rows, enum cursor_row_kind kind, struct slice name)
{
	for (size_t i = 0; i < rows->count; i++) {
		struct slice key = rows->rows[i].key;
		if (key.len && key.ptr[0] == (char)kind && slice_equal(slice_from(key, 1), name))
			return &rows->rows[i];
	}
	return NULL;
}

static struct error *read_cursor(struct op *op, const struct engine_rows *rows,
	const struct lane *lane, uint64_t *ret_modseq)
{
	struct cursor cursor;
	const struct engine_row *row = find_row(rows, CURSOR_AT, lane->name);
	*ret_modseq = lane->born;
	if (!row)
		return NULL;
	TRY(row_decode(op, &cursor_row, row->value, &cursor));
	*ret_modseq = cursor.modseq;
	return NULL;
}

struct error *position_read(struct op *op, const struct lane *lane, struct account_id account,
	struct position *ret_position)
{
	struct engine_rows rows;
	struct position position = {0};
	TRY(scan(op, lane->consumers->engine, account, &rows));
	TRY(read_cursor(op, &rows, lane, &position.modseq));
	const struct engine_row *at = find_row(&rows, CURSOR_AT, lane->name);
	const struct engine_row *retry = find_row(&rows, CURSOR_RETRY, lane->name);
	position.is_stored = at != NULL;
	position.version = at ? at->version : 0;
	if (retry) {
		TRY(row_decode(op, &cursor_retry_row, retry->value, &position.retry));
		position.has_retry_row = true;
		position.retry_version = retry->version;
		position.has_retry = position.retry.modseq > position.modseq;
	}
	*ret_position = position;
	return NULL;
}

struct error *positions_read(struct op *op, struct consumers *consumers, struct account_id account,
	uint64_t *ret_modseqs)
{
	struct engine_rows rows;
	TRY(scan(op, consumers->engine, account, &rows));
	for (size_t i = 0; i < consumers->lane_count; i++)
		TRY(read_cursor(op, &rows, &consumers->lanes[i], &ret_modseqs[i]));
	return NULL;
}

static void put_cursor(struct op *op, struct mutations *list, const struct lane *lane,
	struct account_id account, uint64_t modseq, uint64_t version)
{
	const struct cursor cursor = {.modseq = modseq};
	mutations_put(list, &cursor_table, key_id(&op->arena, account.uuid),
		key_cursor_row(&op->arena, CURSOR_AT, lane->name),
		row_encode_in(&op->arena, &cursor_row, &cursor), version);
}

/* A cursor that a crash loses is one whose events come again. */
struct error *position_move(struct op *op, const struct lane *lane, struct account_id account,
	uint64_t modseq, bool is_reset, struct position *inout_position)
{
	struct mutations list;
	struct position *position = inout_position;
	uint64_t version = is_reset ? MAX_OF(modseq, position->version + 1)
				    : MAX_OF(modseq, position->version);
	/* Behind a cursor that was set back the versions go on from there. */
	if (version == position->version && modseq != position->modseq)
		version++;
	mutations_init(&list, &op->arena);
	put_cursor(op, &list, lane, account, modseq, version);
	if (position->has_retry_row)
		mutations_delete(&list, &cursor_table, key_id(&op->arena, account.uuid),
			key_cursor_row(&op->arena, CURSOR_RETRY, lane->name),
			position->retry_version);
	TRY(engine_write(lane->consumers->engine, op, list.items, list.count, RELAXED));
	*position = (struct position){.modseq = modseq,
		.is_stored = true,
		.version = version,
		.retry_version = position->retry_version};
	return NULL;
}

struct error *position_retry(struct op *op, const struct lane *lane, struct account_id account,
	const struct cursor_retry *retry, struct position *inout_position)
{
	struct mutations list;
	struct position *position = inout_position;
	uint64_t version = MAX_OF(clock_realtime_us(), position->retry_version + 1);
	mutations_init(&list, &op->arena);
	mutations_put(&list, &cursor_table, key_id(&op->arena, account.uuid),
		key_cursor_row(&op->arena, CURSOR_RETRY, lane->name),
		row_encode_in(&op->arena, &cursor_retry_row, retry), version);
	TRY(engine_write(lane->consumers->engine, op, list.items, list.count, DURABLE));
	position->has_retry = position->has_retry_row = true;
	position->retry = *retry;
	position->retry_version = version;
	return NULL;
}

struct error *consumers_prepare(struct op *op, struct consumers *consumers)
{
	struct engine_rows rows;
	struct mutations list;
	uint64_t now_us = clock_realtime_us();
	if (consumers->is_prepared)
		return NULL;
	TRY(scan(op, consumers->engine, nobody, &rows));
	mutations_init(&list, &op->arena);
	for (size_t i = 0; i < consumers->lane_count; i++) {
		struct lane *lane = &consumers->lanes[i];
		lane->born = 0;
		TRY(read_cursor(op, &rows, lane, &lane->born));
		if (lane->born)
			continue;
		lane->born = now_us;
		put_cursor(op, &list, lane, nobody, now_us, now_us);
	}
	if (list.count)
		TRY(engine_write(consumers->engine, op, list.items, list.count, DURABLE));
	consumers->is_prepared = true;
	return NULL;
}
