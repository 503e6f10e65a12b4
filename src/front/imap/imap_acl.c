#include "front/imap/imap_acl.h"

#include "account/account.h"
#include "format/imap_string.h"
#include "front/imap/imap_private.h"

/* Who may do what (RFC 4314), and LIST's MYRIGHTS (RFC 8440). */

static const struct slice anyone = SLICE_INIT("anyone");

void imap_write_rights(struct buf *out, unsigned rights)
{
	if (!rights)
		buf_append(out, SLICE("\"\""));
	for (size_t i = 0; i < RIGHT_LETTERS; i++)
		if (rights & right_letters[i].right)
			buf_append_char(out, right_letters[i].letter);
}

void imap_write_myrights(
	struct op *op, struct imap_session *session, struct slice name, unsigned rights)
{
	buf_append(session->out, SLICE("* MYRIGHTS "));
	imap_write_name(op, session, name);
	buf_append_char(session->out, ' ');
	imap_write_rights(session->out, rights);
	buf_append(session->out, SLICE("\r\n"));
}

static struct error *parse_name(struct op *op, struct imap_args *args, struct slice *ret_name)
{
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, ret_name));
	return imap_end(op, args);
}

/* ---- SETACL, DELETEACL ---- */

static struct error *may_name_anyone(
	struct op *op, struct imap_session *session, struct account_id owner, bool *ret_may)
{
	struct login login;
	*ret_may = imap_anyone_is_allowed;
	if (imap_anyone_is_allowed || !imap_shared_account)
		return NULL;
	struct error *err = account_find_login(
		op, session->accounts, slice_from_cstr(imap_shared_account), &login);
	if (err && err->kind == ERR_NOT_FOUND)
		return NULL;
	*ret_may = !err && ID_EQUAL(login.account, owner);
	return err;
}

/* Who is no user any more can still be taken off a list. */
static struct error *find_former(struct op *op, const struct imap_found *found,
	struct acl_args *acl, struct acl_entry *entry)
{
	struct acl list;
	if (!acl_decode(&op->arena, found->status.acl, &list))
		return op_fail(op, ERR_CORRUPT, "the access list of a mailbox cannot be read");
	for (size_t i = 0; i < list.count; i++)
		if (slice_equal_nocase(list.entries[i].name, acl->name)) {
			entry->account = list.entries[i].account;
			entry->name = list.entries[i].name;
			return NULL;
		}
	return op_fail(op, ERR_INVALID, "There is no such user");
}

static struct error *resolve(struct op *op, struct imap_session *session,
	const struct imap_found *found, struct acl_args *acl, bool is_removal,
	struct acl_entry *ret_entry)
{
	struct login login;
	*ret_entry = (struct acl_entry){.is_negative = acl->is_negative};
	if (slice_equal_nocase(acl->name, anyone)) {
		bool may = true;
		ret_entry->name = anyone;
		if (!is_removal && !acl->is_negative)
			TRY(may_name_anyone(op, session, found->place.account, &may));
		return may ? NULL
			   : op_fail(op, ERR_DENIED, "Nothing is shared with everybody here");
	}
	struct error *err = account_find_login(op, session->accounts, acl->name, &login);
	if (err && err->kind == ERR_NOT_FOUND)
		return is_removal ? find_former(op, found, acl, ret_entry)
				  : op_fail(op, ERR_INVALID, "There is no such user");
	TRY(err);
	if (ID_EQUAL(login.account, found->place.account))
		return op_fail(op, ERR_DENIED, "The owner has all rights, always");
	ret_entry->account = login.account;
	ret_entry->name = login.address;
	return NULL;
}

static struct error *change_acl(struct op *op, struct imap_session *session, struct acl_args *acl)
{
	struct imap_found found;
	struct acl_change change = {.by = session->account, .mode = acl->mode};
	bool is_removal = acl->mode == ACL_REMOVE || !acl->rights;
	TRY(imap_find(op, session, acl->mailbox, RIGHT_ADMIN, &found));
	TRY(resolve(op, session, &found, acl, is_removal, &change.entry));
	change.mailbox = found.status.id;
	change.entry.rights = acl->rights;
	return mailbox_change_acl(op, session->store, found.place.account, &change);
}

