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

/* Past engine.c, as damage does: what stood there before, with one bit changed. */
static void damage_row(
	struct world *w, const struct table *table, struct slice partition, struct slice key)
{
	bool found;
	struct engine *engine = w->mail.engine;
	struct engine_row row;
	assert_null(engine->ops->get(
		engine, &w->mail.op, table, partition, key, READ_NORMAL, &found, &row));
	assert_true(found);
	char *bytes = (char *)(uintptr_t)arena_dup(&w->mail.op.arena, row.value).ptr;
	bytes[row.value.len / 2] ^= 4;
	struct mutation change = {.table = table,
		.partition = partition,
		.key = key,
		.value = slice_of(bytes, row.value.len),
		.version = row.version + 1};
	assert_null(engine->ops->write(engine, &w->mail.op, &change, 1, DURABLE));
}

static void damage_message(struct world *w, uint32_t uid)
{
	damage_row(w, &mailbox_message_table, key_message_bucket(&w->mail.op.arena, w->inbox, uid),
		key_u32_row(&w->mail.op.arena, uid));
}

static void damage_log(struct world *w, uint64_t from, uint64_t to)
{
	struct engine_rows rows;
	struct mutations gone;
	struct slice segment = key_log_segment(&w->mail.op.arena, w->mail.account, 0);
	assert_null(engine_scan(w->mail.engine, &w->mail.op, &account_log_table, segment,
		key_u64_row(&w->mail.op.arena, from), key_u64_row(&w->mail.op.arena, to), SIZE_MAX,
		false, READ_NORMAL, &rows));
	assert_true(rows.count);
	mutations_init(&gone, &w->mail.op.arena);
	for (size_t i = 0; i < rows.count; i++)
		mutations_delete(
			&gone, &account_log_table, segment, rows.rows[i].key, rows.rows[i].version);
	assert_null(engine_write(w->mail.engine, &w->mail.op, gone.items, gone.count, DURABLE));
}

static struct flag_result set_flags(struct world *w, uint32_t uid, uint16_t flags)
{
	struct flag_result result;
	struct uid_set one = {.arena = &w->mail.op.arena};
	struct flag_change change = {.mode = FLAGS_ADD, .flags = flags};
	uid_set_add(&one, uid);
	assert_null(mailbox_change_flags(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &one, &change, &result));
	return result;
}

/* So many commits that the log above them is all that the account has in itself. */
static void let_the_log_be_trimmed(struct world *w)
{
	for (unsigned i = 0; i < commit_settings.tail_entries + 2; i++)
		append(w);
}

static void a_damaged_row_is_read_right_at_once(void **state)
{
	struct world *w = *state;
	struct message *messages;
	for (uint32_t uid = 3; uid < 9; uid++)
		damage_message(w, uid);
	assert_int_equal(read_all(w, &messages), MESSAGES);
	for (uint32_t i = 0; i < MESSAGES; i++) {
		assert_int_equal(messages[i].uid, i + 1);
		assert_int_equal(messages[i].size, 3);
	}
	assert_int_equal(solve(w).rows.fixed, 0);
}

static void a_change_heals_the_rows_that_it_counts_by(void **state)
{
	struct world *w = *state;
	struct expunge_result result;
	damage_message(w, 4);
	write_row(w, 5, NULL);
	set_flags(w, 4, FLAG_DELETED);
	set_flags(w, 5, FLAG_DELETED);
	struct mailbox_status status = mail_world_status(&w->mail, "INBOX");
	assert_int_equal(status.deleted, 2);
	assert_int_equal(status.deleted_bytes, 6);
	damage_message(w, 4);
	assert_null(mailbox_expunge(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, NULL, true, &result));
	status = mail_world_status(&w->mail, "INBOX");
	assert_int_equal(status.messages, MESSAGES - 2);
	assert_int_equal(status.deleted_bytes, 0);
	assert_int_equal(status.bytes, 3 * (MESSAGES - 2));
	struct solve_report report = solve(w);
	assert_int_equal(report.rows.fixed, 0);
	assert_int_equal(report.counts_wrong, 0);
}

