#include <assert.h>

#include "blob/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void open_some(struct op *op, const struct seal_keys *keys, struct slice bytes)
{
	struct seal_header header;
	struct slice content;
	size_t missing;
	if (seal_read_header(op, bytes, &header, &missing) || missing || !header.size)
		return;
	uint64_t from = header.size / 2;
	struct seal_span span = seal_span_of(&header, from, header.size - from);
	assert(span.from >= header.bytes.len && span.to >= span.from);
	struct slice frames = slice_range(bytes, span.from, span.to);
	if (!seal_open(op, keys, (struct blob_id){0}, &header, &span, frames, &content))
		assert(content.len >= header.size - from);
}

/* The first byte: whether the rest is taken for keys, for sealed content, or sealed. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	struct op op;
	op_init(&op, "fuzz");
	struct slice rest = slice_of(bytes + 1, size - 1);
	struct seal_keys keys = {0};
	struct slice sealed;
	uint8_t digest[SHA256_SIZE] = {0};
	switch (bytes[0] % 3) {
	case 0:
		if (!seal_keys_parse(&op, rest, &keys))
			assert(keys.count);
		break;
	case 1:
		open_some(&op, &keys, rest);
		break;
	default:
		assert(!seal(&op, &keys, bytes[0] & 1, (struct blob_id){0}, rest,
			slice_of(digest, sizeof(digest)), &sealed));
		open_some(&op, &keys, sealed);
	}
	op_done(&op);
	return 0;
}
