#include "mailbox/log_entry.h"

#define LOG_ENTRY_FORMAT 1

struct buf log_entry_begin(struct arena *arena)
{
	struct buf entry = buf_in(arena);
	buf_u8(&entry, LOG_ENTRY_FORMAT);
	return entry;
}

static void begin_item(struct buf *entry, enum log_item_kind kind, struct mailbox_id mailbox)
{
	buf_u8(entry, (uint8_t)kind);
	buf_append(entry, ID_SLICE(mailbox));
}

void log_entry_append(struct buf *entry, struct mailbox_id mailbox, uint32_t uid,
	uint32_t uidvalidity, const struct mailbox_message *row)
{
	begin_item(entry, LOG_APPEND, mailbox);
	buf_varint(entry, uid);
	buf_varint(entry, uidvalidity);
	buf_slice(entry, row_encode_in(entry->arena, &mailbox_message_row, row));
}

void log_entry_flags(struct buf *entry, struct mailbox_id mailbox, enum flag_mode mode,
	uint16_t flags, const struct keyword_set *keywords, const struct uid_set *uids)
{
	begin_item(entry, LOG_FLAGS, mailbox);
	buf_u8(entry, (uint8_t)mode);
	buf_varint(entry, flags);
	buf_slice(entry, keyword_set_encode(entry->arena, keywords));
	uid_set_encode(uids, entry);
}

static void write_expunged(
	struct buf *entry, const struct expunged_message *expunged, size_t count, bool is_deletion)
{
	buf_varint(entry, count);
	uint32_t previous = 0;
	for (size_t i = 0; i < count; i++) {
		buf_varint(entry, expunged[i].uid - previous);
		previous = expunged[i].uid;
		buf_append(entry, ID_SLICE(expunged[i].message));
		buf_append(entry, ID_SLICE(expunged[i].blob));
		if (!is_deletion)
			continue;
		buf_varint(entry, expunged[i].internal_date_us);
		buf_varint(entry, expunged[i].flags);
	}
}

void log_entry_expunge(struct buf *entry, struct mailbox_id mailbox,
	const struct expunged_message *expunged, size_t count)
{
	begin_item(entry, LOG_EXPUNGE, mailbox);
	write_expunged(entry, expunged, count, false);
}

void log_entry_deletion(struct buf *entry, struct mailbox_id mailbox, struct slice path,
	bool in_vault, const struct expunged_message *expunged, size_t count)
{
	begin_item(entry, LOG_DELETION, mailbox);
	buf_u8(entry, in_vault);
	buf_slice(entry, path);
	write_expunged(entry, expunged, count, true);
}

void log_entry_mailbox(struct buf *entry, struct mailbox_id mailbox)
{
	begin_item(entry, LOG_MAILBOX, mailbox);
}

void log_entry_metadata(struct buf *entry, struct mailbox_id mailbox, struct slice names)
{
	begin_item(entry, LOG_METADATA, mailbox);
	buf_slice(entry, names);
}

void log_entry_grants(
	struct buf *entry, struct mailbox_id mailbox, const struct log_grant *grants, size_t count)
{
	begin_item(entry, LOG_GRANTS, mailbox);
	buf_varint(entry, count);
	for (size_t i = 0; i < count; i++) {
		buf_append(entry, ID_SLICE(grants[i].account));
		buf_u8(entry, grants[i].is_granted);
	}
}

struct log_reader log_entry_read(struct op *op, struct slice entry)
{
	struct log_reader log = {.reader = reader_of(entry), .op = op};
	if (reader_u8(&log.reader) != LOG_ENTRY_FORMAT)
		log.reader.failed = true;
	return log;
}

static void read_uuid(struct reader *reader, struct uuid *ret_uuid)
{
	if (!uuid_from_slice(reader_bytes(reader, sizeof(struct uuid)), ret_uuid))
		reader->failed = true;
}

static void read_append(struct log_reader *log, struct log_item *item)
{
	item->uid = (uint32_t)reader_varint(&log->reader);
	item->uidvalidity = (uint32_t)reader_varint(&log->reader);
	struct slice row = reader_slice(&log->reader);
	if (!log->reader.failed)
		log->err = row_decode(log->op, &mailbox_message_row, row, &item->row);
}

