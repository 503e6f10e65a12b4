#include "mailbox/store_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"
#include "base/steps.h"
#include "base/world.h"

METRIC_COUNTER(appended, "messages_appended_total", "Messages that came to a mailbox");
METRIC_COUNTER(duplicates, "duplicates_absorbed_total", "Deliveries found to be done already");

METRIC_COUNTER(left_behind, "content_left_behind_total",
	"Contents that no commit took and that could not be left to reclaim");

/* One message of those that are appended together. */
struct part {
	const struct append_request *request;
	const struct message_summary *summary;
	struct message message;
	bool is_put; /* something is stored already, whatever becomes of the commit */
};

struct append {
	struct mail_store *store;
	const struct append_request *request; /* the first: where to */
	struct append_result *result;         /* of the first */
	struct part *parts;
	size_t part_count;
	struct append_batch *batch; /* NULL: one message, in place of none */
	struct once once;           /* as read before the commit */
	bool has_once;
	uint64_t once_applied; /* what was applied when the row was read: it tells of the log up to
				  there */
};

static struct error *read_once(struct op *op, struct append *append);

/* The log row with this key that no once row tells of yet. Rows may be trimmed before they are
 * applied: then they stand in account_log. */
static struct error *find_in_log(
	struct op *op, struct commit_plan *plan, struct slice key, const struct log_row **ret_row)
{
	const struct account_static *state = &plan_head(plan)->state;
	struct log_row *rows;
	size_t count;
	bool complete;
	*ret_row = plan_find_once(plan, key);
	if (*ret_row || state->trimmed <= state->applied)
		return NULL;
	TRY(plan_log_since(op, plan, state->applied, &rows, &count, &complete));
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to what is applied");
	for (size_t i = count; i-- > 0 && !*ret_row;)
		if (slice_equal(rows[i].row.once_key, key))
			*ret_row = &rows[i];
	return NULL;
}

/* *ret_row: the log row that says so, if it is not the once row. */
static struct error *look_for_earlier(struct op *op, struct append *append,
	struct commit_plan *plan, bool *ret_is_done, const struct log_row **ret_row)
{
	const struct slice key = append->request->once_key;
	*ret_row = NULL;
	*ret_is_done = false;
	if (!key.len)
		return NULL;
	/* Between what was applied when the row was read and the tail, neither tells: read it
	 * again. */
	const struct account_static *state = &plan_head(plan)->state;
	if (state->trimmed > append->once_applied) {
		TRY(read_once(op, append));
		append->once_applied = state->applied;
	}
	TRY(find_in_log(op, plan, key, ret_row));
	/* The log is newer than the row. A released key counts for nothing, and so does the log row
	 * that it was made by. */
	bool is_released = append->has_once && append->once.released;
	if (*ret_row && is_released &&
		uuid_equal((*ret_row)->row.operation_id, append->once.operation_id))
		*ret_row = NULL;
	*ret_is_done = *ret_row || (append->has_once && !is_released);
	return NULL;
}

static struct error *result_of_log(
	struct op *op, const struct log_row *row, struct append_result *result)
{
	struct log_reader log = log_entry_read(op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item))
		if (item.kind == LOG_APPEND) {
			*result = (struct append_result){.mailbox = item.mailbox,
				.message.uuid = item.row.message_id,
				.blob.uuid = item.row.blob_id,
				.uid = item.uid,
				.uidvalidity = item.uidvalidity,
				.modseq = row->modseq,
				.was_done_before = true};
			return NULL;
		}
	return log.err ? log.err : op_fail(op, ERR_CORRUPT, "a once-key stands beside no append");
}

static struct error *done_before(
	struct op *op, const struct append *append, const struct log_row *row)
{
	metric_add(&duplicates, 1);
	if (row)
		return result_of_log(op, row, append->result);
	*append->result = (struct append_result){.mailbox.uuid = append->once.mailbox_id,
		.message.uuid = append->once.message_id,
		.uid = append->once.uid,
		.uidvalidity = append->once.uidvalidity,
		.modseq = append->once.modseq,
		.was_done_before = true};
	return NULL;
}

static struct error *target_of(struct op *op, const struct append *append, struct commit_plan *plan,
	struct mailbox_id *ret_mailbox)
{
	const struct append_request *request = append->request;
	if (!ID_IS_NIL(request->mailbox)) {
		*ret_mailbox = request->mailbox;
		return NULL;
	}
	if (!plan_find_path(plan, request->path, ret_mailbox))
		return op_fail(
			op, ERR_NOT_FOUND, "no mailbox " SLICE_FMT, SLICE_ARG(request->path));
	return NULL;
}

