#include "engine/contract.h"

#include "base/sync.h"
#include "base/test.h"
#include "schema/tables.h"

struct world {
	struct op op;
	struct engine *engine;
};

static struct engine *(*open_engine)(void);
static struct engine *(*reopen_engine)(struct engine *engine);

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "contract");
	w->engine = open_engine();
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

static struct slice text_of(struct world *w, const char *text)
{
	return arena_dup(&w->op.arena, slice_from_cstr(text));
}

/* Plain rows: `once` takes any value here, the contract knows no columns of plain rows. */
static void put(
	struct world *w, const char *partition, uint32_t key, const char *value, uint64_t version)
{
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	mutations_put(&list, &mailbox_map_table, text_of(w, partition),
		key_u32_row(&w->op.arena, key), text_of(w, value), version);
	assert_null(engine_write(w->engine, &w->op, list.items, list.count, DURABLE));
}

static void del(struct world *w, const char *partition, uint32_t key, uint64_t version)
{
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	mutations_delete(&list, &mailbox_map_table, text_of(w, partition),
		key_u32_row(&w->op.arena, key), version);
	assert_null(engine_write(w->engine, &w->op, list.items, list.count, DURABLE));
}

static void expect(struct world *w, const char *partition, uint32_t key, const char *value)
{
	bool found;
	struct engine_row row;
	assert_null(engine_get(w->engine, &w->op, &mailbox_map_table, text_of(w, partition),
		key_u32_row(&w->op.arena, key), READ_NORMAL, &found, &row));
	assert_int_equal(found, value != NULL);
	if (value)
		assert_true(slice_equal(row.value, slice_from_cstr(value)));
}

static void the_newest_version_wins_in_any_order(void **state)
{
	struct world *w = *state;
	put(w, "p", 1, "ten", 10);
	put(w, "p", 1, "twelve", 12);
	put(w, "p", 1, "eleven", 11);
	put(w, "p", 1, "ten again", 10);
	expect(w, "p", 1, "twelve");
}

static void a_late_insert_does_not_undo_a_delete(void **state)
{
	struct world *w = *state;
	put(w, "p", 1, "old", 10);
	del(w, "p", 1, 20);
	expect(w, "p", 1, NULL);
	put(w, "p", 1, "late", 15);
	expect(w, "p", 1, NULL);
	put(w, "p", 1, "new", 21);
	expect(w, "p", 1, "new");
}

static void a_delete_before_its_insert_holds(void **state)
{
	struct world *w = *state;
	del(w, "p", 1, 20);
	put(w, "p", 1, "late", 15);
	expect(w, "p", 1, NULL);
}

static void at_equal_versions_a_delete_beats_an_insert(void **state)
{
	struct world *w = *state;
	put(w, "p", 1, "value", 10);
	del(w, "p", 1, 10);
	expect(w, "p", 1, NULL);
	del(w, "p", 2, 10);
	put(w, "p", 2, "value", 10);
	expect(w, "p", 2, NULL);
}

static void at_equal_versions_the_order_of_arrival_does_not_matter(void **state)
{
	struct world *w = *state;
	put(w, "p", 1, "a", 10);
	put(w, "p", 1, "b", 10);
	put(w, "p", 2, "b", 10);
	put(w, "p", 2, "a", 10);
	expect(w, "p", 1, "b");
	expect(w, "p", 2, "b");
}

static void a_row_tells_its_version(void **state)
{
	struct world *w = *state;
	put(w, "p", 1, "value", 77);
	bool found;
	struct engine_row row;
	assert_null(engine_get(w->engine, &w->op, &mailbox_map_table, SLICE("p"),
		key_u32_row(&w->op.arena, 1), READ_NORMAL, &found, &row));
	assert_true(found);
	assert_true(row.version == 77);
}

static void many_rows_are_read_at_once(void **state)
{
	struct world *w = *state;
	enum { ROWS = 150 };
	struct engine_read reads[ROWS] = {0};
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	for (uint32_t i = 0; i < ROWS; i++) {
		struct engine_read *read = &reads[i];
		read->table = &mailbox_map_table;
		read->partition = text_of(w, i % 2 ? "p" : "q");
		read->key = key_u32_row(&w->op.arena, i);
		if (i % 3)
			mutations_put(&list, read->table, read->partition, read->key, read->key, i);
	}
	assert_null(engine_write(w->engine, &w->op, list.items, list.count, DURABLE));
	assert_null(engine_get_many(w->engine, &w->op, reads, ROWS, READ_NORMAL));
	for (uint32_t i = 0; i < ROWS; i++) {
		assert_int_equal(reads[i].found, i % 3 != 0);
		if (!reads[i].found)
			continue;
		assert_true(slice_equal(reads[i].row.value, reads[i].key));
		assert_true(slice_equal(reads[i].row.key, reads[i].key));
		assert_true(reads[i].row.version == i);
	}
}

