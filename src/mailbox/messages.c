#include "mailbox/store_private.h"

#include "base/byte_cache.h"
#include "base/metric.h"
#include "format/header.h"

/* Reading message rows: the projection, with the log above it laid over. */

METRIC_COUNTER(contents_missing, "contents_missing_total",
	"Reads of messages whose content the store says it does not have");

METRIC_COUNTER(
	summaries_hit, "summary_cache_hits_total", "Reads of summaries answered from memory");
METRIC_COUNTER(summaries_missed, "summary_cache_misses_total", "Reads of summaries that were not");

/* Runs of UIDs closer than this are read by one scan. */
#define SCAN_GAP 32

void message_to_row(
	struct arena *arena, const struct message *message, struct mailbox_message *ret_row)
{
	*ret_row = (struct mailbox_message){.modseq = message->modseq,
		.message_id = message->id.uuid,
		.blob_id = message->blob_id.uuid,
		.flags = message->flags,
		.keywords = keyword_set_encode(arena, &message->keywords),
		.internal_date_us = message->internal_date_us,
		.save_date_us = message->save_date_us,
		.size = message->size,
		.header_length = message->header_length,
		.first_uidvalidity = message->first_uidvalidity,
		.first_uid = message->first_uid};
}

struct error *message_row_decode(
	struct op *op, uint32_t uid, struct slice value, struct message *ret_message)
{
	struct mailbox_message row;
	TRY(row_decode(op, &mailbox_message_row, value, &row));
	*ret_message = (struct message){.uid = uid,
		.modseq = row.modseq,
		.flags = row.flags,
		.id.uuid = row.message_id,
		.blob_id.uuid = row.blob_id,
		.internal_date_us = row.internal_date_us,
		.save_date_us = row.save_date_us,
		.size = row.size,
		.header_length = row.header_length,
		.first_uidvalidity = row.first_uidvalidity,
		.first_uid = row.first_uid};
	if (!keyword_set_decode(row.keywords, &ret_message->keywords))
		return op_fail(op, ERR_CORRUPT, "the keywords of a message cannot be read");
	return NULL;
}

struct reading {
	struct op *op;
	struct mail_store *store;
	struct mailbox_id mailbox;
	const struct uid_set *uids;
	struct message *messages;
	size_t count;
	size_t capacity;
};

static struct message *add_message(struct reading *r)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 16;
		r->messages = arena_grow(&r->op->arena, r->messages,
			r->capacity * sizeof(struct message), capacity * sizeof(struct message));
		r->capacity = capacity;
	}
	return &r->messages[r->count++];
}

static struct error *take_row(struct reading *r, const struct engine_row *row)
{
	struct reader key = reader_of(slice_from(row->key, 1));
	uint32_t uid = reader_u32(&key);
	if (!reader_is_complete(&key))
		return op_fail(
			r->op, ERR_CORRUPT, "a message row has a key of %zu bytes", row->key.len);
	if (!uid_set_contains(r->uids, uid))
		return NULL;
	/* A damaged row is as good as a missing one: whoever knows that there is such a message has
	 * it put right. */
	struct message message;
	struct error *err = message_row_decode(r->op, uid, row->value, &message);
	if (err && err->kind == ERR_CORRUPT)
		return NULL;
	TRY(err);
	*add_message(r) = message;
	return NULL;
}

/* What is only shown may come from a level that does not see all: a row that it lacks, or that is
 * older than the snapshot, is found out and looked up in the log. */
static struct error *read_run(struct reading *r, uint32_t first, uint32_t last)
{
	struct arena *arena = &r->op->arena;
	struct slice partition = key_message_bucket(arena, r->mailbox, first);
	if (first == last) {
		bool found;
		struct engine_row row;
		struct slice key = key_u32_row(arena, first);
		struct error *err = engine_get(r->store->engine, r->op, &mailbox_message_table,
			partition, key, READ_NORMAL, &found, &row);
		if (engine_may_read_relaxed(r->op, err))
			err = engine_get(r->store->engine, r->op, &mailbox_message_table, partition,
				key, READ_RELAXED, &found, &row);
		TRY(err);
		return found ? take_row(r, &row) : NULL;
	}
	struct buf to = buf_in(arena);
	buf_append(&to, key_u32_row(arena, last));
	buf_u8(&to, 0);
	struct engine_rows rows;
	struct slice from = key_u32_row(arena, first);
	struct error *err = engine_scan(r->store->engine, r->op, &mailbox_message_table, partition,
		from, buf_as_slice(&to), SIZE_MAX, false, READ_NORMAL, &rows);
	if (engine_may_read_relaxed(r->op, err))
		err = engine_scan(r->store->engine, r->op, &mailbox_message_table, partition, from,
			buf_as_slice(&to), SIZE_MAX, false, READ_RELAXED, &rows);
	TRY(err);
	for (size_t i = 0; i < rows.count; i++)
		TRY(take_row(r, &rows.rows[i]));
	return NULL;
}

