#pragma once

/* Content compressed and encrypted on its way to another store, whichever that is. */

#include "blob/blob.h"

enum blob_compression { BLOB_PLAIN, BLOB_ZSTD };

struct blob_sealed_config {
	int compression;      /* enum blob_compression, for new content */
	const char *key_file; /* NULL: content is not encrypted */
	bool accept_plain;    /* with keys: content that is not encrypted is served too */
};

extern struct blob_sealed_config blob_sealed_config;

/* Does the configuration ask for anything? */
bool blob_sealed_is_wanted(const struct blob_sealed_config *config);

/* ERR_INVALID: the keys cannot be used. */
MUST_CHECK struct error *blob_sealed_check(struct op *op, const struct blob_sealed_config *config);

/* Owns `below` once NULL is returned. ERR_INVALID: the keys cannot be used. */
MUST_CHECK struct error *blob_sealed_open(struct op *op, const struct blob_sealed_config *config,
	struct blob_store *below, struct blob_store **ret_store);
