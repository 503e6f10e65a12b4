#include "mailbox/acl.h"

#include "base/clock.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

/* Alice's mailboxes, and Bob. */
struct people {
	struct mail_world w;
	struct account_id alice, bob;
};

static int set_up(void **state)
{
	struct people *p = HEAP_NEW(struct people);
	mail_world_open(&p->w, memory_engine_new(true), NULL, 0);
	mail_world_make_account(&p->w, SLICE("bob@example.org"));
	p->bob = p->w.account;
	mail_world_make_account(&p->w, SLICE("alice@example.org"));
	p->alice = p->w.account;
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct people *p = *state;
	mail_world_close(&p->w);
	free(p);
	return 0;
}

static struct mailbox_status status_of(
	struct people *p, struct account_id account, const char *path)
{
	struct mailbox_status status;
	assert_null(mailbox_find(&p->w.op, p->w.store, account, slice_from_cstr(path), &status));
	return status;
}

static struct error *change(struct people *p, struct account_id by, const char *path,
	enum acl_mode mode, unsigned rights, bool is_negative)
{
	struct acl_change wish = {.by = by,
		.mailbox = status_of(p, p->alice, path).id,
		.mode = mode,
		.entry = {.account = p->bob,
			.name = SLICE("bob@example.org"),
			.rights = rights,
			.is_negative = is_negative}};
	return mailbox_change_acl(&p->w.op, p->w.store, p->alice, &wish);
}

static void grant(struct people *p, const char *path, unsigned rights)
{
	assert_null(change(p, p->alice, path, ACL_REPLACE, rights, false));
}

static unsigned rights_of_bob(struct people *p, const char *path)
{
	unsigned rights;
	assert_null(mailbox_rights(
		&p->w.op, p->w.store, p->alice, status_of(p, p->alice, path).id, p->bob, &rights));
	return rights;
}

static size_t sharers_with(struct people *p, struct account_id who)
{
	struct account_id *owners;
	size_t count;
	assert_null(mailbox_sharers(&p->w.op, p->w.store, who, false, &owners, &count));
	return count;
}

static void rights_are_added_taken_and_replaced(void **state)
{
	struct people *p = *state;
	assert_int_equal(rights_of_bob(p, "INBOX"), 0);
	grant(p, "INBOX", RIGHT_LOOKUP | RIGHT_READ);
	assert_null(change(p, p->alice, "INBOX", ACL_ADD, RIGHT_SEEN, false));
	assert_int_equal(rights_of_bob(p, "INBOX"), RIGHT_LOOKUP | RIGHT_READ | RIGHT_SEEN);
	assert_null(change(p, p->alice, "INBOX", ACL_REMOVE, RIGHT_READ, false));
	assert_int_equal(rights_of_bob(p, "INBOX"), RIGHT_LOOKUP | RIGHT_SEEN);
	assert_null(change(p, p->alice, "INBOX", ACL_REPLACE, RIGHT_SEEN, true));
	mail_world_restart(&p->w);
	assert_int_equal(rights_of_bob(p, "INBOX"), RIGHT_LOOKUP);
	grant(p, "INBOX", 0);
	assert_int_equal(rights_of_bob(p, "INBOX"), 0);
	assert_int_equal(rights_of_bob(p, "Sent"), 0);
}

static void only_who_may_changes_them(void **state)
{
	struct people *p = *state;
	assert_int_equal(change(p, p->bob, "INBOX", ACL_ADD, RIGHT_READ, false)->kind, ERR_DENIED);
	grant(p, "INBOX", RIGHT_ADMIN);
	assert_null(change(p, p->bob, "INBOX", ACL_ADD, RIGHT_READ, false));
	assert_int_equal(rights_of_bob(p, "INBOX"), RIGHT_ADMIN | RIGHT_READ);
}

static void anyone_is_everybody(void **state)
{
	struct people *p = *state;
	struct acl_change wish = {.by = p->alice,
		.mailbox = status_of(p, p->alice, "INBOX").id,
		.entry = {.name = SLICE("anyone"), .rights = RIGHT_LOOKUP | RIGHT_READ}};
	struct account_id *owners;
	size_t count;
	assert_null(mailbox_change_acl(&p->w.op, p->w.store, p->alice, &wish));
	assert_int_equal(rights_of_bob(p, "INBOX"), RIGHT_LOOKUP | RIGHT_READ);
	assert_null(mailbox_sharers(&p->w.op, p->w.store, p->bob, true, &owners, &count));
	assert_int_equal(count, 1);
	assert_int_equal(sharers_with(p, p->bob), 0);
}

static void what_is_shared_is_listed_while_it_is(void **state)
{
	struct people *p = *state;
	assert_int_equal(sharers_with(p, p->bob), 0);
	grant(p, "INBOX", RIGHT_LOOKUP);
	grant(p, "Sent", RIGHT_LOOKUP);
	assert_int_equal(sharers_with(p, p->bob), 1);
	grant(p, "INBOX", 0);
	assert_int_equal(sharers_with(p, p->bob), 1);
	assert_null(mailbox_delete(&p->w.op, p->w.store, p->alice, SLICE("Sent"), NULL));
	assert_int_equal(sharers_with(p, p->bob), 0);
}

