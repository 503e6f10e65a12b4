/* Damage to what is derived is found and put right; damage to what is true is found and told. */

#include "base/clock.h"
#include "base/log.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

#define MESSAGES 30

struct world {
	struct mail_world mail;
	struct mailbox_id inbox;
};

static void append(struct world *w)
{
	struct append_result result;
	struct append_request request = {
		.account = w->mail.account, .path = SLICE("INBOX"), .content = SLICE("a\r\n")};
	assert_null(mailbox_append(&w->mail.op, w->mail.store, &request, &result));
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	log_set_level(LOG_LEVEL_ERROR + 1);
	mail_world_open(&w->mail, memory_engine_new(true), NULL, 0);
	mail_world_make_account(&w->mail, SLICE("a@example.org"));
	for (int i = 0; i < MESSAGES; i++)
		append(w);
	w->inbox = mail_world_status(&w->mail, "INBOX").id;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	mail_world_close(&w->mail);
	free(w);
	return 0;
}

static void write_row(struct world *w, uint32_t uid, const struct message *message)
{
	struct mutations rows;
	/* Damage is newer than what it damages, and not newer than the account. */
	struct mailbox_status status;
	assert_null(
		mailbox_find(&w->mail.op, w->mail.store, w->mail.account, SLICE("INBOX"), &status));
	uint64_t version = status.highest_modseq;
	struct slice partition = key_message_bucket(&w->mail.op.arena, w->inbox, uid);
	struct slice key = key_u32_row(&w->mail.op.arena, uid);
	mutations_init(&rows, &w->mail.op.arena);
	if (message) {
		struct mailbox_message row;
		message_to_row(&w->mail.op.arena, message, &row);
		mutations_put(&rows, &mailbox_message_table, partition, key,
			row_encode_in(&w->mail.op.arena, &mailbox_message_row, &row), version);
	} else {
		mutations_delete(&rows, &mailbox_message_table, partition, key, version);
	}
	assert_null(engine_write(w->mail.engine, &w->mail.op, rows.items, rows.count, DURABLE));
}

static size_t read_all(struct world *w, struct message **ret_messages)
{
	size_t count;
	struct uid_set all = {.arena = &w->mail.op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	assert_null(mailbox_messages(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &all, ret_messages, &count));
	return count;
}

static struct solve_report solve(struct world *w)
{
	struct solve_report report;
	assert_null(mail_store_solve(&w->mail.op, w->mail.store, w->mail.account, true, &report));
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
	struct uid_set one = {.arena = &w->mail.op.arena};
	read_all(w, &messages);
	uid_set_add(&one, 3);
	assert_null(mailbox_expunge(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &one, false, &result));
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
	assert_null(
		mailbox_snapshot(&w->mail.op, w->mail.store, w->mail.account, w->inbox, &snapshot));
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
	mutations_init(&rows, &w->mail.op.arena);
	struct mailbox_map map = {.as_of = clock_realtime_us(), .chunk = SLICE("damage")};
	mutations_put(&rows, &mailbox_map_table, key_id(&w->mail.op.arena, w->inbox.uuid),
		key_u32_row(&w->mail.op.arena, 0),
		row_encode_in(&w->mail.op.arena, &mailbox_map_row, &map), map.as_of);
	assert_null(engine_write(w->mail.engine, &w->mail.op, rows.items, rows.count, DURABLE));
	struct solve_report report = solve(w);
	assert_int_equal(report.maps_fixed, 1);
	mail_world_restart(&w->mail);
	struct snapshot *snapshot;
	assert_null(
		mailbox_snapshot(&w->mail.op, w->mail.store, w->mail.account, w->inbox, &snapshot));
	assert_int_equal(snapshot_count(snapshot), MESSAGES + 500);
	snapshot_unref(snapshot);
	assert_int_equal(solve(w).maps_fixed, 0);
}

static void lost_content_is_told(void **state)
{
	struct world *w = *state;
	struct message *messages;
	read_all(w, &messages);
	assert_null(blob_remove(w->mail.blobs, &w->mail.op, messages[0].blob_id));
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
