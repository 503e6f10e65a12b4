#include "front/imap/imap_private.h"
#include "front/imap/imap_special_use.h"
#include "mailbox/mailbox.h"

static struct error *parse_one(struct op *op, struct imap_args *args, struct slice *ret_path)
{
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, ret_path));
	return imap_end(op, args);
}

/* "(USE (\Drafts \Sent))" (RFC 6154 3) */
static struct error *parse_use(struct op *op, struct imap_args *args, uint32_t *ret_use)
{
	*ret_use = 0;
	if (imap_at_end(args))
		return NULL;
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '(') || !imap_take_word(args, SLICE("USE")))
		return imap_bad(op, args, "There is no such CREATE parameter");
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "USE takes a list");
	while (!imap_take_char(args, ')')) {
		struct slice name;
		uint32_t use;
		if (*ret_use)
			TRY(imap_space(op, args));
		if (!imap_take_char(args, '\\'))
			return imap_bad(op, args, "A special use begins with \\");
		TRY(imap_atom(op, args, &name));
		use = special_use_find(name);
		if (!use) {
			args->no_code = SLICE("USEATTR");
			return op_fail(op, ERR_INVALID, "There is no such special use here");
		}
		*ret_use |= use;
	}
	if (!imap_take_char(args, ')'))
		return imap_bad(op, args, "A list is not closed");
	return imap_end(op, args);
}

/* CREATE (RFC 9051 6.3.4) */
IMAP_HANDLER(imap_create)
{
	struct slice path;
	uint32_t use;
	struct mailbox_id id;
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &path));
	TRY(parse_use(op, args, &use));
	struct imap_place place;
	TRY(imap_place_of(op, session, path, &place));
	TRY(imap_may_create(op, session, path, &place));
	if (use && !imap_is_own(session, place.account)) {
		args->no_code = SLICE("USEATTR");
		return op_fail(op, ERR_DENIED, "Special uses are for one's own mailboxes");
	}
	TRY(mailbox_create(op, session->store, place.account, place.path, use, &id));
	args->ok_code = slice_from_cstr(
		arena_printf(&op->arena, "MAILBOXID (F%s)", uuid_text(&op->arena, id.uuid)));
	return NULL;
}

IMAP_HANDLER(imap_delete)
{
	struct slice path;
	struct imap_found found;
	TRY(parse_one(op, args, &path));
	TRY(imap_find(op, session, path, RIGHT_DELETE, &found));
	TRY(mailbox_delete(
		op, session->store, found.place.account, found.place.path, &found.status.id));
	/* Deleting the mailbox one stands in is leaving it. */
	if (session->state == IMAP_SELECTED && ID_EQUAL(session->mailbox, found.status.id))
		imap_leave_mailbox(session);
	return NULL;
}

IMAP_HANDLER(imap_rename)
{
	struct slice from, to;
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &from));
	TRY(parse_one(op, args, &to));
	struct imap_found found;
	struct imap_place place;
	TRY(imap_find(op, session, from, RIGHT_DELETE, &found));
	/* INBOX stays, and its messages move. */
	const unsigned moves = RIGHT_READ | RIGHT_DELETE_MAIL | RIGHT_EXPUNGE;
	if (!imap_is_own(session, found.place.account) && (found.rights & moves) != moves &&
		slice_equal_nocase(found.place.path, SLICE("INBOX")))
		return op_fail(op, ERR_DENIED, "You may not take messages from here");
	TRY(imap_place_of(op, session, to, &place));
	TRY(imap_may_create(op, session, to, &place));
	if (!ID_EQUAL(found.place.account, place.account))
		return op_fail(op, ERR_INVALID, "A mailbox stays with its account");
	return mailbox_rename(
		op, session->store, place.account, found.place.path, &found.status.id, place.path);
}

IMAP_HANDLER(imap_subscribe)
{
	struct slice path;
	TRY(parse_one(op, args, &path));
	return mailbox_subscribe(op, session->store, session->account, path, true);
}

IMAP_HANDLER(imap_unsubscribe)
{
	struct slice path;
	TRY(parse_one(op, args, &path));
	return mailbox_subscribe(op, session->store, session->account, path, false);
}
