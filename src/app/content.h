#pragma once

/* Which store keeps the bytes of messages. */

#include "app/data_directory.h"
#include "blob/blob.h"
#include "engine/engine.h"

/* As settings name enum blob_compression. */
extern const char *const content_compressions[];

/* content.cache; 0: none. */
extern uint64_t content_cache_bytes;

/* content.inline_max; 0: none. */
extern uint64_t content_inline_max;

enum content_store { CONTENT_ENGINE, CONTENT_FILE, CONTENT_S3 };

/* Are the settings of this store right? ERR_INVALID: *ret_setting is the one at fault. */
MUST_CHECK struct error *content_check(
	struct op *op, enum content_store store, const char **ret_setting);

/* A store elsewhere that does not answer is taken all the same, with a warning: only content waits
 * for it. One that answers that it does not know us is an error. */
MUST_CHECK struct error *content_open(struct op *op, enum content_store store,
	const struct data_directory *data, struct engine *engine, struct blob_store **ret_blobs);
