#include "session/line_framer.h"

static struct frame skip(struct line_framer *framer, struct slice input)
{
	size_t end = slice_find_char(input, '\n');
	if (end == input.len)
		return input.len ? (struct frame){.kind = FRAME_TEXT, .taken = input.len}
				 : (struct frame){.kind = FRAME_MORE};
	framer->is_skipping = false;
	return (struct frame){.kind = FRAME_COMMAND,
		.taken = end + 1,
		.lane = LANE_QUICK,
		.flags = COMMAND_TOO_BIG};
}

bool line_framer_cut(struct line_framer *framer, struct slice input, size_t max,
	struct frame *ret_frame, bool *ret_is_clean)
{
	size_t end = slice_find_char(input, '\n');
	if (framer->is_skipping || end > max) {
		framer->is_skipping = true;
		*ret_frame = skip(framer, input);
		return false;
	}
	if (end == input.len) {
		*ret_frame = (struct frame){.kind = FRAME_MORE};
		return false;
	}
	struct slice line = slice_range(input, 0, end);
	bool has_cr = line.len && line.ptr[line.len - 1] == '\r';
	line.len -= has_cr;
	*ret_is_clean = has_cr && slice_find_char(line, '\r') == line.len;
	*ret_frame = (struct frame){.kind = FRAME_COMMAND, .taken = end + 1, .bytes = line};
	return true;
}
