#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/checkpoint.h"
#include "backup/folder.h"
#include "base/clock.h"
#include "base/scratch.h"
#include "base/test.h"
#include "engine/memory.h"
#include "engine/rocksdb.h"
#include "schema/tables.h"

struct world {
	struct op op;
	const char *data; /* what is backed up */
	const char *backups;
	struct backup_folder folder;
	unsigned taken;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->data = scratch_path(&w->op.arena);
	w->backups = scratch_path(&w->op.arena);
	assert_int_equal(mkdir(w->data, 0700), 0);
	assert_null(backup_folder_open(&w->op, w->backups, BACKUP_WRITES, &w->folder));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	backup_folder_close(&w->folder);
	op_done(&w->op);
	free(w);
	return 0;
}

static const char *in(struct world *w, const char *folder, const char *name)
{
	return arena_printf(&w->op.arena, "%s/%s", folder, name);
}

static void given_file(const char *path, const char *text)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

static void then_file_holds(const char *path, const char *text)
{
	char bytes[256] = "";
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t len = fread(bytes, 1, sizeof(bytes) - 1, file);
	bytes[len] = '\0';
	fclose(file);
	assert_string_equal(bytes, text);
}

static void given_data(struct world *w)
{
	assert_int_equal(mkdir(in(w, w->data, "rows"), 0700), 0);
	given_file(in(w, w->data, "FORMAT"), "3\n");
	given_file(in(w, w->data, "rows/1.sst"), "one");
	given_file(in(w, w->data, "rows/2.sst"), "two");
	given_file(in(w, w->data, "rows/3.new"), "half");
}

static struct error *take(struct world *w, bool is_full, const struct file_watch *watch,
	struct backup_manifest *ret_manifest)
{
	const struct backup_source source = {.folder = w->data, .prefix = ""};
	*ret_manifest =
		(struct backup_manifest){.id = arena_printf(&w->op.arena, "backup-%u", ++w->taken),
			.taken_us = w->taken,
			.version = "1",
			.content_store = "rocksdb"};
	return backup_take(&w->op, &w->folder, &source, 1, is_full, watch, ret_manifest);
}

static void when_taken(struct world *w, uint64_t files, uint64_t copied)
{
	struct backup_manifest manifest;
	assert_null(take(w, false, NULL, &manifest));
	assert_int_equal(manifest.count, files);
	assert_int_equal(manifest.copied_files, copied);
}

static const char *object_of(struct world *w, const char *text)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE + 1];
	sha256_of(slice_from_cstr(text), digest);
	sha256_hex(digest, hex);
	return backup_folder_object(&w->op.arena, &w->folder, slice_from_cstr(hex));
}

static unsigned told;

static void count_fault(const char *fault)
{
	assert_non_null(fault);
	told++;
}

static void then_faults_are(struct world *w, uint64_t damaged, uint64_t missing)
{
	struct backup_verdict verdict;
	told = 0;
	assert_null(backup_verify(&w->op, &w->folder, NULL, count_fault, &verdict));
	assert_int_equal(verdict.damaged, damaged);
	assert_int_equal(verdict.missing, missing);
	assert_int_equal(told, damaged + missing);
}

static struct error *restore(struct world *w, const char *id, const char *target)
{
	struct backup_manifest manifest;
	TRY(backup_folder_manifest(&w->op, &w->folder, id, &manifest));
	return backup_restore(&w->op, &w->folder, &manifest, target, "FORMAT", NULL);
}

static void a_second_backup_copies_what_is_new(void **state)
{
	struct world *w = *state;
	given_data(w);
	when_taken(w, 3, 3);
	when_taken(w, 3, 0);
	given_file(in(w, w->data, "rows/4.sst"), "four");
	/* Bytes that are there already are not kept twice, whatever they are called. */
	given_file(in(w, w->data, "rows/5.sst"), "one");
	when_taken(w, 5, 1);
	then_faults_are(w, 0, 0);
}