static void a_new_mailbox_has_the_list_of_the_one_above(void **state)
{
	struct people *p = *state;
	grant(p, "Archive", RIGHT_LOOKUP | RIGHT_READ);
	assert_null(
		mailbox_create(&p->w.op, p->w.store, p->alice, SLICE("Archive/2024/May"), 0, NULL));
	assert_int_equal(rights_of_bob(p, "Archive/2024/May"), RIGHT_LOOKUP | RIGHT_READ);
	grant(p, "Archive", 0);
	assert_int_equal(rights_of_bob(p, "Archive/2024"), RIGHT_LOOKUP | RIGHT_READ);
	assert_int_equal(sharers_with(p, p->bob), 1);
	assert_null(mailbox_rename(
		&p->w.op, p->w.store, p->alice, SLICE("Archive/2024"), NULL, SLICE("Old")));
	assert_int_equal(rights_of_bob(p, "Old/May"), RIGHT_LOOKUP | RIGHT_READ);
	assert_null(mail_store_empty_account(&p->w.op, p->w.store, p->alice));
	assert_int_equal(sharers_with(p, p->bob), 0);
}

static void a_lost_row_of_the_listing_is_put_back(void **state)
{
	struct people *p = *state;
	struct op *op = &p->w.op;
	struct mutations gone;
	struct solve_report report;
	grant(p, "INBOX", RIGHT_LOOKUP);
	mutations_init(&gone, &op->arena);
	mutations_delete(&gone, &shared_to_table, key_id(&op->arena, p->bob.uuid),
		key_shared_to(&op->arena, p->alice, status_of(p, p->alice, "INBOX").id),
		clock_realtime_us());
	assert_null(engine_write(p->w.engine, op, gone.items, gone.count, DURABLE));
	assert_int_equal(sharers_with(p, p->bob), 0);
	mail_world_commit_nothing(&p->w);
	assert_null(mail_store_solve(op, p->w.store, p->alice, false, &report));
	assert_int_equal(report.rows.missing, 1);
	assert_int_equal(sharers_with(p, p->bob), 1);
}

static void damaged_lists_are_told_of(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct acl_entry entries[] = {{.account = {uuid_v7()}, .name = SLICE("b"), .rights = 3}};
	struct acl acl = {entries, 1};
	struct slice bytes = acl_encode(&op.arena, &acl);
	assert_true(acl_decode(&op.arena, bytes, &acl));
	assert_int_equal(acl.count, 1);
	assert_int_equal(acl_rights_of(&acl, entries[0].account), 3);
	for (size_t len = 1; len < bytes.len; len++)
		assert_false(acl_decode(&op.arena, slice_range(bytes, 0, len), &acl));
}

/* ---- COPY and MOVE between accounts ---- */

static uint32_t append(struct people *p, struct account_id account, const char *path,
	const char *content, uint16_t flags, const char *keyword)
{
	struct slice name = slice_from_cstr(keyword);
	struct append_result result;
	struct append_request request = {.account = account,
		.path = slice_from_cstr(path),
		.content = slice_from_cstr(content),
		.flags = flags,
		.keywords = &name,
		.keyword_count = keyword != NULL,
		.internal_date_us = 1234567000000};
	assert_null(mailbox_append(&p->w.op, p->w.store, &request, &result));
	return result.uid;
}

static struct error *copy_to_alice(
	struct people *p, uint16_t flags, bool is_move, struct copy_result *result)
{
	struct uid_set *all = ARENA_NEW(&p->w.op.arena, struct uid_set);
	uid_set_init(all, &p->w.op.arena);
	uid_set_add_range(all, 1, UINT32_MAX);
	struct copy_across across = {.from_account = p->bob,
		.to_account = p->alice,
		.from = status_of(p, p->bob, "INBOX").id,
		.to = status_of(p, p->alice, "Archive").id,
		.uids = all,
		.flags = flags,
		.keeps_keywords = flags == FLAGS_ALL,
		.is_move = is_move};
	return mailbox_copy_across(&p->w.op, p->w.store, &across, result);
}

static uint64_t used_by(struct people *p, struct account_id account)
{
	struct quota quota;
	assert_null(mailbox_quota(&p->w.op, p->w.store, account, &quota));
	return quota.used_bytes;
}

