#include "base/test.h"

#include <unistd.h>

#include "blob/blob_sealed.h"
#include "blob/contract.h"
#include "engine/memory.h"

static struct engine *engine;
static char folder[64] = "/tmp/holdfast-blob-test-XXXXXX";
static int folders;

static struct blob_store *in_the_engine(struct op *op)
{
	engine_close(engine);
	engine = memory_engine_new(true);
	return blob_engine_new(engine);
}

static struct blob_store *in_files(struct op *op)
{
	struct blob_store *blobs;
	assert_null(
		blob_file_open(op, arena_printf(&op->arena, "%s/%d", folder, folders++), &blobs));
	return blobs;
}

static struct blob_store *sealed_in_files(struct op *op)
{
	struct blob_store *blobs;
	const char *keys = arena_printf(&op->arena, "%s/keys", folder);
	FILE *file = fopen(keys, "we");
	assert_non_null(file);
	fputs("k 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", file);
	fclose(file);
	const struct blob_sealed_config config = {.compression = BLOB_ZSTD, .key_file = keys};
	assert_null(blob_sealed_open(op, &config, in_files(op), &blobs));
	return blobs;
}

static struct blob_store *packed_in_the_engine(struct op *op)
{
	struct blob_store *blobs;
	const struct blob_sealed_config config = {.compression = BLOB_ZSTD};
	assert_null(blob_sealed_open(op, &config, in_the_engine(op), &blobs));
	return blobs;
}

static void then_content_is(struct op *op, struct blob_store *blobs, struct blob_id id,
	uint64_t offset, struct slice expected)
{
	struct slice bytes;
	assert_null(blob_read(blobs, op, id, offset, offset ? 5 : UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, slice_range(expected, offset, offset ? offset + 5 : 100)));
}

/* Sealing may be turned on for a store that has content: what is there stays as it is. */
static void plain_content_is_read_where_it_is_accepted(void **state)
{
	struct op op;
	op_init(&op, "test");
	const char *place = arena_printf(&op.arena, "%s/%d", folder, folders);
	struct blob_store *below = in_files(&op);
	struct blob_id id = {uuid_v7()};
	struct slice content = SLICE("stored before there were keys");
	struct slice bytes;
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	assert_null(blob_put(below, &op, id, content, slice_of(digest, sizeof(digest)), NULL));
	blob_store_close(sealed_in_files(&op)); /* writes the keys */
	struct blob_sealed_config config = {
		.key_file = arena_printf(&op.arena, "%s/keys", folder), .accept_plain = true};
	struct blob_store *blobs;
	assert_null(blob_sealed_open(&op, &config, below, &blobs));
	then_content_is(&op, blobs, id, 0, content);
	then_content_is(&op, blobs, id, 7, content);
	config.accept_plain = false;
	struct blob_store *strict;
	assert_null(blob_file_open(&op, place, &below));
	assert_null(blob_sealed_open(&op, &config, below, &strict));
	struct error *err = blob_read(strict, &op, id, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	err = blob_read(strict, &op, id, 3, 2, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	blob_store_close(strict);
	blob_store_close(blobs);
	op_done(&op);
}

int main(void)
{
	int failed = blob_contract_run("blob in the engine", in_the_engine);
	if (!mkdtemp(folder))
		return 1;
	failed += blob_contract_run("blob in files", in_files);
	failed += blob_contract_run("blob sealed in files", sealed_in_files);
	failed += blob_contract_run("blob packed in the engine", packed_in_the_engine);
	engine_close(engine);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_content_is_read_where_it_is_accepted),
	};
	failed += cmocka_run_group_tests_name("sealing", tests, NULL, NULL);
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	failed += system(command) != 0; /* NOLINT: the test's own folder */
	return failed;
}
