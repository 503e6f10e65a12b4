#pragma once

/* Segments: what carries v5 frames once the connection has started (v5, section 2.2). Pure, any
 * thread. */

#include "wire/cql/cql_frame.h"

#define CQL_SEGMENT_PAYLOAD_MAX 131071

/* Wraps a finished frame: one self-contained segment, or several when it is longer than one holds.
 */
void cql_segment_wrap(struct buf *out, struct slice frame, bool compression);

/* Takes one segment off the front of `input` and appends its payload to `frames`. *ret_length is
 * the whole segment's length; with CQL_SCAN_PARTIAL what it will take at least. */
enum cql_scan cql_segment_scan(struct slice input, bool compression, struct buf *frames,
	bool *ret_self_contained, size_t *ret_length);