IMAP_HANDLER(imap_setacl)
{
	struct acl_args acl;
	TRY(imap_setacl_parse(op, args, &acl));
	return change_acl(op, session, &acl);
}

IMAP_HANDLER(imap_deleteacl)
{
	struct acl_args acl;
	TRY(imap_identifier_parse(op, args, &acl));
	return change_acl(op, session, &acl);
}

/* ---- GETACL, LISTRIGHTS, MYRIGHTS ---- */

static void write_pair(struct op *op, struct imap_session *session, const struct acl_entry *entry)
{
	struct buf name = buf_in(&op->arena);
	if (entry->is_negative)
		buf_append_char(&name, '-');
	buf_append(&name, entry->name);
	buf_append_char(session->out, ' ');
	imap_print_string(session->out, buf_as_slice(&name));
	buf_append_char(session->out, ' ');
	imap_write_rights(session->out, entry->rights);
}

IMAP_HANDLER(imap_getacl)
{
	struct slice name;
	struct imap_found found;
	struct acl acl;
	struct acl_entry owner = {.rights = RIGHTS_ALL};
	TRY(parse_name(op, args, &name));
	TRY(imap_find(op, session, name, RIGHT_ADMIN, &found));
	TRY(account_address(op, session->accounts, found.place.account, &owner.name));
	if (!acl_decode(&op->arena, found.status.acl, &acl))
		return op_fail(op, ERR_CORRUPT, "the access list of a mailbox cannot be read");
	buf_append(session->out, SLICE("* ACL "));
	imap_write_name(op, session, found.status.path);
	write_pair(op, session, &owner);
	for (size_t i = 0; i < acl.count; i++)
		write_pair(op, session, &acl.entries[i]);
	buf_append(session->out, SLICE("\r\n"));
	return NULL;
}

/* What an identifier has whatever the list says, and what it can be given. */
static struct error *rights_of_identifier(struct op *op, struct imap_session *session,
	const struct imap_found *found, const struct acl_args *acl, bool *ret_is_owner,
	bool *ret_is_possible)
{
	struct login login;
	*ret_is_owner = false;
	*ret_is_possible = true;
	if (slice_equal_nocase(acl->name, anyone))
		return acl->is_negative ? NULL
					: may_name_anyone(op, session, found->place.account,
						  ret_is_possible);
	struct error *err = account_find_login(op, session->accounts, acl->name, &login);
	if (err && err->kind == ERR_NOT_FOUND)
		return op_fail(op, ERR_INVALID, "There is no such user");
	TRY(err);
	*ret_is_owner = ID_EQUAL(login.account, found->place.account) && !acl->is_negative;
	*ret_is_possible = !ID_EQUAL(login.account, found->place.account);
	return NULL;
}

IMAP_HANDLER(imap_listrights)
{
	struct acl_args acl;
	struct imap_found found;
	bool is_owner, is_possible;
	struct buf *out = session->out;
	TRY(imap_identifier_parse(op, args, &acl));
	TRY(imap_find(op, session, acl.mailbox, RIGHT_ADMIN, &found));
	TRY(rights_of_identifier(op, session, &found, &acl, &is_owner, &is_possible));
	buf_append(out, SLICE("* LISTRIGHTS "));
	imap_write_name(op, session, found.status.path);
	buf_append_char(out, ' ');
	imap_print_string(out, acl.identifier);
	buf_append_char(out, ' ');
	imap_write_rights(out, is_owner ? RIGHTS_ALL : 0);
	for (size_t i = 0; is_possible && i < RIGHT_LETTERS; i++)
		buf_printf(out, " %c", right_letters[i].letter);
	buf_append(out, SLICE("\r\n"));
	return NULL;
}

IMAP_HANDLER(imap_myrights)
{
	const unsigned any = RIGHT_LOOKUP | RIGHT_READ | RIGHT_INSERT | RIGHT_CREATE |
			     RIGHT_DELETE | RIGHT_ADMIN;
	struct slice name;
	struct imap_found found;
	TRY(parse_name(op, args, &name));
	TRY(imap_find(op, session, name, 0, &found));
	if (!(found.rights & any))
		return imap_no_mailbox(op, name);
	imap_write_myrights(op, session, found.status.path, found.rights);
	return NULL;
}
