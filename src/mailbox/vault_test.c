#include "base/clock.h"
#include "blob/blob_inline.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"
#include "mailbox/vault.h"

static const char mail[] = "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
			   "From: Carol <carol@example.net>\r\n"
			   "To: alice@example.org\r\n"
			   "Cc: Bob <bob@example.org>\r\n"
			   "Date: Sat, 31 Jan 2026 23:30:00 +0100\r\n"
			   "\r\n"
			   "The Quick brown fox\r\n";

static bool engine_is_weak;
static bool content_is_inline;

static int set_up(void **state)
{
	struct mail_world *w = HEAP_NEW(struct mail_world);
	mail_world_open(w, memory_engine_new(!engine_is_weak), NULL,
		content_is_inline ? BLOB_INLINE_MOST : 0);
	mail_world_make_account(w, SLICE("alice@example.org"));
	mail_settings.keeps_vault = true;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct mail_world *w = *state;
	mail_world_close(w);
	free(w);
	return 0;
}

static struct mailbox_id box(struct mail_world *w, const char *path)
{
	return mail_world_status(w, path).id;
}

static struct append_result given(struct mail_world *w, const char *path, const char *content)
{
	struct append_result result;
	struct append_request request = {.account = w->account,
		.path = slice_from_cstr(path),
		.content = slice_from_cstr(content),
		.flags = FLAG_SEEN | FLAG_DELETED,
		.internal_date_us = 1234567 * US_PER_S};
	assert_null(mailbox_append(&w->op, w->store, &request, &result));
	return result;
}

static void when_expunged(struct mail_world *w, const char *path)
{
	struct expunge_result result;
	assert_null(
		mailbox_expunge(&w->op, w->store, w->account, box(w, path), NULL, false, &result));
}

