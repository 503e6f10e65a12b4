#include "front/imap/imap_live.h"
#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"
#include "session/watch.h"

struct qresync {
	bool wanted;
	uint32_t uidvalidity;
	uint64_t modseq;
	struct uid_set known; /* only if has_known */
	bool has_known;
	bool has_numbers; /* pairs of sequence numbers and UIDs were given */
};

struct select_request {
	struct slice path;
	bool condstore;
	struct qresync qresync;
};

void imap_leave_mailbox(struct imap_session *session)
{
	if (session->state != IMAP_SELECTED)
		return;
	imap_live_end(session);
	if (!imap_is_own(session, session->mailbox_account))
		session_unwatch(session->session, ID_SLICE(session->mailbox_account));
	imap_view_free(session->view);
	session->view = NULL;
	session->state = IMAP_AUTHED;
}

void imap_enable_condstore(struct imap_session *session)
{
	if (session->has_condstore)
		return;
	session->has_condstore = true;
	/* RFC 7162 3.1.2.1: the client must learn where it stands. */
	if (session->state == IMAP_SELECTED)
		buf_printf(session->out, "* OK [HIGHESTMODSEQ %llu] Mod-sequences are on\r\n",
			(unsigned long long)snapshot_highest_modseq(session->view->shown));
}

/* Known UIDs are a set without `*`. */
static void sequence_to_set(
	struct op *op, const struct imap_sequence *sequence, struct uid_set *ret_uids)
{
	uid_set_init(ret_uids, &op->arena);
	for (size_t i = 0; i < sequence->count; i++) {
		uint32_t first = sequence->ranges[i].first ? sequence->ranges[i].first : UINT32_MAX;
		uint32_t last = sequence->ranges[i].last ? sequence->ranges[i].last : UINT32_MAX;
		uid_set_add_range(ret_uids, MIN_OF(first, last), MAX_OF(first, last));
	}
}

/* "(67890007 90060115194045000 41:211,214 (1,3 5,9))" (RFC 7162 3.2.5). The pairs of sequence
 * numbers and UIDs only save a server work that has no exact log. */
static struct error *parse_qresync(struct op *op, struct imap_args *args, struct qresync *qresync)
{
	struct imap_sequence sequence;
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "QRESYNC takes a list");
	TRY(imap_u32(op, args, &qresync->uidvalidity));
	TRY(imap_space(op, args));
	TRY(imap_u64(op, args, &qresync->modseq));
	if (imap_take_char(args, ' ') && !imap_next_is(args, '(')) {
		TRY(imap_sequence(op, args, &sequence));
		sequence_to_set(op, &sequence, &qresync->known);
		qresync->has_known = true;
		imap_take_char(args, ' ');
	}
	if (imap_take_char(args, '(')) {
		qresync->has_numbers = true;
		TRY(imap_sequence(op, args, &sequence));
		TRY(imap_space(op, args));
		TRY(imap_sequence(op, args, &sequence));
		if (!imap_take_char(args, ')'))
			return imap_bad(op, args, "A list is not closed");
	}
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	qresync->wanted = true;
	return NULL;
}

static struct error *parse_select(struct op *op, struct imap_session *session,
	struct imap_args *args, struct select_request *ret_request)
{
	*ret_request = (struct select_request){0};
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &ret_request->path));
	if (imap_at_end(args))
		return NULL;
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "Select parameters are a list");
	do {
		if (imap_take_word(args, SLICE("CONDSTORE")))
			ret_request->condstore = true;
		else if (imap_take_word(args, SLICE("QRESYNC")))
			TRY(parse_qresync(op, args, &ret_request->qresync));
		else
			return imap_bad(op, args, "There is no such select parameter");
	} while (imap_take_char(args, ' '));
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	/* RFC 9586 3.3: with numbers nothing can be told to such a client. */
	if (ret_request->qresync.has_numbers && session->has_uidonly)
		return imap_bad(op, args, "[UIDREQUIRED] UIDs alone are known here");
	if (ret_request->qresync.wanted && !session->has_qresync)
		return imap_bad(op, args, "Enable QRESYNC first");
	return imap_end(op, args);
}

