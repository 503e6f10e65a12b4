#include "format/imap_string.h"
#include "format/utf7.h"
#include "front/imap/imap_private.h"

void imap_write_name(struct op *op, struct imap_session *session, struct slice path)
{
	if (imap_speaks_utf8(session)) {
		imap_print_utf8(session->out, path);
		return;
	}
	struct buf name = buf_in(&op->arena);
	utf7_print(&name, path);
	imap_print_string(session->out, buf_as_slice(&name));
}
