#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

struct store_request {
	struct imap_sequence messages;
	struct flag_change change;
	struct imap_flags flags;
	bool is_silent;
};

static struct error *take_unchanged_since(
	struct op *op, struct imap_args *args, struct flag_change *change)
{
	if (!imap_take_char(args, '('))
		return NULL;
	if (!imap_take_word(args, SLICE("UNCHANGEDSINCE")))
		return imap_bad(op, args, "There is no such STORE modifier");
	TRY(imap_space(op, args));
	TRY(imap_u64(op, args, &change->unchanged_since));
	change->has_unchanged_since = true;
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return imap_space(op, args);
}

static struct error *parse_store(
	struct op *op, struct imap_args *args, struct store_request *ret_request)
{
	*ret_request = (struct store_request){0};
	struct flag_change *change = &ret_request->change;
	TRY(imap_space(op, args));
	TRY(imap_sequence(op, args, &ret_request->messages));
	TRY(imap_space(op, args));
	TRY(take_unchanged_since(op, args, change));
	if (imap_take_char(args, '+'))
		change->mode = FLAGS_ADD;
	else if (imap_take_char(args, '-'))
		change->mode = FLAGS_REMOVE;
	else
		change->mode = FLAGS_REPLACE;
	ret_request->is_silent = imap_take_word(args, SLICE("FLAGS.SILENT"));
	if (!ret_request->is_silent && !imap_take_word(args, SLICE("FLAGS")))
		return imap_bad(op, args, "FLAGS was expected");
	TRY(imap_space(op, args));
	TRY(imap_flag_list(op, args, true, &ret_request->flags));
	change->flags = ret_request->flags.flags;
	change->keywords = ret_request->flags.keywords;
	change->keyword_count = ret_request->flags.keyword_count;
	return imap_end(op, args);
}

static void write_modseq_fetch(struct imap_session *session, uint32_t sequence, uint32_t uid,
	uint64_t modseq, bool with_uid)
{
	imap_write_fetch_start(session, sequence, uid);
	if (imap_names_uid(session, with_uid)) {
		imap_write_uid(session, uid);
		buf_append_char(session->out, ' ');
	}
	imap_write_modseq(session, modseq);
	buf_append(session->out, SLICE(")\r\n"));
}

/* What the client hears of one message; false if it hears nothing. */
static bool write_one(struct imap_session *session, const struct snapshot *now,
	const struct snapshot_message *message, bool by_uid, bool is_silent)
{
	uint32_t sequence = imap_view_sequence(session->view, message->uid);
	if (sequence == 0)
		return false;
	if (!is_silent)
		imap_write_flag_fetch(session, now, sequence, message, by_uid);
	else if (session->has_condstore)
		write_modseq_fetch(session, sequence, message->uid, message->modseq, by_uid);
	return true;
}

/* The new flags of what was named and is there; silently, only the new mod-sequences, and nothing
 * of what somebody else has changed again meanwhile: that comes with the update. */
static struct error *write_result(struct op *op, struct imap_session *session, bool by_uid,
	bool is_silent, const struct uid_set *uids, const struct flag_result *result)
{
	struct snapshot *now;
	struct uid_set told;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	uid_set_init(&told, &op->arena);
	struct uid_cursor cursor = {0};
	uint32_t uid, position;
	struct snapshot_message message;
	while (uid_cursor_next(is_silent ? &result->changed : uids, &cursor, &uid)) {
		if (!snapshot_find(now, uid, &position, &message) ||
			uid_set_contains(&result->modified, uid) ||
			(is_silent && message.modseq != result->modseq))
			continue;
		if (write_one(session, now, &message, by_uid, is_silent))
			uid_set_add(&told, uid);
	}
	imap_sync_to(op, session, now, by_uid, &told);
	return NULL;
}

/* "MODIFIED 7,9" in the client's own numbers (RFC 7162 3.1.3). */
static void set_modified(struct op *op, struct imap_session *session, struct imap_args *args,
	const struct uid_set *modified)
{
	struct uid_set numbers = *modified;
	if (!args->is_uid) {
		struct uid_cursor cursor = {0};
		uint32_t uid;
		uid_set_init(&numbers, &op->arena);
		while (uid_cursor_next(modified, &cursor, &uid))
			uid_set_add(&numbers, imap_view_sequence(session->view, uid));
	}
	struct buf code = buf_in(&op->arena);
	buf_append(&code, SLICE("MODIFIED "));
	uid_set_print(&numbers, &code);
	args->ok_code = buf_as_slice(&code);
}

