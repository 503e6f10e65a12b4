#pragma once

/* What the commands of a session share. Included only inside front/imap. */

#include "front/imap/imap.h"
#include "front/imap/imap_framer.h"
#include "front/imap/imap_parser.h"
#include "front/imap/imap_registry.h"
#include "front/imap/imap_view.h"
#include "mailbox/acl.h"

struct imap_session {
	struct session *session;
	struct mail_store *store;
	struct accounts *accounts;
	struct search *search;
	struct buf *out; /* of the step in hand */

	enum imap_state state;
	struct account_id account;

	/* Selected: */
	struct imap_view *view;
	struct account_id mailbox_account; /* whose it is */
	struct mailbox_id mailbox;
	unsigned rights; /* enum right; of another's mailbox they are looked up with each command */
	bool is_read_only; /* EXAMINE, or nothing may be changed */

	/* What the client has enabled, once and for all (RFC 5161). */
	bool has_condstore, has_qresync, has_rev2, has_utf8, has_uidonly, has_metadata;
	uint64_t metadata_told; /* changes of metadata up to here have been told */
	uint64_t metadata_own;  /* but for this one, which is the client's */

	/* IDLE or a SASL exchange: the tag to answer. Heap. */
	struct slice dialog_tag;
	void *dialog;
	bool is_idle;

	struct live_search *live;   /* searches that are kept up to date; heap */
	struct imap_notify *notify; /* NULL: news comes behind commands; heap */

	enum step next_step; /* what the dispatcher returns after the answer */
};

/* UTF-8 names on the wire? */
static inline bool imap_speaks_utf8(const struct imap_session *session)
{
	return session->has_rev2 || session->has_utf8;
}

static inline struct imap_context *imap_context(struct imap_session *session)
{
	return session_context(session->session);
}

/* ---- imap_answers.c ---- */

void imap_write_ok(struct imap_session *session, const struct imap_args *args, struct slice name);
void imap_write_error(struct op *op, struct imap_session *session, const struct imap_args *args,
	const struct error *err);
void imap_write_bad(struct imap_session *session, struct slice tag, const char *text);

/* ---- imap_capability.c ---- */

void imap_write_capabilities(struct imap_session *session);
void imap_enable_metadata(struct imap_session *session);
void imap_enable_qresync(struct imap_session *session);
void imap_enable_rev2(struct imap_session *session);
void imap_enable_uidonly(struct imap_session *session);
void imap_enable_utf8(struct imap_session *session);

/* ---- imap_name.c ---- */

/* A mailbox name as this client reads it. */
void imap_write_name(struct op *op, struct imap_session *session, struct slice path);

/* ---- imap_place.c: whose mailbox a name means (RFC 2342, RFC 4314) ---- */

/* Names of the other namespaces, without a delimiter, and whose mailboxes the shared one has; NULL:
 * there is none. */
extern const char *imap_other_users, *imap_shared_name, *imap_shared_account;
extern bool imap_anyone_is_allowed;

struct imap_place {
	struct account_id account;
	struct slice prefix; /* of its names as this client sees them; empty: one's own */
	struct slice path;   /* in the account; empty: the root of a namespace */
};

/* ERR_NOT_FOUND: nobody's. */
MUST_CHECK struct error *imap_place_of(struct op *op, struct imap_session *session,
	struct slice name, struct imap_place *ret_place);

/* The answer where there is no mailbox, or none that may be known of. */
MUST_CHECK struct error *imap_no_mailbox(struct op *op, struct slice name);

struct imap_found {
	struct imap_place place;
	struct mailbox_status status; /* its path is the whole name */
	unsigned rights;
};

static inline bool imap_is_own(const struct imap_session *session, struct account_id account)
{
	return ID_EQUAL(session->account, account);
}

/* ERR_NOT_FOUND; ERR_DENIED without all rights of `needs`, if it may be known of. */
MUST_CHECK struct error *imap_find(struct op *op, struct imap_session *session, struct slice name,
	unsigned needs, struct imap_found *ret_found);

/* May a mailbox be made at this place (RFC 4314 4: "k" of the nearest one above)? */
MUST_CHECK struct error *imap_may_create(struct op *op, struct imap_session *session,
	struct slice name, const struct imap_place *place);

/* The system flags that these rights let one set. */
uint16_t imap_flags_of_rights(unsigned rights);

/* The selected mailbox is another's: the rights as they are now. Without "r" it is left, with BYE.
 */
MUST_CHECK struct error *imap_refresh_rights(struct op *op, struct imap_session *session);

/* "lrs…", with the old "c" and "d". */
void imap_write_rights(struct buf *out, unsigned rights);

/* "* MYRIGHTS mailbox lrs" */
void imap_write_myrights(
	struct op *op, struct imap_session *session, struct slice name, unsigned rights);

/* ---- imap_select.c ---- */

/* FLAGS and PERMANENTFLAGS. */
void imap_write_flag_lists(struct imap_session *session, const struct snapshot *snapshot);

/* Forgets the selected mailbox. */
void imap_leave_mailbox(struct imap_session *session);

/* Turns CONDSTORE on, if it is not (RFC 7162 3.1). */
void imap_enable_condstore(struct imap_session *session);

/* ---- imap_sync.c ---- */

/* "* n FETCH (", or "* uid UIDFETCH (" with UIDONLY. */
void imap_write_fetch_start(struct imap_session *session, uint32_t sequence, uint32_t uid);