static void each_backup_is_restored_as_it_was(void **state)
{
	struct world *w = *state;
	given_data(w);
	when_taken(w, 3, 3);
	given_file(in(w, w->data, "rows/2.sst"), "another");
	when_taken(w, 3, 1);
	const char *first = scratch_path(&w->op.arena);
	const char *last = scratch_path(&w->op.arena);
	assert_null(restore(w, "backup-1", first));
	then_file_holds(in(w, first, "rows/2.sst"), "two");
	assert_null(restore(w, NULL, last));
	then_file_holds(in(w, last, "rows/2.sst"), "another");
	then_file_holds(in(w, last, "FORMAT"), "3\n");
	assert_int_not_equal(access(in(w, last, "rows/3.new"), F_OK), 0);
	assert_int_equal(restore(w, "backup-7", scratch_path(&w->op.arena))->kind, ERR_NOT_FOUND);
}

static void a_restore_wants_an_empty_directory(void **state)
{
	struct world *w = *state;
	given_data(w);
	when_taken(w, 3, 3);
	assert_int_equal(restore(w, NULL, w->data)->kind, ERR_EXISTS);
	const char *empty = scratch_path(&w->op.arena);
	assert_int_equal(mkdir(empty, 0700), 0);
	assert_null(restore(w, NULL, empty));
}

static void damage_is_found_and_never_restored(void **state)
{
	struct world *w = *state;
	given_data(w);
	when_taken(w, 3, 3);
	given_file(object_of(w, "two"), "tvo");
	then_faults_are(w, 1, 0);
	const char *target = scratch_path(&w->op.arena);
	assert_int_equal(restore(w, NULL, target)->kind, ERR_CORRUPT);
	/* Nobody takes what is there for a data directory. */
	then_file_holds(in(w, target, "FORMAT"), "a restore has not come to its end here\n");
	assert_int_equal(unlink(object_of(w, "one")), 0);
	then_faults_are(w, 1, 1);
	assert_int_equal(restore(w, NULL, scratch_path(&w->op.arena))->kind, ERR_CORRUPT);
	/* All is read and written again. */
	struct backup_manifest manifest;
	assert_null(take(w, true, NULL, &manifest));
	assert_int_equal(manifest.copied_files, 3);
	then_faults_are(w, 0, 0);
}

static void a_list_that_is_damaged_anywhere_is_not_read(void **state)
{
	struct world *w = *state;
	struct backup_manifest manifest;
	char text[2048];
	given_data(w);
	when_taken(w, 3, 3);
	const char *path = backup_folder_manifest_path(&w->op.arena, &w->folder, "backup-1");
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	size_t len = fread(text, 1, sizeof(text), file);
	fclose(file);
	assert_null(manifest_parse(&w->op, slice_of(text, len), &manifest));
	assert_int_equal(manifest.count, 3);
	/* The last line's counts of what was copied are told, and decide nothing. */
	const char *end = strstr(text, "{\"files\"");
	for (size_t i = 0; text + i < end; i++) {
		text[i] ^= 1;
		assert_int_equal(
			manifest_parse(&w->op, slice_of(text, len), &manifest)->kind, ERR_CORRUPT);
		text[i] ^= 1;
	}
	for (size_t i = 0; i + 1 < len; i++)
		assert_int_equal(
			manifest_parse(&w->op, slice_of(text, i), &manifest)->kind, ERR_CORRUPT);
	text[20] ^= 1;
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
	then_faults_are(w, 1, 0);
	/* The next one trusts none of it. */
	when_taken(w, 3, 3);
}

static void a_path_that_leads_elsewhere_is_refused(void **state)
{
	struct world *w = *state;
	static const struct slice paths[] = {SLICE_INIT("../x"), SLICE_INIT("/x"),
		SLICE_INIT("rows/../../x"), SLICE_INIT("rows//x"), SLICE_INIT("."),
		SLICE_INIT("rows/"), SLICE_INIT("a\0b")};
	static const char sha256[] =
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct backup_file file = {
			.path = paths[i], .sha256 = slice_from_cstr(sha256)};
		struct backup_manifest manifest = {
			.id = "bad", .version = "1", .content_store = "rocksdb"};
		manifest_add(&w->op.arena, &manifest, &file);
		const char *path = backup_folder_manifest_path(&w->op.arena, &w->folder, "bad");
		assert_null(manifest_write(&w->op, &manifest,
			backup_folder_temporary(&w->op.arena, &w->folder), path));
		assert_int_equal(manifest_read(&w->op, path, &manifest)->kind, ERR_CORRUPT);
	}
}

