/* What every blob store must do, run against each. */

#include "base/test.h"

#include <unistd.h>

#include "blob/blob.h"
#include "engine/memory.h"

struct world {
	struct op op;
	struct engine *engine;
	struct blob_store *blobs;
	char folder[64];
};

static bool in_files;

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	if (in_files) {
		snprintf(w->folder, sizeof(w->folder), "/tmp/holdfast-blob-test-XXXXXX");
		assert_non_null(mkdtemp(w->folder));
		assert_null(blob_file_open(&w->op, w->folder, &w->blobs));
	} else {
		w->engine = memory_engine_new(true);
		w->blobs = blob_engine_new(w->engine);
	}
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	blob_store_close(w->blobs);
	engine_close(w->engine);
	if (in_files) {
		char command[128];
		snprintf(command, sizeof(command), "rm -r '%s'", w->folder);
		assert_int_equal(system(command), 0); /* NOLINT: a test's own folder */
	}
	op_done(&w->op);
	free(w);
	return 0;
}

static struct blob_id put(struct world *w, struct slice content)
{
	struct blob_id id = {uuid_v7()};
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	assert_null(
		blob_put(w->blobs, &w->op, id, content, slice_of(digest, sizeof(digest)), NULL));
	return id;
}

static struct slice pattern(struct world *w, size_t size)
{
	char *bytes = arena_alloc(&w->op.arena, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 131 >> 4);
	return slice_of(bytes, size);
}

static void content_comes_back_whole_and_in_parts(void **state)
{
	struct world *w = *state;
	static const size_t sizes[] = {0, 1, 4096, MIB(1) - 1, MIB(1), MIB(1) + 1, MIB(3) + 17};
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct slice content = pattern(w, sizes[i]);
		struct blob_id id = put(w, content);
		struct slice bytes;
		assert_null(blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes));
		assert_true(slice_equal(bytes, content));
		size_t from = sizes[i] / 3;
		assert_null(blob_read(w->blobs, &w->op, id, from, sizes[i] / 2, &bytes));
		assert_true(slice_equal(bytes, slice_range(content, from, from + sizes[i] / 2)));
		assert_null(blob_read(w->blobs, &w->op, id, sizes[i] + 5, 10, &bytes));
		assert_int_equal(bytes.len, 0);
	}
}

static void what_is_not_there_is_not_found(void **state)
{
	struct world *w = *state;
	struct slice bytes;
	struct error *err =
		blob_read(w->blobs, &w->op, (struct blob_id){uuid_v7()}, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	assert_null(blob_remove(w->blobs, &w->op, (struct blob_id){uuid_v7()}));
}

static void what_was_removed_is_gone(void **state)
{
	struct world *w = *state;
	struct blob_id kept = put(w, SLICE("kept"));
	struct blob_id gone = put(w, pattern(w, MIB(2)));
	struct slice bytes;
	assert_null(blob_remove(w->blobs, &w->op, gone));
	assert_non_null(blob_read(w->blobs, &w->op, gone, 0, UINT64_MAX, &bytes));
	assert_null(blob_read(w->blobs, &w->op, kept, 0, UINT64_MAX, &bytes));
}

static void content_with_a_wrong_checksum_is_corrupt(void **state)
{
	struct world *w = *state;
	struct blob_id id = {uuid_v7()};
	uint8_t digest[SHA256_SIZE] = {0};
	struct slice bytes;
	assert_null(blob_put(
		w->blobs, &w->op, id, SLICE("damaged"), slice_of(digest, sizeof(digest)), NULL));
	struct error *err = blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
}

static void every_blob_is_listed_once(void **state)
{
	struct world *w = *state;
	struct blob_id last = {0};
	size_t total = 0;
	for (int i = 0; i < 40; i++)
		put(w, SLICE("x"));
	for (;;) {
		struct blob_id *ids;
		size_t count;
		struct slice after = total ? ID_SLICE(last) : SLICE_NONE;
		assert_null(blob_list(w->blobs, &w->op, after, 7, &ids, &count));
		if (!count)
			break;
		total += count;
		last = ids[count - 1];
	}
	assert_int_equal(total, 40);
}

static int run(const char *name)
{
#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONTRACT(content_comes_back_whole_and_in_parts),
		CONTRACT(what_is_not_there_is_not_found),
		CONTRACT(what_was_removed_is_gone),
		CONTRACT(content_with_a_wrong_checksum_is_corrupt),
		CONTRACT(every_blob_is_listed_once),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("blob in the engine");
	in_files = true;
	return failed + run("blob in files");
}