static void when_moved(struct mail_world *w, const char *from, const char *to, bool is_copy)
{
	struct copy_result result = {0};
	struct uid_set all = {.arena = &w->op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	if (is_copy)
		assert_null(mailbox_copy(
			&w->op, w->store, w->account, box(w, from), &all, box(w, to), &result));
	else
		assert_null(mailbox_move(
			&w->op, w->store, w->account, box(w, from), &all, box(w, to), &result));
	assert_true(result.count > 0);
}

/* Rows that commits owe are written, where the engine does not do it with them. */
static void when_applied(struct mail_world *w)
{
	for (int i = 0; i < 3; i++) {
		clock_sleep_ns(60 * NS_PER_MS);
		mail_store_work(&w->op, w->store);
	}
}

/* The account's next commit says that they are written. */
static void when_something_else_happens(struct mail_world *w)
{
	when_applied(w);
	mail_world_commit_nothing(w);
}

static size_t when_reclaimed(struct mail_world *w, uint64_t grace_us)
{
	size_t removed;
	assert_null(mail_store_reclaim(&w->op, w->store, grace_us, &removed));
	return removed;
}

static size_t listed(struct mail_world *w, const char *term, struct vault_message **ret_messages)
{
	size_t count;
	bool has_more;
	struct vault_term parsed = vault_term_parse(&w->op.arena, slice_from_cstr(term));
	struct vault_filter filter = {.terms = &parsed, .term_count = term != NULL, .limit = 100};
	assert_null(
		vault_list(&w->op, w->store, w->account, &filter, ret_messages, &count, &has_more));
	assert_false(has_more);
	return count;
}

static void then_vault_holds(struct mail_world *w, size_t count)
{
	struct vault_message *messages;
	assert_int_equal(listed(w, NULL, &messages), count);
}

static size_t contents(struct mail_world *w)
{
	struct blob_id *blobs;
	size_t count;
	assert_null(blob_list(w->blobs, &w->op, SLICE_NONE, 100, &blobs, &count));
	return count;
}

static struct error *restore(
	struct mail_world *w, struct message_id id, struct append_result *result)
{
	return vault_restore(&w->op, w->store, w->account, id, w->account, SLICE("Back"), result);
}

static void what_is_expunged_is_listed(void **state)
{
	struct mail_world *w = *state;
	struct append_result result = given(w, "INBOX", mail);
	then_vault_holds(w, 0);
	uint64_t before_us = clock_realtime_us();
	when_expunged(w, "INBOX");
	struct vault_message *messages;
	assert_int_equal(listed(w, NULL, &messages), 1);
	assert_true(ID_EQUAL(messages[0].id, result.message));
	assert_true(slice_equal(messages[0].path, SLICE("INBOX")));
	assert_int_equal(messages[0].size, strlen(mail));
	assert_int_equal(messages[0].internal_date_us, 1234567 * US_PER_S);
	assert_true(messages[0].deleted_us >= before_us);
	when_applied(w);
	then_vault_holds(w, 1);
}

static void what_is_in_a_mailbox_still_is_not_listed(void **state)
{
	struct mail_world *w = *state;
	given(w, "INBOX", mail);
	when_moved(w, "INBOX", "Trash", true);
	when_expunged(w, "INBOX");
	then_vault_holds(w, 0);
	when_moved(w, "Trash", "Archive", false);
	then_vault_holds(w, 0);
	when_applied(w);
	then_vault_holds(w, 0);
	when_expunged(w, "Archive");
	struct vault_message *messages;
	assert_int_equal(listed(w, NULL, &messages), 1);
	assert_true(slice_equal(messages[0].path, SLICE("Archive")));
}

static void a_deleted_mailbox_leaves_its_mail_in_the_vault(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id id;
	assert_null(mailbox_create(&w->op, w->store, w->account, SLICE("tmp"), 0, &id));
	given(w, "tmp", mail);
	assert_null(mailbox_delete(&w->op, w->store, w->account, SLICE("tmp"), NULL));
	when_applied(w);
	struct vault_message *messages;
	assert_int_equal(listed(w, NULL, &messages), 1);
	assert_true(slice_equal(messages[0].path, SLICE("tmp")));
}

static void an_emptied_account_keeps_its_vault(void **state)
{
	struct mail_world *w = *state;
	struct append_result result = given(w, "INBOX", mail);
	assert_null(mail_store_empty_account(&w->op, w->store, w->account));
	when_applied(w);
	struct vault_message message;
	struct slice bytes;
	then_vault_holds(w, 1);
	assert_null(vault_get(&w->op, w->store, w->account, result.message, &message));
	assert_null(vault_content(&w->op, w->store, &message, &bytes));
	assert_true(slice_equal(bytes, slice_from_cstr(mail)));
}

static void searches_find_decoded_words_in_any_case(void **state)
{
	struct mail_world *w = *state;
	static const struct {
		const char *term;
		size_t found;
	} cases[] = {{"subject:grüsse", 1}, {"SUBJECT:GRÜ", 1}, {"subject:fox", 0},
		{"from:CAROL@", 1}, {"from:carol <c", 1}, {"from:alice", 0}, {"to:alice", 1},
		{"to:bob@example.org", 1}, {"date:2026-01-31", 1}, {"date:jan 2026", 1},
		{"date:2026-02", 0}, {"text:quick BROWN", 1}, {"text:grüße", 1}, {"text:wolf", 0},
		{"carol", 1}, {"fox", 1}, {"wolf", 0}};
	given(w, "INBOX", mail);
	when_expunged(w, "INBOX");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vault_message *messages;
		if (listed(w, cases[i].term, &messages) != cases[i].found)
			fail_msg("%s finds what it should not, or does not", cases[i].term);
	}
}

static void a_list_ends_at_its_limit_and_keeps_to_its_times(void **state)
{
	struct mail_world *w = *state;
	for (int i = 0; i < 3; i++) {
		given(w, "INBOX", mail);
		when_expunged(w, "INBOX");
	}
	struct vault_message *messages;
	struct vault_message *some;
	size_t count;
	bool has_more;
	assert_int_equal(listed(w, NULL, &messages), 3);
	assert_true(messages[0].deleted_us > messages[1].deleted_us);
	struct vault_filter filter = {.limit = 2};
	assert_null(vault_list(&w->op, w->store, w->account, &filter, &some, &count, &has_more));
	assert_int_equal(count, 2);
	assert_true(has_more);
	filter = (struct vault_filter){
		.since_us = messages[1].deleted_us, .until_us = messages[0].deleted_us, .limit = 9};
	assert_null(vault_list(&w->op, w->store, w->account, &filter, &some, &count, &has_more));
	assert_int_equal(count, 1);
	assert_true(ID_EQUAL(some[0].id, messages[1].id));
	filter = (struct vault_filter){.path = SLICE("Trash"), .limit = 9};
	assert_null(vault_list(&w->op, w->store, w->account, &filter, &some, &count, &has_more));
	assert_int_equal(count, 0);
}

