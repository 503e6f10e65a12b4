#pragma once

/* What a mailbox does. Every change is one commit on the account: when a call returns NULL it is
 * true, durable, and in every later read; ERR_UNCERTAIN means that it may turn out to be, and that
 * the server finds out by itself; any other error means that nothing has changed. ERR_NOT_FOUND: no
 * such mailbox. ERR_LIMIT: over quota, too many mailboxes, keywords… Any thread may call; results
 * live in the operation's arena. */

#include "base/op.h"
#include "format/summary.h"
#include "mailbox/flags.h"
#include "mailbox/snapshot.h"
#include "mailbox/uid_set.h"
#include "schema/ids.h"

struct mail_store; /* mailbox/store.h: engine, commit point, content, limits */

/* ---- The folder tree (delimiter '/', NFC UTF-8, INBOX in any case means INBOX) ---- */

enum special_use { /* RFC 6154 */
	SPECIAL_ALL = 1 << 0,
	SPECIAL_ARCHIVE = 1 << 1,
	SPECIAL_DRAFTS = 1 << 2,
	SPECIAL_FLAGGED = 1 << 3,
	SPECIAL_JUNK = 1 << 4,
	SPECIAL_SENT = 1 << 5,
	SPECIAL_TRASH = 1 << 6,
};

#define MAILBOX_PATH_MAX 1000
#define MAILBOX_DEPTH_MAX 32

struct mailbox_status {
	struct mailbox_id id;
	struct slice path;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t highest_modseq;
	uint32_t messages;
	uint32_t unseen;
	uint32_t deleted;
	uint64_t bytes;
	uint64_t deleted_bytes;
	uint32_t special_use; /* enum special_use bits */
	struct slice acl;     /* acl.h */
	bool is_subscribed;
	bool has_children;
};

struct mailbox_list {
	struct mailbox_status *items; /* ascending by path, INBOX first */
	size_t count;
};

MUST_CHECK struct error *mailbox_list(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_list *ret_list);
MUST_CHECK struct error *mailbox_find(struct op *op, struct mail_store *store,
	struct account_id account, struct slice path, struct mailbox_status *ret_status);

/* ERR_EXISTS; ERR_INVALID for a name that cannot be. Missing parents are made too (RFC 9051 6.3.4).
 */
MUST_CHECK struct error *mailbox_create(struct op *op, struct mail_store *store,
	struct account_id account, struct slice path, uint32_t special_use,
	struct mailbox_id *ret_id);

/* ERR_INVALID for INBOX and for a mailbox with children. `expected`: ERR_NOT_FOUND if another one
 * has the path; NULL: whichever has it. */
MUST_CHECK struct error *mailbox_delete(struct op *op, struct mail_store *store,
	struct account_id account, struct slice path, const struct mailbox_id *expected);

/* The whole subtree in one commit. INBOX: its messages move, it stays (RFC 9051 6.3.6). `expected`
 * as above. */
MUST_CHECK struct error *mailbox_rename(struct op *op, struct mail_store *store,
	struct account_id account, struct slice from, const struct mailbox_id *expected,
	struct slice to);

/* Subscriptions are names: they outlive the mailbox. */
MUST_CHECK struct error *mailbox_subscribe(struct op *op, struct mail_store *store,
	struct account_id account, struct slice path, bool subscribed);
MUST_CHECK struct error *mailbox_subscriptions(struct op *op, struct mail_store *store,
	struct account_id account, struct slice **ret_names, size_t *ret_count);

/* Bytes and messages of the whole account, and its limits (0: none). */
struct quota {
	uint64_t used_bytes;
	uint64_t limit_bytes;
	uint64_t used_count;
	uint64_t limit_count;
};
MUST_CHECK struct error *mailbox_quota(struct op *op, struct mail_store *store,
	struct account_id account, struct quota *ret_quota);
/* Whether one more message of `size` bytes may be taken, as this node knows the account; it is
 * asked anew only before the answer is no. The append decides. */
MUST_CHECK struct error *mailbox_has_room(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t size, bool *ret_has_room);

/* ---- Metadata (RFC 5464) ---- */

#define METADATA_NAME_MAX 255

struct metadata_limits {
	uint64_t value_bytes;   /* of one */
	uint64_t entries;       /* of one mailbox, or of the account itself */
	uint64_t account_bytes; /* of all, names included: they are read with the account */
};
extern struct metadata_limits metadata_limits;

