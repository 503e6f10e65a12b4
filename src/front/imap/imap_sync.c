#include "format/imap_string.h"
#include "front/imap/imap_live.h"
#include "front/imap/imap_notify.h"
#include "front/imap/imap_private.h"

static const struct {
	uint16_t flag;
	struct slice name;
} flag_names[] = {
	{FLAG_ANSWERED, SLICE_INIT("\\Answered")},
	{FLAG_FLAGGED, SLICE_INIT("\\Flagged")},
	{FLAG_DELETED, SLICE_INIT("\\Deleted")},
	{FLAG_SEEN, SLICE_INIT("\\Seen")},
	{FLAG_DRAFT, SLICE_INIT("\\Draft")},
};

static void write_word(struct buf *out, struct slice word, bool *first)
{
	if (!*first)
		buf_append_char(out, ' ');
	*first = false;
	buf_append(out, word);
}

void imap_write_flags(struct imap_session *session, const struct snapshot *snapshot,
	const struct snapshot_message *message)
{
	struct buf *out = session->out;
	bool first = true;
	buf_append(out, SLICE("FLAGS ("));
	for (size_t i = 0; i < ARRAY_SIZE(flag_names); i++)
		if (message->flags & flag_names[i].flag)
			write_word(out, flag_names[i].name, &first);
	if (!session->has_rev2 && message->uid >= session->view->recent_from)
		write_word(out, SLICE("\\Recent"), &first);
	const struct keyword_set *keywords = snapshot_keywords(snapshot, message);
	const struct keyword_names *names = snapshot_keyword_names(snapshot);
	if (!keywords || keyword_set_is_empty(keywords)) {
		buf_append_char(out, ')');
		return;
	}
	for (unsigned bit = 0; bit < names->count; bit++)
		if (keyword_set_has(keywords, bit))
			write_word(out, names->names[bit], &first);
	buf_append_char(out, ')');
}

void imap_write_fetch_start(struct imap_session *session, uint32_t sequence, uint32_t uid)
{
	struct buf *out = session->out;
	buf_append(out, SLICE("* "));
	buf_decimal(out, session->has_uidonly ? uid : sequence);
	buf_append(out, session->has_uidonly ? SLICE(" UIDFETCH (") : SLICE(" FETCH ("));
}

void imap_write_uid(struct imap_session *session, uint32_t uid)
{
	buf_append(session->out, SLICE("UID "));
	buf_decimal(session->out, uid);
}

void imap_write_modseq(struct imap_session *session, uint64_t modseq)
{
	buf_append(session->out, SLICE("MODSEQ ("));
	buf_decimal(session->out, modseq);
	buf_append_char(session->out, ')');
}

void imap_write_flag_fetch(struct imap_session *session, const struct snapshot *snapshot,
	uint32_t sequence, const struct snapshot_message *message, bool with_uid)
{
	struct buf *out = session->out;
	imap_write_fetch_start(session, sequence, message->uid);
	/* RFC 7162 3.2.4: with QRESYNC every FETCH of flags names the UID. */
	if (imap_names_uid(session, with_uid)) {
		imap_write_uid(session, message->uid);
		buf_append_char(out, ' ');
	}
	imap_write_flags(session, snapshot, message);
	if (session->has_condstore) {
		buf_append_char(out, ' ');
		imap_write_modseq(session, message->modseq);
	}
	buf_append(out, SLICE(")\r\n"));
}

void imap_write_uid_set(struct imap_session *session, const struct uid_set *uids)
{
	uid_set_print(uids, session->out);
}

static void write_expunges(struct imap_session *session, const struct uid_set *expunged)
{
	if (uid_set_is_empty(expunged))
		return;
	if (session->has_qresync || session->has_uidonly) {
		buf_append(session->out, SLICE("* VANISHED "));
		imap_write_uid_set(session, expunged);
		buf_append(session->out, SLICE("\r\n"));
		return;
	}
	/* From the last to the first, so that each number is still the one the client knows. */
	for (size_t i = expunged->count; i-- > 0;) {
		const struct uid_range *range = &expunged->ranges[i];
		for (uint32_t uid = range->last; uid && uid >= range->first; uid--)
			buf_printf(session->out, "* %u EXPUNGE\r\n",
				imap_view_sequence(session->view, uid));
	}
}

