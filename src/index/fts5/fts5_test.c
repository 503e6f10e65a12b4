#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/scratch.h"
#include "index/contract.h"
#include "index/fts5/fts5.h"

#define OPEN_FILES 4
#define RULES 7

struct world {
	struct op op;
	const char *folder;
	struct index *index;
	struct account_id account;
	struct mailbox_id mailbox;
};

static struct index *open_folder(struct op *op, const char *folder, uint32_t rules)
{
	struct index *index;
	const struct fts5_options options = {.folder = folder,
		.open_files = OPEN_FILES,
		.rules = rules,
		.has_words = true,
		.has_attached = true};
	assert_null(fts5_open(op, &options, &index));
	return index;
}

static struct index *open_fresh(struct op *op)
{
	return open_folder(op, scratch_path(&op->arena), RULES);
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->folder = scratch_path(&w->op.arena);
	w->index = open_folder(&w->op, w->folder, RULES);
	w->account.uuid = uuid_v7();
	w->mailbox.uuid = uuid_v7();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	index_close(w->index);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct error *add(struct world *w, struct account_id account, uint32_t uid)
{
	struct search_texts texts = {.is_whole = true};
	texts.fields[TEXT_BODY] =
		slice_from_cstr(arena_printf(&w->op.arena, "common words and number%06u", uid));
	struct index_coverage covered = {w->mailbox, 1, uid + 1};
	struct index_add added = {
		.place = {w->mailbox, uid}, .message = {uuid_v7()}, .texts = &texts};
	const struct index_batch batch = {.added = &added,
		.added_count = 1,
		.covered = &covered,
		.covered_count = 1,
		.expected_cursor = uid - 1,
		.cursor = uid};
	return index_apply(w->index, &w->op, account, &batch);
}

static struct error *find(
	struct world *w, struct account_id account, const char *needle, struct index_found *found)
{
	struct index_query query = {.mailbox = w->mailbox,
		.fields = INDEX_ALL_FIELDS,
		.needle = slice_from_cstr(needle)};
	return index_find(w->index, &w->op, account, &query, found);
}

static void then_holds(struct world *w, struct account_id account, uint32_t uids)
{
	struct index_found found;
	struct error *err = find(w, account, "common", &found);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
	assert_int_equal(found.count, uids);
	assert_int_equal(found.coverage.uidnext, uids ? uids + 1 : 0);
	assert_int_equal(found.cursor, uids);
}

static void close_and_open(struct world *w, uint32_t rules)
{
	index_close(w->index);
	w->index = open_folder(&w->op, w->folder, rules);
}

static void what_is_closed_is_there_again(void **state)
{
	struct world *w = *state;
	for (uint32_t uid = 1; uid <= 5; uid++)
		assert_null(add(w, w->account, uid));
	close_and_open(w, RULES);
	then_holds(w, w->account, 5);
}

static void texts_of_other_rules_are_of_no_use(void **state)
{
	struct world *w = *state;
	assert_null(add(w, w->account, 1));
	close_and_open(w, RULES + 1);
	then_holds(w, w->account, 0);
	assert_null(add(w, w->account, 1));
	then_holds(w, w->account, 1);
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	DIR *folder = opendir("/proc/self/fd");
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void however_many_accounts_few_files_are_open(void **state)
{
	struct world *w = *state;
	enum { ACCOUNTS = 40 };
	struct account_id accounts[ACCOUNTS];
	size_t before = open_descriptors();
	for (int i = 0; i < ACCOUNTS; i++) {
		accounts[i].uuid = uuid_v7();
		assert_null(add(w, accounts[i], 1));
	}
	for (int i = 0; i < ACCOUNTS; i++)
		then_holds(w, accounts[i], 1);
	/* The file and its WAL. */
	assert_true(open_descriptors() <= before + (size_t)2 * OPEN_FILES);
}

static void a_file_that_is_removed_is_missed_at_once(void **state)
{
	struct world *w = *state;
	assert_null(add(w, w->account, 1));
	assert_int_equal(unlink(fts5_path(&w->op.arena, w->folder, w->account)), 0);
	then_holds(w, w->account, 0);
	assert_null(add(w, w->account, 1));
	then_holds(w, w->account, 1);
}

static void overwrite(const char *path, off_t offset, size_t len)
{
	char rubbish[4096];
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	memset(rubbish, 0xa5, sizeof(rubbish));
	for (size_t done = 0; done < len; done += sizeof(rubbish))
		assert_true(pwrite(fd, rubbish, sizeof(rubbish), offset + (off_t)done) > 0);
	close(fd);
}

static void rubbish_is_thrown_away_and_never_an_answer(void **state)
{
	struct world *w = *state;
	struct index_found found;
	const char *path = fts5_path(&w->op.arena, w->folder, w->account);
	assert_null(add(w, w->account, 1));
	index_close(w->index);
	overwrite(path, 0, KIB(64));
	unlink(arena_printf(&w->op.arena, "%s-wal", path));
	w->index = open_folder(&w->op, w->folder, RULES);
	then_holds(w, w->account, 0);

	/* Everything but the first page: it opens, and is found out when it is used. */
	for (uint32_t uid = 1; uid <= 2000; uid++)
		assert_null(add(w, w->account, uid));
	index_close(w->index);
	struct stat status;
	assert_int_equal(stat(path, &status), 0);
	assert_true(status.st_size > (off_t)KIB(64));
	unlink(arena_printf(&w->op.arena, "%s-wal", path));
	overwrite(path, 4096, (size_t)status.st_size - 4096);
	w->index = open_folder(&w->op, w->folder, RULES);
	struct error *err = find(w, w->account, "common", &found);
	if (err)
		assert_int_equal(err->kind, ERR_CORRUPT);
	then_holds(w, w->account, 0);
	assert_null(add(w, w->account, 1));
	then_holds(w, w->account, 1);
}

static void copy_file(const char *from, const char *to, size_t most)
{
	char block[KIB(16)];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(in >= 0 && out >= 0);
	while (most) {
		ssize_t got = read(in, block, MIN_OF(most, sizeof(block)));
		assert_true(got >= 0);
		if (got == 0)
			break;
		assert_int_equal(write(out, block, (size_t)got), got);
		most -= (size_t)got;
	}
	close(in);
	close(out);
}

/* A crash at any byte of the journal: what is then said to be covered is there. */
static void a_crash_loses_the_tail_and_nothing_before_it(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 30, CRASHES = 25 };
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		assert_null(add(w, w->account, uid));
	const char *path = fts5_path(&w->op.arena, w->folder, w->account);
	const char *journal = arena_printf(&w->op.arena, "%s-wal", path);
	struct stat status;
	assert_int_equal(stat(journal, &status), 0);
	uint32_t last = 0;
	for (size_t i = 0; i <= CRASHES; i++) {
		struct world after = {.account = w->account, .mailbox = w->mailbox};
		op_init(&after.op, "test");
		after.folder = scratch_path(&after.op.arena);
		after.index = open_folder(&after.op, after.folder, RULES);
		const char *copy = fts5_path(&after.op.arena, after.folder, w->account);
		char *parent = arena_printf(&after.op.arena, "%s", copy);
		*strrchr(parent, '/') = '\0';
		assert_int_equal(mkdir(parent, 0700), 0);
		copy_file(path, copy, SIZE_MAX);
		copy_file(journal, arena_printf(&after.op.arena, "%s-wal", copy),
			(size_t)status.st_size * i / CRASHES);
		struct index_found found;
		assert_null(find(&after, w->account, "common", &found));
		assert_int_equal(found.count, found.cursor);
		assert_true(found.cursor >= last);
		last = (uint32_t)found.cursor;
		then_holds(&after, w->account, last);
		index_close(after.index);
		op_done(&after.op);
	}
	assert_int_equal(last, MESSAGES);
}

/* What is in the file now, or nothing at all. */
static void then_all_or_damaged(struct world *w, uint32_t uids)
{
	struct index_found found;
	struct error *err = find(w, w->account, "common", &found);
	if (err)
		assert_int_equal(err->kind, ERR_CORRUPT);
	else if (found.cursor)
		assert_int_equal(found.count, uids);
	/* Once found damaged, it has gone. */
	if (err)
		then_holds(w, w->account, 0);
}

static void no_altered_byte_is_an_answer(void **state)
{
	struct world *w = *state;
	/* More than its journal is let grow to. */
	enum { MESSAGES = 1200, ALTERED = 24 };
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		assert_null(add(w, w->account, uid));
	const char *path = fts5_path(&w->op.arena, w->folder, w->account);
	const char *journal = arena_printf(&w->op.arena, "%s-wal", path);
	const char *saved = scratch_path(&w->op.arena);
	const char *saved_journal = scratch_path(&w->op.arena);
	struct stat status;
	index_close(w->index);
	copy_file(path, saved, SIZE_MAX);
	copy_file(journal, saved_journal, SIZE_MAX);
	assert_int_equal(stat(path, &status), 0);
	assert_true(status.st_size > (off_t)KIB(64));
	unsigned damaged = 0;
	for (unsigned i = 0; i < ALTERED; i++) {
		copy_file(saved, path, SIZE_MAX);
		copy_file(saved_journal, journal, SIZE_MAX);
		off_t at = status.st_size / ALTERED * i + i * 67 % 4096;
		int fd = open(path, O_RDWR | O_CLOEXEC);
		char byte;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
		w->index = open_folder(&w->op, w->folder, RULES);
		then_all_or_damaged(w, MESSAGES);
		struct index_state known;
		assert_null(index_get_state(w->index, &w->op, w->account, &known));
		damaged += known.cursor == 0;
		index_close(w->index);
	}
	assert_true(damaged >= 3);
	w->index = open_folder(&w->op, w->folder, RULES);
}

/* A program that knows SQLite but not the seals. */
static void alter(const char *path, const char *sql)
{
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void what_others_have_written_is_no_answer(void **state)
{
	static const char *const changes[] = {"DELETE FROM place WHERE uid = 7",
		"DELETE FROM document WHERE id = 7", "UPDATE place SET document = 3 WHERE uid = 7",
		"UPDATE document SET is_whole = 0", "UPDATE progress SET cursor = cursor - 1",
		"UPDATE mailbox SET uidnext = uidnext + 5",
		"DELETE FROM text_body_data WHERE id > 10",
		"INSERT INTO text_body(rowid, text) VALUES(7, 'something else')"};
	struct world *w = *state;
	const char *path = fts5_path(&w->op.arena, w->folder, w->account);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		for (uint32_t uid = 1; uid <= 20; uid++)
			assert_null(add(w, w->account, uid));
		index_close(w->index);
		alter(path, changes[i]);
		w->index = open_folder(&w->op, w->folder, RULES);
		then_holds(w, w->account, 0);
	}
}

static void what_it_holds_is_counted(void **state)
{
	struct world *w = *state;
	struct index_found found;
	struct index_query query = {.mailbox = w->mailbox,
		.below = 4,
		.fields = INDEX_ALL_FIELDS,
		.needle = SLICE("nowhere")};
	for (uint32_t uid = 1; uid <= 5; uid++)
		assert_null(add(w, w->account, uid));
	for (int i = 0; i < 2; i++) {
		assert_null(index_find(w->index, &w->op, w->account, &query, &found));
		assert_int_equal(found.held.count, 3);
		assert_int_equal(found.held.uid_sum, 1 + 2 + 3);
	}
	const struct index_place gone = {w->mailbox, 2};
	const struct index_batch batch = {
		.removed = &gone, .removed_count = 1, .expected_cursor = 5, .cursor = 6};
	assert_null(index_apply(w->index, &w->op, w->account, &batch));
	query.below = UINT32_MAX;
	assert_null(index_find(w->index, &w->op, w->account, &query, &found));
	assert_int_equal(found.held.count, 4);
	assert_int_equal(found.held.uid_sum, 1 + 3 + 4 + 5);
	query.below = 4;
	assert_null(index_find(w->index, &w->op, w->account, &query, &found));
	assert_int_equal(found.held.uid_sum, 1 + 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_closed_is_there_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			texts_of_other_rules_are_of_no_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			however_many_accounts_few_files_are_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_removed_is_missed_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			rubbish_is_thrown_away_and_never_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_altered_byte_is_an_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_others_have_written_is_no_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_it_holds_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_crash_loses_the_tail_and_nothing_before_it, set_up, tear_down),
	};
	int failures = index_contract_run("index/fts5", open_fresh);
	failures += cmocka_run_group_tests_name("index/fts5 files", tests, NULL, NULL);
	return failures + scratch_remove();
}
