#pragma once

/* Metadata of mailboxes and of the server (RFC 5464, RFC 9590). Included only inside front/imap. */

#include "front/imap/imap_parser.h"
#include "mailbox/mailbox.h"

/* Names in one command. */
#define METADATA_NAMES_MAX 1000

enum metadata_depth { METADATA_DEPTH_0, METADATA_DEPTH_1, METADATA_DEPTH_INFINITY };

struct getmetadata {
	struct slice path; /* empty: the server */
	bool has_max_size;
	uint64_t max_size;
	enum metadata_depth depth;
	struct imap_words names; /* in lower case */
};

struct setmetadata {
	struct slice path;
	struct metadata_entry *entries; /* names in lower case; NIL is absent */
	size_t count;
};

/* From the space before the arguments to the end. */
MUST_CHECK struct error *imap_getmetadata_parse(
	struct op *op, struct imap_args *args, struct getmetadata *ret_request);
MUST_CHECK struct error *imap_setmetadata_parse(
	struct op *op, struct imap_args *args, struct setmetadata *ret_request);

/* "(/private/comment /shared/comment)", or one of them. */
MUST_CHECK struct error *imap_metadata_names(
	struct op *op, struct imap_args *args, struct imap_words *ret_names);

/* ---- imap_metadata.c ---- */

struct imap_session;

/* What the server says of itself: /shared/admin (RFC 5464 6.2.2) and /shared/comment. */
extern const char *imap_server_admin, *imap_server_comment;

/* What an account shares stands with it, what somebody notes for himself with him. */
struct imap_metadata_lists {
	const struct metadata_list *of_user, *of_owner;
};

/* "* METADATA mailbox (…)" of entries as they are, NIL where there are none. */
void imap_metadata_write(struct op *op, struct imap_session *session,
	const struct imap_metadata_lists *lists, const struct mailbox_status *status,
	const struct imap_words *names);

/* What others have changed since, to who has asked to be told. */
MUST_CHECK struct error *imap_metadata_tell(struct op *op, struct imap_session *session);
