#include <assert.h>

#include "front/imap/imap_framer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The framer always gets on: it uses bytes up, changes its state, or wants more. The first byte
 * says in which pieces the rest arrives. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size == 0)
		return 0;
	struct imap_framer framer = {0};
	size_t step = 1 + bytes[0] % 64;
	unsigned mode = bytes[0] & 64 ? IMAP_MODE_LINE : IMAP_MODE_COMMAND;
	struct slice input = slice_of(bytes + 1, size - 1);
	size_t at = 0, seen = 0, idle = 0;
	while (seen < input.len) {
		seen = MIN_OF(seen + step, input.len);
		for (;;) {
			struct frame frame =
				imap_framer_feed(&framer, mode, slice_range(input, at, seen));
			assert(frame.taken <= seen - at);
			assert(frame.bytes.len <= frame.taken);
			at += frame.taken;
			idle = frame.taken ? 0 : idle + 1;
			assert(idle < 8);
			if (frame.kind == FRAME_MORE)
				break;
		}
		idle = 0;
	}
	return 0;
}