/* "UID 7" and "MODSEQ (42)", as FETCH has them. */
void imap_write_uid(struct imap_session *session, uint32_t uid);
void imap_write_modseq(struct imap_session *session, uint64_t modseq);

/* UIDs go where they belong unless the line begins with one. */
static inline bool imap_names_uid(const struct imap_session *session, bool by_uid)
{
	return (by_uid || session->has_qresync) && !session->has_uidonly;
}

/* Brings what the client knows of the selected mailbox up to date. */
MUST_CHECK struct error *imap_sync(struct op *op, struct imap_session *session, bool may_expunge);

/* Brings it to one snapshot. `told`: messages whose flags in that very snapshot the client has
 * heard already; may be NULL. Where an EXPUNGE is due and may not be said, nothing moves. */
void imap_sync_to(struct op *op, struct imap_session *session, struct snapshot *takes,
	bool may_expunge, const struct uid_set *told);

/* "FLAGS (…)" of a message in a snapshot. */
void imap_write_flags(struct imap_session *session, const struct snapshot *snapshot,
	const struct snapshot_message *message);

/* "* n FETCH (FLAGS (…))" with UID and MODSEQ where they belong. */
void imap_write_flag_fetch(struct imap_session *session, const struct snapshot *snapshot,
	uint32_t sequence, const struct snapshot_message *message, bool with_uid);

/* "VANISHED 1:2" or the EXPUNGE lines. */
void imap_write_uid_set(struct imap_session *session, const struct uid_set *uids);

/* ---- imap_status.c ---- */

#define IMAP_STATUS_ITEMS_MAX 32

struct imap_status_items {
	unsigned bits;
};
MUST_CHECK struct error *imap_status_items_parse(
	struct op *op, struct imap_args *args, struct imap_status_items *ret_items);
/* "MESSAGES UIDNEXT" of our own. */
struct imap_status_items imap_status_items_of(struct slice names);
void imap_write_status(struct op *op, struct imap_session *session,
	const struct mailbox_status *status, struct imap_status_items wanted);

/* ---- imap_login.c ---- */

/* Ends an IDLE or a SASL exchange that is under way, if one is. */
void imap_free_dialog(struct imap_session *session);

/* " AUTH=…" for each way to sign in. */
void imap_write_mechanisms(struct imap_session *session);

/* ---- imap_progress.c: what a command that takes long says meanwhile (RFC 9585) ---- */

extern uint64_t imap_progress_interval_ms;

struct imap_progress {
	uint64_t told_ns; /* last, or when it began */
};

void imap_progress_begin(struct imap_progress *progress);

/* How long a step may take, so that something can be said in time. */
uint64_t imap_progress_step_ns(void);

/* If it is time to, between two steps. `goal` 0: it is not known. */
void imap_progress_tell(struct imap_session *session, const struct imap_args *args,
	struct imap_progress *progress, uint64_t done, uint64_t goal);

/* ---- Handlers ---- */

/* A command that reads much gives its lane to others after so long, and goes on behind them; each
 * step has the operation's whole deadline. */
#define IMAP_STEP_NS (5 * NS_PER_S)

#define IMAP_HANDLER(name) \
	struct error *name(struct op *op, struct imap_session *session, struct imap_args *args)

IMAP_HANDLER(imap_append);
IMAP_HANDLER(imap_authenticate);
IMAP_HANDLER(imap_cancelupdate);
IMAP_HANDLER(imap_capability);
IMAP_HANDLER(imap_close);
IMAP_HANDLER(imap_compress);
IMAP_HANDLER(imap_copy);
IMAP_HANDLER(imap_create);
IMAP_HANDLER(imap_delete);
IMAP_HANDLER(imap_deleteacl);
IMAP_HANDLER(imap_enable);
IMAP_HANDLER(imap_examine);
IMAP_HANDLER(imap_expunge);
IMAP_HANDLER(imap_fetch);
IMAP_HANDLER(imap_getacl);
IMAP_HANDLER(imap_getmetadata);
IMAP_HANDLER(imap_getquota);
IMAP_HANDLER(imap_getquotaroot);
IMAP_HANDLER(imap_id);
IMAP_HANDLER(imap_idle);
IMAP_HANDLER(imap_list);
IMAP_HANDLER(imap_listrights);
IMAP_HANDLER(imap_login);
IMAP_HANDLER(imap_logout);
IMAP_HANDLER(imap_lsub);
IMAP_HANDLER(imap_move);
IMAP_HANDLER(imap_myrights);
IMAP_HANDLER(imap_namespace);
IMAP_HANDLER(imap_noop);
IMAP_HANDLER(imap_notify);
IMAP_HANDLER(imap_rename);
IMAP_HANDLER(imap_replace);
IMAP_HANDLER(imap_search);
IMAP_HANDLER(imap_select);
IMAP_HANDLER(imap_setacl);
IMAP_HANDLER(imap_setmetadata);
IMAP_HANDLER(imap_setquota);
IMAP_HANDLER(imap_sort);
IMAP_HANDLER(imap_starttls);
IMAP_HANDLER(imap_status);
IMAP_HANDLER(imap_store);
IMAP_HANDLER(imap_subscribe);
IMAP_HANDLER(imap_thread);
IMAP_HANDLER(imap_unauthenticate);
IMAP_HANDLER(imap_unselect);
IMAP_HANDLER(imap_unsubscribe);
