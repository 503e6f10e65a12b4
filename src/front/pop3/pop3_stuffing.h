#pragma once

/* A mail as POP3 sends it (RFC 1939 3): a dot put before each that begins a line, and a line with
 * nothing but a dot behind it all. A lone LF ends a line for some clients, so it counts as one
 * here. Pure; a mail may come in pieces. */

#include "base/buf.h"

struct pop3_stuffing {
	bool ends_in_crlf, had_cr;
	enum { LINE_EMPTY, LINE_CR, LINE_TEXT } line; /* what there is of the current one */
	bool is_in_body;
	bool is_limited;     /* TOP: stop behind so many lines of the body */
	uint64_t lines_left; /* of the body */
};

/* Appends the next piece; false when the wanted lines are all there. */
bool pop3_stuff(struct pop3_stuffing *stuffing, struct buf *out, struct slice piece);

/* The last line's end if it is missing, and the dot. */
void pop3_stuff_end(struct pop3_stuffing *stuffing, struct buf *out);
