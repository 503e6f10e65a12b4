#pragma once

/* Content that was lately put or read, kept in memory before a store that is far away. Content
 * never changes under its id, so what is kept is never stale; what was removed by others is asked
 * for by nobody. */

#include "blob/blob.h"

/* Larger content is not kept. */
#define BLOB_CACHE_ENTRY_MAX KIB(256)

/* Keeps at most `max_bytes` of content, the latest used. Owns `below`. */
struct blob_store *blob_cache_new(struct blob_store *below, uint64_t max_bytes);
