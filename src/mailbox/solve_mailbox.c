#include "mailbox/map.h"
#include "mailbox/store_private.h"

#include "base/log.h"
#include "base/metric.h"

/* One mailbox: its rows, its map and its counts are held against each other. The counts stand in
 * the account and are the truth. Of rows and map the one that fits them is right, and where both
 * know a message the newer of the two: so a row that came back from the dead, or is older than the
 * map, is put right although the log that made it has gone. What fits nowhere is told. */

METRIC_COUNTER(drift, "drift_total", "Counts that were not what the rows say: each is a bug");
METRIC_COUNTER(lost, "rows_lost_total", "Messages known to be there whose row is gone for good");

/* Rows are read so many UIDs at a time. */
#define PAGE 4096
/* A mailbox that changes while its rows are read is read again so often. */
#define ATTEMPTS 4

struct solving {
	struct mail_store *store;
	struct account_id account;
	struct mailbox_status mailbox;
	const struct solve_scope *scope;
	struct solve_report *report;
	bool content_is_seen;         /* once is enough, however often the rows are read */
	uint64_t as_of;               /* what is put right is written at */
	struct snapshot_builder rows; /* the mailbox as its rows tell it */
	uint32_t count;
	uint64_t bytes;
};

/* Content that is whole may still be another's: its summary knows which bytes came. */
static struct error *read_content(struct op *op, struct solving *s, const struct message *message)
{
	struct slice bytes;
	bool found;
	struct message_summary_columns summary;
	uint8_t digest[SHA256_SIZE];
	TRY(message_content(op, s->store, message, 0, UINT64_MAX, &bytes));
	TRY(summary_find(op, s->store, message, &found, &summary));
	sha256_of(bytes, digest);
	if (!found || slice_equal(summary.sha256, slice_of(digest, SHA256_SIZE)))
		return NULL;
	return op_fail(op, ERR_CORRUPT, "the content is not the one that came");
}

static struct error *check_content(struct op *op, struct solving *s, const struct message *message)
{
	op->asks_store = true;
	struct error *err = read_content(op, s, message);
	op->asks_store = false;
	if (err && err->kind != ERR_NOT_FOUND && err->kind != ERR_CORRUPT)
		return err;
	if (!err)
		return NULL;
	s->report->content_lost++;
	log_error(op, "content-lost", FIELD_ID("message", op, message->id.uuid),
		FIELD_ERROR(op, err));
	return NULL;
}