static void a_restored_message_is_what_it_was(void **state)
{
	struct mail_world *w = *state;
	struct append_result was = given(w, "INBOX", mail);
	struct append_result is;
	struct message *messages;
	struct slice bytes;
	size_t count;
	struct uid_set all = {.arena = &w->op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	when_expunged(w, "INBOX");
	assert_null(restore(w, was.message, &is));
	then_vault_holds(w, 0);
	/* What was deleted is reclaimed; what was restored stays. */
	when_something_else_happens(w);
	then_vault_holds(w, 0);
	assert_int_equal(when_reclaimed(w, 0), 1);
	assert_null(mailbox_messages(
		&w->op, w->store, w->account, box(w, "Back"), &all, &messages, &count));
	assert_int_equal(count, 1);
	assert_int_equal(messages[0].flags, FLAG_SEEN);
	assert_int_equal(messages[0].internal_date_us, 1234567 * US_PER_S);
	assert_null(message_content(&w->op, w->store, &messages[0], 0, UINT64_MAX, &bytes));
	assert_true(slice_equal(bytes, slice_from_cstr(mail)));
	assert_int_equal(contents(w), 1);
}

static void a_message_is_restored_once(void **state)
{
	struct mail_world *w = *state;
	struct append_result was = given(w, "INBOX", mail);
	struct append_result is;
	when_expunged(w, "INBOX");
	assert_null(restore(w, was.message, &is));
	struct error *err = restore(w, was.message, &is);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	/* The mark was lost: the once-key still knows. */
	when_applied(w);
	struct mutations lost;
	struct message_gone gone = {.modseq = 1};
	bool found;
	struct engine_row row;
	assert_null(engine_get(w->engine, &w->op, &message_table,
		key_id(&w->op.arena, was.message.uuid), key_kind_row(&w->op.arena, MESSAGE_GONE),
		READ_NORMAL, &found, &row));
	assert_true(found);
	assert_null(row_decode(&w->op, &message_gone_row, row.value, &gone));
	gone.state = GONE_KEPT;
	mutations_init(&lost, &w->op.arena);
	mutations_put(&lost, &message_table, key_id(&w->op.arena, was.message.uuid),
		key_kind_row(&w->op.arena, MESSAGE_GONE),
		row_encode_in(&w->op.arena, &message_gone_row, &gone), row.version + 1);
	assert_null(engine_write(w->engine, &w->op, lost.items, lost.count, DURABLE));
	then_vault_holds(w, 1);
	assert_null(restore(w, was.message, &is));
	assert_true(is.was_done_before);
	then_vault_holds(w, 0);
}

static void what_reclaim_has_taken_is_not_restored(void **state)
{
	struct mail_world *w = *state;
	struct append_result was = given(w, "INBOX", mail);
	struct append_result is;
	when_expunged(w, "INBOX");
	when_something_else_happens(w);
	assert_int_equal(when_reclaimed(w, 0), 1);
	then_vault_holds(w, 0);
	struct error *err = restore(w, was.message, &is);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
}

static void what_is_purged_goes_at_the_next_round(void **state)
{
	struct mail_world *w = *state;
	struct append_result purged = given(w, "INBOX", mail);
	given(w, "INBOX", mail);
	when_expunged(w, "INBOX");
	when_applied(w);
	assert_int_equal(when_reclaimed(w, 86400 * US_PER_S), 0);
	assert_null(vault_purge(&w->op, w->store, w->account, purged.message));
	then_vault_holds(w, 1);
	when_something_else_happens(w);
	assert_int_equal(when_reclaimed(w, 86400 * US_PER_S), 1);
	assert_int_equal(contents(w), 1);
	struct error *err = vault_purge(&w->op, w->store, w->account, purged.message);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	/* Nothing of it is left for the end of the grace period. */
	assert_int_equal(when_reclaimed(w, 0), 1);
	assert_int_equal(when_reclaimed(w, 0), 0);
}

static void what_is_purged_waits_for_rows_that_are_owed(void **state)
{
	struct mail_world *w = *state;
	struct append_result purged = given(w, "INBOX", mail);
	when_expunged(w, "INBOX");
	assert_null(vault_purge(&w->op, w->store, w->account, purged.message));
	/* Where a commit writes all rows none are owed. */
	assert_int_equal(when_reclaimed(w, 86400 * US_PER_S), engine_is_weak ? 0 : 1);
	when_something_else_happens(w);
	assert_int_equal(when_reclaimed(w, 86400 * US_PER_S), engine_is_weak ? 1 : 0);
	then_vault_holds(w, 0);
}

static void only_its_own_account_sees_a_message(void **state)
{
	struct mail_world *w = *state;
	struct account_id other = {uuid_v7()};
	struct append_result was = given(w, "INBOX", mail);
	struct append_result is;
	assert_null(mail_store_make_account(&w->op, w->store, other, SLICE("bob@example.org")));
	when_expunged(w, "INBOX");
	struct error *err = vault_purge(&w->op, w->store, other, was.message);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	err = vault_restore(&w->op, w->store, other, was.message, other, SLICE("Back"), &is);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	/* Into another's mailboxes it may go, if the administrator says so. */
	assert_null(vault_restore(
		&w->op, w->store, w->account, was.message, other, SLICE("Back"), &is));
}

static void without_a_vault_nothing_is_listed(void **state)
{
	struct mail_world *w = *state;
	given(w, "INBOX", mail);
	mail_settings.keeps_vault = false;
	when_expunged(w, "INBOX");
	when_something_else_happens(w);
	mail_settings.keeps_vault = true;
	then_vault_holds(w, 0);
	assert_int_equal(when_reclaimed(w, 0), 1);
}

/* The grace period begins when the last place has gone, not the first. */
static void the_last_place_counts(void **state)
{
	struct mail_world *w = *state;
	given(w, "INBOX", mail);
	when_moved(w, "INBOX", "Trash", true);
	when_expunged(w, "INBOX");
	when_applied(w);
	uint64_t between_us = clock_realtime_us();
	clock_sleep_ns(2 * NS_PER_MS);
	when_expunged(w, "Trash");
	when_something_else_happens(w);
	assert_int_equal(when_reclaimed(w, clock_realtime_us() - between_us), 0);
	then_vault_holds(w, 1);
	assert_int_equal(when_reclaimed(w, 0), 1);
	assert_int_equal(contents(w), 0);
}

static void nothing_is_damaged_by_what_the_vault_does(void **state)
{
	struct mail_world *w = *state;
	struct append_result restored = given(w, "INBOX", mail);
	struct append_result purged = given(w, "INBOX", mail);
	struct append_result is;
	struct solve_report report;
	when_expunged(w, "INBOX");
	assert_null(restore(w, restored.message, &is));
	assert_null(vault_purge(&w->op, w->store, w->account, purged.message));
	when_something_else_happens(w);
	when_reclaimed(w, 0);
	assert_null(mail_store_solve(&w->op, w->store, w->account, true, &report));
	assert_int_equal(report.rows.fixed + report.counts_wrong + report.content_lost, 0);
	then_vault_holds(w, 0);
	assert_int_equal(contents(w), 1);
}

#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Past engine.c, as damage does. */
static void when_a_candidate_is_damaged(struct mail_world *w)
{
	struct slice *partitions;
	size_t count;
	struct engine_rows rows;
	assert_null(engine_partitions(
		w->engine, &w->op, &blob_candidate_table, SLICE_NONE, 1, &partitions, &count));
	assert_int_equal(count, 1);
	assert_null(engine_scan(w->engine, &w->op, &blob_candidate_table, partitions[0], SLICE_NONE,
		SLICE_NONE, 1, false, READ_NORMAL, &rows));
	struct mutation change = {.table = &blob_candidate_table,
		.partition = partitions[0],
		.key = rows.rows[0].key,
		.value = SLICE("damage"),
		.version = rows.rows[0].version + 1};
	assert_null(w->engine->ops->write(w->engine, &w->op, &change, 1, DURABLE));
}

static void a_message_that_was_moved_keeps_its_content_though_its_place_is_lost(void **state)
{
	struct mail_world *w = *state;
	struct mutations gone;
	struct engine_rows rows;
	struct append_result result = given(w, "INBOX", "x\r\n");
	when_moved(w, "INBOX", "Archive", false);
	when_something_else_happens(w);
	struct slice partition = key_id(&w->op.arena, result.message.uuid);
	struct slice from = key_kind_row(&w->op.arena, MESSAGE_PLACE);
	struct slice to = key_kind_row(&w->op.arena, MESSAGE_PLACE + 1);
	assert_null(engine_scan(w->engine, &w->op, &message_table, partition, from, to, SIZE_MAX,
		false, READ_NORMAL, &rows));
	assert_int_equal(rows.count, 1);
	mutations_init(&gone, &w->op.arena);
	mutations_delete(&gone, &message_table, partition, rows.rows[0].key, rows.rows[0].version);
	assert_null(engine_write(w->engine, &w->op, gone.items, gone.count, DURABLE));
	assert_int_equal(when_reclaimed(w, 0), 0);
	assert_null(engine_scan(w->engine, &w->op, &message_table, partition, from, to, SIZE_MAX,
		false, READ_NORMAL, &rows));
	assert_int_equal(rows.count, 1);
	when_expunged(w, "Archive");
	when_something_else_happens(w);
	assert_int_equal(when_reclaimed(w, 0), 1);
}

static void what_cannot_be_reclaimed_holds_up_no_other(void **state)
{
	struct mail_world *w = *state;
	size_t removed;
	for (int i = 0; i < 5; i++)
		given(w, "INBOX", "x\r\n");
	when_expunged(w, "INBOX");
	when_something_else_happens(w);
	when_a_candidate_is_damaged(w);
	struct error *err = mail_store_reclaim(&w->op, w->store, 0, &removed);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_int_equal(removed, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(what_cannot_be_reclaimed_holds_up_no_other),
		SCENARIO(a_message_that_was_moved_keeps_its_content_though_its_place_is_lost),
		SCENARIO(what_is_expunged_is_listed),
		SCENARIO(what_is_in_a_mailbox_still_is_not_listed),
		SCENARIO(a_deleted_mailbox_leaves_its_mail_in_the_vault),
		SCENARIO(an_emptied_account_keeps_its_vault),
		SCENARIO(searches_find_decoded_words_in_any_case),
		SCENARIO(a_list_ends_at_its_limit_and_keeps_to_its_times),
		SCENARIO(a_restored_message_is_what_it_was),
		SCENARIO(a_message_is_restored_once),
		SCENARIO(what_reclaim_has_taken_is_not_restored),
		SCENARIO(what_is_purged_goes_at_the_next_round),
		SCENARIO(what_is_purged_waits_for_rows_that_are_owed),
		SCENARIO(only_its_own_account_sees_a_message),
		SCENARIO(without_a_vault_nothing_is_listed),
		SCENARIO(the_last_place_counts),
		SCENARIO(nothing_is_damaged_by_what_the_vault_does),
	};
	int failed = cmocka_run_group_tests_name("atomic", tests, NULL, NULL);
	engine_is_weak = true;
	failed += cmocka_run_group_tests_name("weak", tests, NULL, NULL);
	const struct CMUnitTest about_content[] = {
		SCENARIO(an_emptied_account_keeps_its_vault),
		SCENARIO(a_restored_message_is_what_it_was),
		SCENARIO(what_reclaim_has_taken_is_not_restored),
		SCENARIO(what_is_purged_goes_at_the_next_round),
		SCENARIO(the_last_place_counts),
		SCENARIO(nothing_is_damaged_by_what_the_vault_does),
	};
	content_is_inline = true;
	return failed + cmocka_run_group_tests_name("inline", about_content, NULL, NULL);
}
