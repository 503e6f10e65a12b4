#pragma once

/* What a client wants to hear of without asking (RFC 5465). Included only inside front/imap. */

#include "front/imap/imap_parser.h"
#include "mailbox/mailbox.h"

#define NOTIFY_GROUPS_MAX 20
/* Of all groups together. */
#define NOTIFY_NAMES_MAX 1000
/* More would be looked through at each change of the account. */
#define NOTIFY_MAILBOXES_MAX 2000
/* New messages of which items are told by themselves. */
#define NOTIFY_ADDED_MAX 500

enum notify_filter {
	NOTIFY_SELECTED,
	NOTIFY_SELECTED_DELAYED, /* EXPUNGE waits for a command */
	NOTIFY_INBOXES,
	NOTIFY_PERSONAL,
	NOTIFY_SUBSCRIBED,
	NOTIFY_SUBTREE,
	NOTIFY_MAILBOXES,
};

enum notify_event {
	NOTIFY_MESSAGE_NEW = 1 << 0,
	NOTIFY_MESSAGE_EXPUNGE = 1 << 1,
	NOTIFY_FLAG_CHANGE = 1 << 2,
	NOTIFY_MAILBOX_NAME = 1 << 3,
	NOTIFY_SUBSCRIPTION_CHANGE = 1 << 4,
	NOTIFY_MAILBOX_METADATA = 1 << 5,
	NOTIFY_SERVER_METADATA = 1 << 6,
};

struct notify_group {
	enum notify_filter filter;
	unsigned events;     /* 0: NONE */
	struct slice *paths; /* of SUBTREE and MAILBOXES */
	size_t path_count;
	struct slice items; /* what FETCH would be asked for of each new message; empty: nothing */
};

struct notify_request {
	bool is_none, wants_status;
	struct notify_group groups[NOTIFY_GROUPS_MAX];
	size_t group_count;
	size_t name_count;
};

/* From the space before SET or NONE to the end. */
MUST_CHECK struct error *imap_notify_parse(
	struct op *op, struct imap_args *args, struct notify_request *ret_request);

/* ---- imap_notify.c ---- */

struct imap_session;
struct imap_notify;

/* Nothing is told any more. */
void imap_notify_end(struct imap_session *session);
void imap_notify_free(struct imap_notify *notify);

/* Is the selected mailbox's news told at once? *ret_may_expunge: expunges too. */
bool imap_notify_tells_selected(const struct imap_session *session, bool *ret_may_expunge);

/* FETCH lines of messages that are new in a snapshot, if they were asked for. */
void imap_notify_added(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct uid_set *added);

/* Is anything told of changed metadata; and of that of this mailbox, or (NULL) of the server's? */
bool imap_notify_wants_metadata(const struct imap_session *session);
bool imap_notify_means_metadata(
	const struct imap_session *session, const struct mailbox_status *status);

/* What has become of other mailboxes. */
MUST_CHECK struct error *imap_notify_tell(struct op *op, struct imap_session *session);
