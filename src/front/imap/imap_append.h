#pragma once

/* What APPEND and REPLACE were given (RFC 9051 6.3.12, RFC 3502, RFC 4469, RFC 8508). Included only
 * inside front/imap. */

#include "front/imap/imap_parser.h"
#include "mailbox/mailbox.h"

/* A literal, or a URL whose message is to be read. */
struct append_part {
	bool is_url;
	struct slice text;
};

struct append_message {
	struct imap_flags flags;
	uint64_t internal_date_us; /* 0: now */
	bool is_catenated;
	struct append_part *parts; /* one, unless it is catenated */
	size_t part_count;
};

struct append_args {
	struct slice path;
	struct append_message *messages; /* APPEND_BATCH_MAX of room */
	size_t count;
	bool may_utf8; /* "UTF8 (…)" is understood (RFC 9755 4) */
};

/* From the space before the mailbox's name to the end. */
MUST_CHECK struct error *imap_append_parse(
	struct op *op, struct imap_args *args, bool may_utf8, struct append_args *ret_append);

/* ---- imap_catenate.c ---- */

struct imap_session;

/* Puts the parts together behind what `out` holds; at most `most` bytes in all. */
MUST_CHECK struct error *imap_catenate(struct op *op, struct imap_session *session,
	struct imap_args *args, const struct append_message *message, uint64_t most,
	struct buf *out);
