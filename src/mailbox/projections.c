#include "mailbox/store_private.h"

/* What a log entry means in the tables that copy it. The only place that knows; the commit point,
 * the overlay and every healing task use it. */

static struct error *edit_flags(
	struct op *op, const struct row_change *change, struct slice old, struct slice *ret_value)
{
	const struct log_item *item = change->edit_data;
	struct mailbox_message row;
	struct keyword_set keywords;
	TRY(row_decode(op, &mailbox_message_row, old, &row));
	if (!keyword_set_decode(row.keywords, &keywords))
		return op_fail(op, ERR_CORRUPT, "the keywords of a message cannot be read");
	flags_apply(item->mode, item->flags, &item->keywords, &row.flags, &keywords);
	row.keywords = keyword_set_encode(&op->arena, &keywords);
	row.modseq = change->modseq;
	*ret_value = row_encode_in(&op->arena, &mailbox_message_row, &row);
	return NULL;
}

static void derive_flags(
	struct op *op, const struct log_item *item, uint64_t modseq, struct row_changes *out)
{
	struct arena *arena = &op->arena;
	struct log_item *kept = ARENA_NEW(arena, struct log_item);
	*kept = *item;
	struct slice partition = SLICE_NONE;
	uint32_t bucket = UINT32_MAX;
	for (size_t i = 0; i < item->uids.count; i++)
		for (uint64_t uid = item->uids.ranges[i].first; uid <= item->uids.ranges[i].last;
			uid++) {
			if (uid >> MAILBOX_MESSAGE_BUCKET_BITS != bucket) {
				bucket = (uint32_t)(uid >> MAILBOX_MESSAGE_BUCKET_BITS);
				partition = key_message_bucket(arena, item->mailbox, (uint32_t)uid);
			}
			row_changes_add(out, &(struct row_change){.table = &mailbox_message_table,
						     .partition = partition,
						     .key = key_u32_row(arena, (uint32_t)uid),
						     .modseq = modseq,
						     .kind = ROW_EDIT,
						     .edit = edit_flags,
						     .edit_data = kept});
		}
}

static void derive_append(struct op *op, struct account_id account, const struct log_item *item,
	const struct log_row *log, struct row_changes *out)
{
	struct arena *arena = &op->arena;
	struct message_place place = {.modseq = log->modseq};
	struct mailbox_message row = item->row;
	row.modseq = log->modseq;
	row_changes_add(
		out, &(struct row_change){.table = &mailbox_message_table,
			     .partition = key_message_bucket(arena, item->mailbox, item->uid),
			     .key = key_u32_row(arena, item->uid),
			     .modseq = log->modseq,
			     .kind = ROW_PUT,
			     .value = row_encode_in(arena, &mailbox_message_row, &row)});
	row_changes_add(out, &(struct row_change){.table = &message_table,
				     .partition = key_id(arena, row.message_id),
				     .key = key_place(arena, item->mailbox, item->uid),
				     .modseq = log->modseq,
				     .kind = ROW_PUT,
				     .value = row_encode_in(arena, &message_place_row, &place)});
	if (!log->row.once_key.len)
		return;
	struct once once = {.operation_id = log->row.operation_id,
		.modseq = log->modseq,
		.mailbox_id = item->mailbox.uuid,
		.uid = item->uid,
		.uidvalidity = item->uidvalidity,
		.message_id = row.message_id};
	row_changes_add(out, &(struct row_change){.table = &once_table,
				     .partition = key_once(arena, account, log->row.once_key),
				     .key = key_kind_row(arena, 0),
				     .modseq = log->modseq,
				     .kind = ROW_PUT,
				     .value = row_encode_in(arena, &once_row, &once)});
}

/* What the vault shows. Reclaim, a restore and a purge change and remove these rows later, so they
 * are not held against the log. */