static void write_keywords(struct imap_session *session, const struct snapshot *snapshot)
{
	const struct keyword_names *names = snapshot_keyword_names(snapshot);
	for (size_t i = 0; i < names->count; i++)
		buf_printf(session->out, " " SLICE_FMT, SLICE_ARG(names->names[i]));
}

static const struct {
	uint16_t flag;
	const char *name;
} system_flags[] = {
	{FLAG_ANSWERED, "\\Answered"},
	{FLAG_FLAGGED, "\\Flagged"},
	{FLAG_DELETED, "\\Deleted"},
	{FLAG_SEEN, "\\Seen"},
	{FLAG_DRAFT, "\\Draft"},
};

static void write_system_flags(struct buf *out, uint16_t flags)
{
	const char *gap = "";
	for (size_t i = 0; i < ARRAY_SIZE(system_flags); i++)
		if (flags & system_flags[i].flag) {
			buf_printf(out, "%s%s", gap, system_flags[i].name);
			gap = " ";
		}
}

void imap_write_flag_lists(struct imap_session *session, const struct snapshot *snapshot)
{
	struct buf *out = session->out;
	buf_append(out, SLICE("* FLAGS ("));
	write_system_flags(out, FLAGS_ALL);
	write_keywords(session, snapshot);
	if (session->is_read_only) {
		buf_append(out, SLICE(")\r\n* OK [PERMANENTFLAGS ()] Read only\r\n"));
		return;
	}
	buf_append(out, SLICE(")\r\n* OK [PERMANENTFLAGS ("));
	write_system_flags(out, imap_flags_of_rights(session->rights));
	if (session->rights & RIGHT_WRITE) {
		write_keywords(session, snapshot);
		if (snapshot_keyword_names(snapshot)->count < KEYWORDS_MAX)
			buf_append(out, SLICE(" \\*"));
	}
	buf_append(out, SLICE(")] Flags are kept\r\n"));
}

/* What only rev1 knows. */
static void write_rev1_counts(struct imap_session *session, const struct snapshot *snapshot)
{
	uint32_t unseen = snapshot_first_unseen(snapshot);
	buf_append(session->out, SLICE("* 0 RECENT\r\n"));
	if (unseen < snapshot_count(snapshot) && !session->has_uidonly)
		buf_printf(session->out, "* OK [UNSEEN %u] First unseen\r\n", unseen + 1);
}

static void write_selected(struct op *op, struct imap_session *session,
	const struct mailbox_status *status, const struct snapshot *snapshot)
{
	struct buf *out = session->out;
	imap_write_flag_lists(session, snapshot);
	buf_printf(out, "* %u EXISTS\r\n", snapshot_count(snapshot));
	if (!session->has_rev2)
		write_rev1_counts(session, snapshot);
	buf_printf(out, "* OK [UIDVALIDITY %u] UIDs are valid\r\n", snapshot_uidvalidity(snapshot));
	buf_printf(out, "* OK [UIDNEXT %u] Next UID\r\n", snapshot_uidnext(snapshot));
	buf_printf(out, "* OK [HIGHESTMODSEQ %llu] Highest\r\n",
		(unsigned long long)snapshot_highest_modseq(snapshot));
	buf_printf(out, "* OK [MAILBOXID (F%s)] Id\r\n", uuid_text(&op->arena, status->id.uuid));
	if (session->has_rev2) {
		buf_append(out, SLICE("* LIST () \"/\" "));
		imap_write_name(op, session, status->path);
		buf_append(out, SLICE("\r\n"));
	}
}

static void write_changed_fetches(struct imap_session *session, const struct snapshot *snapshot,
	const struct uid_set *changed)
{
	struct uid_cursor cursor = {0};
	uint32_t uid;
	while (uid_cursor_next(changed, &cursor, &uid)) {
		uint32_t position;
		struct snapshot_message message;
		if (snapshot_find(snapshot, uid, &position, &message))
			imap_write_flag_fetch(session, snapshot, position + 1, &message, true);
	}
}

