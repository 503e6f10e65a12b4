#pragma once

/* Keeps small content among the rows of its message, in the same partition, and everything else in
 * the store below: a small mail then costs that store no request. What stands where is told by the
 * id (blob_is_inline), so content is found whatever the limit is by now. */

#include "blob/blob.h"

/* More would make the rows of messages heavy for all that only wants to know about them. */
#define BLOB_INLINE_MOST KIB(64)

/* New content of up to `max_bytes` is kept among the rows; 0: none. Owns `below`, borrows `engine`.
 */
struct blob_store *blob_inline_new(
	struct blob_store *below, struct engine *engine, uint64_t max_bytes);