static void a_hole_in_the_log_is_told_and_nothing_is_made_up_across_it(void **state)
{
	struct world *w = *state;
	struct message *messages;
	uint64_t before = mail_world_status(&w->mail, "INBOX").highest_modseq;
	uint64_t flagged = set_flags(w, 5, FLAG_FLAGGED).modseq;
	let_the_log_be_trimmed(w);
	damage_log(w, before + 1, flagged + 1);
	mail_world_restart(&w->mail);
	struct solve_report report = solve(w);
	assert_int_equal(report.log_holes, 1);
	assert_int_equal(report.rows.fixed, 0);
	read_all(w, &messages);
	assert_int_equal(messages[4].flags, FLAG_FLAGGED);
}

static void damage_log_row(struct world *w, uint64_t modseq)
{
	damage_row(w, &account_log_table, key_log_segment(&w->mail.op.arena, w->mail.account, 0),
		key_u64_row(&w->mail.op.arena, modseq));
}

static void a_damaged_row_of_the_log_is_told_and_stops_nothing(void **state)
{
	struct world *w = *state;
	struct message *messages;
	struct expunge_result result;
	struct uid_set gone = {.arena = &w->mail.op.arena};
	set_flags(w, 3, FLAG_ANSWERED);
	read_all(w, &messages);
	uid_set_add(&gone, 8);
	assert_null(mailbox_expunge(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &gone, false, &result));
	uint64_t lost = set_flags(w, 5, FLAG_FLAGGED).modseq;
	set_flags(w, 6, FLAG_SEEN);
	let_the_log_be_trimmed(w);
	uint32_t count = mail_world_status(&w->mail, "INBOX").messages;
	damage_log_row(w, lost);
	damage_message(w, 3);
	write_row(w, 4, NULL);
	write_row(w, 8, &messages[7]);
	mail_world_restart(&w->mail);
	struct solve_report report = solve(w);
	assert_int_equal(report.log_damaged, 1);
	assert_int_equal(report.log_holes, 1);
	assert_int_equal(report.rows.missing, 1);
	assert_int_equal(report.rows.stale, 1);
	assert_int_equal(report.rows.orphaned, 1);
	assert_int_equal(report.rows.fixed, 3);
	assert_int_equal(report.rows_lost, 0);
	assert_int_equal(report.counts_wrong, 0);
	assert_int_equal(read_all(w, &messages), count);
	assert_int_equal(messages[2].flags, FLAG_ANSWERED);
	assert_int_equal(messages[4].flags, FLAG_FLAGGED);
	assert_int_equal(messages[5].flags, FLAG_SEEN);
}

