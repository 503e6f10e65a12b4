#include <assert.h>

#include "wire/cql/cql_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Whatever a server sends is cut into frames, and each body is unpacked as its flags say. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct slice rest = slice_of(bytes, size);
	struct op op;
	op_init(&op, "fuzz");
	for (;;) {
		struct cql_frame frame;
		size_t length;
		enum cql_scan scan = cql_frame_scan(rest, &frame, &length);
		assert(length >= CQL_FRAME_HEADER_SIZE);
		assert((scan == CQL_SCAN_PARTIAL) <= (length > rest.len));
		if (scan != CQL_SCAN_WHOLE)
			break;
		assert(length <= rest.len && frame.body.len == length - CQL_FRAME_HEADER_SIZE);
		rest = slice_from(rest, length);
		struct error *err = NULL;
		if (frame.flags & CQL_FRAME_COMPRESSED)
			err = cql_frame_decompress(&op, frame.body, &frame.body);
		struct reader body = reader_of(frame.body);
		struct cql_prelude prelude;
		if (!err && !cql_frame_prelude(&op, frame.flags, &body, &prelude))
			for (size_t i = 0; i < prelude.warning_count; i++)
				assert(prelude.warnings[i].len <= frame.body.len);
	}
	op_done(&op);
	return 0;
}
