#include <assert.h>

#include "wire/cql/cql_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void scan_all(struct slice rest, bool compression)
{
	struct buf frames = buf_heap();
	bool self_contained;
	size_t length;
	while (cql_segment_scan(rest, compression, &frames, &self_contained, &length) ==
		CQL_SCAN_WHOLE) {
		assert(length <= rest.len);
		rest = slice_from(rest, length);
	}
	buf_done(&frames);
}

/* What is wrapped comes back, and neither that with a byte changed nor anything else does harm. The
 * first bytes say whether it is compressed, how often it is repeated and what is changed. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 4)
		return 0;
	bool compression = bytes[0] & 1;
	struct slice frame = slice_of(bytes + 4, size - 4);
	scan_all(frame, compression);

	struct buf repeated = buf_heap(), wrapped = buf_heap(), frames = buf_heap();
	for (unsigned i = 0; i <= bytes[1] && repeated.len < 300000; i++)
		buf_append(&repeated, frame);
	cql_segment_wrap(&wrapped, buf_as_slice(&repeated), compression);
	struct slice rest = buf_as_slice(&wrapped);
	while (rest.len) {
		bool self_contained;
		size_t length;
		enum cql_scan scan =
			cql_segment_scan(rest, compression, &frames, &self_contained, &length);
		assert(scan == CQL_SCAN_WHOLE);
		rest = slice_from(rest, length);
	}
	assert(slice_equal(buf_as_slice(&frames), buf_as_slice(&repeated)));
	if (wrapped.len) {
		wrapped.ptr[(size_t)(bytes[2] << 8 | bytes[3]) % wrapped.len] ^= 0x20;
		scan_all(buf_as_slice(&wrapped), compression);
	}
	buf_done(&repeated);
	buf_done(&wrapped);
	buf_done(&frames);
	return 0;
}