/* What its row and the log both do not tell any more is not made up from before. */
static void what_only_a_damaged_row_of_the_log_told_is_told_as_lost(void **state)
{
	struct world *w = *state;
	struct message *messages;
	uint64_t lost = set_flags(w, 5, FLAG_FLAGGED).modseq;
	let_the_log_be_trimmed(w);
	uint32_t count = mail_world_status(&w->mail, "INBOX").messages;
	damage_log_row(w, lost);
	damage_message(w, 4);
	damage_message(w, 5);
	mail_world_restart(&w->mail);
	struct solve_report report = solve(w);
	assert_int_equal(report.log_damaged, 1);
	assert_int_equal(report.rows.fixed, 1);
	assert_int_equal(report.rows_lost, 1);
	struct uid_set all = {.arena = &w->mail.op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	size_t read;
	assert_null(mailbox_messages(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &all, &messages, &read));
	assert_int_equal(read, count - 1);
	assert_int_equal(messages[3].uid, 4);
	assert_int_equal(messages[4].uid, 6);
}

/* The log that knew a message's beginning has gone. */
static void forget_the_log(struct world *w)
{
	let_the_log_be_trimmed(w);
	damage_log(w, 0, mail_world_status(&w->mail, "INBOX").highest_modseq);
	mail_world_restart(&w->mail);
}

static void a_row_that_came_back_without_its_log_is_removed(void **state)
{
	struct world *w = *state;
	struct message *messages;
	struct expunge_result result;
	struct uid_set one = {.arena = &w->mail.op.arena};
	read_all(w, &messages);
	uid_set_add(&one, 3);
	assert_null(mailbox_expunge(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &one, false, &result));
	struct message gone = messages[2];
	forget_the_log(w);
	write_row(w, 3, &gone);
	struct solve_report report = solve(w);
	assert_int_equal(report.rows.orphaned, 1);
	assert_int_equal(report.rows.fixed, 1);
	assert_int_equal(report.maps_fixed, 0);
	assert_int_equal(report.counts_wrong, 0);
	report = solve(w);
	assert_int_equal(report.rows.fixed + report.maps_fixed + report.counts_wrong, 0);
	assert_int_equal(read_all(w, &messages), mail_world_status(&w->mail, "INBOX").messages);
}

static void an_old_row_without_its_log_is_put_right_by_the_map(void **state)
{
	struct world *w = *state;
	struct message *messages;
	read_all(w, &messages);
	struct message old = messages[6];
	set_flags(w, 7, FLAG_SEEN | FLAG_DRAFT);
	forget_the_log(w);
	write_row(w, 7, &old);
	struct solve_report report = solve(w);
	assert_int_equal(report.rows.stale, 1);
	assert_int_equal(report.rows.fixed, 1);
	assert_int_equal(report.counts_wrong, 0);
	read_all(w, &messages);
	assert_int_equal(messages[6].flags, FLAG_SEEN | FLAG_DRAFT);
	report = solve(w);
	assert_int_equal(report.rows.fixed + report.maps_fixed + report.counts_wrong, 0);
}

static void a_lost_row_without_its_log_is_told_and_the_map_keeps_it(void **state)
{
	struct world *w = *state;
	forget_the_log(w);
	damage_message(w, 7);
	for (int i = 0; i < 2; i++) {
		struct solve_report report = solve(w);
		assert_int_equal(report.rows_lost, 1);
		assert_int_equal(report.counts_wrong, 1);
		assert_int_equal(report.maps_fixed, 0);
		assert_int_equal(report.rows.fixed, 0);
	}
	struct flag_result result;
	struct uid_set one = {.arena = &w->mail.op.arena};
	struct flag_change change = {.mode = FLAGS_ADD, .flags = FLAG_DELETED};
	uid_set_add(&one, 7);
	struct error *err = mailbox_change_flags(
		&w->mail.op, w->mail.store, w->mail.account, w->inbox, &one, &change, &result);
	assert_int_equal(err->kind, ERR_CORRUPT);
}

int main(void)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_damaged_row_of_the_log_is_told_and_stops_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_only_a_damaged_row_of_the_log_told_is_told_as_lost, set_up, tear_down),
		SCENARIO(a_sound_account_has_nothing_to_solve),
		SCENARIO(lost_and_damaged_rows_are_put_right),
		SCENARIO(an_expunged_message_that_came_back_goes_again),
		SCENARIO(a_read_repairs_what_it_finds_missing),
		SCENARIO(a_damaged_map_is_written_anew),
		SCENARIO(lost_content_is_told),
		SCENARIO(a_damaged_row_is_read_right_at_once),
		SCENARIO(a_change_heals_the_rows_that_it_counts_by),
		SCENARIO(a_hole_in_the_log_is_told_and_nothing_is_made_up_across_it),
		SCENARIO(a_row_that_came_back_without_its_log_is_removed),
		SCENARIO(an_old_row_without_its_log_is_put_right_by_the_map),
		SCENARIO(a_lost_row_without_its_log_is_told_and_the_map_keeps_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
