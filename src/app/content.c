#include "app/content.h"

#include "base/clock.h"
#include "base/log.h"
#include "blob/blob_cache.h"
#include "blob/blob_inline.h"
#include "blob/blob_s3.h"
#include "blob/blob_sealed.h"

/* How long an object store has to show itself at the start. */
#define CHECK_NS (5 * NS_PER_S)

uint64_t content_cache_bytes;
uint64_t content_inline_max;

const char *const content_compressions[] = {[BLOB_PLAIN] = "none", [BLOB_ZSTD] = "zstd", NULL};

static struct error *check_s3(struct op *op, const char **ret_setting)
{
	const struct s3_config *s3 = &blob_s3_config.client;
	const struct {
		const char *setting;
		const char *value;
	} needed[] = {{"s3.endpoint", s3->endpoint}, {"s3.bucket", s3->bucket},
		{"s3.access_key", s3->access_key}, {"s3.secret_file", blob_s3_config.secret_file}};
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		*ret_setting = needed[i].setting;
		if (!needed[i].value)
			return op_fail(op, ERR_INVALID, "is needed, as content.store is s3");
	}
	struct blob_store *blobs;
	*ret_setting = "content.store";
	TRY(blob_s3_open(op, &blob_s3_config, &blobs));
	blob_store_close(blobs);
	return NULL;
}

struct error *content_check(struct op *op, enum content_store store, const char **ret_setting)
{
	if (store == CONTENT_S3)
		TRY(check_s3(op, ret_setting));
	*ret_setting = "content.key_file";
	return blob_sealed_check(op, &blob_sealed_config);
}

static struct error *open_s3(struct op *op, struct blob_store **ret_blobs)
{
	struct blob_store *blobs;
	TRY(blob_s3_open(op, &blob_s3_config, &blobs));
	AUTO_OP(check, "content check");
	check.deadline_ns = clock_monotonic_ns() + CHECK_NS;
	struct error *err = blob_s3_check(&check, blobs);
	if (err && (err->kind == ERR_DENIED || err->kind == ERR_NOT_FOUND)) {
		blob_store_close(blobs);
		return op_error_copy(op, err);
	}
	if (err)
		log_warn(&check, "content-store-unavailable", FIELD_ERROR(&check, err));
	*ret_blobs = blobs;
	return NULL;
}

static struct error *open_store(struct op *op, enum content_store store,
	const struct data_directory *data, struct engine *engine, struct blob_store **ret_blobs)
{
	switch (store) {
	case CONTENT_FILE:
		return blob_file_open(
			op, data_directory_file(&op->arena, data, DATA_CONTENT), ret_blobs);
	case CONTENT_S3:
		return open_s3(op, ret_blobs);
	case CONTENT_ENGINE:
		break;
	}
	*ret_blobs = blob_engine_new(engine);
	return NULL;
}

struct error *content_open(struct op *op, enum content_store store,
	const struct data_directory *data, struct engine *engine, struct blob_store **ret_blobs)
{
	struct blob_store *blobs = NULL;
	/* A program that does not know of it would take such content for lost. */
	if (content_inline_max)
		TRY(data_directory_need_format(op, data, DATA_FORMAT_INLINE));
	TRY(open_store(op, store, data, engine, &blobs));
	/* Below the seal, so that what stands among the rows is sealed like the rest; and always,
	 * since what was stored with another limit is to be read. */
	blobs = blob_inline_new(blobs, engine, content_inline_max);
	if (blob_sealed_is_wanted(&blob_sealed_config)) {
		struct error *err = blob_sealed_open(op, &blob_sealed_config, blobs, &blobs);
		if (err) {
			blob_store_close(blobs);
			return err;
		}
	}
	/* What is near has caches of its own. */
	bool is_far = store == CONTENT_S3 && content_cache_bytes;
	*ret_blobs = is_far ? blob_cache_new(blobs, content_cache_bytes) : blobs;
	return NULL;
}
