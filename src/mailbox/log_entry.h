#pragma once

/* What one commit did, as its log row says it: a list of items. It is the change feed, the
 * overlay's source and the write-ahead log of every projection, so an item holds all that they
 * need. */

#include "base/op.h"
#include "mailbox/flags.h"
#include "mailbox/uid_set.h"
#include "schema/tables.h"

enum log_item_kind {
	LOG_APPEND = 1,  /* a message has come to a mailbox: appended, copied or moved in */
	LOG_FLAGS = 2,   /* flags of some messages have changed */
	LOG_EXPUNGE = 3, /* messages have gone: expunged or moved away */
	LOG_MAILBOX = 4, /* the mailbox itself: made, renamed, removed, subscribed to */
	/* Stored only: it is read as LOG_EXPUNGE with is_deletion. */
	LOG_DELETION = 5,
	LOG_METADATA = 6, /* annotations of a mailbox, or (nil id) of the account, have changed */
	LOG_GRANTS = 7,   /* who may do something with a mailbox, or may no more */
};

struct log_grant {
	struct account_id account; /* nil: anyone */
	bool is_granted;
};

struct expunged_message {
	uint32_t uid;
	struct message_id message;
	struct blob_id blob;
	/* Of a deletion only. */
	uint64_t internal_date_us;
	uint16_t flags;
};

struct log_item {
	enum log_item_kind kind;
	struct mailbox_id mailbox;

	/* LOG_APPEND */
	uint32_t uid;
	uint32_t uidvalidity;
	struct mailbox_message row;

	/* LOG_FLAGS */
	enum flag_mode mode;
	uint16_t flags;
	struct keyword_set keywords;
	struct uid_set uids;

	/* LOG_EXPUNGE */
	struct expunged_message *expunged; /* ascending by UID */
	size_t expunged_count;
	bool is_deletion; /* they were expunged, not moved away; what follows is of it */
	bool in_vault;
	struct slice path; /* of the mailbox */

	/* LOG_METADATA */
	struct slice names; /* varint-counted */

	/* LOG_GRANTS */
	struct log_grant *grants;
	size_t grant_count;
};

/* Begins an entry; items are appended to it. */
struct buf log_entry_begin(struct arena *arena);
void log_entry_append(struct buf *entry, struct mailbox_id mailbox, uint32_t uid,
	uint32_t uidvalidity, const struct mailbox_message *row);
void log_entry_flags(struct buf *entry, struct mailbox_id mailbox, enum flag_mode mode,
	uint16_t flags, const struct keyword_set *keywords, const struct uid_set *uids);
void log_entry_expunge(struct buf *entry, struct mailbox_id mailbox,
	const struct expunged_message *expunged, size_t count);
void log_entry_deletion(struct buf *entry, struct mailbox_id mailbox, struct slice path,
	bool in_vault, const struct expunged_message *expunged, size_t count);
void log_entry_mailbox(struct buf *entry, struct mailbox_id mailbox);
/* `names`: each behind its length as a varint. */
void log_entry_metadata(struct buf *entry, struct mailbox_id mailbox, struct slice names);

void log_entry_grants(
	struct buf *entry, struct mailbox_id mailbox, const struct log_grant *grants, size_t count);

/* Walks an entry: false at its end. Slices borrow from it. ERR_CORRUPT through *ret_err. */
struct log_reader {
	struct reader reader;
	struct op *op;
	struct error *err;
};
struct log_reader log_entry_read(struct op *op, struct slice entry);
bool log_reader_next(struct log_reader *log, struct log_item *ret_item);

/* The new flags of a message after a change. */
void flags_apply(enum flag_mode mode, uint16_t flags, const struct keyword_set *keywords,
	uint16_t *inout_flags, struct keyword_set *inout_keywords);
