#pragma once

/* How sealed content looks: a header, then frames of the content, each compressed and encrypted by
 * itself, so that a part can be read without the rest. Pure but for the libraries; any thread.
 *
 * Each content has a key of its own, made from the key in the file, its id and its checksum. So no
 * nonce is ever used twice, and content that is sealed again becomes the same bytes. */

#include "base/digest.h"
#include "base/op.h"
#include "schema/ids.h"

#define SEAL_KEY_BYTES 32
#define SEAL_KEY_ID_BYTES 16

struct seal_key {
	uint8_t id[SEAL_KEY_ID_BYTES]; /* its name, filled up with NULs */
	uint8_t bytes[SEAL_KEY_BYTES];
};

/* The first one seals; all of them open. */
struct seal_keys {
	struct seal_key *items;
	size_t count;
};

/* Lines of "name key", the key as 64 hexadecimal digits; blank lines and # comments are skipped. In
 * the arena. ERR_INVALID: a line is not so, a name stands twice, or there is none. */
MUST_CHECK struct error *seal_keys_parse(
	struct op *op, struct slice text, struct seal_keys *ret_keys);

/* Without keys it is compressed only. */
MUST_CHECK struct error *seal(struct op *op, const struct seal_keys *keys, bool compress,
	struct blob_id id, struct slice content, struct slice sha256, struct slice *ret_sealed);

struct seal_header {
	struct slice bytes; /* all of it */
	bool is_encrypted;
	struct slice key_id;
	uint32_t frame_bytes; /* of content in each frame but the last */
	uint32_t frame_count;
	uint64_t size; /* of the content */
	struct slice sha256;
	struct slice lengths; /* of the frames as stored: 4 bytes each */
};

/* Do these bytes, 8 at least, begin sealed content? */
bool seal_is_there(struct slice bytes);

/* Reads the header at the start of `bytes`. *ret_missing: so many more bytes are needed; 0: it was
 * read. ERR_CORRUPT. */
MUST_CHECK struct error *seal_read_header(
	struct op *op, struct slice bytes, struct seal_header *ret_header, size_t *ret_missing);

/* Frames that hold `length` bytes from `offset`, which must be within the content. */
struct seal_span {
	uint32_t first, count;
	uint64_t from, to; /* where they stand in the sealed bytes */
};
struct seal_span seal_span_of(const struct seal_header *header, uint64_t offset, uint64_t length);

/* The content of those frames. ERR_CORRUPT: they are damaged, or were never sealed with this key.
 * ERR_UNAVAILABLE: the key is none of ours. */
MUST_CHECK struct error *seal_open(struct op *op, const struct seal_keys *keys, struct blob_id id,
	const struct seal_header *header, const struct seal_span *span, struct slice frames,
	struct slice *ret_content);
