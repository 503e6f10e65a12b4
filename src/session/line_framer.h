#pragma once

/* The part of a framer that protocols of lines share. Pure. */

#include "session/session.h"

struct line_framer {
	bool is_skipping; /* the rest of a line that was too long */
};

/* True: *ret_frame takes a whole line, and its `bytes` are the line without its end; *ret_is_clean
 * tells that it ended in CRLF and had no other CR. False: *ret_frame is to be returned as it is
 * (more is wanted, or a line of more than `max` bytes is skipped; at its end comes a command with
 * COMMAND_TOO_BIG, without text or row). */
bool line_framer_cut(struct line_framer *framer, struct slice input, size_t max,
	struct frame *ret_frame, bool *ret_is_clean);