/* Walks the wanted UIDs as runs within one bucket each. */
static struct error *read_stored(struct reading *r)
{
	const struct uid_set *uids = r->uids;
	for (size_t i = 0; i < uids->count;) {
		uint64_t first = uids->ranges[i].first;
		uint64_t last = uids->ranges[i].last;
		size_t next = i + 1;
		while (next < uids->count && uids->ranges[next].first - last < SCAN_GAP)
			last = uids->ranges[next++].last;
		for (uint64_t from = first; from <= last;) {
			uint64_t end = from | ((1 << MAILBOX_MESSAGE_BUCKET_BITS) - 1);
			TRY(read_run(r, (uint32_t)from, (uint32_t)MIN_OF(end, last)));
			from = end + 1;
		}
		i = next;
	}
	return NULL;
}

static size_t position_of(const struct reading *r, uint32_t uid)
{
	size_t low = 0;
	size_t high = r->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->messages[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct error *overlay_append(struct reading *r, const struct log_item *item, uint64_t modseq)
{
	if (!uid_set_contains(r->uids, item->uid))
		return NULL;
	size_t at = position_of(r, item->uid);
	if (at < r->count && r->messages[at].uid == item->uid)
		return NULL;
	add_message(r);
	memmove(r->messages + at + 1, r->messages + at,
		(r->count - 1 - at) * sizeof(struct message));
	struct message *message = &r->messages[at];
	*message = (struct message){.uid = item->uid,
		.modseq = modseq,
		.flags = item->row.flags,
		.id.uuid = item->row.message_id,
		.blob_id.uuid = item->row.blob_id,
		.internal_date_us = item->row.internal_date_us,
		.save_date_us = item->row.save_date_us,
		.size = item->row.size,
		.header_length = item->row.header_length,
		.first_uidvalidity = item->row.first_uidvalidity,
		.first_uid = item->row.first_uid};
	if (!keyword_set_decode(item->row.keywords, &message->keywords))
		return op_fail(r->op, ERR_CORRUPT, "the keywords of a message cannot be read");
	return NULL;
}

static void overlay_flags(struct reading *r, const struct log_item *item, uint64_t modseq)
{
	for (size_t i = 0; i < r->count; i++) {
		struct message *message = &r->messages[i];
		if (message->modseq >= modseq || !uid_set_contains(&item->uids, message->uid))
			continue;
		flags_apply(item->mode, item->flags, &item->keywords, &message->flags,
			&message->keywords);
		message->modseq = modseq;
	}
}

static void overlay_expunge(struct reading *r, const struct log_item *item)
{
	if (!r->messages)
		return;
	for (size_t i = 0; i < item->expunged_count; i++) {
		size_t at = position_of(r, item->expunged[i].uid);
		if (at == r->count || r->messages[at].uid != item->expunged[i].uid)
			continue;
		memmove(r->messages + at, r->messages + at + 1,
			(r->count - at - 1) * sizeof(struct message));
		r->count--;
	}
}

static struct error *overlay_row(struct reading *r, const struct log_row *row)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(r->op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item)) {
		if (!ID_EQUAL(item.mailbox, r->mailbox))
			continue;
		if (item.kind == LOG_APPEND)
			TRY(overlay_append(r, &item, row->modseq));
		else if (item.kind == LOG_FLAGS)
			overlay_flags(r, &item, row->modseq);
		else if (item.kind == LOG_EXPUNGE)
			overlay_expunge(r, &item);
	}
	return log.err;
}

struct bounds {
	struct mailbox_id mailbox;
	uint64_t applied;
	uint32_t uidnext;
};

static struct error *read_bounds(struct op *op, const struct head *head, void *context)
{
	struct bounds *bounds = context;
	const struct head_mailbox *mailbox = head_mailbox(head, bounds->mailbox);
	if (!mailbox)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	bounds->applied = head_applied(head);
	bounds->uidnext = mailbox->row.uidnext;
	return NULL;
}