static struct error *stop_after(struct op *op, void *context, uint64_t bytes)
{
	unsigned *left = context;
	(void)bytes;
	return (*left)-- ? NULL : op_fail(op, ERR_CANCELLED, "stopped");
}

static struct error *deny(struct op *op, void *context)
{
	(void)context;
	return op_fail(op, ERR_UNAVAILABLE, "not whole");
}

static void what_was_cut_off_is_no_backup(void **state)
{
	struct world *w = *state;
	struct backup_manifest manifest;
	const char **ids;
	size_t count;
	given_data(w);
	when_taken(w, 3, 3);
	given_file(in(w, w->data, "rows/4.sst"), "four");
	given_file(in(w, w->data, "rows/5.sst"), "five");
	/* After each step on the way, and before the list is written. */
	for (unsigned steps = 0; steps < 6; steps++) {
		unsigned left = steps;
		const struct file_watch watch = {stop_after, deny, &left};
		struct error *err = take(w, false, &watch, &manifest);
		assert_int_equal(err->kind, steps < 5 ? ERR_CANCELLED : ERR_UNAVAILABLE);
		assert_null(backup_folder_list(&w->op, &w->folder, &ids, &count));
		assert_int_equal(count, 1);
		backup_folder_close(&w->folder);
		assert_null(backup_folder_open(&w->op, w->backups, BACKUP_WRITES, &w->folder));
	}
	then_faults_are(w, 0, 0);
	/* What one left behind half-written is not taken for the bytes that it is named by. */
	given_file(object_of(w, "four"), "fxxr");
	when_taken(w, 5, 2);
	then_faults_are(w, 0, 0);
}

static void a_folder_of_something_else_is_left_alone(void **state)
{
	struct world *w = *state;
	struct backup_folder folder;
	given_data(w);
	assert_int_equal(
		backup_folder_open(&w->op, w->data, BACKUP_WRITES, &folder)->kind, ERR_INVALID);
	assert_int_equal(
		backup_folder_open(&w->op, w->data, BACKUP_READS, &folder)->kind, ERR_INVALID);
	assert_int_equal(
		backup_folder_open(&w->op, w->backups, BACKUP_WRITES, &folder)->kind, ERR_EXISTS);
	assert_int_equal(
		backup_folder_open(&w->op, w->backups, BACKUP_READS, &folder)->kind, ERR_EXISTS);
}

static void a_removed_backup_takes_only_its_own(void **state)
{
	struct world *w = *state;
	uint64_t bytes;
	given_data(w);
	when_taken(w, 3, 3);
	given_file(in(w, w->data, "rows/2.sst"), "another");
	when_taken(w, 3, 1);
	assert_null(backup_remove(&w->op, &w->folder, "backup-1", &bytes));
	assert_int_equal(bytes, strlen("two"));
	then_faults_are(w, 0, 0);
	assert_int_equal(
		backup_remove(&w->op, &w->folder, "backup-1", &bytes)->kind, ERR_NOT_FOUND);
	assert_null(restore(w, "backup-2", scratch_path(&w->op.arena)));
}

/* ---- Checkpoints ---- */

static const char *const files[] = {"ledger", "FORMAT", NULL};

static struct engine *open_rows(struct world *w, const char *path)
{
	static const struct rocksdb_limits small = {
		.write_buffer_bytes = KIB(256), .cache_bytes = MIB(4), .open_files = 64};
	struct engine *engine;
	assert_null(rocksdb_engine_open(&w->op, path, &small, (struct rocksdb_owner){0}, &engine));
	return engine;
}

static struct checkpoints *open_points(struct world *w, struct engine *engine)
{
	const struct checkpoints_options options = {.engine = engine,
		.data = w->data,
		.rows = "rows",
		.files = files,
		.content_store = "rocksdb"};
	struct checkpoints *points;
	assert_null(checkpoints_open(&w->op, &options, &points));
	return points;
}

static void given_row(struct world *w, struct engine *engine, const char *value)
{
	const struct mutation mutation = {.table = &mailbox_map_table,
		.partition = SLICE("mailbox"),
		.key = SLICE("0000"),
		.value = slice_from_cstr(value),
		.version = ++w->taken};
	assert_null(engine_write(engine, &w->op, &mutation, 1, DURABLE));
}

