#pragma once

/* Where a body waits until its command is complete: in memory up to 64 KiB, beyond that in a file
 * without a name. Written by the reactor, read by a worker; never by both at once. */

#include "base/op.h"

struct spool;

struct spool *spool_new(void);
void spool_free(struct spool *spool);

/* A failed write (disk full) is remembered and told by spool_view. */
void spool_append(struct spool *spool, struct slice bytes);

uint64_t spool_size(const struct spool *spool);

/* All bytes as one slice, borrowed until spool_free or the next spool_append. ERR_UNAVAILABLE when
 * the disk did not take them. */
MUST_CHECK struct error *spool_view(struct op *op, struct spool *spool, struct slice *ret_bytes);
