/* Damage to what is derived is found and put right; damage to what is true is found and told. */

#include "base/test.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/memory.h"
#include "mailbox/store_private.h"

#define MESSAGES 30

struct world {
	struct op op;
	struct engine *engine;
	struct ledger *ledger;
	struct blob_store *blobs;
	struct mail_store *store;
	struct account_id account;
	struct mailbox_id inbox;
};

static void append(struct world *w)
{
	struct append_result result;
	struct append_request request = {
		.account = w->account, .path = SLICE("INBOX"), .content = SLICE("a\r\n")};
	assert_null(mailbox_append(&w->op, w->store, &request, &result));
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	struct mailbox_status status;
	log_set_level(LOG_LEVEL_ERROR + 1);
	op_init(&w->op, "test");
	w->engine = memory_engine_new(true);
	assert_null(ledger_open(&w->op, NULL, &w->ledger));
	w->blobs = blob_engine_new(w->engine);
	w->store = mail_store_new(w->engine, w->ledger, w->blobs);
	w->account.uuid = uuid_v7();
	assert_null(mail_store_make_account(&w->op, w->store, w->account, SLICE("a@example.org")));
	for (int i = 0; i < MESSAGES; i++)
		append(w);
	assert_null(mailbox_find(&w->op, w->store, w->account, SLICE("INBOX"), &status));
	w->inbox = status.id;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	mail_store_free(w->store);
	blob_store_close(w->blobs);
	ledger_close(w->ledger);
	engine_close(w->engine);
	op_done(&w->op);
	free(w);
	return 0;
}

static void write_row(struct world *w, uint32_t uid, const struct message *message)
{
	struct mutations rows;
	/* Damage is newer than what it damages, and not newer than the account. */
	struct mailbox_status status;
	assert_null(mailbox_find(&w->op, w->store, w->account, SLICE("INBOX"), &status));
	uint64_t version = status.highest_modseq;
	struct slice partition = key_message_bucket(&w->op.arena, w->inbox, uid);
	struct slice key = key_u32_row(&w->op.arena, uid);
	mutations_init(&rows, &w->op.arena);
	if (message) {
		struct mailbox_message row;
		message_to_row(&w->op.arena, message, &row);
		mutations_put(&rows, &mailbox_message_table, partition, key,
			row_encode_in(&w->op.arena, &mailbox_message_row, &row), version);
	} else {
		mutations_delete(&rows, &mailbox_message_table, partition, key, version);
	}
	assert_null(engine_write(w->engine, &w->op, rows.items, rows.count, DURABLE));
}

static size_t read_all(struct world *w, struct message **ret_messages)
{
	size_t count;
	struct uid_set all = {.arena = &w->op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	assert_null(mailbox_messages(
		&w->op, w->store, w->account, w->inbox, &all, ret_messages, &count));
	return count;
}

static struct solve_report solve(struct world *w)
{
	struct solve_report report;
	assert_null(mail_store_solve(&w->op, w->store, w->account, true, &report));
	return report;
}

static void a_sound_account_has_nothing_to_solve(void **state)
{
	struct world *w = *state;
	struct solve_report report = solve(w);
	assert_int_equal(report.mailboxes, 6);
	assert_true(report.rows.checked >= 2 * MESSAGES);
	assert_int_equal(report.rows.fixed, 0);
	assert_int_equal(report.maps_fixed, 0);
	assert_int_equal(report.counts_wrong, 0);
	assert_int_equal(report.content_lost, 0);
}

static void lost_and_damaged_rows_are_put_right(void **state)
{
	struct world *w = *state;
	struct message *messages;
	assert_int_equal(read_all(w, &messages), MESSAGES);
	struct message damaged = messages[4];
	damaged.flags = FLAG_DRAFT;
	damaged.size = 999;
	write_row(w, 5, &damaged);
	write_row(w, 6, NULL);
	write_row(w, 7, NULL);
	struct solve_report report = solve(w);
	assert_int_equal(report.rows.missing, 2);
	assert_int_equal(report.rows.stale, 1);
	assert_int_equal(report.rows.fixed, 3);
	assert_int_equal(read_all(w, &messages), MESSAGES);
	assert_int_equal(messages[4].flags, 0);
	assert_int_equal(messages[4].size, 3);
	report = solve(w);
	assert_int_equal(report.rows.fixed, 0);
	assert_int_equal(report.maps_fixed, 0);
}

static void an_expunged_message_that_came_back_goes_again(void **state)
{
	struct world *w = *state;
	struct message *messages;
	struct expunge_result result;
	struct uid_set one = {.arena = &w->op.arena};
	read_all(w, &messages);
	uid_set_add(&one, 3);
	assert_null(mailbox_expunge(&w->op, w->store, w->account, w->inbox, &one, false, &result));
	append(w);
	write_row(w, 3, &messages[2]);
	struct solve_report report = solve(w);
	assert_int_equal(report.rows.orphaned, 1);
	assert_int_equal(report.rows.fixed, 1);
	assert_int_equal(read_all(w, &messages), MESSAGES);
}

static void a_read_repairs_what_it_finds_missing(void **state)
{
	struct world *w = *state;
	struct snapshot *snapshot;
	struct message *messages;
	assert_null(mailbox_snapshot(&w->op, w->store, w->account, w->inbox, &snapshot));
	write_row(w, 9, NULL);
	assert_int_equal(read_all(w, &messages), MESSAGES);
	snapshot_unref(snapshot);
	assert_int_equal(solve(w).rows.fixed, 0);
}

static void a_damaged_map_is_written_anew(void **state)
{
	struct world *w = *state;
	struct mutations rows;
	for (int i = 0; i < 500; i++)
		append(w);
	mutations_init(&rows, &w->op.arena);
	struct mailbox_map map = {.as_of = clock_realtime_us(), .chunk = SLICE("damage")};
	mutations_put(&rows, &mailbox_map_table, key_id(&w->op.arena, w->inbox.uuid),
		key_u32_row(&w->op.arena, 0), row_encode_in(&w->op.arena, &mailbox_map_row, &map),
		map.as_of);
	assert_null(engine_write(w->engine, &w->op, rows.items, rows.count, DURABLE));
	struct solve_report report = solve(w);
	assert_int_equal(report.maps_fixed, 1);
	mail_store_free(w->store);
	w->store = mail_store_new(w->engine, w->ledger, w->blobs);
	struct snapshot *snapshot;
	assert_null(mailbox_snapshot(&w->op, w->store, w->account, w->inbox, &snapshot));
	assert_int_equal(snapshot_count(snapshot), MESSAGES + 500);
	snapshot_unref(snapshot);
	assert_int_equal(solve(w).maps_fixed, 0);
}

static void lost_content_is_told(void **state)
{
	struct world *w = *state;
	struct message *messages;
	read_all(w, &messages);
	assert_null(blob_remove(w->blobs, &w->op, messages[0].blob_id));
	assert_int_equal(solve(w).content_lost, 1);
	assert_int_equal(read_all(w, &messages), MESSAGES);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(a_sound_account_has_nothing_to_solve),
		SCENARIO(lost_and_damaged_rows_are_put_right),
		SCENARIO(an_expunged_message_that_came_back_goes_again),
		SCENARIO(a_read_repairs_what_it_finds_missing),
		SCENARIO(a_damaged_map_is_written_anew),
		SCENARIO(lost_content_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