static void a_copy_is_the_receiving_accounts(void **state)
{
	struct people *p = *state;
	struct copy_result result;
	struct message *messages;
	struct slice content;
	size_t count;
	append(p, p->bob, "INBOX", "Subject: one\r\n\r\n", FLAG_SEEN | FLAG_DELETED, "$Mine");
	append(p, p->bob, "INBOX", "Subject: two\r\n\r\n", FLAG_FLAGGED, NULL);
	assert_null(copy_to_alice(p, FLAG_SEEN, false, &result));
	assert_int_equal(result.count, 2);
	assert_int_equal(used_by(p, p->alice), 32);
	assert_int_equal(used_by(p, p->bob), 32);
	/* It stays when the first one goes. */
	assert_null(mail_store_empty_account(&p->w.op, p->w.store, p->bob));
	mail_store_work(&p->w.op, p->w.store);
	struct uid_set all = {.arena = &p->w.op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	assert_null(mailbox_messages(&p->w.op, p->w.store, p->alice,
		status_of(p, p->alice, "Archive").id, &all, &messages, &count));
	assert_int_equal(count, 2);
	assert_int_equal(messages[0].flags, FLAG_SEEN);
	assert_true(keyword_set_is_empty(&messages[0].keywords));
	assert_int_equal(messages[1].flags, 0);
	assert_int_equal(messages[0].internal_date_us, 1234567000000);
	assert_null(message_content(&p->w.op, p->w.store, &messages[0], 0, SIZE_MAX, &content));
	assert_true(slice_equal(content, SLICE("Subject: one\r\n\r\n")));
}

static void a_move_leaves_nothing_behind(void **state)
{
	struct people *p = *state;
	struct copy_result result;
	append(p, p->bob, "INBOX", "Subject: one\r\n\r\n", FLAG_SEEN, "$Mine");
	assert_null(copy_to_alice(p, FLAGS_ALL, true, &result));
	assert_int_equal(result.count, 1);
	assert_int_equal(status_of(p, p->bob, "INBOX").messages, 0);
	assert_int_equal(status_of(p, p->alice, "Archive").messages, 1);
	assert_int_equal(used_by(p, p->bob), 0);
	assert_int_equal(used_by(p, p->alice), 16);
}

static struct error *room_for_150(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_limit_bytes, uint64_t *ret_limit_count)
{
	(void)op;
	(void)context;
	(void)account;
	*ret_limit_bytes = 0;
	*ret_limit_count = slice_equal(address, SLICE("alice@example.org")) ? 150 : 0;
	return NULL;
}

static void a_copy_in_pieces_is_all_or_nothing(void **state)
{
	struct people *p = *state;
	struct copy_result result;
	for (int i = 0; i < 250; i++)
		append(p, p->bob, "INBOX", "Subject: many\r\n\r\n", 0, NULL);
	mail_store_set_quota(p->w.store, room_for_150, NULL);
	assert_int_equal(copy_to_alice(p, FLAGS_ALL, false, &result)->kind, ERR_LIMIT);
	assert_int_equal(result.count, 0);
	mail_store_work(&p->w.op, p->w.store);
	assert_int_equal(status_of(p, p->alice, "Archive").messages, 0);
	assert_int_equal(used_by(p, p->alice), 0);
	mail_store_set_quota(p->w.store, NULL, NULL);
	assert_null(copy_to_alice(p, FLAGS_ALL, false, &result));
	assert_int_equal(result.count, 250);
	mail_store_work(&p->w.op, p->w.store);
	assert_int_equal(status_of(p, p->alice, "Archive").messages, 250);
}

/* The process ends behind the first piece: the next one finds what it left. */
static void a_crash_leaves_nothing_of_a_copy_in_pieces(void **state)
{
	struct people *p = *state;
	struct copy_result result;
	for (int i = 0; i < 250; i++)
		append(p, p->bob, "INBOX", "Subject: many\r\n\r\n", 0, NULL);
	mail_store_set_quota(p->w.store, room_for_150, NULL);
	assert_int_equal(copy_to_alice(p, FLAGS_ALL, false, &result)->kind, ERR_LIMIT);
	mail_world_restart(&p->w);
	assert_int_equal(status_of(p, p->alice, "Archive").messages, 100);
	assert_null(drive_intents(&p->w.op, p->w.store, p->alice));
	assert_int_equal(status_of(p, p->alice, "Archive").messages, 0);
	assert_int_equal(used_by(p, p->alice), 0);
	assert_int_equal(used_by(p, p->bob), 250 * 17);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(rights_are_added_taken_and_replaced),
		SCENARIO(only_who_may_changes_them),
		SCENARIO(anyone_is_everybody),
		SCENARIO(what_is_shared_is_listed_while_it_is),
		SCENARIO(a_new_mailbox_has_the_list_of_the_one_above),
		SCENARIO(a_lost_row_of_the_listing_is_put_back),
		SCENARIO(damaged_lists_are_told_of),
		SCENARIO(a_copy_is_the_receiving_accounts),
		SCENARIO(a_move_leaves_nothing_behind),
		SCENARIO(a_copy_in_pieces_is_all_or_nothing),
		SCENARIO(a_crash_leaves_nothing_of_a_copy_in_pieces),
	};
	return cmocka_run_group_tests_name("mailbox/acl", tests, NULL, NULL);
}