static struct error *plan_bounds(struct op *op, struct commit_plan *plan, struct bounds *bounds)
{
	const struct account_mailbox *row = plan_mailbox(plan, bounds->mailbox);
	if (!row)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	bounds->applied = plan_head(plan)->state.applied;
	bounds->uidnext = row->uidnext;
	return NULL;
}

/* "1:*" asks for no buckets above UIDNEXT. */
static struct uid_set clamp(struct op *op, const struct uid_set *uids, uint32_t uidnext)
{
	struct uid_set clamped = {.arena = &op->arena};
	for (size_t i = 0; i < uids->count && uids->ranges[i].first < uidnext; i++)
		uid_set_add_range(
			&clamped, uids->ranges[i].first, MIN_OF(uids->ranges[i].last, uidnext - 1));
	return clamped;
}

struct error *read_messages(struct op *op, struct mail_store *store, struct account_id account,
	struct commit_plan *plan, struct mailbox_id mailbox, const struct uid_set *uids,
	struct message **ret_messages, size_t *ret_count)
{
	struct bounds bounds = {.mailbox = mailbox};
	struct log_row *rows;
	size_t count;
	bool complete;
	/* What is applied is read before the rows are, so that nothing falls between. */
	TRY(plan ? plan_bounds(op, plan, &bounds)
		 : commit_read(op, store->commit, account, read_bounds, &bounds));
	struct uid_set clamped = clamp(op, uids, bounds.uidnext);
	struct reading r = {.op = op, .store = store, .mailbox = mailbox, .uids = &clamped};
	TRY(read_stored(&r));
	if (plan)
		TRY(plan_log_since(op, plan, bounds.applied, &rows, &count, &complete));
	else
		TRY(commit_log_since(
			op, store->commit, account, bounds.applied, &rows, &count, &complete));
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to what is applied");
	for (size_t i = 0; i < count; i++)
		TRY(overlay_row(&r, &rows[i]));
	*ret_messages = r.messages;
	*ret_count = r.count;
	return NULL;
}

struct behind {
	uint64_t missing;
	uint64_t older;
};

/* The messages of the snapshot among `uids` whose rows are missing or older: damage. */
static struct behind count_behind(const struct snapshot *snapshot, const struct uid_set *uids,
	const struct message *messages, size_t count)
{
	size_t at = 0;
	struct behind behind = {0};
	for (size_t i = 0; i < uids->count; i++) {
		uint32_t position = snapshot_lower_bound(snapshot, uids->ranges[i].first);
		for (; position < snapshot_count(snapshot); position++) {
			struct snapshot_message known = snapshot_at(snapshot, position);
			if (known.uid > uids->ranges[i].last)
				break;
			while (at < count && messages[at].uid < known.uid)
				at++;
			bool is_missing = at == count || messages[at].uid != known.uid;
			behind.missing += is_missing;
			behind.older += !is_missing && messages[at].modseq < known.modseq;
		}
	}
	return behind;
}

struct error *read_known(struct op *op, struct mail_store *store, struct commit_plan *plan,
	const struct snapshot *snapshot, const struct uid_set *uids, struct message **ret_messages,
	size_t *ret_count, bool *ret_behind)
{
	TRY(read_messages(op, store, plan_account(plan), plan, snapshot_mailbox(snapshot), uids,
		ret_messages, ret_count));
	struct behind behind = count_behind(snapshot, uids, *ret_messages, *ret_count);
	*ret_behind = behind.missing + behind.older;
	if (!*ret_behind)
		return NULL;
	return op_fail(op, plan_mismatch(plan), "rows of %llu of %llu messages are missing or old",
		(unsigned long long)(behind.missing + behind.older),
		(unsigned long long)uid_set_size(uids));
}

/* Reads once; the snapshot is older than the rows, so what it knows must be there, unless it was
 * expunged in between. */
static struct error *read_and_compare(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	struct message **ret_messages, size_t *ret_count, struct behind *ret_behind)
{
	*ret_behind = (struct behind){0};
	struct snapshot *snapshot = snapshot_cached(store, mailbox);
	if (!snapshot)
		TRY(mailbox_snapshot(op, store, account, mailbox, &snapshot));
	struct error *err =
		read_messages(op, store, account, NULL, mailbox, uids, ret_messages, ret_count);
	if (!err)
		*ret_behind = count_behind(snapshot, uids, *ret_messages, *ret_count);
	snapshot_unref(snapshot);
	return err;
}

