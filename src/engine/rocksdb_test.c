#include "engine/rocksdb.h"

#include <dirent.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"
#include "engine/contract.h"
#include "engine/rocksdb_private.h"
#include "schema/tables.h"

static const struct rocksdb_limits small = {
	.write_buffer_bytes = KIB(256), .cache_bytes = MIB(4), .open_files = 64};
static char directory[128];

static void remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		char name[512];
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		unlink(name);
	}
	closedir(dir);
	rmdir(path);
}

static struct engine *open_directory(void)
{
	AUTO_OP(op, "test");
	struct engine *engine = NULL;
	struct error *err =
		rocksdb_engine_open(&op, directory, &small, (struct rocksdb_owner){0}, &engine);
	if (err)
		fail_msg("%s", error_chain(&op.arena, err));
	return engine;
}

static struct engine *open_new(void)
{
	remove_tree(directory);
	return open_directory();
}

static struct engine *reopen(struct engine *engine)
{
	engine_close(engine);
	return open_directory();
}

/* ---- kill -9 ---- */

/* Writes account after account, each with its projection, and says which one it was told is safe.
 */
static NORETURN void write_until_killed(int acknowledged)
{
	struct engine *engine = open_directory();
	for (uint32_t n = 0;; n++) {
		AUTO_OP(op, "writer");
		struct slice partition = key_u32_row(&op.arena, n);
		struct account_static row = {.modseq = n + 1};
		struct mutation truth = {.table = &account_table,
			.partition = partition,
			.value = row_encode_in(&op.arena, &account_static_row, &row)};
		struct mutation copy = {.table = &mailbox_map_table,
			.partition = partition,
			.key = key_u32_row(&op.arena, 0),
			.value = SLICE("copy"),
			.version = n + 1};
		struct cas cas = {.table = &account_table,
			.partition = partition,
			.mutations = &truth,
			.mutation_count = 1,
			.also = &copy,
			.also_count = 1};
		struct slice current;
		if (engine_cas(engine, &op, &cas, &current) ||
			write(acknowledged, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

/* This program again: a fork alone would share the locks of threads that it does not have. */
static pid_t start_writer(int acknowledged)
{
	char name[] = "writer";
	char descriptor[16];
	snprintf(descriptor, sizeof(descriptor), "%d", acknowledged);
	char *const arguments[] = {name, directory, descriptor, NULL};
	pid_t child;
	assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
	return child;
}

static void then_account_is_whole(struct engine *engine, uint32_t n)
{
	AUTO_OP(op, "reader");
	bool has_truth;
	bool has_copy;
	struct engine_row row;
	struct slice partition = key_u32_row(&op.arena, n);
	assert_null(engine_get(
		engine, &op, &account_table, partition, SLICE_NONE, READ_SERIAL, &has_truth, &row));
	assert_null(engine_get(engine, &op, &mailbox_map_table, partition,
		key_u32_row(&op.arena, 0), READ_NORMAL, &has_copy, &row));
	assert_true(has_truth);
	assert_true(has_copy);
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
	remove_tree(directory);
	for (int round = 0; round < 3; round++) {
		remove_tree(directory);
		int ends[2];
		assert_int_equal(pipe(ends), 0);
		pid_t child = start_writer(ends[1]);
		close(ends[1]);
		uint32_t last = 0;
		uint32_t n;
		while (last < 40 + 30 * (uint32_t)round &&
			read(ends[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		assert_true(last >= 40);
		kill(child, SIGKILL);
		while (read(ends[0], &n, sizeof(n)) == sizeof(n))
			last = n;
		assert_int_equal(waitpid(child, NULL, 0), child);
		close(ends[0]);
		struct engine *engine = open_directory();
		for (n = 0; n <= last; n++)
			then_account_is_whole(engine, n);
		engine_close(engine);
	}
}

/* ---- what only this engine has ---- */

static void a_second_opening_is_refused(void **state)
{
	AUTO_OP(op, "test");
	struct engine *engine = open_new();
	struct engine *second = NULL;
	struct error *err =
		rocksdb_engine_open(&op, directory, &small, (struct rocksdb_owner){0}, &second);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_EXISTS);
	engine_close(engine);
}

static void a_disk_without_room_refuses_writes_and_is_read(void **state)
{
	AUTO_OP(op, "test");
	struct rocksdb_limits greedy = small;
	greedy.min_free_bytes = UINT64_MAX;
	remove_tree(directory);
	struct engine *engine;
	assert_null(
		rocksdb_engine_open(&op, directory, &greedy, (struct rocksdb_owner){0}, &engine));
	struct mutation change = {
		.table = &mailbox_map_table, .partition = SLICE("p"), .value = SLICE("v")};
	struct error *err = engine_write(engine, &op, &change, 1, DURABLE);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	bool found;
	struct engine_row row;
	assert_null(engine_get(engine, &op, &mailbox_map_table, SLICE("p"), SLICE_NONE, READ_NORMAL,
		&found, &row));
	assert_false(found);
	engine_close(engine);
}

static void keys_of_one_partition_stand_between_its_bounds(void **state)
{
	AUTO_OP(op, "test");
	static const char *const partitions[] = {"", "a", "\xff", "\xff\xff", "ab"};
	for (size_t i = 0; i < ARRAY_SIZE(partitions); i++) {
		struct slice partition = slice_from_cstr(partitions[i]);
		struct slice end = rocksdb_partition_end(&op.arena, &once_table, partition);
		struct slice first = rocksdb_key(&op.arena, &once_table, partition, SLICE_NONE);
		struct slice last =
			rocksdb_key(&op.arena, &once_table, partition, SLICE("\xff\xff\xff"));
		assert_true(slice_compare(first, last) < 0);
		assert_true(slice_compare(last, end) < 0);
		assert_true(slice_compare(end, rocksdb_table_end(&op.arena, &once_table)) <= 0);
		for (size_t j = 0; j < ARRAY_SIZE(partitions); j++) {
			struct slice other = rocksdb_key(
				&op.arena, &once_table, slice_from_cstr(partitions[j]), SLICE("x"));
			if (i != j)
				assert_true(slice_compare(other, first) < 0 ||
					    slice_compare(other, end) >= 0);
		}
	}
}

static void expired_rows_and_old_tombstones_are_dropped_and_others_kept(void **state)
{
	AUTO_OP(op, "test");
	uint64_t now_us = clock_realtime_us();
	struct stored_value stored = {.version = 1, .expires_us = now_us - 1};
	assert_false(rocksdb_value_is_live(&stored, now_us));
	stored.expires_us = now_us + 1;
	assert_true(rocksdb_value_is_live(&stored, now_us));
	stored.expires_us = 0;
	assert_true(rocksdb_value_is_live(&stored, now_us));
	stored.is_delete = true;
	assert_false(rocksdb_value_is_live(&stored, now_us));

	struct mutation lasting = {.table = &mailbox_map_table, .value = SLICE("v"), .version = 3};
	assert_true(rocksdb_value_read(rocksdb_value(&op.arena, &lasting), &stored));
	assert_int_equal(stored.expires_us, 0);
	lasting.is_delete = true;
	assert_true(rocksdb_value_read(rocksdb_value(&op.arena, &lasting), &stored));
	assert_true(stored.is_delete && stored.expires_us > now_us);
	struct mutation passing = {.table = &once_table, .value = SLICE("v"), .version = 3};
	assert_true(rocksdb_value_read(rocksdb_value(&op.arena, &passing), &stored));
	assert_true(stored.expires_us > now_us);
	assert_false(rocksdb_value_read(SLICE("\x01\x02"), &stored));
}

static void each_status_text_has_its_outcome(void **state)
{
	static const struct {
		const char *status;
		enum error_kind read, write;
		bool is_fatal;
	} cases[] = {
		{"Corruption: block checksum mismatch", ERR_CORRUPT, ERR_UNCERTAIN, true},
		{"IO error: No space left on device: While appending", ERR_UNAVAILABLE,
			ERR_UNCERTAIN, true},
		{"Resource busy: ", ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
		{"Operation timed out: Timeout waiting to lock key", ERR_UNAVAILABLE,
			ERR_UNAVAILABLE, false},
		{"Operation failed. Try again.: ", ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
		{"Invalid argument: no such column family", ERR_INTERNAL, ERR_UNAVAILABLE, false},
		{"Not implemented: ", ERR_INTERNAL, ERR_UNAVAILABLE, false},
		{"Something new", ERR_UNAVAILABLE, ERR_UNCERTAIN, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(rocksdb_outcome(cases[i].status, false), cases[i].read);
		assert_int_equal(rocksdb_outcome(cases[i].status, true), cases[i].write);
		assert_int_equal(rocksdb_status_is_fatal(cases[i].status, true), cases[i].is_fatal);
		assert_false(rocksdb_status_is_fatal(cases[i].status, false));
	}
}

/* Enough rewriting that memory tables become files and files are merged. */
static void versions_hold_through_flushes_and_compactions(void **state)
{
	AUTO_OP(op, "test");
	struct engine *engine = open_new();
	char *filler = arena_alloc(&op.arena, 2000);
	for (uint32_t round = 1; round <= 12; round++) {
		for (uint32_t n = 0; n < 40; n++) {
			AUTO_OP(step, "step");
			uint64_t version = round % 2 ? 100 + round : round;
			memcpy(filler, &version, sizeof(version));
			struct mutation change = {.table = &mailbox_map_table,
				.partition = SLICE("p"),
				.key = key_u32_row(&step.arena, n),
				.value = slice_of(filler, 2000),
				.version = version,
				.is_delete = n % 4 == 0 && round == 11};
			assert_null(engine_write(engine, &step, &change, 1, RELAXED));
		}
	}
	engine = reopen(engine);
	struct engine_rows rows;
	assert_null(engine_scan(engine, &op, &mailbox_map_table, SLICE("p"), SLICE_NONE, SLICE_NONE,
		1000, false, READ_NORMAL, &rows));
	assert_int_equal(rows.count, 30);
	for (size_t i = 0; i < rows.count; i++)
		assert_int_equal(rows.rows[i].version, 111);
	engine_close(engine);
}

int main(int argc, char **argv)
{
	if (argc == 3) {
		snprintf(directory, sizeof(directory), "%s", argv[1]);
		write_until_killed(atoi(argv[2]));
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_acknowledged_survives_kill_9),
		cmocka_unit_test(a_second_opening_is_refused),
		cmocka_unit_test(a_disk_without_room_refuses_writes_and_is_read),
		cmocka_unit_test(keys_of_one_partition_stand_between_its_bounds),
		cmocka_unit_test(expired_rows_and_old_tombstones_are_dropped_and_others_kept),
		cmocka_unit_test(each_status_text_has_its_outcome),
		cmocka_unit_test(versions_hold_through_flushes_and_compactions),
	};
	snprintf(directory, sizeof(directory), "/tmp/holdfast-rocksdb-test-%d", getpid());
	int failed = cmocka_run_group_tests_name("engine rocksdb", tests, NULL, NULL);
	failed += engine_contract_run("engine rocksdb, the contract", open_new, reopen);
	remove_tree(directory);
	return failed;
}
