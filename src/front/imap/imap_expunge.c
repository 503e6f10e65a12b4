#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

/* EXPUNGE (RFC 9051 6.4.3) and UID EXPUNGE (6.4.9). The update that follows every command tells
 * which messages went. */
IMAP_HANDLER(imap_expunge)
{
	struct expunge_result result;
	struct uid_set uids;
	if (args->is_uid) {
		struct imap_sequence messages;
		TRY(imap_space(op, args));
		TRY(imap_sequence(op, args, &messages));
		TRY(imap_view_uids(op, args, session->view, &messages, true, &uids));
	}
	TRY(imap_end(op, args));
	if (session->is_read_only)
		return op_fail(op, ERR_DENIED, "The mailbox is open for reading only");
	if (!(session->rights & RIGHT_EXPUNGE))
		return op_fail(op, ERR_DENIED, "You may not expunge here");
	TRY(mailbox_expunge(op, session->store, session->mailbox_account, session->mailbox,
		args->is_uid ? &uids : NULL, true, &result));
	TRY(imap_sync(op, session, true));
	if (session->state == IMAP_SELECTED && session->has_condstore && result.modseq)
		args->ok_code = slice_from_cstr(arena_printf(&op->arena, "HIGHESTMODSEQ %llu",
			(unsigned long long)snapshot_highest_modseq(session->view->shown)));
	return NULL;
}
