#include "base/test.h"

#include "front/imap/imap_view.h"
#include "mailbox/snapshot_private.h"

static struct snapshot *snapshot_with(const uint32_t *uids, size_t count, uint32_t uidnext)
{
	struct snapshot_builder builder;
	struct keyword_set none = {0};
	builder_begin(&builder, NULL);
	for (size_t i = 0; i < count; i++)
		builder_put(&builder, uids[i], 0, &none, 100 + uids[i]);
	struct account_mailbox row = {.uidvalidity = 1, .uidnext = uidnext};
	AUTO_OP(op, "test");
	struct snapshot *snapshot;
	assert_null(builder_finish(&op, &builder, (struct mailbox_id){0}, &row, 200, &snapshot));
	return snapshot;
}

static const uint32_t four[] = {2, 3, 7, 9};

static void expect_uids(const char *text, bool by_uid, const char *want)
{
	AUTO_OP(op, "test");
	struct imap_view *view = imap_view_new(snapshot_with(four, 4, 12));
	struct slice line = slice_from_cstr(text);
	struct imap_args args = {.line = line, .rest = line};
	struct imap_sequence sequence;
	struct uid_set uids;
	assert_null(imap_sequence(&op, &args, &sequence));
	struct error *err = imap_view_uids(&op, &args, view, &sequence, by_uid, &uids);
	assert_int_equal(err == NULL, want != NULL);
	if (!err) {
		struct buf out = buf_in(&op.arena);
		uid_set_print(&uids, &out);
		buf_append_char(&out, '\0');
		assert_string_equal(out.ptr, want);
	}
	imap_view_free(view);
}

static void sequence_numbers_name_the_messages_in_order(void **state)
{
	(void)state;
	expect_uids("1", false, "2");
	expect_uids("2:3", false, "3,7");
	expect_uids("*", false, "9");
	expect_uids("*:3", false, "7,9");
	expect_uids("4,1", false, "2,9");
	expect_uids("5", false, NULL);
	expect_uids("1:5", false, NULL);
}

static void uids_name_only_what_is_there(void **state)
{
	(void)state;
	expect_uids("1:3", true, "2:3");
	expect_uids("4:6", true, "");
	expect_uids("8:*", true, "9");
	expect_uids("100:*", true, "9");
	expect_uids("1:4294967295", true, "2:3,7,9");
	expect_uids("9,2", true, "2,9");
}

static void numbers_move_only_when_the_view_does(void **state)
{
	(void)state;
	static const uint32_t later[] = {3, 9, 12};
	struct imap_view *view = imap_view_new(snapshot_with(four, 4, 12));
	struct snapshot *now = snapshot_with(later, 3, 13);
	assert_int_equal(imap_view_sequence(view, 9), 4);
	assert_int_equal(imap_view_sequence(view, 12), 0);
	imap_view_move(view, now);
	assert_int_equal(imap_view_sequence(view, 9), 2);
	assert_int_equal(imap_view_sequence(view, 12), 3);
	assert_int_equal(imap_view_sequence(view, 2), 0);
	assert_int_equal(view->recent_from, 12);
	imap_view_free(view);
}

static void a_saved_result_names_what_is_still_shown(void **state)
{
	(void)state;
	static const uint32_t later[] = {3, 9};
	AUTO_OP(op, "test");
	struct imap_view *view = imap_view_new(snapshot_with(four, 4, 12));
	struct uid_set saved, uids;
	uid_set_init(&saved, &op.arena);
	uid_set_add_range(&saved, 2, 3);
	imap_view_save(view, &saved);
	imap_view_move(view, snapshot_with(later, 2, 12));
	struct imap_args args = {0};
	struct imap_sequence sequence = {.is_saved = true};
	assert_null(imap_view_uids(&op, &args, view, &sequence, false, &uids));
	assert_int_equal(uid_set_size(&uids), 1);
	assert_true(uid_set_contains(&uids, 3));
	imap_view_free(view);
}

static void sets_are_walked_split_and_intersected(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct snapshot *snapshot = snapshot_with(four, 4, 12);
	struct uid_set set, other, both, there, gone;
	uid_set_init(&set, &op.arena);
	uid_set_add_range(&set, 1, 4);
	uid_set_add(&set, UINT32_MAX);
	struct uid_cursor cursor = {0};
	uint32_t uid, count = 0, last = 0;
	while (uid_cursor_next(&set, &cursor, &uid)) {
		assert_true(uid > last);
		last = uid;
		count++;
	}
	assert_int_equal(count, 5);
	uid_set_split(&op.arena, &set, snapshot, &there, &gone);
	assert_int_equal(uid_set_size(&there), 2);
	assert_int_equal(uid_set_size(&gone), 3);
	uid_set_init(&other, &op.arena);
	uid_set_add_range(&other, 3, 10);
	uid_set_intersect(&op.arena, &set, &other, &both);
	assert_int_equal(uid_set_size(&both), 2);
	snapshot_unref(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sequence_numbers_name_the_messages_in_order),
		cmocka_unit_test(uids_name_only_what_is_there),
		cmocka_unit_test(numbers_move_only_when_the_view_does),
		cmocka_unit_test(a_saved_result_names_what_is_still_shown),
		cmocka_unit_test(sets_are_walked_split_and_intersected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
