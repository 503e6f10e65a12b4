#include "front/imap/imap_private.h"

/* COMPRESS (RFC 4978): behind its OK both sides' bytes are compressed, until the connection ends.
 */
IMAP_HANDLER(imap_compress)
{
	struct slice mechanism;
	TRY(imap_space(op, args));
	TRY(imap_atom(op, args, &mechanism));
	TRY(imap_end(op, args));
	if (!slice_equal_nocase(mechanism, SLICE("DEFLATE")))
		return imap_bad(op, args, "There is no such compression");
	if (session_is_compressed(session->session)) {
		args->no_code = SLICE("COMPRESSIONACTIVE");
		return op_fail(op, ERR_INVALID, "The connection is compressed already");
	}
	session->next_step = STEP_COMPRESS;
	args->ok_text = SLICE("DEFLATE is active");
	return NULL;
}
