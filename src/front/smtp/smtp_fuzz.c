#include <assert.h>

#include "front/smtp/smtp_frame_trace_test.h"
#include "front/smtp/smtp_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_paths(struct op *op, struct slice text)
{
	struct smtp_path path;
	if (smtp_parse_path(op, text, SLICE("FROM"), &path))
		return;
	assert(path.address.len <= 512);
	assert(slice_find_char(path.address, '\n') == path.address.len);
	struct smtp_parameter parameter;
	struct slice rest = path.parameters;
	while (smtp_next_parameter(&rest, &parameter)) {
		smtp_is_xtext(parameter.value);
		smtp_is_notify(parameter.value);
	}
}

/* However the network cuts the bytes, the same commands come out. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	AUTO_OP(op, "fuzz");
	smtp_config.max_line = 1000;
	smtp_config.max_message_bytes = 2000;
	struct slice input = slice_of(bytes + 1, size - 1);
	struct buf whole = buf_in(&op.arena), pieces = buf_in(&op.arena);
	assert(frame_trace(&whole, input, input.len ? input.len : 1));
	assert(frame_trace(&pieces, input, (size_t)bytes[0] % 16 + 1));
	assert(slice_equal(buf_as_slice(&whole), buf_as_slice(&pieces)));
	check_paths(&op, input);
	return 0;
}