/* Sequence numbers of messages that others have removed: part of it could not be done. */
static struct error *check_gone(struct op *op, struct imap_session *session, struct imap_args *args,
	const struct uid_set *uids)
{
	if (args->is_uid)
		return NULL;
	struct snapshot *now;
	struct uid_set gone;
	TRY(mailbox_snapshot(op, session->store, session->mailbox_account, session->mailbox, &now));
	uid_set_split(&op->arena, uids, now, NULL, &gone);
	snapshot_unref(now);
	if (uid_set_is_empty(&gone))
		return NULL;
	args->no_code = SLICE("EXPUNGEISSUED");
	return op_fail(op, ERR_NOT_FOUND, "Some of the messages are gone");
}

/* RFC 4314 4: what may not be set is passed over; nothing left of it is refused. */
static struct error *keep_permitted(
	struct op *op, struct imap_session *session, struct flag_change *change)
{
	uint16_t permitted = imap_flags_of_rights(session->rights);
	bool has_keywords = session->rights & RIGHT_WRITE;
	bool wants_some = change->flags || change->keyword_count;
	change->flags &= permitted;
	if (!has_keywords)
		change->keyword_count = 0;
	bool may_some = change->mode == FLAGS_REPLACE && !wants_some
				? permitted != 0
				: change->flags || change->keyword_count || !wants_some;
	return may_some ? NULL : op_fail(op, ERR_DENIED, "You may not set these flags here");
}

/* Everything that may be set and is not wanted goes. */
static void invert(struct op *op, struct imap_session *session, const struct flag_change *wanted,
	struct flag_change *ret_change)
{
	const struct keyword_names *names = snapshot_keyword_names(session->view->shown);
	struct slice *others = ARENA_ARRAY(&op->arena, struct slice, names->count + 1);
	const struct keyword_names kept = {(struct slice *)wanted->keywords, wanted->keyword_count};
	*ret_change = *wanted;
	ret_change->mode = FLAGS_REMOVE;
	ret_change->flags = imap_flags_of_rights(session->rights) & (uint16_t)~wanted->flags;
	ret_change->keywords = others;
	ret_change->keyword_count = 0;
	for (size_t i = 0; (session->rights & RIGHT_WRITE) && i < names->count; i++)
		if (keyword_names_find(&kept, names->names[i]) < 0)
			others[ret_change->keyword_count++] = names->names[i];
}

/* FLAGS by one who may not set all of them: what goes, then what comes. */
static struct error *replace_permitted(struct op *op, struct imap_session *session,
	const struct uid_set *uids, const struct flag_change *wanted, struct flag_result *result)
{
	struct flag_change removal;
	struct flag_result added;
	struct uid_set rest = {.arena = &op->arena};
	struct uid_cursor cursor = {0};
	uint32_t uid;
	invert(op, session, wanted, &removal);
	TRY(mailbox_change_flags(op, session->store, session->mailbox_account, session->mailbox,
		uids, &removal, result));
	while (uid_cursor_next(uids, &cursor, &uid))
		if (!uid_set_contains(&result->modified, uid))
			uid_set_add(&rest, uid);
	struct flag_change addition = *wanted;
	addition.mode = FLAGS_ADD;
	addition.has_unchanged_since = false;
	TRY(mailbox_change_flags(op, session->store, session->mailbox_account, session->mailbox,
		&rest, &addition, &added));
	uid_set_add_all(&result->changed, &added.changed);
	if (added.modseq)
		result->modseq = added.modseq;
	return NULL;
}

static struct error *change_flags(struct op *op, struct imap_session *session,
	const struct uid_set *uids, struct flag_change *change, struct flag_result *result)
{
	if ((session->rights & RIGHTS_OF_FLAGS) != RIGHTS_OF_FLAGS) {
		TRY(keep_permitted(op, session, change));
		if (change->mode == FLAGS_REPLACE)
			return replace_permitted(op, session, uids, change, result);
	}
	return mailbox_change_flags(op, session->store, session->mailbox_account, session->mailbox,
		uids, change, result);
}

/* STORE (RFC 9051 6.4.6, RFC 7162 3.1.3) */
IMAP_HANDLER(imap_store)
{
	struct store_request request;
	struct uid_set uids;
	struct flag_result result;
	TRY(parse_store(op, args, &request));
	TRY(imap_view_uids(op, args, session->view, &request.messages, args->is_uid, &uids));
	if (session->is_read_only)
		return op_fail(op, ERR_DENIED, "The mailbox is open for reading only");
	if (request.change.has_unchanged_since)
		imap_enable_condstore(session);
	TRY(change_flags(op, session, &uids, &request.change, &result));
	if (!uid_set_is_empty(&result.modified))
		set_modified(op, session, args, &result.modified);
	TRY(write_result(op, session, args->is_uid, request.is_silent, &uids, &result));
	return check_gone(op, session, args, &uids);
}