struct error *mailbox_messages(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, const struct uid_set *uids, struct message **ret_messages,
	size_t *ret_count)
{
	struct behind behind;
	bool is_healed;
	struct snapshot *fresh;
	TRY(read_and_compare(op, store, account, mailbox, uids, ret_messages, ret_count, &behind));
	for (int attempt = 0; behind.missing + behind.older && attempt < 2; attempt++) {
		TRY(mailbox_snapshot(op, store, account, mailbox, &fresh));
		snapshot_unref(fresh);
		TRY(read_and_compare(
			op, store, account, mailbox, uids, ret_messages, ret_count, &behind));
	}
	if (!(behind.missing + behind.older))
		return NULL;
	/* Read repair: the log may still tell what they were. */
	struct error *err = heal_messages(op, store, account, mailbox, uids, &is_healed);
	/* With too few replicas to tell, a row is old for want of the newer ones: all but its
	 * flags, which the snapshot has, is right. */
	if (err && op->only_shows && !behind.missing &&
		(err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT))
		return NULL;
	TRY(err);
	return is_healed ? read_messages(
				   op, store, account, NULL, mailbox, uids, ret_messages, ret_count)
			 : NULL;
}

static struct error *read_summary_row(struct op *op, struct mail_store *store,
	const struct message *message, enum read_level level, bool *ret_found,
	struct message_summary_columns *ret_columns, struct slice *ret_row)
{
	struct engine_row row;
	TRY(engine_get(store->engine, op, &message_table, key_id(&op->arena, message->id.uuid),
		key_kind_row(&op->arena, MESSAGE_SUMMARY), level, ret_found, &row));
	if (!*ret_found)
		return NULL;
	struct error *err = row_decode(op, &message_summary_row, row.value, ret_columns);
	*ret_row = row.value;
	/* What it said is in the content too, except how the message came. */
	*ret_found = !err;
	return err && err->kind == ERR_CORRUPT ? NULL : err;
}

/* A summary always has an ENVELOPE and a BODYSTRUCTURE: one without is of no use. */
static bool is_of_use(bool found, const struct message_summary_columns *columns)
{
	return found && columns->envelope.len && columns->bodystructure.len;
}

/* For what a client is shown: a summary says the same as long as it is there. */
static struct error *read_summary(struct op *op, struct mail_store *store,
	const struct message *message, bool *ret_found, struct message_summary_columns *ret_columns)
{
	struct slice row;
	if (byte_cache_find(store->summaries, &op->arena, message->id.uuid, 0, UINT64_MAX, &row)) {
		metric_add(&summaries_hit, 1);
		*ret_found = true;
		return row_decode(op, &message_summary_row, row, ret_columns);
	}
	metric_add(&summaries_missed, 1);
	TRY(read_summary_row(op, store, message, READ_RELAXED, ret_found, ret_columns, &row));
	if (is_of_use(*ret_found, ret_columns))
		byte_cache_put(store->summaries, message->id.uuid, row);
	return NULL;
}

struct error *summary_find(struct op *op, struct mail_store *store, const struct message *message,
	bool *ret_found, struct message_summary_columns *ret_columns)
{
	bool found;
	struct slice row;
	*ret_columns = (struct message_summary_columns){0};
	TRY(read_summary_row(op, store, message, READ_NORMAL, &found, ret_columns, &row));
	*ret_found = is_of_use(found, ret_columns);
	return NULL;
}

struct error *message_measure(
	struct op *op, struct mail_store *store, struct message *inout_message)
{
	bool found;
	struct message_summary_columns columns;
	struct slice content;
	TRY(read_summary(op, store, inout_message, &found, &columns));
	if (found) {
		inout_message->size = columns.size;
		inout_message->header_length = columns.header_length;
		return NULL;
	}
	struct error *err = message_content(op, store, inout_message, 0, SIZE_MAX, &content);
	if (err && err->kind == ERR_NOT_FOUND)
		return NULL; /* purged: who reads it is told */
	TRY(err);
	inout_message->size = content.len;
	inout_message->header_length = (uint32_t)header_length(content);
	return NULL;
}

struct error *message_smtp_envelope_get(struct op *op, struct mail_store *store,
	const struct message *message, struct slice *ret_envelope)
{
	bool found;
	struct message_summary_columns columns;
	TRY(read_summary(op, store, message, &found, &columns));
	*ret_envelope = found ? columns.smtp_envelope : SLICE_NONE;
	return NULL;
}

