#include "mailbox/store_private.h"

#include "base/byte_cache.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/metric.h"

/* Fill-in of summaries: a message whose summary is missing is served from its content, which costs
 * a read of all of it each time. One of an older format is served as it is, and made anew. */

METRIC_COUNTER(filled, "summaries_filled_total", "Summaries of messages made anew and stored");

#define PAGE 100

struct filling {
	struct mail_store *store;
	struct account_id account;
	struct mailbox_id mailbox;
	const struct solve_scope *scope;
	struct fill_report *report;
};

/* How the message came is not in its content: what the row still has of it is kept, else a report
 * of its delivery is made without it. */
static struct error *write_summary(struct op *op, const struct filling *f,
	const struct message *message, struct slice smtp_envelope, struct slice content)
{
	struct message_summary summary;
	struct mutations out;
	uint8_t sha256[SHA256_SIZE];
	TRY(mime_summarise(op, content, &summary));
	sha256_of(content, sha256);
	struct message_summary_columns columns = {.account_id = f->account.uuid,
		.blob_id = message->blob_id.uuid,
		.size = content.len,
		.header_length = summary.header_length,
		.envelope = summary.envelope,
		.body = summary.body,
		.bodystructure = summary.bodystructure,
		.sent_at = (uint64_t)summary.sent_at,
		.sha256 = slice_of(sha256, sizeof(sha256)),
		.smtp_envelope = smtp_envelope,
		.format = SUMMARY_FORMAT};
	mutations_init(&out, &op->arena);
	mutations_put(&out, &message_table, key_id(&op->arena, message->id.uuid),
		key_kind_row(&op->arena, MESSAGE_SUMMARY),
		row_encode_in(&op->arena, &message_summary_row, &columns), clock_realtime_us());
	struct error *err = engine_write(f->store->engine, op, out.items, out.count, DURABLE);
	byte_cache_forget(f->store->summaries, message->id.uuid);
	return err;
}

static struct error *fill(struct op *op, const struct filling *f, const struct message *message)
{
	bool found;
	struct message_summary_columns stored;
	struct slice content;
	TRY(summary_find(op, f->store, message, &found, &stored));
	bool is_old = found && stored.format < SUMMARY_FORMAT;
	f->report->checked++;
	f->report->missing += !found;
	f->report->old += is_old;
	if (found && !is_old)
		return NULL;
	struct error *err = message_content(op, f->store, message, 0, UINT64_MAX, &content);
	if (err && err->kind == ERR_CORRUPT) {
		f->report->unreadable++;
		return NULL;
	}
	TRY(err);
	TRY(write_summary(op, f, message, stored.smtp_envelope, content));
	f->report->fixed++;
	metric_add(&filled, 1);
	return NULL;
}

static struct error *fill_page(
	struct op *op, const struct filling *f, const struct snapshot *snapshot, uint32_t position)
{
	struct uid_set uids;
	struct message *messages;
	size_t count;
	uint32_t end = MIN_OF(position + PAGE, snapshot_count(snapshot));
	uid_set_init(&uids, &op->arena);
	while (position < end)
		uid_set_add(&uids, snapshot_at(snapshot, position++).uid);
	TRY(mailbox_messages(op, f->store, f->account, f->mailbox, &uids, &messages, &count));
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(fill(op, f, &messages[i]));
		arena_release(&op->arena, mark);
	}
	if (f->scope->pace && !f->scope->pace(f->scope->pace_context, count))
		return op_fail(op, ERR_CANCELLED, "told to stop");
	return NULL;
}

static struct error *fill_mailbox(struct op *op, const struct filling *f)
{
	struct snapshot *snapshot;
	struct error *err = NULL;
	TRY(mailbox_snapshot(op, f->store, f->account, f->mailbox, &snapshot));
	for (uint32_t at = 0; at < snapshot_count(snapshot) && !err; at += PAGE) {
		struct arena_mark mark = arena_mark(&op->arena);
		err = fill_page(op, f, snapshot, at);
		if (!err)
			arena_release(&op->arena, mark);
	}
	snapshot_unref(snapshot);
	return err;
}

struct error *mail_store_fill_summaries(struct op *op, struct mail_store *store,
	struct account_id account, const struct solve_scope *scope,
	struct fill_report *inout_report)
{
	struct mailbox_list list;
	TRY(mailbox_list(op, store, account, &list));
	for (size_t i = 0; i < list.count; i++) {
		const struct filling f = {.store = store,
			.account = account,
			.mailbox = list.items[i].id,
			.scope = scope,
			.report = inout_report};
		struct error *err = fill_mailbox(op, &f);
		if (err && err->kind != ERR_NOT_FOUND)
			return err;
		inout_report->mailboxes += !err;
	}
	return NULL;
}
