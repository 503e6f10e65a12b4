#include "mailbox/store_private.h"

/* Messages that are gone, as the log tells of them. Their content is kept for the grace period. */

struct gone {
	struct op *op;
	struct mail_store *store;
	struct mailbox_id mailbox;
	const struct uid_set *uids;
	struct message *messages; /* as many as there are UIDs */
	size_t count;
};

/* A message that was moved came elsewhere in the same commit, with all that its row had. */
static struct error *find_moved(struct op *op, struct slice entry, struct message *message)
{
	struct log_reader log = log_entry_read(op, entry);
	struct log_item item;
	while (log_reader_next(&log, &item)) {
		if (item.kind != LOG_APPEND || !uuid_equal(item.row.message_id, message->id.uuid))
			continue;
		message->internal_date_us = item.row.internal_date_us;
		message->size = item.row.size;
		message->header_length = item.row.header_length;
		return NULL;
	}
	return log.err;
}

static struct error *take_gone(
	struct gone *gone, const struct log_row *row, const struct log_item *item)
{
	for (size_t i = 0; i < item->expunged_count; i++) {
		const struct expunged_message *expunged = &item->expunged[i];
		if (!uid_set_contains(gone->uids, expunged->uid) ||
			gone->count == uid_set_size(gone->uids))
			continue;
		struct message message = {.uid = expunged->uid,
			.modseq = row->modseq,
			.id = expunged->message,
			.blob_id = expunged->blob,
			.internal_date_us = expunged->internal_date_us,
			.is_expunged = true};
		if (item->is_deletion)
			TRY(message_measure(gone->op, gone->store, &message));
		else
			TRY(find_moved(gone->op, row->row.entry, &message));
		gone->messages[gone->count++] = message;
	}
	return NULL;
}

static struct error *read_row(struct gone *gone, const struct log_row *row)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(gone->op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item))
		if (item.kind == LOG_EXPUNGE && ID_EQUAL(item.mailbox, gone->mailbox))
			TRY(take_gone(gone, row, &item));
	return log.err;
}

struct error *mailbox_expunged_messages(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, uint64_t modseq,
	const struct uid_set *uids, struct message **ret_messages, size_t *ret_count)
{
	struct log_row *rows;
	size_t count;
	bool complete;
	struct gone gone = {.op = op,
		.store = store,
		.mailbox = mailbox,
		.uids = uids,
		.messages = ARENA_ARRAY(&op->arena, struct message, uid_set_size(uids) + 1)};
	TRY(commit_log_since(op, store->commit, account, modseq, &rows, &count, &complete));
	/* A UID goes once: there is room for each. */
	for (size_t i = 0; i < count && gone.count < uid_set_size(uids); i++)
		TRY(read_row(&gone, &rows[i]));
	*ret_messages = gone.messages;
	*ret_count = gone.count;
	return NULL;
}
