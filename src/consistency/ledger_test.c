#include "base/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "consistency/ledger.h"

struct world {
	struct op op;
	struct ledger *ledger;
	char path[64];
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	snprintf(w->path, sizeof(w->path), "/tmp/holdfast-ledger-test-XXXXXX");
	int file = mkstemp(w->path);
	assert_true(file >= 0);
	close(file);
	unlink(w->path);
	assert_null(ledger_open(&w->op, w->path, &w->ledger));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	ledger_close(w->ledger);
	unlink(w->path);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct ledger_entry entry_of(uint8_t number)
{
	return (struct ledger_entry){.operation.uuid.bytes = {number},
		.account.uuid.bytes = {9},
		.expected_modseq = 10 + number,
		.modseq = 20 + number,
		.recorded_us = 1000 + number,
		.once_key = SLICE("key"),
		.detail = SLICE("detail\0with NUL")};
}

static void record(struct world *w, uint8_t number)
{
	struct ledger_entry entry = entry_of(number);
	assert_null(ledger_record(&w->op, w->ledger, &entry));
}

static void reopen(struct world *w)
{
	ledger_close(w->ledger);
	assert_null(ledger_open(&w->op, w->path, &w->ledger));
}

static void what_is_recorded_survives(void **state)
{
	struct world *w = *state;
	struct ledger_entry *entries;
	size_t count;
	record(w, 1);
	record(w, 2);
	reopen(w);
	ledger_list(&w->op, w->ledger, &entries, &count);
	assert_int_equal(count, 2);
	assert_int_equal(entries[0].operation.uuid.bytes[0], 1);
	assert_int_equal(entries[1].expected_modseq, 12);
	assert_true(slice_equal(entries[1].detail, SLICE("detail\0with NUL")));
}

static void what_is_settled_is_gone(void **state)
{
	struct world *w = *state;
	struct ledger_entry entry;
	record(w, 1);
	record(w, 2);
	assert_null(ledger_settle(&w->op, w->ledger, entry_of(1).operation, "applied"));
	reopen(w);
	assert_int_equal(ledger_length(w->ledger), 1);
	assert_true(ledger_find_once(&w->op, w->ledger, entry_of(2).account, SLICE("key"), &entry));
	assert_int_equal(entry.operation.uuid.bytes[0], 2);
	assert_false(
		ledger_find_once(&w->op, w->ledger, entry_of(2).account, SLICE("other"), &entry));
}

static void a_torn_last_record_is_dropped(void **state)
{
	struct world *w = *state;
	record(w, 1);
	record(w, 2);
	ledger_close(w->ledger);
	int file = open(w->path, O_RDWR);
	off_t size = lseek(file, 0, SEEK_END);
	assert_int_equal(ftruncate(file, size - 3), 0);
	close(file);
	assert_null(ledger_open(&w->op, w->path, &w->ledger));
	assert_int_equal(ledger_length(w->ledger), 1);
	record(w, 3);
	reopen(w);
	assert_int_equal(ledger_length(w->ledger), 2);
}

static void damage_in_the_middle_is_told_and_nothing_is_dropped(void **state)
{
	struct world *w = *state;
	record(w, 1);
	record(w, 2);
	record(w, 3);
	ledger_close(w->ledger);
	w->ledger = NULL;
	int file = open(w->path, O_RDWR);
	off_t size = lseek(file, 0, SEEK_END);
	assert_int_equal(pwrite(file, "x", 1, 40), 1);
	close(file);
	struct error *err = ledger_open(&w->op, w->path, &w->ledger);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	file = open(w->path, O_RDONLY);
	assert_int_equal(lseek(file, 0, SEEK_END), size);
	close(file);
}

static void a_file_that_is_no_ledger_is_refused(void **state)
{
	struct world *w = *state;
	ledger_close(w->ledger);
	w->ledger = NULL;
	int file = open(w->path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(file, "something else entirely", 23), 23);
	close(file);
	struct error *err = ledger_open(&w->op, w->path, &w->ledger);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
}

static void many_settled_entries_do_not_pile_up(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 1500; i++) {
		struct ledger_entry entry = entry_of((uint8_t)(i % 250));
		assert_null(ledger_record(&w->op, w->ledger, &entry));
		assert_null(ledger_settle(&w->op, w->ledger, entry.operation, "not_applied"));
	}
	int file = open(w->path, O_RDONLY);
	assert_true(lseek(file, 0, SEEK_END) < 120000);
	close(file);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(what_is_recorded_survives),
		SCENARIO(what_is_settled_is_gone),
		SCENARIO(a_torn_last_record_is_dropped),
		SCENARIO(damage_in_the_middle_is_told_and_nothing_is_dropped),
		SCENARIO(a_file_that_is_no_ledger_is_refused),
		SCENARIO(many_settled_entries_do_not_pile_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