struct metadata_entry {
	struct mailbox_id mailbox; /* nil: of the account itself */
	struct slice name;         /* "/private/comment", lower case */
	struct slice value;
	bool is_absent; /* to be removed, or removed */
};

/* All that an account has, ascending by mailbox and name. */
struct metadata_list {
	struct metadata_entry *items;
	size_t count;
};
MUST_CHECK struct error *mailbox_metadata(struct op *op, struct mail_store *store,
	struct account_id account, struct metadata_list *ret_list);

/* Those of one mailbox; within the list. */
struct metadata_list metadata_of(const struct metadata_list *list, struct mailbox_id mailbox);

enum metadata_fault { METADATA_FITS, METADATA_TOO_LARGE, METADATA_TOO_MANY };

struct metadata_change {
	struct mailbox_id mailbox; /* nil: the account itself */
	bool is_elsewhere;         /* the mailbox is another account's */
	const struct metadata_entry *entries;
	size_t count;
	bool sets_special_use;
	uint32_t special_use; /* enum special_use bits */
	/* Results */
	enum metadata_fault fault; /* why it is ERR_LIMIT, if it is */
	uint64_t modseq;
};

/* All entries or none. */
MUST_CHECK struct error *mailbox_change_metadata(struct op *op, struct mail_store *store,
	struct account_id account, struct metadata_change *change);

/* What others changed: the names, without their values. */
struct metadata_news {
	uint64_t modseq; /* of the account, as of now */
	struct metadata_change_seen {
		uint64_t modseq;
		struct mailbox_id mailbox;
		struct slice names; /* varint-counted */
	} * items;
	size_t count;
};
MUST_CHECK struct error *mailbox_metadata_since(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t modseq, struct metadata_news *ret_news);

/* ---- Reading ---- */

/* The mailbox as it is now; the caller owns one reference. */
MUST_CHECK struct error *mailbox_snapshot(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, struct snapshot **ret_snapshot);

struct message {
	uint32_t uid;
	uint64_t modseq;
	uint16_t flags;
	struct keyword_set keywords;
	struct message_id id; /* OBJECTID: copies share it */
	struct blob_id blob_id;
	uint64_t internal_date_us;
	uint64_t save_date_us;
	uint64_t size; /* octets */
	uint32_t header_length;
	uint32_t
		first_uidvalidity; /* where it came first, if it was copied or moved here; else 0 */
	uint32_t first_uid;
	bool is_expunged; /* of mailbox_expunged_messages */
};

/* The messages with these UIDs, ascending; those that are gone are left out. One call reads many:
 * ask for a page of some hundreds at a time. */
MUST_CHECK struct error *mailbox_messages(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	struct message **ret_messages, size_t *ret_count);

/* Messages that have left the mailbox since `modseq`, for those to whom they are still there (RFC
 * 2180 4.1.1): their flags and when they were saved are not told. Those that the log no longer
 * reaches are left out; content may go at any time, which is ERR_NOT_FOUND. */
MUST_CHECK struct error *mailbox_expunged_messages(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, uint64_t modseq,
	const struct uid_set *uids, struct message **ret_messages, size_t *ret_count);

/* ENVELOPE, BODY, BODYSTRUCTURE as they were printed when the message arrived. */
MUST_CHECK struct error *message_summary_get(struct op *op, struct mail_store *store,
	const struct message *message, struct message_summary *ret_summary);

/* ENVELOPEs of many, read together; empty where it is not known without the content. */
MUST_CHECK struct error *message_envelopes_get(struct op *op, struct mail_store *store,
	const struct message *messages, size_t count, struct slice **ret_envelopes);

/* What append_request.smtp_envelope was; empty when there was none, or its row is lost. */
MUST_CHECK struct error *message_smtp_envelope_get(struct op *op, struct mail_store *store,
	const struct message *message, struct slice *ret_envelope);

/* `length` octets from `offset`, clamped to the message. The whole message: 0, SIZE_MAX.
 * ERR_CORRUPT: the content is damaged or missing; the message stays. */
MUST_CHECK struct error *message_content(struct op *op, struct mail_store *store,
	const struct message *message, uint64_t offset, uint64_t length, struct slice *ret_bytes);

/* What has changed in a mailbox since `modseq`: for QRESYNC and CHANGEDSINCE. `changed` holds
 * messages there now whose mod-sequence is higher. `vanished` is exact when `is_exact`; else the
 * log does not reach back so far and it holds every UID below UIDNEXT that is not there (RFC
 * 7162 3.2.5.1 allows it); intersect it with the UIDs that the client knows. */