static struct engine_rows scan(struct world *w, const char *partition, struct slice from,
	struct slice to, size_t limit, bool back)
{
	struct engine_rows rows;
	assert_null(engine_scan(w->engine, &w->op, &mailbox_map_table, text_of(w, partition), from,
		to, limit, back, READ_NORMAL, &rows));
	return rows;
}

static void a_scan_is_in_key_order_within_its_partition(void **state)
{
	struct world *w = *state;
	static const uint32_t keys[] = {300, 1, 70000, 255, 256, 2};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put(w, "p", keys[i], "v", 1);
	put(w, "o", 5, "other", 1);
	put(w, "pp", 5, "other", 1);
	del(w, "p", 2, 2);

	static const uint32_t in_order[] = {1, 255, 256, 300, 70000};
	struct engine_rows rows = scan(w, "p", SLICE_NONE, SLICE_NONE, 100, false);
	assert_int_equal(rows.count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_true(slice_equal(rows.rows[i].key, key_u32_row(&w->op.arena, in_order[i])));
}

static void a_scan_honours_bounds_limit_and_direction(void **state)
{
	struct world *w = *state;
	for (uint32_t key = 1; key <= 10; key++)
		put(w, "p", key, "v", 1);
	struct slice from = key_u32_row(&w->op.arena, 3);
	struct slice to = key_u32_row(&w->op.arena, 8);
	struct engine_rows rows = scan(w, "p", from, to, 100, false);
	assert_int_equal(rows.count, 5);
	assert_true(slice_equal(rows.rows[0].key, from));
	rows = scan(w, "p", from, to, 2, true);
	assert_int_equal(rows.count, 2);
	assert_true(slice_equal(rows.rows[0].key, key_u32_row(&w->op.arena, 7)));
	rows = scan(w, "p", from, SLICE_NONE, 1, true);
	assert_int_equal(rows.count, 1);
	assert_true(slice_equal(rows.rows[0].key, key_u32_row(&w->op.arena, 10)));
	rows = scan(w, "p", SLICE_NONE, from, 100, true);
	assert_int_equal(rows.count, 2);
	assert_int_equal(scan(w, "none", SLICE_NONE, SLICE_NONE, 10, false).count, 0);
}

static struct slice static_row(struct world *w, uint64_t modseq, uint64_t used_bytes)
{
	struct account_static row = {.modseq = modseq, .used_bytes = used_bytes};
	return row_encode_in(&w->op.arena, &account_static_row, &row);
}

static struct error *cas(struct world *w, struct op *op, struct slice expected, uint64_t modseq,
	uint64_t used_bytes, bool with_log, struct slice *ret_current)
{
	struct mutations list;
	mutations_init(&list, &op->arena);
	struct slice partition = SLICE("account");
	struct account_static row = {.modseq = modseq, .used_bytes = used_bytes};
	mutations_put(&list, &account_table, partition, SLICE_NONE,
		row_encode_in(&op->arena, &account_static_row, &row), 0);
	if (with_log)
		mutations_put(&list, &account_table, partition, key_account_log(&op->arena, modseq),
			SLICE("log"), 0);
	struct cas request = {.table = &account_table,
		.partition = partition,
		.expected = expected,
		.mutations = list.items,
		.mutation_count = list.count};
	return engine_cas(w->engine, op, &request, ret_current);
}

static void a_cas_on_nothing_creates_once(void **state)
{
	struct world *w = *state;
	struct slice current = SLICE_NONE;
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 0, true, &current));
	struct error *err = cas(w, &w->op, SLICE_NONE, 2, 0, true, &current);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CONFLICT);
	struct account_static now;
	assert_null(row_decode(&w->op, &account_static_row, current, &now));
	assert_int_equal(now.modseq, 1);
}

static void a_cas_compares_its_condition_columns_only(void **state)
{
	struct world *w = *state;
	struct slice current;
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 500, false, &current));
	assert_null(cas(w, &w->op, static_row(w, 1, 999), 2, 600, false, &current));
	struct error *err = cas(w, &w->op, static_row(w, 1, 600), 3, 700, false, &current);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CONFLICT);
}

static void a_refused_cas_changes_nothing(void **state)
{
	struct world *w = *state;
	struct slice current;
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 0, true, &current));
	assert_non_null(cas(w, &w->op, static_row(w, 7, 0), 9, 0, true, &current));
	struct engine_rows rows;
	assert_null(engine_scan(w->engine, &w->op, &account_table, SLICE("account"), SLICE_NONE,
		SLICE_NONE, 100, false, READ_SERIAL, &rows));
	assert_int_equal(rows.count, 2);
	assert_int_equal(rows.rows[0].key.len, 0);
	assert_true(slice_equal(rows.rows[1].key, key_account_log(&w->op.arena, 1)));
}

