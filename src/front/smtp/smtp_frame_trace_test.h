#pragma once

/* For the tests: runs the framer over bytes as a session would, `piece` at a time, and writes down
 * what it cut out of them. */

#include "base/buf.h"
#include "front/smtp/smtp_framer.h"

static inline void frame_trace_command(struct buf *out, const struct frame *frame, unsigned *mode)
{
	buf_append(out, frame->bytes);
	buf_append(out, SLICE("|"));
	if (frame->flags & COMMAND_TOO_BIG)
		buf_append(out, SLICE("TOO BIG"));
	if (frame->flags & SMTP_BAD_LINE_END)
		buf_append(out, SLICE("BAD LINE"));
	if (frame->flags & SMTP_BAD_CHUNK_SIZE)
		buf_append(out, SLICE("BAD CHUNK"));
	buf_append(out, SLICE("\n"));
	const struct smtp_verb *verb = frame->row;
	bool good = verb && !(frame->flags & (SMTP_BAD_LINE_END | COMMAND_TOO_BIG));
	*mode = good && verb->id == SMTP_VERB_DATA   ? SMTP_MODE_DATA
		: good && verb->id == SMTP_VERB_AUTH ? SMTP_MODE_LINE
						     : SMTP_MODE_COMMAND;
}

/* Returns false when the framer broke its promises. What came of a body before it was found to be
 * refused, or of one that never ended, depends on the cuts and is left out. */
static inline bool frame_trace(struct buf *out, struct slice input, size_t piece)
{
	struct smtp_framer framer = {0};
	unsigned mode = SMTP_MODE_COMMAND;
	size_t taken = 0, here = 0, body_from = 0;
	for (size_t idle = 0; idle < 3;) {
		struct slice seen = slice_range(input, taken, here);
		struct frame frame = smtp_feed(&framer, mode, seen);
		if (frame.taken > seen.len || frame.bytes.len > seen.len)
			return false;
		taken += frame.taken;
		idle = frame.taken ? 0 : idle + 1;
		if (frame.kind == FRAME_COMMAND) {
			if (frame.flags & (COMMAND_TOO_BIG | SMTP_BAD_LINE_END))
				out->len = body_from;
			frame_trace_command(out, &frame, &mode);
			body_from = out->len;
		} else if (frame.kind == FRAME_TEXT || frame.kind == FRAME_BODY)
			buf_append(out, frame.bytes);
		else if (here < input.len)
			idle = 0, here = MIN_OF(here + piece, input.len);
	}
	out->len = body_from;
	return true;
}
