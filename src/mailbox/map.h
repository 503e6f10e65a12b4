#pragma once

/* mailbox_map: which messages a mailbox holds, with their flags and mod-sequences, in chunks of
 * 65,536 UIDs as compressed bitmaps. It lags behind the log by design; a chunk says as of which
 * MODSEQ it is. */

#include "mailbox/snapshot_private.h"

/* Loads all chunks into the builder; as_of[chunk], and how many, in the arena. */
MUST_CHECK struct error *map_load(struct op *op, struct engine *engine, struct mailbox_id mailbox,
	struct snapshot_builder *builder, uint64_t **ret_as_of, size_t *ret_chunk_count);

/* commit_rules.map */
MUST_CHECK struct error *map_refresh(struct op *op, struct engine *engine,
	const struct mailbox_finder *finder, const struct log_row *rows, size_t count,
	struct mutations *out);

/* One chunk's bytes to and from a builder: exposed for tests and fuzzing. */
MUST_CHECK struct error *map_decode_chunk(
	struct op *op, struct slice bytes, uint32_t chunk, struct snapshot_builder *builder);
struct slice map_encode_chunk(
	struct op *op, const struct snapshot_builder *builder, uint32_t chunk);
