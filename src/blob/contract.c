#include "blob/contract.h"

#include "base/test.h"

struct world {
	struct op op;
	struct blob_store *blobs;
};

static struct blob_store *(*open_store)(struct op *op);

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->blobs = open_store(&w->op);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	blob_store_close(w->blobs);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct blob_id put(struct world *w, struct slice content)
{
	struct blob_id id = blob_new_id(w->blobs, content.len);
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
		blob_read(w->blobs, &w->op, blob_new_id(w->blobs, 1), 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	assert_null(blob_remove(w->blobs, &w->op, blob_new_id(w->blobs, 1)));
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

/* A store that compares while it takes the content may refuse it. */
static void content_with_a_wrong_checksum_is_never_read(void **state)
{
	struct world *w = *state;
	struct blob_id id = blob_new_id(w->blobs, 7);
	uint8_t digest[SHA256_SIZE] = {0};
	struct slice bytes;
	struct error *refused = blob_put(
		w->blobs, &w->op, id, SLICE("damaged"), slice_of(digest, sizeof(digest)), NULL);
	struct error *err = blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, refused ? ERR_NOT_FOUND : ERR_CORRUPT);
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

static void the_same_content_may_be_put_again(void **state)
{
	struct world *w = *state;
	struct blob_id id = put(w, SLICE("twice"));
	uint8_t digest[SHA256_SIZE];
	struct slice bytes;
	sha256_of(SLICE("twice"), digest);
	assert_null(blob_put(
		w->blobs, &w->op, id, SLICE("twice"), slice_of(digest, sizeof(digest)), NULL));
	assert_null(blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, SLICE("twice")));
}

static void many_are_read_at_once_each_with_its_own_error(void **state)
{
	enum { COUNT = 40 };
	struct world *w = *state;
	struct blob_part parts[COUNT];
	for (size_t i = 0; i < COUNT; i++)
		parts[i] = (struct blob_part){.id = put(w, pattern(w, 100 + i)),
			.offset = i % 3,
			.length = i % 2 ? UINT64_MAX : 10};
	parts[7].id = blob_new_id(w->blobs, 107);
	blob_read_many(w->blobs, &w->op, parts, COUNT);
	for (size_t i = 0; i < COUNT; i++) {
		struct slice content = pattern(w, 100 + i);
		size_t from = i % 3;
		if (i == 7) {
			assert_non_null(parts[i].err);
			assert_int_equal(parts[i].err->kind, ERR_NOT_FOUND);
			continue;
		}
		assert_null(parts[i].err);
		assert_true(slice_equal(parts[i].bytes,
			slice_range(content, from, i % 2 ? content.len : from + 10)));
	}
}

static void many_are_removed_at_once(void **state)
{
	enum { COUNT = 25 };
	struct world *w = *state;
	struct blob_id ids[COUNT];
	struct blob_id *left;
	size_t count;
	struct blob_id kept = put(w, SLICE("kept"));
	for (size_t i = 0; i < COUNT - 1; i++)
		ids[i] = put(w, SLICE("gone"));
	ids[COUNT - 1] = blob_new_id(w->blobs, 4);
	assert_null(blob_remove_many(w->blobs, &w->op, ids, COUNT));
	assert_null(blob_list(w->blobs, &w->op, SLICE_NONE, 100, &left, &count));
	assert_int_equal(count, 1);
	assert_true(ID_EQUAL(left[0], kept));
}

int blob_contract_run(const char *name, struct blob_store *(*open)(struct op *op))
{
	open_store = open;
#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONTRACT(content_comes_back_whole_and_in_parts),
		CONTRACT(what_is_not_there_is_not_found),
		CONTRACT(what_was_removed_is_gone),
		CONTRACT(content_with_a_wrong_checksum_is_never_read),
		CONTRACT(every_blob_is_listed_once),
		CONTRACT(the_same_content_may_be_put_again),
		CONTRACT(many_are_read_at_once_each_with_its_own_error),
		CONTRACT(many_are_removed_at_once),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
