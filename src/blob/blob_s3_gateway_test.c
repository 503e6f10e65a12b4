/* The suite of all blob stores, and what is S3's own, on a gateway that tests/engines starts. It is
 * told of by HOLDFAST_S3_ENDPOINT, _BUCKET, _ACCESS_KEY and _SECRET_FILE. */

#include "base/test.h"

#include "base/clock.h"
#include "blob/blob_s3.h"
#include "blob/contract.h"
#include "wire/s3/s3_private.h"

static struct blob_s3_config config = {
	.client =
		{
			.region = "us-east-1",
			.create_only = true,
			.connect_ms = 3000,
			.stall_ms = 10000,
			.tries = 3,
			.parallel = 4,
			.part_bytes = MIB(5),
		},
};

static struct blob_store *open_below(struct op *op, const char *prefix)
{
	struct blob_store *blobs;
	config.prefix = prefix;
	assert_null(blob_s3_open(op, &config, &blobs));
	return blobs;
}

static struct blob_store *open_empty(struct op *op)
{
	return open_below(
		op, arena_printf(&op->arena, "test/%s/", uuid_text(&op->arena, uuid_v7())));
}

struct world {
	struct op op;
	struct blob_store *blobs;
	struct s3 *s3;
	const char *prefix;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->blobs = open_empty(&w->op);
	w->prefix = config.prefix;
	assert_null(s3_new(&w->op,
		&(struct s3_config){.endpoint = config.client.endpoint,
			.region = "us-east-1",
			.bucket = config.client.bucket,
			.access_key = config.client.access_key,
			.secret_key = "holdfast-secret",
			.connect_ms = 3000,
			.stall_ms = 10000,
			.tries = 1,
			.parallel = 2,
			.part_bytes = MIB(5)},
		&w->s3));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	s3_free(w->s3);
	blob_store_close(w->blobs);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct slice large(struct world *w, size_t size)
{
	char *bytes = arena_alloc_raw(&w->op.arena, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 7 + (i >> 11));
	return slice_of(bytes, size);
}

static struct error *put(struct world *w, struct blob_id id, struct slice content)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	return blob_put(w->blobs, &w->op, id, content, slice_of(digest, sizeof(digest)), NULL);
}

static void the_bucket_can_be_used(void **state)
{
	struct world *w = *state;
	assert_null(blob_s3_check(&w->op, w->blobs));
}

static void a_bucket_that_is_not_there_is_not_found(void **state)
{
	struct world *w = *state;
	struct blob_store *blobs;
	struct blob_s3_config other = config;
	other.client.bucket = "there-is-none";
	assert_null(blob_s3_open(&w->op, &other, &blobs));
	struct error *err = blob_s3_check(&w->op, blobs);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	/* A whole bucket that is missing says nothing about one blob. */
	struct slice bytes;
	err = blob_read(blobs, &w->op, (struct blob_id){uuid_v7()}, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	blob_store_close(blobs);
}

static void a_wrong_secret_is_denied(void **state)
{
	struct world *w = *state;
	struct blob_store *blobs;
	struct blob_s3_config other = config;
	other.secret_file = "/proc/sys/kernel/ostype";
	assert_null(blob_s3_open(&w->op, &other, &blobs));
	struct error *err = blob_s3_check(&w->op, blobs);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_DENIED);
	uint8_t digest[SHA256_SIZE];
	sha256_of(SLICE("x"), digest);
	err = blob_put(blobs, &w->op, (struct blob_id){uuid_v7()}, SLICE("x"),
		slice_of(digest, sizeof(digest)), NULL);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	blob_store_close(blobs);
}

static void large_content_goes_in_parts_and_comes_back(void **state)
{
	struct world *w = *state;
	struct blob_id id = {uuid_v7()};
	struct slice content = large(w, MIB(12) + 345);
	struct slice bytes;
	assert_null(put(w, id, content));
	assert_null(put(w, id, content));
	assert_null(blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, content));
	assert_null(blob_read(w->blobs, &w->op, id, MIB(5) - 10, 20, &bytes));
	assert_true(slice_equal(bytes, slice_range(content, MIB(5) - 10, MIB(5) + 10)));
}

