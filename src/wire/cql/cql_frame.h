#pragma once

/* Frames (section 2): the header, and the body of a response up to where its own message begins.
 * Pure, any thread. */

#include "wire/cql/cql_wire.h"

struct cql_frame {
	uint8_t version; /* without the bit of direction */
	uint8_t flags;
	int16_t stream;
	uint8_t opcode;
	struct slice body;
};

enum cql_scan {
	CQL_SCAN_WHOLE,   /* a frame stands at the front */
	CQL_SCAN_PARTIAL, /* more bytes are needed */
	CQL_SCAN_BROKEN,  /* these bytes are no frame of a server */
};

/* Looks for a response at the front of `input`. The body borrows; *ret_length is that of the whole
 * frame. With CQL_SCAN_PARTIAL only *ret_length is written: what the whole will take at least. */
enum cql_scan cql_frame_scan(struct slice input, struct cql_frame *ret_frame, size_t *ret_length);

/* Leaves room for the header of a request. */
void cql_frame_begin(struct buf *out);

/* Fills the header in, once the body stands in `out` behind it. */
void cql_frame_end(
	struct buf *out, uint8_t version, uint8_t flags, uint16_t stream, enum cql_opcode opcode);

/* Compresses the body of a finished v4 frame in place, when that makes it shorter. */
void cql_frame_compress(struct buf *out);

/* A v4 body as it was before compression, in the arena. ERR_INTERNAL when it is none. */
MUST_CHECK struct error *cql_frame_decompress(
	struct op *op, struct slice body, struct slice *ret_plain);

/* What a response's flags put before its message. */
struct cql_prelude {
	bool has_tracing_id;
	struct uuid tracing_id;
	const struct slice *warnings; /* in the arena, borrowing from the body */
	size_t warning_count;
};

/* Reads it off the front of a body that is not compressed any more. */
MUST_CHECK struct error *cql_frame_prelude(
	struct op *op, uint8_t flags, struct reader *body, struct cql_prelude *ret_prelude);
