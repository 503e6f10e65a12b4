#include <assert.h>

#include "base/op.h"
#include "front/pop3/pop3_framer.h"
#include "front/pop3/pop3_stuffing.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static struct slice frame_in_pieces(struct op *op, struct slice input, size_t piece)
{
	struct line_framer framer = {0};
	struct buf out = buf_in(&op->arena);
	size_t taken = 0, here = 0;
	while (taken < input.len) {
		struct slice seen = slice_range(input, taken, here);
		struct frame frame = pop3_feed(&framer, 0, seen);
		assert(frame.taken <= seen.len && frame.bytes.len <= seen.len);
		taken += frame.taken;
		if (frame.kind == FRAME_COMMAND) {
			buf_append(&out, frame.bytes);
			buf_printf(&out, "|%u\n", frame.flags);
		} else if (!frame.taken) {
			if (here == input.len)
				break;
			here = MIN_OF(here + piece, input.len);
		}
	}
	return buf_as_slice(&out);
}

static struct slice stuff_in_pieces(struct op *op, struct slice mail, size_t piece)
{
	struct pop3_stuffing stuffing = {.is_limited = mail.len % 2, .lines_left = 3};
	struct buf out = buf_in(&op->arena);
	bool more = true;
	for (size_t at = 0; more && at < mail.len; at += piece)
		more = pop3_stuff(&stuffing, &out, slice_range(mail, at, at + piece));
	pop3_stuff_end(&stuffing, &out);
	return buf_as_slice(&out);
}

/* However a mail comes in pieces it is sent alike, and no line of it is its end. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	AUTO_OP(op, "fuzz");
	pop3_config.max_line = 255;
	struct slice input = slice_of(bytes + 1, size - 1);
	size_t piece = (size_t)bytes[0] % 16 + 1;
	assert(slice_equal(frame_in_pieces(&op, input, size), frame_in_pieces(&op, input, piece)));

	struct slice sent = stuff_in_pieces(&op, input, size);
	assert(slice_equal(sent, stuff_in_pieces(&op, input, piece)));
	assert(slice_ends_with(sent, SLICE("\r\n.\r\n")));
	assert(slice_find(sent, SLICE("\n.\r\n")) == sent.len - 4);
	return 0;
}