static void what_is_there_is_never_replaced(void **state)
{
	struct world *w = *state;
	struct blob_id id = {uuid_v7()};
	struct slice bytes;
	assert_null(put(w, id, SLICE("first")));
	struct error *err = put(w, id, SLICE("second"));
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	err = put(w, id, large(w, MIB(6)));
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_null(blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, SLICE("first")));
}

static void foreign_objects_are_no_blobs(void **state)
{
	struct world *w = *state;
	struct blob_id *ids;
	size_t count;
	uint8_t digest[SHA256_SIZE];
	struct slice sha256 = slice_of(digest, sizeof(digest));
	sha256_of(SLICE("x"), digest);
	static const char *const names[] = {"00/note & <more>", "zz", "a/b/c/d"};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_null(s3_put(&w->op, w->s3,
			slice_from_cstr(arena_printf(&w->op.arena, "%s%s", w->prefix, names[i])),
			SLICE("x"), sha256));
	assert_null(put(w, (struct blob_id){uuid_v7()}, SLICE("mine")));
	assert_null(blob_list(w->blobs, &w->op, SLICE_NONE, 1, &ids, &count));
	assert_int_equal(count, 1);
	assert_null(blob_list(w->blobs, &w->op, ID_SLICE(ids[0]), 1, &ids, &count));
	assert_int_equal(count, 0);
	struct slice *keys;
	bool has_more;
	assert_null(s3_list(&w->op, w->s3, slice_from_cstr(w->prefix), SLICE_NONE, 100, &keys,
		&count, &has_more));
	assert_int_equal(count, 4);
	assert_false(has_more);
	assert_null(s3_remove_many(&w->op, w->s3, keys, count));
	assert_null(s3_list(&w->op, w->s3, slice_from_cstr(w->prefix), SLICE_NONE, 100, &keys,
		&count, &has_more));
	assert_int_equal(count, 0);
}

static void an_upload_that_was_never_finished_is_cleaned_up(void **state)
{
	struct world *w = *state;
	struct slice upload_id;
	size_t removed;
	assert_null(s3_begin_upload(&w->op, w->s3,
		slice_from_cstr(arena_printf(&w->op.arena, "%sleft", w->prefix)), SLICE("12345678"),
		&upload_id));
	assert_null(
		blob_clean_up(w->blobs, &w->op, clock_realtime_us() - 3600 * US_PER_S, &removed));
	assert_int_equal(removed, 0);
	assert_null(
		blob_clean_up(w->blobs, &w->op, clock_realtime_us() + 3600 * US_PER_S, &removed));
	assert_int_equal(removed, 1);
	assert_null(
		blob_clean_up(w->blobs, &w->op, clock_realtime_us() + 3600 * US_PER_S, &removed));
	assert_int_equal(removed, 0);
}

int main(void)
{
	config.client.endpoint = getenv("HOLDFAST_S3_ENDPOINT");
	config.client.bucket = getenv("HOLDFAST_S3_BUCKET");
	config.client.access_key = getenv("HOLDFAST_S3_ACCESS_KEY");
	config.secret_file = getenv("HOLDFAST_S3_SECRET_FILE");
	if (!config.client.endpoint) {
		fprintf(stderr, "HOLDFAST_S3_ENDPOINT is not set: run this by tests/engines\n");
		return 1;
	}
#define GATEWAY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		GATEWAY(the_bucket_can_be_used),
		GATEWAY(a_bucket_that_is_not_there_is_not_found),
		GATEWAY(a_wrong_secret_is_denied),
		GATEWAY(large_content_goes_in_parts_and_comes_back),
		GATEWAY(what_is_there_is_never_replaced),
		GATEWAY(foreign_objects_are_no_blobs),
		GATEWAY(an_upload_that_was_never_finished_is_cleaned_up),
	};
	return blob_contract_run("blob in S3", open_empty) +
	       cmocka_run_group_tests_name("S3", tests, NULL, NULL);
}
