#pragma once

/* Content as objects in an S3 store: one bucket, below a prefix. */

#include "base/setting.h"
#include "blob/blob.h"
#include "wire/s3/s3.h"

struct blob_s3_config {
	struct s3_config client;
	const char *prefix;      /* of every key; NULL: none */
	const char *secret_file; /* the first line is the secret of the access key */
};

/* What the settings say. */
extern struct blob_s3_config blob_s3_config;
extern const struct setting blob_s3_settings[];
extern const size_t blob_s3_setting_count;

/* Nothing is sent yet. ERR_INVALID: the configuration cannot be used. */
MUST_CHECK struct error *blob_s3_open(
	struct op *op, const struct blob_s3_config *config, struct blob_store **ret_store);

/* Asks the store whether the bucket can be used. ERR_DENIED, ERR_NOT_FOUND: it says that not. */
MUST_CHECK struct error *blob_s3_check(struct op *op, struct blob_store *store);