struct mailbox_changes {
	struct uid_set changed;
	struct uid_set vanished;
	bool is_exact;
};
MUST_CHECK struct error *mailbox_changes_since(struct op *op, struct mail_store *store,
	struct account_id account, struct snapshot *snapshot, uint64_t modseq,
	struct mailbox_changes *ret_changes);

/* ---- Changing ---- */

#define ONCE_KEY_SIZE 32

struct append_request {
	struct account_id account;
	struct slice path; /* of the mailbox, unless `mailbox` is set */
	struct mailbox_id mailbox;
	struct slice content;
	const struct message_summary *summary; /* of the content; NULL: made here */
	uint16_t flags;
	const struct slice *keywords;
	size_t keyword_count;
	uint64_t internal_date_us;  /* 0: now */
	struct slice once_key;      /* ONCE_KEY_SIZE bytes, or empty: whoever repeats means two */
	struct slice smtp_envelope; /* kept beside the message: delivery/smtp_envelope.h */
	const struct blob_id
		*blob; /* content already stored (another recipient's); NULL: store it */
};

struct append_result {
	struct mailbox_id mailbox;
	struct message_id message;
	struct blob_id blob;
	uint32_t uidvalidity;
	uint32_t uid;
	uint64_t modseq;
	bool was_done_before; /* the once-key was seen: this is the earlier append's result */
};

MUST_CHECK struct error *mailbox_append(struct op *op, struct mail_store *store,
	const struct append_request *request, struct append_result *ret_result);

/* Several messages, all or none of them, in one commit; and in place of one that goes with it. */
#define APPEND_BATCH_MAX 100

struct append_batch {
	/* The first says where to; none has a once-key. */
	const struct append_request *requests;
	size_t count;
	struct mailbox_id replaced_mailbox;
	uint32_t replaced_uid;      /* 0: none */
	bool replaced_is_gone;      /* result: why it is ERR_NOT_FOUND, if it is */
	struct copy_pieces *pieces; /* mailbox/ only: part of something larger */
};

/* `ret_results`: as many as there are requests, their UIDs ascending. */
MUST_CHECK struct error *mailbox_append_batch(struct op *op, struct mail_store *store,
	struct append_batch *batch, struct append_result *ret_results);

/* The sender has seen the answer: the same bytes again are meant again. */
MUST_CHECK struct error *mailbox_once_release(
	struct op *op, struct mail_store *store, struct account_id account, struct slice once_key);

struct flag_result {
	struct uid_set changed;  /* what has a new mod-sequence now */
	struct uid_set modified; /* left alone: its mod-sequence is above UNCHANGEDSINCE */
	uint64_t modseq;         /* of the change; 0: nothing changed */
};

/* UIDs that are gone are passed over. A full keyword list: ERR_LIMIT, nothing changed. Atomic for
 * each thousand messages changed; *ret_result tells what has changed even when an error is
 * returned. */
MUST_CHECK struct error *mailbox_change_flags(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	const struct flag_change *change, struct flag_result *ret_result);

struct expunge_result {
	struct uid_set expunged;
	uint64_t modseq; /* 0: nothing was there */
};

/* Removes those of `uids` (NULL: all) that are there, only with \Deleted if `only_deleted`. */
MUST_CHECK struct error *mailbox_expunge(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	bool only_deleted, struct expunge_result *ret_result);

struct copy_result {
	uint32_t uidvalidity; /* of the target */
	/* The n-th UID copied became the n-th of these, both ascending. */
	uint32_t *from;
	uint32_t *to;
	size_t count;
	uint64_t modseq; /* of the last commit; 0: nothing was there to copy */
};

/* COPY is all or nothing, whatever its size. MOVE is atomic for each thousand messages: none is
 * ever in both mailboxes or in neither; *ret_result holds what has moved even when an error is
 * returned. */
MUST_CHECK struct error *mailbox_copy(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id from, const struct uid_set *uids,
	struct mailbox_id to, struct copy_result *ret_result);
MUST_CHECK struct error *mailbox_move(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id from, const struct uid_set *uids,
	struct mailbox_id to, struct copy_result *ret_result);

/* ---- News ---- */

/* Called after every commit of the account, by the thread that made it, with the MODSEQ of its
 * change; must be quick. Set once, before the first operation. */
typedef void (*mailbox_listener)(void *context, struct account_id account, uint64_t modseq);
void mail_store_listen(struct mail_store *store, mailbox_listener listener, void *context);