static void then_row_is(struct world *w, struct engine *engine, const char *value)
{
	bool found;
	struct engine_row row;
	assert_null(engine_get(engine, &w->op, &mailbox_map_table, SLICE("mailbox"), SLICE("0000"),
		READ_NORMAL, &found, &row));
	assert_true(found && slice_equal(row.value, slice_from_cstr(value)));
}

static void a_checkpoint_is_one_moment_and_holds_content(void **state)
{
	struct world *w = *state;
	struct checkpoint point;
	struct checkpoint *list;
	size_t count;
	struct engine *engine = open_rows(w, in(w, w->data, "rows"));
	struct checkpoints *points = open_points(w, engine);
	given_file(in(w, w->data, "FORMAT"), "3\n");
	given_row(w, engine, "then");
	assert_true(checkpoints_begin_removal(points));
	assert_false(checkpoints_begin_removal(points));
	checkpoints_end_removal(points);
	assert_null(checkpoints_take(&w->op, points, &point));
	assert_false(checkpoints_begin_removal(points));
	given_row(w, engine, "now");
	then_file_holds(in(w, point.folder, "FORMAT"), "3\n");
	checkpoints_list(&w->op, points, &list, &count);
	assert_int_equal(count, 1);
	assert_null(checkpoints_renew(&w->op, points, point.id, &point));
	struct engine *copy = open_rows(w, in(w, point.folder, "rows"));
	then_row_is(w, copy, "then");
	then_row_is(w, engine, "now");
	engine_close(copy);
	assert_null(checkpoints_drop(&w->op, points, point.id));
	assert_int_equal(access(point.folder, F_OK), -1);
	assert_int_equal(checkpoints_renew(&w->op, points, point.id, &point)->kind, ERR_NOT_FOUND);
	assert_int_equal(checkpoints_drop(&w->op, points, point.id)->kind, ERR_NOT_FOUND);
	assert_true(checkpoints_begin_removal(points));
	checkpoints_close(points);
	engine_close(engine);
}

static void checkpoints_are_few_and_a_restart_drops_them(void **state)
{
	struct world *w = *state;
	struct checkpoint point;
	unsigned taken = 0;
	struct error *err;
	struct engine *engine = open_rows(w, in(w, w->data, "rows"));
	struct checkpoints *points = open_points(w, engine);
	while (!(err = checkpoints_take(&w->op, points, &point)))
		taken++;
	assert_int_equal(err->kind, ERR_EXISTS);
	assert_int_equal(taken, 8);
	/* As after a kill: nobody dropped them. */
	struct checkpoints *again = open_points(w, engine);
	assert_int_equal(access(point.folder, F_OK), -1);
	assert_null(checkpoints_take(&w->op, again, &point));
	checkpoints_close(again);
	checkpoints_close(points);
	engine_close(engine);
}

static void what_cannot_be_taken_holds_nothing(void **state)
{
	struct world *w = *state;
	struct checkpoint point;
	struct engine *engine = memory_engine_new(true);
	struct checkpoints *points = open_points(w, engine);
	assert_int_equal(checkpoints_take(&w->op, points, &point)->kind, ERR_INVALID);
	assert_true(checkpoints_begin_removal(points));
	checkpoints_end_removal(points);
	checkpoints_close(points);
	engine_close(engine);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(a_second_backup_copies_what_is_new),
		SCENARIO(each_backup_is_restored_as_it_was),
		SCENARIO(a_restore_wants_an_empty_directory),
		SCENARIO(damage_is_found_and_never_restored),
		SCENARIO(a_list_that_is_damaged_anywhere_is_not_read),
		SCENARIO(a_path_that_leads_elsewhere_is_refused),
		SCENARIO(what_was_cut_off_is_no_backup),
		SCENARIO(a_folder_of_something_else_is_left_alone),
		SCENARIO(a_removed_backup_takes_only_its_own),
		SCENARIO(a_checkpoint_is_one_moment_and_holds_content),
		SCENARIO(checkpoints_are_few_and_a_restart_drops_them),
		SCENARIO(what_cannot_be_taken_holds_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL) + scratch_remove();
}
