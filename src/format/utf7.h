#pragma once

/* Mailbox names of IMAP4rev1: modified UTF-7 (RFC 3501 5.1.3). Pure, any thread. */

#include "base/buf.h"

/* False for what is not modified UTF-7 in its one allowed form. */
bool utf7_to_utf8(struct arena *arena, struct slice text, struct slice *ret_utf8);

/* `utf8` must be valid. */
void utf7_print(struct buf *out, struct slice utf8);
