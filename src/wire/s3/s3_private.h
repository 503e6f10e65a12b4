#pragma once

#include "wire/s3/s3.h"
#include "wire/s3/xml.h"

struct lane;

struct s3 {
	struct s3_config config; /* strings are owned */
	char *base_url; /* scheme, host and, in path style, bucket: what a key is added to */
	char *signing;  /* "aws:amz:region:s3" */
	struct lane_pool *lanes;
};

/* ---- url.c: exactly as it is signed ---- */

struct s3_parameter {
	const char *name;
	struct slice value;
};

/* Everything but A-Za-z0-9-_.~ (and '/', if kept) becomes %XX. */
void s3_url_encode(struct buf *out, struct slice text, bool keep_slashes);

/* ERR_INVALID: the endpoint is not "http[s]://host[:port]". */
MUST_CHECK struct error *s3_base_url(
	struct op *op, const struct s3_config *config, const char **ret_url);

/* The parameters must stand in the order of their names: the signature is over them as written. */
const char *s3_url(struct arena *arena, const char *base_url, struct slice key,
	const struct s3_parameter *parameters, size_t parameter_count);

/* ---- answer.c: what the store says in XML ---- */

struct s3_listing {
	struct slice *keys;
	size_t count;
	bool is_truncated;
};
bool s3_parse_listing(struct arena *arena, struct slice body, struct s3_listing *ret_listing);

struct s3_upload {
	struct slice key;
	struct slice upload_id;
	uint64_t begun_us;
};
struct s3_uploads {
	struct s3_upload *items;
	size_t count;
	bool is_truncated;
	struct slice next_key;
	struct slice next_upload_id;
};
bool s3_parse_uploads(struct arena *arena, struct slice body, struct s3_uploads *ret_uploads);

bool s3_parse_upload_id(struct arena *arena, struct slice body, struct slice *ret_upload_id);

/* The first <Code> of an <Error>, at the top or inside a <DeleteResult>; false if there is none. */
bool s3_parse_error(struct arena *arena, struct slice body, struct slice *ret_code);

/* "2026-11-25T03:45:11.000Z" in microseconds since 1970. */
bool s3_parse_time(struct slice text, uint64_t *ret_us);

/* ---- transfer.c: requests, tried again where that helps ---- */

#define S3_ERROR_BODY_MAX MIB(1)
#define S3_LIST_BODY_MAX MIB(32)

enum s3_method { S3_GET, S3_HEAD, S3_PUT, S3_POST, S3_DELETE };

struct s3_request {
	enum s3_method method;
	const char *url;
	const char *range;          /* "0-99", or NULL */
	const char *const *headers; /* "name: value" */
	size_t header_count;
	struct slice body;   /* PUT, POST */
	struct slice sha256; /* of the body; empty: of nothing */
	uint64_t answer_max; /* bytes of a good answer's body */

	/* Answer */
	int status; /* 0: none came */
	struct slice answer;
	struct slice code;        /* of an error in XML, or empty */
	struct slice meta_sha256; /* hex */
	struct slice etag;
	uint64_t range_total; /* of Content-Range; UINT64_MAX: none */
	bool may_be_done;     /* a try got no answer, or one that leaves it open */
	bool is_late;         /* given up because of the deadline */
	const char *problem;  /* why no answer came */
};

/* Sends them all, at most `parallel` at a time, each until it has an answer that is worth no
 * further try, its tries are used up or the deadline has passed. */
void s3_perform(struct op *op, struct s3 *s3, struct s3_request *requests, size_t count);

struct lane_pool *lane_pool_new(const struct s3 *s3);
void lane_pool_free(struct lane_pool *pool);

/* ---- object.c ---- */

/* What an answer that is not the wanted one means. `is_write`: something may have been changed. */
MUST_CHECK struct error *s3_fail(struct op *op, const struct s3_request *request, bool is_write);

/* 2xx, and no error inside. */
bool s3_is_good(const struct s3_request *request);

const char *s3_hex(struct arena *arena, struct slice bytes);

/* After a refusal because the key is taken: by the same content? */
MUST_CHECK struct error *s3_check_taken(
	struct op *op, struct s3 *s3, struct slice key, struct slice sha256);

/* ---- multipart.c ---- */

MUST_CHECK struct error *s3_begin_upload(struct op *op, struct s3 *s3, struct slice key,
	struct slice sha256, struct slice *ret_upload_id);

MUST_CHECK struct error *s3_put_parts(
	struct op *op, struct s3 *s3, struct slice key, struct slice content, struct slice sha256);