/* What the client missed since it was here last. */
static struct error *write_missed(struct op *op, struct imap_session *session,
	const struct qresync *qresync, struct snapshot *snapshot)
{
	if (!qresync->wanted || qresync->uidvalidity != snapshot_uidvalidity(snapshot))
		return NULL;
	struct mailbox_changes changes;
	TRY(mailbox_changes_since(
		op, session->store, session->mailbox_account, snapshot, qresync->modseq, &changes));
	struct uid_set vanished = changes.vanished;
	struct uid_set changed = changes.changed;
	if (qresync->has_known) {
		uid_set_intersect(&op->arena, &changes.vanished, &qresync->known, &vanished);
		uid_set_intersect(&op->arena, &changes.changed, &qresync->known, &changed);
	}
	if (!uid_set_is_empty(&vanished)) {
		buf_append(session->out, SLICE("* VANISHED (EARLIER) "));
		imap_write_uid_set(session, &vanished);
		buf_append(session->out, SLICE("\r\n"));
	}
	write_changed_fetches(session, snapshot, &changed);
	return NULL;
}

static struct error *open_mailbox(
	struct op *op, struct imap_session *session, struct imap_args *args, bool read_only)
{
	struct select_request request;
	TRY(parse_select(op, session, args, &request));
	/* A SELECT that fails leaves nothing selected (RFC 9051 6.3.2). */
	if (session->state == IMAP_SELECTED && (session->has_qresync || session->has_rev2))
		buf_append(session->out, SLICE("* OK [CLOSED] The previous mailbox is closed\r\n"));
	imap_leave_mailbox(session);
	if (request.condstore || request.qresync.wanted)
		imap_enable_condstore(session);

	struct imap_found found;
	struct snapshot *snapshot;
	TRY(imap_find(op, session, request.path, RIGHT_READ, &found));
	TRY(mailbox_snapshot(op, session->store, found.place.account, found.status.id, &snapshot));
	/* RFC 4314 5.2: nothing of it may be changed. */
	read_only |= !(found.rights & (RIGHT_INSERT | RIGHT_EXPUNGE | RIGHTS_OF_FLAGS));
	session->view = imap_view_new(snapshot);
	session->mailbox_account = found.place.account;
	session->mailbox = found.status.id;
	session->rights = found.rights;
	session->is_read_only = read_only;
	session->state = IMAP_SELECTED;
	if (!imap_is_own(session, found.place.account))
		session_watch(session->session, ID_SLICE(session->mailbox_account));
	write_selected(op, session, &found.status, snapshot);
	struct error *err = write_missed(op, session, &request.qresync, snapshot);
	if (err) {
		imap_leave_mailbox(session);
		return err;
	}
	args->ok_code = read_only ? SLICE("READ-ONLY") : SLICE("READ-WRITE");
	return NULL;
}

/* SELECT (RFC 9051 6.3.2, RFC 7162 3.1.8 and 3.2.5) */
IMAP_HANDLER(imap_select)
{
	return open_mailbox(op, session, args, false);
}

IMAP_HANDLER(imap_examine)
{
	return open_mailbox(op, session, args, true);
}

IMAP_HANDLER(imap_unselect)
{
	TRY(imap_end(op, args));
	imap_leave_mailbox(session);
	return NULL;
}

/* CLOSE (RFC 9051 6.4.1): what is \Deleted goes, and nobody is told. */
IMAP_HANDLER(imap_close)
{
	TRY(imap_end(op, args));
	/* RFC 4314 4: without the right it only closes. */
	if (!session->is_read_only && (session->rights & RIGHT_EXPUNGE)) {
		struct expunge_result result;
		TRY(mailbox_expunge(op, session->store, session->mailbox_account, session->mailbox,
			NULL, true, &result));
		if (session->has_condstore && result.modseq)
			args->ok_code = slice_from_cstr(arena_printf(&op->arena,
				"HIGHESTMODSEQ %llu", (unsigned long long)result.modseq));
	}
	imap_leave_mailbox(session);
	return NULL;
}