/* Calls `each` for every page of rows that there are. */
static struct error *walk_rows(struct op *op, struct solving *s,
	struct error *(*each)(struct op *op, struct solving *s, void *context,
		const struct message *messages, size_t count),
	void *context)
{
	for (uint64_t first = 1; first < s->mailbox.uidnext; first += PAGE) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct uid_set uids = {.arena = &op->arena};
		struct message *messages;
		size_t count;
		uint64_t last = MIN_OF(first + PAGE - 1, (uint64_t)s->mailbox.uidnext - 1);
		uid_set_add_range(&uids, (uint32_t)first, (uint32_t)last);
		TRY(read_messages(
			op, s->store, s->account, NULL, s->mailbox.id, &uids, &messages, &count));
		TRY(solve_keep_pace(op, s->scope, count));
		TRY(each(op, s, context, messages, count));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static struct error *take_rows(struct op *op, struct solving *s, void *context,
	const struct message *messages, size_t count)
{
	(void)context;
	for (size_t i = 0; i < count; i++) {
		builder_put(&s->rows, messages[i].uid, messages[i].flags, &messages[i].keywords,
			messages[i].modseq);
		s->bytes += messages[i].size;
		s->count++;
		if (s->scope->parts & SOLVE_CONTENT && !s->content_is_seen) {
			struct arena_mark mark = arena_mark(&op->arena);
			TRY(check_content(op, s, &messages[i]));
			arena_release(&op->arena, mark);
		}
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

static bool fits_counts(const struct solving *s, const struct snapshot *messages)
{
	return snapshot_count(messages) == s->mailbox.messages &&
	       snapshot_count_flags(messages, 0, FLAG_SEEN) == s->mailbox.unseen &&
	       snapshot_count_flags(messages, FLAG_DELETED, 0) == s->mailbox.deleted;
}

/* ---- The map, by the rows ---- */

/* Chunks of UIDs that the mailbox has never given out. */
static struct error *drop_strange_chunks(
	struct op *op, struct solving *s, uint32_t last, uint64_t as_of, struct mutations *out)
{
	struct engine_rows rows;
	struct slice partition = key_id(&op->arena, s->mailbox.id.uuid);
	TRY(engine_scan(s->store->engine, op, &mailbox_map_table, partition, SLICE_NONE, SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		struct reader key = reader_of(slice_from(rows.rows[i].key, 1));
		uint32_t chunk = reader_u32(&key);
		if (!reader_is_complete(&key) || chunk > last)
			mutations_delete(
				out, &mailbox_map_table, partition, rows.rows[i].key, as_of);
	}
	return NULL;
}

/* Writes every chunk anew, as of `as_of`. */
static struct error *rewrite_map(struct op *op, struct solving *s, const struct snapshot *rows)
{
	struct snapshot_builder builder;
	struct mutations out;
	mutations_init(&out, &op->arena);
	uint32_t last = (s->mailbox.uidnext - 1) >> MAILBOX_MAP_CHUNK_BITS;
	TRY(drop_strange_chunks(op, s, last, rows->as_of, &out));
	builder_begin(&builder, rows);
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

/* ---- The rows, by the map ---- */

struct mending {
	const struct snapshot *map;
	struct mutations out; /* of a page */
	struct uid_set strange;
	uint64_t known_bytes; /* of the rows that the map has too */
	uint64_t known;
	uint64_t stale;
};

/* The map has a later change of this message than its row has. */
static void mend_row(struct op *op, struct solving *s, struct mending *m,
	const struct message *message, const struct snapshot_message *right)
{
	struct message mended = *message;
	struct mailbox_message row;
	mended.flags = right->flags;
	mended.keywords = *snapshot_keywords(m->map, right);
	mended.modseq = right->modseq;
	message_to_row(&op->arena, &mended, &row);
	mutations_put(&m->out, &mailbox_message_table,
		key_message_bucket(&op->arena, s->mailbox.id, message->uid),
		key_u32_row(&op->arena, message->uid),
		row_encode_in(&op->arena, &mailbox_message_row, &row), s->as_of);
	m->stale++;
}

static struct error *mend_page(struct op *op, struct solving *s, void *context,
	const struct message *messages, size_t count)
{
	struct mending *m = context;
	mutations_init(&m->out, &op->arena);
	for (size_t i = 0; i < count; i++) {
		uint32_t position;
		struct snapshot_message right;
		if (!snapshot_find(m->map, messages[i].uid, &position, &right)) {
			uid_set_add(&m->strange, messages[i].uid);
			continue;
		}
		m->known++;
		m->known_bytes += messages[i].size;
		if (right.modseq > messages[i].modseq)
			mend_row(op, s, m, &messages[i], &right);
	}
	return engine_write(s->store->engine, op, m->out.items, m->out.count, DURABLE);
}

/* Rows that the map does not have, which without them is all that is counted, to the byte. */
static struct error *remove_strange(struct op *op, struct solving *s, const struct mending *m)
{
	struct mutations out;
	mutations_init(&out, &op->arena);
	for (size_t i = 0; i < m->strange.count; i++)
		for (uint64_t uid = m->strange.ranges[i].first; uid <= m->strange.ranges[i].last;
			uid++)
			mutations_delete(&out, &mailbox_message_table,
				key_message_bucket(&op->arena, s->mailbox.id, (uint32_t)uid),
				key_u32_row(&op->arena, (uint32_t)uid), s->as_of);
	TRY(engine_write(s->store->engine, op, out.items, out.count, DURABLE));
	s->report->rows.orphaned += out.count;
	s->report->rows.fixed += out.count;
	return NULL;
}

static struct error *mend_rows(
	struct op *op, struct solving *s, const struct snapshot *map, bool *ret_mended)
{
	struct mending m = {.map = map};
	struct arena strange; /* the pages' own memory is given back */
	arena_init(&strange);
	uid_set_init(&m.strange, &strange);
	struct error *err = walk_rows(op, s, mend_page, &m);
	bool removes = !uid_set_is_empty(&m.strange) && m.known == s->mailbox.messages &&
		       m.known_bytes == s->mailbox.bytes;
	if (!err && removes)
		err = remove_strange(op, s, &m);
	arena_done(&strange);
	s->report->rows.stale += m.stale;
	s->report->rows.fixed += m.stale;
	*ret_mended = m.stale || (!err && removes);
	return err;
}

/* ---- Judging ---- */

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

static bool rows_are_older(const struct snapshot *map, const struct snapshot *rows)
{
	uint32_t position;
	struct snapshot_message row;
	for (uint32_t i = 0; i < snapshot_count(map); i++) {
		struct snapshot_message known = snapshot_at(map, i);
		if (snapshot_find(rows, known.uid, &position, &row) && row.modseq < known.modseq)
			return true;
	}
	return false;
}

/* *ret_again: rows were put right, and are to be read again. */
static struct error *compare_map(
	struct op *op, struct solving *s, struct snapshot *rows, bool rows_fit, bool *ret_again)
{
	struct snapshot *map = NULL;
	struct error *err = snapshot_of_map(op, s->store, s->account, s->mailbox.id, &map);
	bool is_readable = !err;
	if (err && err->kind != ERR_CORRUPT)
		return err;
	err = NULL;
	if (is_readable && (map->as_of > rows->as_of || (rows_fit && same_messages(map, rows)))) {
		snapshot_unref(map);
		return NULL;
	}
	bool map_fits = is_readable && fits_counts(s, map);
	if (map_fits && (s->scope->parts & SOLVE_ROWS) && (!rows_fit || rows_are_older(map, rows)))
		err = mend_rows(op, s, map, ret_again);
	if (!err && !*ret_again && rows_fit)
		err = rewrite_map(op, s, rows);
	else if (!err && !*ret_again && is_readable)
		count_lost(op, s, map, rows);
	snapshot_unref(map);
	return err;
}

static void compare_counts(struct op *op, struct solving *s, bool rows_fit)
{
	if (rows_fit)
		return;
	s->report->counts_wrong++;
	metric_add(&drift, 1);
	log_error(op, "mailbox-counts-drifted", FIELD_SLICE("mailbox", s->mailbox.path),
		FIELD_U64("counted", s->mailbox.messages), FIELD_U64("rows", s->count));
}

static struct error *judge(struct op *op, struct solving *s, bool *ret_again)
{
	struct snapshot *rows;
	struct error *err = NULL;
	struct account_mailbox numbers = {
		.uidnext = s->mailbox.uidnext, .uidvalidity = s->mailbox.uidvalidity};
	TRY(builder_finish(op, &s->rows, s->mailbox.id, &numbers, s->as_of, &rows));
	bool rows_fit = fits_counts(s, rows) && s->bytes == s->mailbox.bytes;
	if (s->scope->parts & SOLVE_MAPS)
		err = compare_map(op, s, rows, rows_fit, ret_again);
	if (!err && !*ret_again && s->scope->parts & SOLVE_COUNTS)
		compare_counts(op, s, rows_fit);
	snapshot_unref(rows);
	return err;
}

/* *ret_again: the mailbox has changed meanwhile, or was put right in part. */
static struct error *look(struct op *op, struct solving *s, struct slice path, bool *ret_again)
{
	struct mailbox_status after;
	s->count = 0;
	s->bytes = 0;
	/* A map can only be rewritten as of a MODSEQ that it was never written at, and of what is
	 * looked at after it. */
	if (s->scope->parts & SOLVE_MAPS)
		TRY(step_modseq(op, s->store, s->account, &s->as_of));
	TRY(mailbox_find(op, s->store, s->account, path, &s->mailbox));
	if (!(s->scope->parts & SOLVE_MAPS))
		s->as_of = s->mailbox.highest_modseq;
	*ret_again = s->mailbox.highest_modseq > s->as_of;
	if (*ret_again)
		return NULL;
	TRY(walk_rows(op, s, take_rows, NULL));
	s->content_is_seen = true;
	TRY(mailbox_find(op, s->store, s->account, path, &after));
	*ret_again = after.highest_modseq != s->mailbox.highest_modseq ||
		     !ID_EQUAL(after.id, s->mailbox.id);
	return *ret_again ? NULL : judge(op, s, ret_again);
}

struct error *solve_mailbox(struct op *op, struct mail_store *store, struct account_id account,
	struct slice path, const struct solve_scope *scope, struct solve_report *inout_report)
{
	bool again = true;
	struct solving s = {
		.store = store, .account = account, .scope = scope, .report = inout_report};
	for (int attempt = 0; again && attempt < ATTEMPTS; attempt++) {
		builder_begin(&s.rows, NULL);
		struct error *err = look(op, &s, path, &again);
		builder_drop(&s.rows);
		if (err)
			return err;
	}
	inout_report->mailboxes++;
	inout_report->busy += again;
	return NULL;
}
