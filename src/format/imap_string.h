#pragma once

/* Strings as IMAP writes them (RFC 9051 4.3): quoted where that is possible, else a literal. Pure,
 * any thread. */

#include "base/buf.h"

/* NULs, which no string may hold, are left out. */
void imap_print_string(struct buf *out, struct slice text);

/* NIL when the slice has no pointer. */
void imap_print_nstring(struct buf *out, struct slice text);

/* Quoted although it holds UTF-8: mailbox names for rev2. No NUL, CR or LF may be in it. */
void imap_print_utf8(struct buf *out, struct slice text);
