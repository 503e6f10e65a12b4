#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

/* One root, named "", for all mailboxes of the account (RFC 9208). Storage counts in units of 1024
 * octets, what is begun counting whole. */
static struct error *write_quota(struct op *op, struct imap_session *session)
{
	struct quota quota;
	TRY(mailbox_quota(op, session->store, session->account, &quota));
	struct buf *out = session->out;
	buf_append(out, SLICE("* QUOTA \"\" ("));
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
	return write_quota(op, session);
}

IMAP_HANDLER(imap_getquotaroot)
{
	struct slice path;
	struct mailbox_status status;
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &path));
	TRY(imap_end(op, args));
	TRY(mailbox_find(op, session->store, session->account, path, &status));
	buf_append(session->out, SLICE("* QUOTAROOT "));
	imap_write_name(op, session, status.path);
	buf_append(session->out, SLICE(" \"\"\r\n"));
	return write_quota(op, session);
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
