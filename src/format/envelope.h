#pragma once

/* ENVELOPE (RFC 9051 7.5.2) printed from a header. Pure, any thread. */

#include "base/buf.h"
#include "format/date.h"

/* What a header says in its first fields of each name, for the envelope and the message row. */
struct envelope {
	struct slice date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id;
};

/* The slices are raw values within the header; ptr NULL for a field that is not there. */
void envelope_read(struct slice header, struct envelope *ret_envelope);

/* "(date subject (from) ...)". `scratch` is for temporaries and may be out's own arena. */
void envelope_print(struct buf *out, struct arena *scratch, const struct envelope *envelope);

/* The date in a printed envelope; false when there is none that can be read. */
bool envelope_date(struct slice printed, struct date *ret_date);
