#include "account/account.h"
#include "front/imap/imap_private.h"

const char *imap_other_users = "Other Users";
const char *imap_shared_name = "Shared";
const char *imap_shared_account;
bool imap_anyone_is_allowed;

struct error *imap_no_mailbox(struct op *op, struct slice name)
{
	return op_fail(op, ERR_NOT_FOUND, "no mailbox " SLICE_FMT, SLICE_ARG(name));
}

/* Takes "root" or "root/" off the front. */
static bool take_root(struct slice *name, const char *root)
{
	struct slice text = slice_from_cstr(root);
	if (!text.len || !slice_starts_with(*name, text))
		return false;
	if (name->len > text.len && name->ptr[text.len] != '/')
		return false;
	*name = slice_from(*name, text.len + 1);
	return true;
}

static struct slice join_prefix(struct op *op, const char *root, struct slice address)
{
	struct buf prefix = buf_in(&op->arena);
	buf_printf(&prefix, "%s/", root);
	if (address.len)
		buf_printf(&prefix, SLICE_FMT "/", SLICE_ARG(address));
	return buf_as_slice(&prefix);
}

static struct error *find_account(struct op *op, struct imap_session *session, struct slice name,
	struct slice user, struct login *ret_login)
{
	struct error *err = account_find_login(op, session->accounts, user, ret_login);
	if (err && err->kind == ERR_NOT_FOUND)
		return imap_no_mailbox(op, name);
	TRY(err);
	/* One's own mailboxes have one name. */
	return imap_is_own(session, ret_login->account) ? imap_no_mailbox(op, name) : NULL;
}

struct error *imap_place_of(struct op *op, struct imap_session *session, struct slice name,
	struct imap_place *ret_place)
{
	struct slice rest = name;
	struct login login;
	if (imap_shared_account && take_root(&rest, imap_shared_name)) {
		TRY(find_account(op, session, name, slice_from_cstr(imap_shared_account), &login));
		*ret_place = (struct imap_place){.account = login.account,
			.prefix = join_prefix(op, imap_shared_name, SLICE_NONE),
			.path = rest};
		return NULL;
	}
	if (take_root(&rest, imap_other_users)) {
		struct slice user;
		if (!rest.len || !slice_split(&rest, '/', &user))
			return imap_no_mailbox(op, name);
		TRY(find_account(op, session, name, user, &login));
		*ret_place = (struct imap_place){.account = login.account,
			.prefix = join_prefix(op, imap_other_users, login.address),
			.path = rest};
		return NULL;
	}
	*ret_place = (struct imap_place){.account = session->account, .path = name};
	return NULL;
}

static struct slice whole_name(struct op *op, struct slice prefix, struct slice path)
{
	struct buf name = buf_in(&op->arena);
	buf_append(&name, prefix);
	buf_append(&name, path);
	return buf_as_slice(&name);
}

static struct error *find_of_other(struct op *op, struct imap_session *session, struct slice name,
	unsigned needs, struct imap_found *found)
{
	struct error *err = found->place.path.len
				    ? mailbox_find(op, session->store, found->place.account,
					      found->place.path, &found->status)
				    : imap_no_mailbox(op, name);
	if (err && err->kind == ERR_NOT_FOUND)
		return imap_no_mailbox(op, name);
	TRY(err);
	TRY(acl_rights(op, found->status.acl, session->account, &found->rights));
	/* RFC 4314 6: who may not know of it is told what is told where there is none. */
	if (!found->rights || (!(found->rights & RIGHT_LOOKUP) && (found->rights & needs) != needs))
		return imap_no_mailbox(op, name);
	if ((found->rights & needs) != needs)
		return op_fail(op, ERR_DENIED, "You may not do that with this mailbox");
	found->status.path = whole_name(op, found->place.prefix, found->status.path);
	found->status.special_use = 0;
	return NULL;
}

struct error *imap_find(struct op *op, struct imap_session *session, struct slice name,
	unsigned needs, struct imap_found *ret_found)
{
	TRY(imap_place_of(op, session, name, &ret_found->place));
	if (!imap_is_own(session, ret_found->place.account))
		return find_of_other(op, session, name, needs, ret_found);
	ret_found->rights = RIGHTS_ALL;
	return mailbox_find(op, session->store, session->account, name, &ret_found->status);
}

/* Only the nearest one counts, whether it may be known of or not. */
static struct error *check_parent(struct op *op, struct imap_session *session, struct slice name,
	const struct mailbox_status *parent)
{
	unsigned rights;
	TRY(acl_rights(op, parent->acl, session->account, &rights));
	if (rights & RIGHT_CREATE)
		return NULL;
	return rights & RIGHT_LOOKUP ? op_fail(op, ERR_DENIED, "You may not make mailboxes there")
				     : imap_no_mailbox(op, name);
}

struct error *imap_may_create(struct op *op, struct imap_session *session, struct slice name,
	const struct imap_place *place)
{
	if (imap_is_own(session, place->account))
		return NULL;
	for (size_t at = place->path.len; at-- > 0;) {
		struct mailbox_status parent;
		if (place->path.ptr[at] != '/')
			continue;
		struct error *err = mailbox_find(op, session->store, place->account,
			slice_range(place->path, 0, at), &parent);
		if (!err)
			return check_parent(op, session, name, &parent);
		if (err->kind != ERR_NOT_FOUND)
			return err;
	}
	return imap_no_mailbox(op, name);
}

uint16_t imap_flags_of_rights(unsigned rights)
{
	uint16_t flags = 0;
	if (rights & RIGHT_SEEN)
		flags |= FLAG_SEEN;
	if (rights & RIGHT_DELETE_MAIL)
		flags |= FLAG_DELETED;
	if (rights & RIGHT_WRITE)
		flags |= FLAGS_ALL & ~(FLAG_SEEN | FLAG_DELETED);
	return flags;
}

static void leave_forbidden(struct imap_session *session)
{
	buf_append(session->out, SLICE("* BYE The selected mailbox may not be read any more\r\n"));
	imap_leave_mailbox(session);
	session->next_step = STEP_CLOSE;
}

struct error *imap_refresh_rights(struct op *op, struct imap_session *session)
{
	unsigned rights;
	if (session->state != IMAP_SELECTED || imap_is_own(session, session->mailbox_account))
		return NULL;
	struct error *err = mailbox_rights(op, session->store, session->mailbox_account,
		session->mailbox, session->account, &rights);
	/* A mailbox that is gone is dealt with where its news is told. */
	if (err && err->kind == ERR_NOT_FOUND)
		return NULL;
	TRY(err);
	if (!(rights & RIGHT_READ)) {
		leave_forbidden(session);
		return NULL;
	}
	bool has_changed = (rights ^ session->rights) & RIGHTS_OF_FLAGS;
	session->rights = rights;
	if (has_changed)
		imap_write_flag_lists(session, session->view->shown);
	return NULL;
}
