#include "format/imap_string.h"
#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

/* One root for all mailboxes of an account (RFC 9208), named "" to its owner and by the owner's
 * address to others. Storage counts in units of 1024 octets, what is begun counting whole. */
static struct error *write_quota(
	struct op *op, struct imap_session *session, struct account_id account, struct slice root)
{
	struct quota quota;
	TRY(mailbox_quota(op, session->store, account, &quota));
	struct buf *out = session->out;
	buf_append(out, SLICE("* QUOTA "));
	imap_print_string(out, root);
	buf_append(out, SLICE(" ("));
	if (quota.limit_bytes)
		buf_printf(out, "STORAGE %llu %llu",
			(unsigned long long)(quota.used_bytes + 1023) / 1024,
			(unsigned long long)quota.limit_bytes / 1024);
	if (quota.limit_count)
		buf_printf(out, "%sMESSAGE %llu %llu", quota.limit_bytes ? " " : "",
			(unsigned long long)quota.used_count,
			(unsigned long long)quota.limit_count);
	buf_append(out, SLICE(")\r\n"));
	return NULL;
}

IMAP_HANDLER(imap_getquota)
{
	struct slice root;
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &root));
	TRY(imap_end(op, args));
	if (root.len)
		return op_fail(op, ERR_NOT_FOUND, "There is no such quota root");
	return write_quota(op, session, session->account, SLICE(""));
}

IMAP_HANDLER(imap_getquotaroot)
{
	struct slice path;
	struct imap_found found;
	struct slice root = SLICE("");
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &path));
	TRY(imap_end(op, args));
	TRY(imap_find(op, session, path, RIGHT_READ, &found));
	if (!imap_is_own(session, found.place.account))
		TRY(account_address(op, session->accounts, found.place.account, &root));
	buf_append(session->out, SLICE("* QUOTAROOT "));
	imap_write_name(op, session, found.status.path);
	buf_append_char(session->out, ' ');
	imap_print_string(session->out, root);
	buf_append(session->out, SLICE("\r\n"));
	return write_quota(op, session, found.place.account, root);
}

/* Limits are the administrator's. */
IMAP_HANDLER(imap_setquota)
{
	struct slice root;
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &root));
	TRY(imap_space(op, args));
	TRY(imap_skip_value(op, args));
	TRY(imap_end(op, args));
	return op_fail(op, ERR_DENIED, "Only an administrator sets quotas");
}
