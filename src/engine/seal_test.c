/* Wrong bytes of a row are never taken for the row. */

#include "base/test.h"
#include "engine/memory.h"
#include "engine/seal.h"
#include "schema/tables.h"

static const struct table *const table = &mailbox_map_table;

struct world {
	struct op op;
	struct engine *engine;
	struct slice stored; /* as row_seal made it */
};

static struct slice a_row(struct world *w)
{
	struct mailbox_map row = {.as_of = 7, .chunk = SLICE("some bytes")};
	return row_encode_in(&w->op.arena, &mailbox_map_row, &row);
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->engine = memory_engine_new(true);
	w->stored = row_seal(&w->op.arena, table, SLICE("p"), SLICE("k"), 5, a_row(w));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	engine_close(w->engine);
	op_done(&w->op);
	free(w);
	return 0;
}

static void a_row_comes_back_as_it_was_given(void **state)
{
	struct world *w = *state;
	struct slice value;
	assert_true(row_unseal(table, SLICE("p"), SLICE("k"), 5, w->stored, &value));
	assert_true(slice_equal(value, a_row(w)));
}

static void each_bit_counts(void **state)
{
	struct world *w = *state;
	struct slice value;
	char *bytes = (char *)(uintptr_t)w->stored.ptr;
	for (size_t bit = 0; bit < w->stored.len * 8; bit++) {
		bytes[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(row_unseal(table, SLICE("p"), SLICE("k"), 5, w->stored, &value));
		bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t len = 0; len < w->stored.len; len++)
		assert_false(row_unseal(
			table, SLICE("p"), SLICE("k"), 5, slice_range(w->stored, 0, len), &value));
}

static void a_row_is_of_its_place_and_version(void **state)
{
	struct world *w = *state;
	struct slice value;
	assert_false(
		row_unseal(&mailbox_message_table, SLICE("p"), SLICE("k"), 5, w->stored, &value));
	assert_false(row_unseal(table, SLICE("q"), SLICE("k"), 5, w->stored, &value));
	assert_false(row_unseal(table, SLICE("p"), SLICE("l"), 5, w->stored, &value));
	assert_false(row_unseal(table, SLICE("pk"), SLICE(""), 5, w->stored, &value));
	assert_false(row_unseal(table, SLICE("p"), SLICE("k"), 6, w->stored, &value));
}

static void a_row_from_before_there_were_seals_is_read(void **state)
{
	struct world *w = *state;
	struct slice value;
	assert_true(row_unseal(table, SLICE("p"), SLICE("k"), 5, a_row(w), &value));
	assert_true(slice_equal(value, a_row(w)));
}

/* Writes past engine.c, as damage does. */
static void write_raw(struct world *w, struct slice key, struct slice value)
{
	struct mutation change = {
		.table = table, .partition = SLICE("p"), .key = key, .value = value, .version = 5};
	assert_null(w->engine->ops->write(w->engine, &w->op, &change, 1, DURABLE));
}

static void a_reader_is_told_of_damage_and_gets_no_value(void **state)
{
	struct world *w = *state;
	bool found;
	struct engine_row row;
	struct engine_rows rows;
	struct mailbox_map decoded;
	write_raw(
		w, SLICE("j"), row_seal(&w->op.arena, table, SLICE("p"), SLICE("j"), 5, a_row(w)));
	write_raw(w, SLICE("k"), slice_range(w->stored, 0, w->stored.len - 1));
	assert_null(engine_get(
		w->engine, &w->op, table, SLICE("p"), SLICE("k"), READ_NORMAL, &found, &row));
	assert_true(found && row.is_damaged && row.value.len == 0);
	struct error *err = row_decode(&w->op, &mailbox_map_row, row.value, &decoded);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_null(engine_scan(w->engine, &w->op, table, SLICE("p"), SLICE_NONE, SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &rows));
	assert_int_equal(rows.count, 2);
	assert_false(rows.rows[0].is_damaged);
	assert_true(rows.rows[1].is_damaged);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(a_row_comes_back_as_it_was_given),
		SCENARIO(each_bit_counts),
		SCENARIO(a_row_is_of_its_place_and_version),
		SCENARIO(a_row_from_before_there_were_seals_is_read),
		SCENARIO(a_reader_is_told_of_damage_and_gets_no_value),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