static void a_cas_deletes_rows_too(void **state)
{
	struct world *w = *state;
	struct slice current;
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 0, true, &current));
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	struct slice partition = SLICE("account");
	mutations_put(&list, &account_table, partition, SLICE_NONE, static_row(w, 2, 0), 0);
	mutations_delete(&list, &account_table, partition, key_account_log(&w->op.arena, 1), 0);
	struct cas request = {.table = &account_table,
		.partition = partition,
		.expected = static_row(w, 1, 0),
		.mutations = list.items,
		.mutation_count = list.count};
	assert_null(engine_cas(w->engine, &w->op, &request, &current));
	bool found;
	struct engine_row row;
	assert_null(engine_get(w->engine, &w->op, &account_table, partition,
		key_account_log(&w->op.arena, 1), READ_SERIAL, &found, &row));
	assert_false(found);
}

static void an_atomic_engine_writes_plain_rows_with_a_cas_or_not_at_all(void **state)
{
	struct world *w = *state;
	if (!engine_is_atomic(w->engine))
		return;
	struct mutations also;
	mutations_init(&also, &w->op.arena);
	mutations_put(&also, &mailbox_map_table, SLICE("m"), key_u32_row(&w->op.arena, 1),
		SLICE("with it"), 5);
	struct mutation change = {.table = &account_table,
		.partition = SLICE("account"),
		.value = static_row(w, 1, 0)};
	struct cas request = {.table = &account_table,
		.partition = SLICE("account"),
		.mutations = &change,
		.mutation_count = 1,
		.also = also.items,
		.also_count = also.count};
	struct slice current;
	assert_null(engine_cas(w->engine, &w->op, &request, &current));
	expect(w, "m", 1, "with it");
	also.items[0].value = SLICE("not this");
	also.items[0].version = 6;
	assert_non_null(engine_cas(w->engine, &w->op, &request, &current));
	expect(w, "m", 1, "with it");
}

static void partitions_are_all_found_page_by_page(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 50; i++) {
		char name[16];
		snprintf(name, sizeof(name), "p%02d", i);
		put(w, name, 1, "v", 1);
		put(w, name, 2, "v", 1);
	}
	size_t total = 0;
	struct slice after = SLICE_NONE;
	for (;;) {
		struct slice *partitions;
		size_t count;
		assert_null(engine_partitions(
			w->engine, &w->op, &mailbox_map_table, after, 7, &partitions, &count));
		if (!count)
			break;
		total += count;
		after = partitions[count - 1];
	}
	assert_int_equal(total, 50);
}

static void what_was_written_is_there_after_reopening(void **state)
{
	struct world *w = *state;
	if (!reopen_engine)
		return;
	struct slice current;
	put(w, "p", 1, "kept", 3);
	put(w, "p", 2, "gone", 3);
	del(w, "p", 2, 4);
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 0, true, &current));
	w->engine = reopen_engine(w->engine);
	expect(w, "p", 1, "kept");
	expect(w, "p", 2, NULL);
	put(w, "p", 2, "late", 3);
	expect(w, "p", 2, NULL);
	assert_non_null(cas(w, &w->op, SLICE_NONE, 2, 0, true, &current));
	assert_null(cas(w, &w->op, static_row(w, 1, 0), 2, 0, true, &current));
}

static void large_values_come_back_whole(void **state)
{
	struct world *w = *state;
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	size_t size = MIB(1);
	char *bytes = arena_alloc(&w->op.arena, size);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 >> 3);
	mutations_put(&list, &blob_table, SLICE("b"), key_blob_chunk(&w->op.arena, 0),
		slice_of(bytes, size), 1);
	assert_null(engine_write(w->engine, &w->op, list.items, list.count, DURABLE));
	bool found;
	struct engine_row row;
	assert_null(engine_get(w->engine, &w->op, &blob_table, SLICE("b"),
		key_blob_chunk(&w->op.arena, 0), READ_NORMAL, &found, &row));
	assert_true(found);
	assert_true(slice_equal(row.value, slice_of(bytes, size)));
}

#define CONTENDERS 4
#define INCREMENTS 200

struct contender {
	struct world *w;
	uint8_t number;
	pthread_t thread;
};