static void read_flags(struct log_reader *log, struct log_item *item)
{
	uint8_t mode = reader_u8(&log->reader);
	item->mode = (enum flag_mode)mode;
	item->flags = (uint16_t)reader_varint(&log->reader);
	if (mode > FLAGS_REMOVE ||
		!keyword_set_decode(reader_slice(&log->reader), &item->keywords) ||
		!uid_set_decode(&log->op->arena, &log->reader, &item->uids))
		log->reader.failed = true;
}

static void read_expunge(struct log_reader *log, struct log_item *item)
{
	uint64_t count = reader_varint(&log->reader);
	if (count > log->reader.rest.len / (2 * sizeof(struct uuid))) {
		log->reader.failed = true;
		return;
	}
	item->expunged = ARENA_ARRAY(&log->op->arena, struct expunged_message, count ? count : 1);
	item->expunged_count = (size_t)count;
	uint32_t previous = 0;
	for (uint64_t i = 0; i < count; i++) {
		struct expunged_message *message = &item->expunged[i];
		message->uid = previous + (uint32_t)reader_varint(&log->reader);
		previous = message->uid;
		read_uuid(&log->reader, &message->message.uuid);
		read_uuid(&log->reader, &message->blob.uuid);
		if (!item->is_deletion)
			continue;
		message->internal_date_us = reader_varint(&log->reader);
		message->flags = (uint16_t)reader_varint(&log->reader);
	}
}

static void read_deletion(struct log_reader *log, struct log_item *item)
{
	item->kind = LOG_EXPUNGE;
	item->is_deletion = true;
	item->in_vault = reader_u8(&log->reader) != 0;
	item->path = reader_slice(&log->reader);
	read_expunge(log, item);
}

static void read_grants(struct log_reader *log, struct log_item *item)
{
	uint64_t count = reader_varint(&log->reader);
	if (count > log->reader.rest.len / sizeof(struct uuid)) {
		log->reader.failed = true;
		return;
	}
	item->grants = ARENA_ARRAY(&log->op->arena, struct log_grant, count + 1);
	item->grant_count = (size_t)count;
	for (uint64_t i = 0; i < count; i++) {
		read_uuid(&log->reader, &item->grants[i].account.uuid);
		item->grants[i].is_granted = reader_u8(&log->reader) != 0;
	}
}

bool log_reader_next(struct log_reader *log, struct log_item *ret_item)
{
	if (log->err || (!log->reader.failed && !log->reader.rest.len))
		return false;
	*ret_item = (struct log_item){.kind = (enum log_item_kind)reader_u8(&log->reader)};
	read_uuid(&log->reader, &ret_item->mailbox.uuid);
	switch (ret_item->kind) {
	case LOG_APPEND:
		read_append(log, ret_item);
		break;
	case LOG_FLAGS:
		read_flags(log, ret_item);
		break;
	case LOG_EXPUNGE:
		read_expunge(log, ret_item);
		break;
	case LOG_DELETION:
		read_deletion(log, ret_item);
		break;
	case LOG_MAILBOX:
		break;
	case LOG_METADATA:
		ret_item->names = reader_slice(&log->reader);
		break;
	case LOG_GRANTS:
		read_grants(log, ret_item);
		break;
	default:
		log->reader.failed = true;
	}
	if (log->reader.failed)
		log->err = op_fail(log->op, ERR_CORRUPT, "a log entry cannot be decoded");
	return !log->err;
}

void flags_apply(enum flag_mode mode, uint16_t flags, const struct keyword_set *keywords,
	uint16_t *inout_flags, struct keyword_set *inout_keywords)
{
	switch (mode) {
	case FLAGS_REPLACE:
		*inout_flags = flags;
		*inout_keywords = *keywords;
		return;
	case FLAGS_ADD:
		*inout_flags |= flags;
		for (size_t i = 0; i < ARRAY_SIZE(keywords->bits); i++)
			inout_keywords->bits[i] |= keywords->bits[i];
		return;
	case FLAGS_REMOVE:
		*inout_flags &= (uint16_t)~flags;
		for (size_t i = 0; i < ARRAY_SIZE(keywords->bits); i++)
			inout_keywords->bits[i] &= ~keywords->bits[i];
		return;
	}
}