/* One message takes its UID. */
static struct error *plan_part(struct op *op, const struct append *append, struct commit_plan *plan,
	struct mailbox_id mailbox, size_t index, struct buf *entry)
{
	const struct part *part = &append->parts[index];
	const struct append_request *request = part->request;
	TRY(plan_take_quota(op, append->store, plan, request->content.len, 1));
	struct account_mailbox *row = plan_change_mailbox(plan, mailbox);
	struct message message = part->message;
	TRY(plan_keywords(
		op, row, request->keywords, request->keyword_count, true, &message.keywords));
	message.uid = row->uidnext++;
	if (is_planted(BUG_DOUBLED_UID) && random_below(8) == 0)
		row->uidnext--;
	message.modseq = plan_modseq(plan);
	row->highest_modseq = message.modseq;
	count_message(row, message.flags, message.size, +1);

	struct mailbox_message stored;
	message_to_row(&op->arena, &message, &stored);
	log_entry_append(entry, mailbox, message.uid, row->uidvalidity, &stored);
	append->result[index] = (struct append_result){.mailbox = mailbox,
		.message = message.id,
		.blob = message.blob_id,
		.uidvalidity = row->uidvalidity,
		.uid = message.uid,
		.modseq = message.modseq};
	return NULL;
}

/* What the new message stands in place of goes in the same commit. */
static struct error *plan_replaced(
	struct op *op, const struct append *append, struct commit_plan *plan, struct buf *entry)
{
	struct append_batch *batch = append->batch;
	struct snapshot *snapshot;
	struct snapshot_message message;
	struct uid_set uids;
	const struct account_mailbox *row;
	uint32_t position;
	TRY(plan_live_mailbox(op, plan, batch->replaced_mailbox, &row));
	TRY(plan_snapshot(op, append->store, plan, batch->replaced_mailbox, &snapshot));
	batch->replaced_is_gone =
		!snapshot_find(snapshot, batch->replaced_uid, &position, &message);
	uid_set_init(&uids, &op->arena);
	uid_set_add(&uids, batch->replaced_uid);
	struct error *err =
		batch->replaced_is_gone
			? op_fail(op, ERR_NOT_FOUND, "the message to be replaced is gone")
			: plan_deletion(op, append->store, plan, snapshot, &uids, entry);
	snapshot_unref(snapshot);
	return err;
}

