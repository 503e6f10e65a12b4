#pragma once

/* A client of one bucket in an S3 object store, on libcurl with AWS Signature V4. Calls block until
 * they are done, have been tried often enough, or the operation's deadline has passed. Any thread;
 * as many requests are under way as threads ask, each thread with connections of its own kept open.
 *
 * Errors say what is certain: ERR_NOT_FOUND only if the store says that this key is not there;
 * ERR_UNAVAILABLE and ERR_TIMEOUT: nothing was written; ERR_UNCERTAIN: it may have been. Repeating
 * a put of the same content under the same key is always right. */

#include "base/digest.h"
#include "base/op.h"

struct s3;

enum s3_style {
	S3_PATH, /* https://host/bucket/key */
	S3_HOST, /* https://bucket.host/key */
};

struct s3_config {
	const char *endpoint; /* "https://s3.example.org:9000", without a path */
	const char *region;
	const char *bucket;
	const char *access_key;
	const char *secret_key;
	const char *ca_file; /* NULL: the system's */
	int style;           /* enum s3_style */
	bool create_only;    /* a put never replaces an object (If-None-Match: *) */
	uint64_t connect_ms; /* for a connection to be made */
	uint64_t stall_ms;   /* a transfer that does not move for so long is given up */
	uint64_t tries;      /* of one request at most, the first included */
	uint64_t parallel;   /* requests of one call under way at the same time */
	uint64_t part_bytes; /* larger content goes in parts of this size */
};

/* Copies the configuration. ERR_INVALID: it cannot be used. Nothing is sent. */
MUST_CHECK struct error *s3_new(struct op *op, const struct s3_config *config, struct s3 **ret_s3);
void s3_free(struct s3 *s3);

/* Is the bucket there, and may we use it? ERR_DENIED or ERR_NOT_FOUND if the store says that not.
 */
MUST_CHECK struct error *s3_check_bucket(struct op *op, struct s3 *s3);

/* Stores content under a key, with its SHA-256 beside it. What is there already under this key with
 * the same SHA-256 is success; with another, ERR_EXISTS. */
MUST_CHECK struct error *s3_put(
	struct op *op, struct s3 *s3, struct slice key, struct slice content, struct slice sha256);

/* One object, or `length` bytes of it from `offset`, clamped to what there is. */
struct s3_get {
	struct slice key;
	uint64_t offset;
	uint64_t length; /* UINT64_MAX: to the end */

	/* Answers, in the operation's arena. */
	struct error *err;
	struct slice bytes;
	uint64_t size;       /* of the whole object; UINT64_MAX: it was not told */
	struct slice sha256; /* as told at the put; empty if nobody did */
};

/* Gets many at once; each has its own error. */
void s3_get_many(struct op *op, struct s3 *s3, struct s3_get *gets, size_t count);

/* Removing what is not there is no error. */
MUST_CHECK struct error *s3_remove(struct op *op, struct s3 *s3, struct slice key);

/* As many as there are, a thousand in a request. */
MUST_CHECK struct error *s3_remove_many(
	struct op *op, struct s3 *s3, const struct slice *keys, size_t count);

/* Keys with a prefix, after a key (or empty), in order; at most `limit`, which a store may cut to a
 * thousand. *ret_more: there are further ones. */
MUST_CHECK struct error *s3_list(struct op *op, struct s3 *s3, struct slice prefix,
	struct slice after, size_t limit, struct slice **ret_keys, size_t *ret_count,
	bool *ret_more);

/* Gives up the uploads in parts below a prefix that were begun before a time (microseconds since
 * 1970) and never finished: they cost room and are not listed as objects. */
MUST_CHECK struct error *s3_abort_uploads(
	struct op *op, struct s3 *s3, struct slice prefix, uint64_t before_us, size_t *ret_aborted);
