/* Small content among the rows of its message, the rest in a store below. */

#include "base/test.h"

#include "base/scratch.h"
#include "blob/blob_inline.h"
#include "blob/blob_sealed.h"
#include "blob/contract.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "engine/rocksdb_scratch.h"

#define LIMIT 4096

static struct engine *rows;
static struct engine *elsewhere; /* what the store below is in */

static struct blob_store *over(struct engine *engine)
{
	engine_close(rows);
	engine_close(elsewhere);
	rows = engine;
	elsewhere = memory_engine_new(true);
	return blob_inline_new(blob_engine_new(elsewhere), rows, LIMIT);
}

static struct blob_store *in_memory(struct op *op)
{
	(void)op;
	return over(memory_engine_new(false));
}

static struct blob_store *in_rocksdb(struct op *op)
{
	(void)op;
	return over(rocksdb_scratch_new());
}

static const char *given_keys(struct op *op)
{
	const char *keys = scratch_path(&op->arena);
	FILE *file = fopen(keys, "we");
	assert_non_null(file);
	fputs("k 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", file);
	fclose(file);
	return keys;
}

static struct blob_store *sealed_over(struct op *op, struct blob_store *below)
{
	struct blob_store *blobs;
	const struct blob_sealed_config config = {.key_file = given_keys(op)};
	assert_null(blob_sealed_open(op, &config, below, &blobs));
	return blobs;
}

static struct blob_store *sealed_in_memory(struct op *op)
{
	return sealed_over(op, in_memory(op));
}

