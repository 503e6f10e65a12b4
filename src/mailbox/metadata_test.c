#include "engine/memory.h"
#include "mailbox/mail_world.h"

static int set_up(void **state)
{
	struct mail_world *w = HEAP_NEW(struct mail_world);
	mail_world_open(w, memory_engine_new(true), NULL, 0);
	mail_world_make_account(w, SLICE("alice@example.org"));
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

static const struct mailbox_id none;

static struct error *change(struct mail_world *w, struct mailbox_id mailbox, const char *name,
	struct slice value, struct metadata_change *ret_change)
{
	struct metadata_entry *entry = ARENA_NEW(&w->op.arena, struct metadata_entry);
	*entry = (struct metadata_entry){
		.name = slice_from_cstr(name), .value = value, .is_absent = !value.ptr};
	*ret_change = (struct metadata_change){.mailbox = mailbox, .entries = entry, .count = 1};
	return mailbox_change_metadata(&w->op, w->store, w->account, ret_change);
}

static void set(
	struct mail_world *w, struct mailbox_id mailbox, const char *name, const char *value)
{
	struct metadata_change done;
	assert_null(change(w, mailbox, name, slice_from_cstr(value), &done));
}

static struct metadata_list of(struct mail_world *w, struct mailbox_id mailbox)
{
	struct metadata_list all;
	assert_null(mailbox_metadata(&w->op, w->store, w->account, &all));
	return metadata_of(&all, mailbox);
}

static void then_value_is(struct mail_world *w, struct mailbox_id mailbox, const char *value)
{
	struct metadata_list list = of(w, mailbox);
	assert_int_equal(list.count, 1);
	assert_true(slice_equal(list.items[0].value, slice_from_cstr(value)));
}

static void entries_are_kept_apart_by_mailbox(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id sent = mail_world_status(w, "Sent").id;
	set(w, sent, "/private/comment", "out");
	set(w, none, "/private/comment", "mine");
	set(w, sent, "/private/comment", "gone out");
	mail_world_restart(w);
	then_value_is(w, sent, "gone out");
	then_value_is(w, none, "mine");
	assert_int_equal(of(w, mail_world_status(w, "INBOX").id).count, 0);
	set(w, sent, "/private/comment", NULL);
	assert_int_equal(of(w, sent).count, 0);
	then_value_is(w, none, "mine");
}

static void entries_go_where_their_mailbox_goes(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id sent = mail_world_status(w, "Sent").id;
	set(w, sent, "/private/comment", "out");
	assert_null(
		mailbox_rename(&w->op, w->store, w->account, SLICE("Sent"), NULL, SLICE("Out")));
	then_value_is(w, mail_world_status(w, "Out").id, "out");
	assert_null(mailbox_delete(&w->op, w->store, w->account, SLICE("Out"), NULL));
	mail_world_restart(w);
	struct metadata_list all;
	assert_null(mailbox_metadata(&w->op, w->store, w->account, &all));
	assert_int_equal(all.count, 0);
}

static void a_renamed_inbox_leaves_its_entries_and_takes_a_copy(void **state)
{
	struct mail_world *w = *state;
	struct metadata_limits before = metadata_limits;
	set(w, mail_world_status(w, "INBOX").id, "/private/comment", "in");
	assert_null(
		mailbox_rename(&w->op, w->store, w->account, SLICE("INBOX"), NULL, SLICE("Old")));
	then_value_is(w, mail_world_status(w, "INBOX").id, "in");
	then_value_is(w, mail_world_status(w, "Old").id, "in");
	/* Where there is no room for a copy, there is none. */
	metadata_limits.account_bytes = 200;
	assert_null(
		mailbox_rename(&w->op, w->store, w->account, SLICE("INBOX"), NULL, SLICE("Older")));
	then_value_is(w, mail_world_status(w, "INBOX").id, "in");
	assert_int_equal(of(w, mail_world_status(w, "Older").id).count, 0);
	metadata_limits = before;
}

static void an_emptied_account_keeps_none(void **state)
{
	struct mail_world *w = *state;
	struct metadata_list all;
	set(w, none, "/private/comment", "mine");
	set(w, mail_world_status(w, "INBOX").id, "/shared/comment", "in");
	assert_null(mail_store_empty_account(&w->op, w->store, w->account));
	assert_null(mailbox_metadata(&w->op, w->store, w->account, &all));
	assert_int_equal(all.count, 0);
}

static void a_change_beyond_the_limits_changes_nothing(void **state)
{
	struct mail_world *w = *state;
	struct metadata_limits before = metadata_limits;
	struct metadata_change done;
	struct mailbox_id inbox = mail_world_status(w, "INBOX").id;
	metadata_limits =
		(struct metadata_limits){.value_bytes = 4, .entries = 2, .account_bytes = 300};
	assert_int_equal(change(w, inbox, "/private/a", SLICE("12345"), &done)->kind, ERR_LIMIT);
	assert_int_equal(done.fault, METADATA_TOO_LARGE);
	set(w, inbox, "/private/a", "1");
	set(w, inbox, "/private/b", "1");
	assert_int_equal(change(w, inbox, "/private/c", SLICE("1"), &done)->kind, ERR_LIMIT);
	assert_int_equal(done.fault, METADATA_TOO_MANY);
	/* What is there can be changed and removed all the same; others have room of their own. */
	set(w, inbox, "/private/b", "22");
	set(w, none, "/private/c", "1");
	assert_int_equal(change(w, none, "/private/d", SLICE("1"), &done)->kind, ERR_LIMIT);
	set(w, inbox, "/private/a", NULL);
	set(w, none, "/private/d", "1");
	assert_int_equal(of(w, inbox).count, 1);
	metadata_limits = before;
}

static void a_mailbox_that_is_not_there_has_no_metadata(void **state)
{
	struct mail_world *w = *state;
	struct metadata_change done;
	struct mailbox_id other = {uuid_v7()};
	assert_int_equal(change(w, other, "/private/a", SLICE("1"), &done)->kind, ERR_NOT_FOUND);
	/* Another account's may be noted of. */
	struct metadata_entry entry = {.name = SLICE("/private/a"), .value = SLICE("1")};
	struct metadata_change elsewhere = {
		.mailbox = other, .is_elsewhere = true, .entries = &entry, .count = 1};
	assert_null(mailbox_change_metadata(&w->op, w->store, w->account, &elsewhere));
	then_value_is(w, other, "1");
}

static void news_are_told_by_name_and_once(void **state)
{
	struct mail_world *w = *state;
	struct metadata_news news;
	struct mailbox_id sent = mail_world_status(w, "Sent").id;
	assert_null(mailbox_metadata_since(&w->op, w->store, w->account, 0, &news));
	uint64_t before = news.modseq;
	set(w, sent, "/private/comment", "out");
	assert_null(mailbox_subscribe(&w->op, w->store, w->account, SLICE("x"), true));
	set(w, none, "/private/comment", NULL);
	assert_null(mailbox_metadata_since(&w->op, w->store, w->account, before, &news));
	assert_int_equal(news.count, 2);
	assert_true(ID_EQUAL(news.items[0].mailbox, sent));
	struct reader reader = reader_of(news.items[0].names);
	assert_true(slice_equal(reader_slice(&reader), SLICE("/private/comment")));
	assert_true(reader_is_complete(&reader));
	assert_true(ID_EQUAL(news.items[1].mailbox, none));
	assert_int_equal(news.items[1].modseq, news.modseq);
	assert_null(mailbox_metadata_since(&w->op, w->store, w->account, news.modseq, &news));
	assert_int_equal(news.count, 0);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(entries_are_kept_apart_by_mailbox),
		SCENARIO(entries_go_where_their_mailbox_goes),
		SCENARIO(a_renamed_inbox_leaves_its_entries_and_takes_a_copy),
		SCENARIO(an_emptied_account_keeps_none),
		SCENARIO(a_change_beyond_the_limits_changes_nothing),
		SCENARIO(a_mailbox_that_is_not_there_has_no_metadata),
		SCENARIO(news_are_told_by_name_and_once),
	};
	return cmocka_run_group_tests_name("mailbox/metadata", tests, NULL, NULL);
}
