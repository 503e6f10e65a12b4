#include "front/imap/imap_private.h"
#include "session/watch.h"

static void end_idle(struct imap_session *session)
{
	if (!session->notify)
		session_unwatch(session->session, ID_SLICE(session->account));
	session->is_idle = false;
}

static enum step idle_done(struct op *op, struct session *session, struct command *command)
{
	struct imap_session *imap = session_state(session);
	struct imap_args args = {.tag = imap->dialog_tag};
	imap->out = session_output(session);
	imap->next_step = STEP_DONE;
	op->name = "imap IDLE";
	end_idle(imap);
	struct error *err = NULL;
	if (imap->state == IMAP_SELECTED)
		err = imap_sync(op, imap, true);
	if (err)
		imap_write_error(op, imap, &args, err);
	else if (slice_equal_nocase(slice_trim(command->line), SLICE("DONE")))
		imap_write_ok(imap, &args, SLICE("IDLE"));
	else
		imap_write_bad(imap, args.tag, "DONE was expected");
	imap_free_dialog(imap);
	return imap->next_step;
}

/* IDLE (RFC 2177): updates come in `woken` until the client says DONE. */
IMAP_HANDLER(imap_idle)
{
	TRY(imap_end(op, args));
	imap_free_dialog(session);
	session->dialog_tag = slice_of(heap_cstr(args->tag), args->tag.len);
	session->is_idle = true;
	buf_append(session->out, SLICE("+ idling\r\n"));
	/* Watching first: what changes behind the update that follows this step wakes us. */
	session_watch(session->session, ID_SLICE(session->account));
	session_expect(session->session, IMAP_MODE_LINE, LANE_STORE, idle_done);
	return NULL;
}