static uint32_t count_recent(const struct imap_view *view, const struct snapshot *snapshot)
{
	return snapshot_count(snapshot) - snapshot_lower_bound(snapshot, view->recent_from);
}

static void write_exists(struct imap_session *session, const struct snapshot *now)
{
	buf_printf(session->out, "* %u EXISTS\r\n", snapshot_count(now));
	if (!session->has_rev2)
		buf_printf(session->out, "* %u RECENT\r\n", count_recent(session->view, now));
}

static void write_changed(struct imap_session *session, const struct snapshot *now,
	const struct uid_set *changed, const struct uid_set *told)
{
	struct uid_cursor cursor = {0};
	uint32_t uid;
	while (uid_cursor_next(changed, &cursor, &uid)) {
		uint32_t position;
		struct snapshot_message message;
		if ((told && uid_set_contains(told, uid)) ||
			!snapshot_find(now, uid, &position, &message))
			continue;
		imap_write_flag_fetch(session, now, position + 1, &message, false);
	}
}

static void write_new_keywords(struct imap_session *session, const struct snapshot *now)
{
	const struct keyword_names *before = snapshot_keyword_names(session->view->shown);
	const struct keyword_names *after = snapshot_keyword_names(now);
	if (before->count == after->count)
		return;
	buf_append(session->out, SLICE("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft"));
	for (size_t i = 0; i < after->count; i++)
		buf_printf(session->out, " " SLICE_FMT, SLICE_ARG(after->names[i]));
	buf_append(session->out, SLICE(")\r\n"));
}

/* Somebody deleted the mailbox: there is nothing left to be in (RFC 2180 3.3). */
static struct error *leave_deleted(struct imap_session *session)
{
	buf_append(session->out, SLICE("* BYE The selected mailbox was deleted\r\n"));
	imap_leave_mailbox(session);
	session->next_step = STEP_CLOSE;
	return NULL;
}

static void tell(struct op *op, struct imap_session *session, struct snapshot *now,
	bool may_expunge, const struct uid_set *told, bool *ret_moved)
{
	struct imap_view *view = session->view;
	struct snapshot_difference difference;
	snapshot_diff(&op->arena, view->shown, now, &difference);
	/* Where no EXPUNGE may be said, all of it waits: the numbers stand or move together. */
	*ret_moved = may_expunge || uid_set_is_empty(&difference.expunged);
	if (!*ret_moved)
		return;
	write_new_keywords(session, now);
	imap_live_expunged(op, session, &difference.expunged);
	write_expunges(session, &difference.expunged);
	if (!uid_set_is_empty(&difference.added))
		write_exists(session, now);
	imap_notify_added(op, session, now, &difference.added);
	write_changed(session, now, &difference.changed, told);
	imap_live_changed(op, session, now, &difference);
}

void imap_sync_to(struct op *op, struct imap_session *session, struct snapshot *takes,
	bool may_expunge, const struct uid_set *told)
{
	bool moved = true;
	if (takes != session->view->shown)
		tell(op, session, takes, may_expunge, told, &moved);
	if (moved)
		imap_view_move(session->view, takes);
	else
		snapshot_unref(takes);
}

struct error *imap_sync(struct op *op, struct imap_session *session, bool may_expunge)
{
	struct snapshot *now;
	TRY(imap_refresh_rights(op, session));
	if (session->state != IMAP_SELECTED)
		return NULL;
	struct error *err = mailbox_snapshot(
		op, session->store, session->mailbox_account, session->mailbox, &now);
	if (err && err->kind == ERR_NOT_FOUND)
		return leave_deleted(session);
	if (err)
		return err;
	if (snapshot_is_deleted(now)) {
		snapshot_unref(now);
		return leave_deleted(session);
	}
	imap_sync_to(op, session, now, may_expunge, NULL);
	return NULL;
}
