#pragma once

/* What FETCH was asked for (RFC 9051 6.4.5). Included only inside front/imap. */

#include "format/section.h"
#include "front/imap/imap_parser.h"
#include "mailbox/mailbox.h"

#define FETCH_ITEMS_MAX 100

/* Where an item's answer comes from; each needs what stands before it. */
enum fetch_need {
	FETCH_NEEDS_SNAPSHOT, /* memory */
	FETCH_NEEDS_ROW,
	FETCH_NEEDS_SUMMARY, /* what was printed when the message arrived */
	FETCH_NEEDS_CONTENT,
};

enum fetch_kind {
	FETCH_UID,
	FETCH_FLAGS,
	FETCH_MODSEQ,
	FETCH_INTERNALDATE,
	FETCH_SAVEDATE,
	FETCH_SIZE,
	FETCH_EMAILID,
	FETCH_THREADID,
	FETCH_ENVELOPE,
	FETCH_BODY,
	FETCH_BODYSTRUCTURE,
	FETCH_SECTION,
	FETCH_BINARY,
	FETCH_BINARY_SIZE,
	FETCH_PREVIEW,
};

struct fetch_item {
	enum fetch_kind kind;
	struct slice label; /* as it is answered; of a section without its `<origin>` */
	struct section section;
	bool has_partial;
	uint32_t offset, length;
	bool is_lazy; /* of a PREVIEW: only if it costs little */
};

struct fetch_request {
	struct imap_sequence messages;
	struct fetch_item *items; /* FETCH_ITEMS_MAX of room */
	size_t item_count;
	enum fetch_need need;
	bool sets_seen;
	bool wants_uid, wants_flags, wants_modseq;
	bool by_uid;
	bool has_changed_since;
	uint64_t changed_since;
	bool wants_vanished;
	struct imap_page page;
};

MUST_CHECK struct error *imap_fetch_parse(
	struct op *op, struct imap_args *args, struct fetch_request *ret_request);

/* The items alone, "(UID FLAGS)": for whoever fetches without the command. */
MUST_CHECK struct error *imap_fetch_items(
	struct op *op, struct imap_args *args, struct fetch_request *ret_request);

/* What stands between the brackets of BODY[…], and the bracket behind it. */
MUST_CHECK struct error *imap_section(
	struct op *op, struct imap_args *args, struct section *ret_section);

/* ---- imap_fetch_write.c ---- */

struct imap_session;

/* A message as FETCH reads it: from memory first, from the store when an item needs it. */
struct fetch_message {
	const struct snapshot *snapshot;
	struct snapshot_message at;
	uint32_t sequence;
	const struct message *row; /* NULL if no item needs it */
	bool seen_changed;         /* by this command: the client is told */
	/* Out: it failed since BINARY was asked of a part whose transfer encoding is not known. */
	bool has_unknown_encoding;
};

MUST_CHECK struct error *imap_fetch_write(struct op *op, struct imap_session *session,
	const struct fetch_request *request, struct fetch_message *message);