static struct error *plan_append(struct op *op, struct commit_plan *plan, void *context)
{
	struct append *append = context;
	const struct log_row *done;
	bool is_done;
	TRY(look_for_earlier(op, append, plan, &is_done, &done));
	if (is_done)
		return done_before(op, append, done);
	struct mailbox_id mailbox;
	const struct account_mailbox *before;
	TRY(target_of(op, append, plan, &mailbox));
	TRY(plan_live_mailbox(op, plan, mailbox, &before));
	if (UINT32_MAX - before->uidnext < append->part_count)
		return op_fail(op, ERR_LIMIT, "the mailbox has given out every UID");
	struct copy_pieces *pieces = append->batch ? append->batch->pieces : NULL;
	if (pieces)
		TRY(check_pieces(op, plan, pieces));
	uint32_t first_uid = before->uidnext;
	struct buf entry = log_entry_begin(&op->arena);
	/* First, so that what goes makes room for what comes. */
	if (append->batch && append->batch->replaced_uid)
		TRY(plan_replaced(op, append, plan, &entry));
	for (size_t i = 0; i < append->part_count; i++)
		TRY(plan_part(op, append, plan, mailbox, i, &entry));
	if (pieces)
		plan_pieces(
			op, append->store, plan, pieces, mailbox, first_uid, append->part_count);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

static struct error *read_once(struct op *op, struct append *append)
{
	const struct append_request *request = append->request;
	if (!request->once_key.len)
		return NULL;
	struct engine_row row;
	TRY(engine_get(append->store->engine, op, &once_table,
		key_once(&op->arena, request->account, request->once_key),
		key_kind_row(&op->arena, 0), READ_NORMAL, &append->has_once, &row));
	if (!append->has_once)
		return NULL;
	struct error *err = row_decode(op, &once_row, row.value, &append->once);
	/* A damaged one is as good as none: the mail comes, and at the worst twice. */
	append->has_once = !err;
	return err && err->kind == ERR_CORRUPT ? NULL : err;
}

static struct error *copy_applied(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(uint64_t *)context = head_applied(head);
	return NULL;
}

/* An open ledger entry with this key: find out first what became of it. */
static struct error *settle_earlier(struct op *op, struct append *append)
{
	const struct append_request *request = append->request;
	struct ledger_entry entry;
	struct commit *commit = append->store->commit;
	bool applied;
	while (request->once_key.len && ledger_find_once(op, commit_ledger(commit),
						request->account, request->once_key, &entry))
		TRY(commit_resolve(op, commit, &entry, &applied));
	return NULL;
}

/* What refers to the content, and the summary: nothing of it is visible before the commit. */
static void stage_rows(
	struct op *op, const struct part *part, struct slice sha256, struct mutations *staged)
{
	const struct append_request *request = part->request;
	struct arena *arena = &op->arena;
	uint64_t now_us = clock_realtime_us();
	struct blob_ref ref = {.account_id = request->account.uuid};
	struct message_summary_columns columns = {.account_id = request->account.uuid,
		.blob_id = part->message.blob_id.uuid,
		.size = request->content.len,
		.header_length = part->summary->header_length,
		.envelope = part->summary->envelope,
		.body = part->summary->body,
		.bodystructure = part->summary->bodystructure,
		.sent_at = (uint64_t)part->summary->sent_at,
		.sha256 = sha256,
		.smtp_envelope = request->smtp_envelope,
		.format = SUMMARY_FORMAT};
	/* Content of the same id is the message's own: only others that share it are noted. They
	 * share what was put by the same delivery, and no commit is sent an hour after that:
	 * reclaim, which waits for two at the least, cannot have condemned it, and blob_state need
	 * not be asked. Whoever lets older content be shared has to ask. */
	if (request->blob)
		mutations_put(staged, &blob_ref_table, key_id(arena, part->message.blob_id.uuid),
			key_id_row(arena, 0, part->message.id.uuid),
			row_encode_in(arena, &blob_ref_row, &ref), now_us);
	mutations_put(staged, &message_table, key_id(arena, part->message.id.uuid),
		key_kind_row(arena, MESSAGE_SUMMARY),
		row_encode_in(arena, &message_summary_row, &columns), now_us);
}

/* `staged` NULL: all of it is to be durable when this returns. */
static struct error *put_content(struct op *op, const struct append *append, struct part *part,
	struct slice sha256, struct mutations *staged)
{
	const struct append_request *request = part->request;
	size_t before = staged ? staged->count : 0;
	if (request->blob)
		return NULL;
	struct error *err = blob_put(
		append->store->blobs, op, part->message.blob_id, request->content, sha256, staged);
	part->is_put |= err ? !error_nothing_written(err) : !staged || staged->count == before;
	return err;
}

/* Of all messages, or of those of which something is stored. */
#define UNDO_DETAIL_SIZE (3 * sizeof(struct uuid)) /* of each content */

static struct slice undo_detail(struct op *op, const struct append *append, bool only_put)
{
	struct buf detail = buf_in(&op->arena);
	for (size_t i = 0; i < append->part_count; i++) {
		const struct part *part = &append->parts[i];
		if (only_put && !part->is_put)
			continue;
		buf_append(&detail, ID_SLICE(part->message.id));
		buf_append(&detail, ID_SLICE(part->message.blob_id));
		buf_append(&detail, ID_SLICE(append->request->account));
	}
	return buf_as_slice(&detail);
}

/* Content that no commit took is left to reclaim, which looks once more before it removes anything.
 */
struct error *undo_append(struct op *op, struct engine *engine, struct slice detail)
{
	struct reader reader = reader_of(detail);
	struct arena *arena = &op->arena;
	uint64_t now_us = clock_realtime_us();
	struct mutations rows;
	mutations_init(&rows, arena);
	do {
		struct message_id message;
		struct blob_candidate candidate;
		bool ids = uuid_from_slice(
				   reader_bytes(&reader, sizeof(struct uuid)), &message.uuid) &&
			   uuid_from_slice(reader_bytes(&reader, sizeof(struct uuid)),
				   &candidate.blob_id) &&
			   uuid_from_slice(reader_bytes(&reader, sizeof(struct uuid)),
				   &candidate.account_id);
		if (!ids)
			return op_fail(op, ERR_CORRUPT, "the ledger does not say what to undo");
		mutations_put(&rows, &blob_candidate_table, key_candidates(arena, message, now_us),
			key_id_row(arena, 0, message.uuid),
			row_encode_in(arena, &blob_candidate_row, &candidate), now_us);
	} while (reader.rest.len);
	return engine_write(engine, op, rows.items, rows.count, DURABLE);
}

static struct error *write_rows(
	struct op *op, const struct append *append, const struct mutations *rows)
{
	return engine_write(append->store->engine, op, rows->items, rows->count, DURABLE);
}

/* Rows that are written while the content is put: in an operation, and by a thread, of their own.
 */
struct beside {
	struct op op;
	const struct append *append;
	const struct mutations *rows;
	struct error *err;
};

static void *write_beside(void *argument)
{
	struct beside *beside = argument;
	beside->err = write_rows(&beside->op, beside->append, beside->rows);
	return NULL;
}

static struct error *put_beside_rows(struct op *op, const struct append *append, struct part *part,
	struct slice sha256, const struct mutations *rows)
{
	pthread_t thread;
	struct beside beside = {.append = append, .rows = rows};
	op_init(&beside.op, "append");
	beside.op.deadline_ns = op->deadline_ns;
	thread_start(&thread, "append", write_beside, &beside);
	struct error *err = put_content(op, append, part, sha256, NULL);
	thread_join(thread);
	part->is_put |= !beside.err || !error_nothing_written(beside.err);
	if (!err && beside.err)
		err = op_error_copy(op, beside.err);
	op_done(&beside.op);
	return err;
}

/* Puts the content, and what refers to it, unless all of it goes with the commit. */
static struct error *store_content(
	struct op *op, const struct append *append, struct part *part, struct mutations *staged)
{
	const struct mail_store *store = append->store;
	uint8_t *digest = arena_alloc(&op->arena, SHA256_SIZE);
	sha256_of(part->request->content, digest);
	struct slice sha256 = slice_of(digest, SHA256_SIZE);
	struct error *err;
	bool waits_elsewhere =
		!part->request->blob && blob_is_apart(store->blobs, part->message.blob_id);
	stage_rows(op, part, sha256, staged);
	if (!engine_is_atomic(store->engine) && waits_elsewhere) {
		err = put_beside_rows(op, append, part, sha256, staged);
	} else {
		err = put_content(op, append, part, sha256, staged);
		if (!err && !engine_is_atomic(store->engine)) {
			err = write_rows(op, append, staged);
			part->is_put |= !err || !error_nothing_written(err);
		}
	}
	/* Whatever became of it, no commit was sent that could make it anybody's mail. */
	if (err && err->kind == ERR_UNCERTAIN)
		err->kind = ERR_UNAVAILABLE;
	return err;
}

/* `staged`: what goes with the commit, where it can. */
static struct error *store_parts(struct op *op, struct append *append, struct mutations *staged)
{
	struct error *err = NULL;
	for (size_t i = 0; i < append->part_count && !err; i++) {
		struct mutations rows;
		mutations_init(&rows, &op->arena);
		err = store_content(op, append, &append->parts[i],
			engine_is_atomic(append->store->engine) ? staged : &rows);
	}
	return err;
}

static void leave_to_reclaim(struct op *op, struct mail_store *store, struct slice detail)
{
	struct error *err = undo_append(op, store->engine, detail);
	if (!err)
		return;
	/* Tried again in the background; what a crash then forgets is found by the audit. */
	metric_add(&left_behind, (int64_t)(detail.len / UNDO_DETAIL_SIZE));
	log_debug(op, "content-left-behind", FIELD_ERROR(op, err));
	owe_undo(store, detail);
}

uint64_t content_left_behind_count(void)
{
	return (uint64_t)metric_value(&left_behind);
}

static struct error *commit_append(struct op *op, struct append *append)
{
	const struct append_request *request = append->request;
	struct mutations staged;
	mutations_init(&staged, &op->arena);
	struct commit_change change = {.plan = plan_append,
		.context = append,
		.once_key = request->once_key,
		.ledger_detail = undo_detail(op, append, false),
		.content_put_ns = clock_boottime_ns()};
	if (engine_is_atomic(append->store->engine))
		change.content = &staged;
	struct error *err = store_parts(op, append, &staged);
	if (!err)
		err = commit_run(op, append->store->commit, request->account, &change);
	bool is_unused = err ? error_nothing_written(err) : append->result->was_done_before;
	struct slice put = undo_detail(op, append, true);
	if (is_unused && put.len)
		leave_to_reclaim(op, append->store, put);
	struct copy_pieces *pieces = append->batch ? append->batch->pieces : NULL;
	if (!err && pieces && uuid_is_nil(pieces->intent))
		pieces->intent = change.operation.uuid;
	return err;
}

static struct error *begin_part(struct op *op, const struct mail_store *store,
	const struct append_request *request, struct part *ret_part)
{
	uint64_t now_us = clock_realtime_us();
	struct part part = {.request = request,
		.summary = request->summary,
		.message = {.flags = request->flags & FLAGS_ALL,
			/* One id for both, unless the content is another message's. */
			.blob_id = request->blob ? *request->blob
						 : blob_new_id(store->blobs, request->content.len),
			.internal_date_us =
				request->internal_date_us ? request->internal_date_us : now_us,
			.save_date_us = now_us,
			.size = request->content.len}};
	part.message.id.uuid = request->blob ? uuid_v7() : part.message.blob_id.uuid;
	if (!part.summary) {
		struct message_summary *summary = ARENA_NEW(&op->arena, struct message_summary);
		TRY(mime_summarise(op, request->content, summary));
		part.summary = summary;
	}
	part.message.header_length = part.summary->header_length;
	*ret_part = part;
	return NULL;
}

static struct error *append_messages(struct op *op, struct append *append)
{
	const struct append_request *request = append->request;
	for (size_t i = 0; i < append->part_count; i++)
		TRY(begin_part(op, append->store, &request[i], &append->parts[i]));
	TRY(settle_earlier(op, append));
	if (request->once_key.len)
		TRY(commit_read_known(op, append->store->commit, request->account, copy_applied,
			&append->once_applied));
	TRY(read_once(op, append));
	TRY(commit_append(op, append));
	if (!append->result->was_done_before)
		metric_add(&appended, append->part_count);
	return NULL;
}

static void note(struct op *op, const struct append *append, const struct error *err)
{
	for (size_t i = 0; i < append->part_count; i++) {
		const struct part *part = &append->parts[i];
		const struct append_result *result = &append->result[i];
		struct step_note note = {.op = op->id,
			.account = append->request->account.uuid,
			.step = "append",
			.outcome = err                       ? error_kind_name(err->kind)
				   : result->was_done_before ? "done before"
							     : "done",
			.name_hash = part->summary ? part->summary->message_id_hash : 0};
		if (!err) {
			note.uid = result->uid;
			note.modseq = result->modseq;
		}
		steps_note(&note);
	}
}

struct error *mailbox_append(struct op *op, struct mail_store *store,
	const struct append_request *request, struct append_result *ret_result)
{
	struct part part = {0};
	struct append append = {.store = store,
		.request = request,
		.result = ret_result,
		.parts = &part,
		.part_count = 1};
	struct error *err = append_messages(op, &append);
	note(op, &append, err);
	return err;
}

struct error *mailbox_append_batch(struct op *op, struct mail_store *store,
	struct append_batch *batch, struct append_result *ret_results)
{
	struct append append = {.store = store,
		.request = batch->requests,
		.result = ret_results,
		.parts = ARENA_ARRAY(&op->arena, struct part, batch->count),
		.part_count = batch->count,
		.batch = batch};
	if (batch->count == 0 || batch->count > APPEND_BATCH_MAX)
		return op_fail(op, ERR_LIMIT, "at most %d messages are appended at once",
			APPEND_BATCH_MAX);
	batch->replaced_is_gone = false;
	struct error *err = append_messages(op, &append);
	note(op, &append, err);
	return err;
}

/* The latest delivery with the key. One that is not applied yet is later than the row, and the row
 * that comes of it must not win. What is applied is asked before the row is read, so that nothing
 * falls between. */
static struct error *find_latest(struct op *op, struct append *append)
{
	struct commit *commit = append->store->commit;
	struct account_id account = append->request->account;
	uint64_t applied;
	struct log_row *rows;
	size_t count;
	bool complete;
	TRY(commit_read_known(op, commit, account, copy_applied, &applied));
	TRY(commit_log_known_since(op, commit, account, applied, &rows, &count, &complete));
	for (size_t i = count; i-- > 0;) {
		if (!slice_equal(rows[i].row.once_key, append->request->once_key))
			continue;
		append->has_once = true;
		append->once = (struct once){
			.operation_id = rows[i].row.operation_id, .modseq = rows[i].modseq};
		return NULL;
	}
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to what is applied");
	return read_once(op, append);
}

struct error *mailbox_once_release(
	struct op *op, struct mail_store *store, struct account_id account, struct slice once_key)
{
	struct arena *arena = &op->arena;
	struct append_request request = {.account = account, .once_key = once_key};
	struct append append = {.store = store, .request = &request};
	TRY(find_latest(op, &append));
	if (!append.has_once || append.once.released)
		return NULL;
	append.once.released = 1;
	struct mutations rows;
	mutations_init(&rows, arena);
	mutations_put(&rows, &once_table, key_once(arena, account, once_key),
		key_kind_row(arena, 0), row_encode_in(arena, &once_row, &append.once),
		append.once.modseq + 1);
	return engine_write(store->engine, op, rows.items, rows.count, RELAXED);
}