/* The increment from `seen`, with a log row that says whose it is. */
static struct error *try_increment(
	struct contender *contender, struct op *op, uint64_t seen, struct slice *ret_current)
{
	struct slice partition = SLICE("account");
	struct account_static before = {.modseq = seen};
	struct account_static after = {.modseq = seen + 1};
	struct mutations list;
	mutations_init(&list, &op->arena);
	mutations_put(&list, &account_table, partition, SLICE_NONE,
		row_encode_in(&op->arena, &account_static_row, &after), 0);
	mutations_put(&list, &account_table, partition, key_account_log(&op->arena, seen + 1),
		slice_of(&contender->number, 1), 0);
	struct cas request = {.table = &account_table,
		.partition = partition,
		.expected = row_encode_in(&op->arena, &account_static_row, &before),
		.mutations = list.items,
		.mutation_count = list.count};
	return engine_cas(contender->w->engine, op, &request, ret_current);
}

/* After ERR_UNCERTAIN: true when the increment from *inout_seen is ours. */
static bool find_out(struct contender *contender, struct op *op, uint64_t *inout_seen)
{
	struct engine_rows rows;
	struct account_static now;
	struct error *err;
	do {
		err = engine_scan(contender->w->engine, op, &account_table, SLICE("account"),
			SLICE_NONE, SLICE_NONE, SIZE_MAX, false, READ_SERIAL, &rows);
	} while (err);
	struct slice key = key_account_log(&op->arena, *inout_seen + 1);
	assert_null(row_decode(op, &account_static_row, rows.rows[0].value, &now));
	*inout_seen = now.modseq;
	for (size_t i = 1; i < rows.count; i++)
		if (slice_equal(rows.rows[i].key, key))
			return (uint8_t)rows.rows[i].value.ptr[0] == contender->number;
	return false;
}

static void *increment(void *argument)
{
	struct contender *contender = argument;
	uint64_t seen = 1;
	for (int done = 0; done < INCREMENTS;) {
		AUTO_OP(op, "contender");
		struct account_static row;
		struct slice current = SLICE_NONE;
		struct error *err = try_increment(contender, &op, seen, &current);
		if (!err) {
			done++;
			seen++;
		} else if (err->kind == ERR_UNCERTAIN) {
			/* Those who contend may time out; what they did is in the rows. */
			done += find_out(contender, &op, &seen);
		} else if (err->kind == ERR_CONFLICT) {
			assert_null(row_decode(&op, &account_static_row, current, &row));
			seen = row.modseq;
		} else {
			assert_int_equal(err->kind, ERR_UNAVAILABLE);
		}
	}
	return NULL;
}

static void contending_cas_lose_no_update(void **state)
{
	struct world *w = *state;
	struct slice current;
	assert_null(cas(w, &w->op, SLICE_NONE, 1, 0, true, &current));
	struct contender contenders[CONTENDERS];
	for (uint8_t i = 0; i < CONTENDERS; i++) {
		contenders[i] = (struct contender){.w = w, .number = i};
		thread_start(&contenders[i].thread, "contender", increment, &contenders[i]);
	}
	for (int i = 0; i < CONTENDERS; i++)
		thread_join(contenders[i].thread);
	struct engine_rows rows;
	assert_null(engine_scan(w->engine, &w->op, &account_table, SLICE("account"), SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_SERIAL, &rows));
	assert_int_equal(rows.count, 2 + CONTENDERS * INCREMENTS);
}

int engine_contract_run(const char *name, struct engine *(*open)(void),
	struct engine *(*reopen)(struct engine *engine))
{
	open_engine = open;
	reopen_engine = reopen;
#define CONTRACT(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CONTRACT(the_newest_version_wins_in_any_order),
		CONTRACT(a_late_insert_does_not_undo_a_delete),
		CONTRACT(a_delete_before_its_insert_holds),
		CONTRACT(at_equal_versions_a_delete_beats_an_insert),
		CONTRACT(at_equal_versions_the_order_of_arrival_does_not_matter),
		CONTRACT(a_row_tells_its_version),
		CONTRACT(many_rows_are_read_at_once),
		CONTRACT(a_scan_is_in_key_order_within_its_partition),
		CONTRACT(a_scan_honours_bounds_limit_and_direction),
		CONTRACT(a_cas_on_nothing_creates_once),
		CONTRACT(a_cas_compares_its_condition_columns_only),
		CONTRACT(a_refused_cas_changes_nothing),
		CONTRACT(a_cas_deletes_rows_too),
		CONTRACT(an_atomic_engine_writes_plain_rows_with_a_cas_or_not_at_all),
		CONTRACT(partitions_are_all_found_page_by_page),
		CONTRACT(what_was_written_is_there_after_reopening),
		CONTRACT(large_values_come_back_whole),
		CONTRACT(contending_cas_lose_no_update),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