struct world {
	struct op op;
	struct blob_store *blobs;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->blobs = in_memory(&w->op);
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

static struct slice text(struct world *w, size_t size)
{
	char *bytes = arena_alloc(&w->op.arena, size);
	memset(bytes, 'x', size);
	return slice_of(bytes, size);
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

static void then_content_is(struct world *w, struct blob_id id, struct slice content)
{
	struct slice bytes;
	assert_null(blob_read(w->blobs, &w->op, id, 0, UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, content));
}

static void then_read_fails(
	struct world *w, struct blob_id id, uint64_t offset, uint64_t length, enum error_kind kind)
{
	struct slice bytes;
	struct error *err = blob_read(w->blobs, &w->op, id, offset, length, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, kind);
}

static void when_the_limit_is(struct world *w, uint64_t limit)
{
	blob_store_close(w->blobs);
	w->blobs = blob_inline_new(blob_engine_new(elsewhere), rows, limit);
}

static size_t partitions_in(struct world *w, struct engine *engine, const struct table *table)
{
	struct slice *partitions;
	size_t count;
	assert_null(
		engine_partitions(engine, &w->op, table, SLICE_NONE, 1000, &partitions, &count));
	return count;
}

static void what_is_small_asks_nothing_of_the_store_below(void **state)
{
	struct world *w = *state;
	struct blob_id small = put(w, text(w, LIMIT));
	assert_true(blob_is_inline(small));
	assert_int_equal(partitions_in(w, elsewhere, &blob_table), 0);
	struct blob_id large = put(w, text(w, LIMIT + 1));
	assert_false(blob_is_inline(large));
	assert_int_equal(partitions_in(w, elsewhere, &blob_table), 1);
	assert_int_equal(partitions_in(w, rows, &message_table), 1);
	assert_int_equal(partitions_in(w, rows, &blob_table), 0);
	then_content_is(w, small, text(w, LIMIT));
	then_content_is(w, large, text(w, LIMIT + 1));
}

static void what_was_stored_with_another_limit_is_read_and_removed(void **state)
{
	struct world *w = *state;
	struct blob_id inlined = put(w, text(w, 10));
	when_the_limit_is(w, 0);
	struct blob_id empty = put(w, SLICE(""));
	struct blob_id apart = put(w, text(w, 10));
	assert_false(blob_is_inline(empty));
	assert_false(blob_is_inline(apart));
	then_content_is(w, inlined, text(w, 10));
	when_the_limit_is(w, LIMIT);
	then_content_is(w, apart, text(w, 10));
	when_the_limit_is(w, 0);
	assert_null(blob_remove(w->blobs, &w->op, inlined));
	then_read_fails(w, inlined, 0, UINT64_MAX, ERR_NOT_FOUND);
	assert_int_equal(partitions_in(w, rows, &message_table), 0);
}

/* The rest of a message's partition is none of its business. */
static void other_messages_are_not_listed(void **state)
{
	struct world *w = *state;
	enum { EACH = 20 };
	struct message_summary_columns summary = {.size = 1};
	struct blob_id last = {0};
	size_t count = 0;
	size_t inlined = 0;
	for (size_t i = 0; i < EACH; i++) {
		struct mutations out;
		mutations_init(&out, &w->op.arena);
		mutations_put(&out, &message_table, key_id(&w->op.arena, uuid_v7()),
			key_kind_row(&w->op.arena, MESSAGE_SUMMARY),
			row_encode_in(&w->op.arena, &message_summary_row, &summary), 1);
		assert_null(engine_write(rows, &w->op, out.items, out.count, DURABLE));
		put(w, text(w, 1));
		put(w, text(w, LIMIT + 1));
	}
	for (size_t page = 1; page; count += page) {
		struct blob_id *ids;
		assert_null(blob_list(
			w->blobs, &w->op, count ? ID_SLICE(last) : SLICE_NONE, 3, &ids, &page));
		for (size_t i = 0; i < page; i++)
			inlined += blob_is_inline(ids[i]);
		if (page)
			last = ids[page - 1];
	}
	assert_int_equal(count, 2 * EACH);
	assert_int_equal(inlined, EACH);
}

static void what_is_sealed_does_not_show_among_the_rows(void **state)
{
	struct world *w = *state;
	struct slice secret = SLICE("Subject: nobody's business\r\n\r\nnor this\r\n");
	w->blobs = sealed_over(&w->op, w->blobs);
	struct blob_id id = put(w, secret);
	struct engine_row row;
	bool found;
	assert_true(blob_is_inline(id));
	then_content_is(w, id, secret);
	assert_null(engine_get(rows, &w->op, &message_table, key_id(&w->op.arena, id.uuid),
		key_kind_row(&w->op.arena, MESSAGE_CONTENT), READ_NORMAL, &found, &row));
	assert_true(found);
	assert_null(memmem(row.value.ptr, row.value.len, "business", 8));
}

static void damage_is_found_whatever_part_is_read(void **state)
{
	struct world *w = *state;
	struct blob_id id = put(w, SLICE("0123456789"));
	struct engine_row row;
	struct message_content content;
	struct mutations out;
	bool found;
	struct slice partition = key_id(&w->op.arena, id.uuid);
	struct slice key = key_kind_row(&w->op.arena, MESSAGE_CONTENT);
	assert_null(engine_get(
		rows, &w->op, &message_table, partition, key, READ_NORMAL, &found, &row));
	assert_null(row_decode(&w->op, &message_content_row, row.value, &content));
	content.bytes = SLICE("0123456780");
	mutations_init(&out, &w->op.arena);
	mutations_put(&out, &message_table, partition, key,
		row_encode_in(&w->op.arena, &message_content_row, &content), row.version + 1);
	assert_null(engine_write(rows, &w->op, out.items, out.count, DURABLE));
	then_read_fails(w, id, 0, UINT64_MAX, ERR_CORRUPT);
	then_read_fails(w, id, 2, 3, ERR_CORRUPT);
}

static void what_a_relaxed_read_does_not_see_is_not_taken_for_lost(void **state)
{
	struct world *w = *state;
	blob_store_close(w->blobs);
	w->blobs = over(fault_engine_new(memory_engine_new(false), 1));
	struct blob_id there = put(w, SLICE("there"));
	struct blob_id absent = blob_new_id(w->blobs, 5);
	fault_set_short_sighted(rows, true);
	then_content_is(w, there, SLICE("there"));
	then_read_fails(w, absent, 0, UINT64_MAX, ERR_UNAVAILABLE);
	fault_set_short_sighted(rows, false);
	then_read_fails(w, absent, 0, UINT64_MAX, ERR_NOT_FOUND);
}

static void the_limit_has_a_limit(void **state)
{
	struct world *w = *state;
	when_the_limit_is(w, UINT64_MAX);
	assert_true(blob_is_inline(put(w, text(w, BLOB_INLINE_MOST))));
	assert_false(blob_is_inline(put(w, text(w, BLOB_INLINE_MOST + 1))));
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(what_is_small_asks_nothing_of_the_store_below),
		SCENARIO(what_was_stored_with_another_limit_is_read_and_removed),
		SCENARIO(other_messages_are_not_listed),
		SCENARIO(what_is_sealed_does_not_show_among_the_rows),
		SCENARIO(damage_is_found_whatever_part_is_read),
		SCENARIO(what_a_relaxed_read_does_not_see_is_not_taken_for_lost),
		SCENARIO(the_limit_has_a_limit),
	};
	int failed = blob_contract_run("inline, in memory", in_memory);
	failed += blob_contract_run("inline, in RocksDB", in_rocksdb);
	failed += blob_contract_run("inline, sealed", sealed_in_memory);
	failed += cmocka_run_group_tests_name("inline", tests, NULL, NULL);
	engine_close(rows);
	engine_close(elsewhere);
	return failed + scratch_remove();
}