static void derive_gone(struct op *op, struct account_id account, const struct log_item *item,
	const struct expunged_message *message, uint64_t modseq, struct row_changes *out)
{
	struct arena *arena = &op->arena;
	struct vault vault = {.modseq = modseq};
	struct message_gone gone = {.modseq = modseq,
		.account_id = account.uuid,
		.blob_id = message->blob.uuid,
		.mailbox_id = item->mailbox.uuid,
		.path = item->path,
		.internal_date_us = message->internal_date_us,
		.flags = message->flags,
		.in_vault = item->in_vault};
	row_changes_add(out, &(struct row_change){.table = &message_table,
				     .partition = key_id(arena, message->message.uuid),
				     .key = key_kind_row(arena, MESSAGE_GONE),
				     .modseq = modseq,
				     .kind = ROW_PUT,
				     .value = row_encode_in(arena, &message_gone_row, &gone)});
	if (!item->in_vault)
		return;
	row_changes_add(out, &(struct row_change){.table = &vault_table,
				     .partition = key_vault(arena, account, modseq),
				     .key = key_id_row(arena, 0, message->message.uuid),
				     .modseq = modseq,
				     .kind = ROW_PUT,
				     .value = row_encode_in(arena, &vault_row, &vault)});
}

static void derive_expunge(struct op *op, struct account_id account, const struct log_item *item,
	uint64_t modseq, struct row_changes *out)
{
	struct arena *arena = &op->arena;
	for (size_t i = 0; i < item->expunged_count; i++) {
		const struct expunged_message *gone = &item->expunged[i];
		struct blob_candidate candidate = {
			.blob_id = gone->blob.uuid, .account_id = account.uuid};
		row_changes_add(out,
			&(struct row_change){.table = &mailbox_message_table,
				.partition = key_message_bucket(arena, item->mailbox, gone->uid),
				.key = key_u32_row(arena, gone->uid),
				.modseq = modseq,
				.kind = ROW_DELETE});
		row_changes_add(out, &(struct row_change){.table = &message_table,
					     .partition = key_id(arena, gone->message.uuid),
					     .key = key_place(arena, item->mailbox, gone->uid),
					     .modseq = modseq,
					     .kind = ROW_DELETE});
		row_changes_add(out,
			&(struct row_change){.table = &blob_candidate_table,
				.partition = key_candidates(arena, gone->message, modseq),
				.key = key_id_row(arena, 0, gone->message.uuid),
				.modseq = modseq,
				.kind = ROW_PUT,
				.value = row_encode_in(arena, &blob_candidate_row, &candidate)});
		if (item->is_deletion)
			derive_gone(op, account, item, gone, modseq, out);
	}
}

static void derive_grants(struct op *op, struct account_id account, const struct log_item *item,
	uint64_t modseq, struct row_changes *out)
{
	struct arena *arena = &op->arena;
	struct shared_to row = {.modseq = modseq};
	for (size_t i = 0; i < item->grant_count; i++) {
		struct row_change change = {.table = &shared_to_table,
			.partition = key_id(arena, item->grants[i].account.uuid),
			.key = key_shared_to(arena, account, item->mailbox),
			.modseq = modseq,
			.kind = ROW_DELETE};
		if (item->grants[i].is_granted) {
			change.kind = ROW_PUT;
			change.value = row_encode_in(arena, &shared_to_row, &row);
		}
		row_changes_add(out, &change);
	}
}

struct error *derive_projections(struct op *op, struct account_id account,
	const struct log_row *log, struct row_changes *out)
{
	if (!log->row.entry.len)
		return NULL;
	struct log_reader reader = log_entry_read(op, log->row.entry);
	struct log_item item;
	while (log_reader_next(&reader, &item))
		switch (item.kind) {
		case LOG_APPEND:
			derive_append(op, account, &item, log, out);
			break;
		case LOG_FLAGS:
			derive_flags(op, &item, log->modseq, out);
			break;
		case LOG_EXPUNGE:
			derive_expunge(op, account, &item, log->modseq, out);
			break;
		case LOG_GRANTS:
			derive_grants(op, account, &item, log->modseq, out);
			break;
		case LOG_DELETION:
		case LOG_MAILBOX:
		case LOG_METADATA:
			break;
		}
	return reader.err;
}