struct error *message_summary_get(struct op *op, struct mail_store *store,
	const struct message *message, struct message_summary *ret_summary)
{
	bool found;
	struct message_summary_columns columns;
	TRY(read_summary(op, store, message, &found, &columns));
	if (!is_of_use(found, &columns)) {
		/* Rebuilt from what is certain: the content. */
		struct slice content;
		TRY(message_content(op, store, message, 0, UINT64_MAX, &content));
		return mime_summarise(op, content, ret_summary);
	}
	*ret_summary = (struct message_summary){.header_length = columns.header_length,
		.envelope = columns.envelope,
		.body = columns.body,
		.bodystructure = columns.bodystructure,
		.sent_at = (int64_t)columns.sent_at,
		.is_current = columns.format == SUMMARY_FORMAT};
	return NULL;
}

struct error *message_envelopes_get(struct op *op, struct mail_store *store,
	const struct message *messages, size_t count, struct slice **ret_envelopes)
{
	struct engine_read *reads = ARENA_ARRAY(&op->arena, struct engine_read, count + 1);
	struct slice *envelopes = ARENA_ARRAY(&op->arena, struct slice, count + 1);
	for (size_t i = 0; i < count; i++)
		reads[i] = (struct engine_read){.table = &message_table,
			.partition = key_id(&op->arena, messages[i].id.uuid),
			.key = key_kind_row(&op->arena, MESSAGE_SUMMARY)};
	TRY(engine_get_many(store->engine, op, reads, count, READ_RELAXED));
	for (size_t i = 0; i < count; i++) {
		struct message_summary_columns columns = {0};
		if (!reads[i].found)
			continue;
		struct error *err =
			row_decode(op, &message_summary_row, reads[i].row.value, &columns);
		if (err && err->kind != ERR_CORRUPT)
			return err;
		if (is_of_use(!err, &columns))
			envelopes[i] = columns.envelope;
	}
	*ret_envelopes = envelopes;
	return NULL;
}

struct error *message_content(struct op *op, struct mail_store *store,
	const struct message *message, uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	struct error *err =
		blob_read(store->blobs, op, message->blob_id, offset, length, ret_bytes);
	if (!err || err->kind != ERR_NOT_FOUND || message->is_expunged)
		return err;
	/* The message is there: without its content it is damaged, and is kept as it is. */
	metric_add(&contents_missing, 1);
	err = op_wrap(op, err, "read message %s", uuid_text(&op->arena, message->id.uuid));
	err->kind = ERR_CORRUPT;
	return err;
}

/* ---- What changed since ---- */

static struct error *collect_vanished(struct op *op, struct mailbox_id mailbox,
	const struct log_row *row, struct uid_set *vanished)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item))
		if (item.kind == LOG_EXPUNGE && ID_EQUAL(item.mailbox, mailbox))
			for (size_t i = 0; i < item.expunged_count; i++)
				uid_set_add(vanished, item.expunged[i].uid);
	return log.err;
}

static void everything_absent(const struct snapshot *snapshot, struct uid_set *vanished)
{
	uint64_t next = 1;
	for (uint32_t i = 0; i < snapshot_count(snapshot); i++) {
		uint32_t uid = snapshot_at(snapshot, i).uid;
		if (uid > next)
			uid_set_add_range(vanished, (uint32_t)next, uid - 1);
		next = (uint64_t)uid + 1;
	}
	if (next < snapshot_uidnext(snapshot))
		uid_set_add_range(vanished, (uint32_t)next, snapshot_uidnext(snapshot) - 1);
}

struct error *mailbox_changes_since(struct op *op, struct mail_store *store,
	struct account_id account, struct snapshot *snapshot, uint64_t modseq,
	struct mailbox_changes *ret_changes)
{
	uid_set_init(&ret_changes->changed, &op->arena);
	uid_set_init(&ret_changes->vanished, &op->arena);
	for (size_t i = 0; i < snapshot->block_count; i++) {
		const struct block *block = snapshot->blocks[i];
		for (uint32_t j = 0; j < block->count; j++)
			if (block->modseqs[j] > modseq)
				uid_set_add(&ret_changes->changed, block->uids[j]);
	}
	struct log_row *rows;
	size_t count;
	TRY(commit_log_since(
		op, store->commit, account, modseq, &rows, &count, &ret_changes->is_exact));
	if (!ret_changes->is_exact) {
		everything_absent(snapshot, &ret_changes->vanished);
		return NULL;
	}
	/* Up to what the snapshot shows: later news comes with later snapshots. */
	for (size_t i = 0; i < count && rows[i].modseq <= snapshot->as_of; i++)
		TRY(collect_vanished(op, snapshot->mailbox, &rows[i], &ret_changes->vanished));
	return NULL;
}
