#include "base/clock.h"
#include "blob/blob_inline.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

static bool engine_is_weak;
static bool content_is_inline;

static int set_up(void **state)
{
	struct mail_world *w = HEAP_NEW(struct mail_world);
	mail_world_open(w, memory_engine_new(!engine_is_weak), NULL,
		content_is_inline ? BLOB_INLINE_MOST : 0);
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

static struct append_result append(
	struct mail_world *w, const char *path, const char *content, uint16_t flags)
{
	struct append_result result;
	struct append_request request = {.account = w->account,
		.path = slice_from_cstr(path),
		.content = slice_from_cstr(content),
		.flags = flags};
	assert_null(mailbox_append(&w->op, w->store, &request, &result));
	return result;
}

static struct uid_set all_uids(struct mail_world *w)
{
	struct uid_set set = {.arena = &w->op.arena};
	uid_set_add_range(&set, 1, UINT32_MAX);
	return set;
}

static size_t messages_in(struct mail_world *w, const char *path, struct message **ret_messages)
{
	size_t count;
	struct uid_set all = all_uids(w);
	assert_null(mailbox_messages(&w->op, w->store, w->account, mail_world_status(w, path).id,
		&all, ret_messages, &count));
	return count;
}

static struct snapshot *snapshot_of(struct mail_world *w, const char *path)
{
	struct snapshot *snapshot;
	assert_null(mailbox_snapshot(
		&w->op, w->store, w->account, mail_world_status(w, path).id, &snapshot));
	return snapshot;
}

static void an_appended_message_is_there_with_its_bytes(void **state)
{
	struct mail_world *w = *state;
	struct append_result result =
		append(w, "INBOX", "Subject: hello\r\n\r\nbody\r\n", FLAG_SEEN);
	assert_int_equal(result.uid, 1);
	struct message *messages;
	assert_int_equal(messages_in(w, "INBOX", &messages), 1);
	struct slice content;
	assert_null(message_content(&w->op, w->store, &messages[0], 0, UINT64_MAX, &content));
	assert_true(slice_equal(content, SLICE("Subject: hello\r\n\r\nbody\r\n")));
	assert_int_equal(messages[0].flags, FLAG_SEEN);
	struct mailbox_status status = mail_world_status(w, "inbox");
	assert_int_equal(status.messages, 1);
	assert_int_equal(status.unseen, 0);
	assert_int_equal(status.uidnext, 2);
	assert_int_equal(status.bytes, 24);
}

static void everything_is_there_after_a_restart(void **state)
{
	struct mail_world *w = *state;
	append(w, "INBOX", "a\r\n", 0);
	append(w, "INBOX", "b\r\n", FLAG_FLAGGED);
	mail_world_restart(w);
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	assert_int_equal(snapshot_count(snapshot), 2);
	assert_int_equal(snapshot_at(snapshot, 1).flags, FLAG_FLAGGED);
	snapshot_unref(snapshot);
	struct message *messages;
	assert_int_equal(messages_in(w, "INBOX", &messages), 2);
}

static struct flag_result change(struct mail_world *w, const char *path, enum flag_mode mode,
	uint16_t flags, const char *keyword)
{
	struct flag_result result;
	struct uid_set all = all_uids(w);
	struct slice name = slice_from_cstr(keyword);
	struct flag_change wish = {
		.mode = mode, .flags = flags, .keywords = &name, .keyword_count = keyword != NULL};
	assert_null(mailbox_change_flags(
		&w->op, w->store, w->account, mail_world_status(w, path).id, &all, &wish, &result));
	return result;
}

static void flags_change_counts_and_modseqs(void **state)
{
	struct mail_world *w = *state;
	append(w, "INBOX", "a\r\n", 0);
	append(w, "INBOX", "bc\r\n", FLAG_SEEN);
	struct flag_result result =
		change(w, "INBOX", FLAGS_ADD, FLAG_SEEN | FLAG_DELETED, "$Junk");
	assert_int_equal(uid_set_size(&result.changed), 2);
	struct mailbox_status status = mail_world_status(w, "INBOX");
	assert_int_equal(status.unseen, 0);
	assert_int_equal(status.deleted, 2);
	assert_int_equal(status.deleted_bytes, 7);
	result = change(w, "INBOX", FLAGS_ADD, FLAG_SEEN, NULL);
	assert_true(uid_set_is_empty(&result.changed));
	assert_int_equal(result.modseq, 0);
	change(w, "INBOX", FLAGS_REMOVE, FLAG_DELETED, "$junk");
	status = mail_world_status(w, "INBOX");
	assert_int_equal(status.deleted, 0);
	assert_int_equal(status.deleted_bytes, 0);
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	struct snapshot_message message = snapshot_at(snapshot, 0);
	assert_true(keyword_set_is_empty(snapshot_keywords(snapshot, &message)));
	assert_true(slice_equal(snapshot_keyword_names(snapshot)->names[0], SLICE("$Junk")));
	snapshot_unref(snapshot);
}

static void expunged_messages_vanish_exactly(void **state)
{
	struct mail_world *w = *state;
	for (int i = 0; i < 5; i++)
		append(w, "INBOX", "a\r\n", i % 2 ? FLAG_DELETED : 0);
	uint64_t before = mail_world_status(w, "INBOX").highest_modseq;
	struct expunge_result result;
	assert_null(mailbox_expunge(&w->op, w->store, w->account, mail_world_status(w, "INBOX").id,
		NULL, true, &result));
	assert_int_equal(uid_set_size(&result.expunged), 2);
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	struct mailbox_changes changes;
	assert_null(
		mailbox_changes_since(&w->op, w->store, w->account, snapshot, before, &changes));
	assert_true(changes.is_exact);
	assert_int_equal(uid_set_size(&changes.vanished), 2);
	assert_true(uid_set_contains(&changes.vanished, 2));
	assert_true(uid_set_contains(&changes.vanished, 4));
	assert_int_equal(snapshot_count(snapshot), 3);
	snapshot_unref(snapshot);
	struct quota quota;
	assert_null(mailbox_quota(&w->op, w->store, w->account, &quota));
	assert_int_equal(quota.used_count, 3);
	assert_int_equal(quota.used_bytes, 9);
}

static void a_move_takes_all_in_one_commit(void **state)
{
	struct mail_world *w = *state;
	for (int i = 0; i < 3; i++)
		append(w, "INBOX", "a\r\n", FLAG_ANSWERED);
	change(w, "INBOX", FLAGS_ADD, 0, "work");
	struct copy_result result;
	struct uid_set all = all_uids(w);
	assert_null(mailbox_move(&w->op, w->store, w->account, mail_world_status(w, "INBOX").id,
		&all, mail_world_status(w, "Archive").id, &result));
	assert_int_equal(result.count, 3);
	assert_int_equal(result.to[2], 3);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 0);
	assert_int_equal(mail_world_status(w, "Archive").messages, 3);
	struct message *messages;
	assert_int_equal(messages_in(w, "Archive", &messages), 3);
	assert_int_equal(messages[0].flags, FLAG_ANSWERED);
	assert_true(keyword_set_has(&messages[0].keywords, 0));
	assert_int_equal(messages_in(w, "INBOX", &messages), 0);
}

static void then_it_came_first(const struct message *message, uint32_t uidvalidity, uint32_t uid)
{
	assert_int_equal(message->first_uidvalidity, uidvalidity);
	assert_int_equal(message->first_uid, uid);
}

static void where_a_message_came_first_goes_with_it(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_status inbox = mail_world_status(w, "INBOX");
	struct mailbox_status archive = mail_world_status(w, "Archive");
	struct uid_set all = all_uids(w);
	struct copy_result result;
	struct message *messages;
	append(w, "INBOX", "a\r\n", 0);
	append(w, "INBOX", "b\r\n", 0);
	assert_int_equal(messages_in(w, "INBOX", &messages), 2);
	then_it_came_first(&messages[1], 0, 0);
	assert_null(
		mailbox_move(&w->op, w->store, w->account, inbox.id, &all, archive.id, &result));
	change(w, "Archive", FLAGS_ADD, FLAG_SEEN, "work");
	assert_null(
		mailbox_copy(&w->op, w->store, w->account, archive.id, &all, inbox.id, &result));
	mail_world_restart(w);
	mail_store_work(&w->op, w->store);
	assert_int_equal(messages_in(w, "Archive", &messages), 2);
	then_it_came_first(&messages[0], inbox.uidvalidity, 1);
	assert_int_equal(messages_in(w, "INBOX", &messages), 2);
	assert_int_equal(messages[1].uid, 4);
	then_it_came_first(&messages[1], inbox.uidvalidity, 2);
}

static void rows_from_before_they_said_where_a_message_came_first_are_read(void **state)
{
	struct mail_world *w = *state;
	struct row_type before = mailbox_message_row;
	before.column_count -= 2;
	struct mailbox_message row = {
		.size = 9, .header_length = 4, .first_uidvalidity = 77, .first_uid = 5};
	struct message message;
	struct slice stored = row_encode_in(&w->op.arena, &before, &row);
	assert_null(message_row_decode(&w->op, 12, stored, &message));
	assert_int_equal(message.header_length, 4);
	then_it_came_first(&message, 0, 0);
	/* And the other way round: a program from before passes over what it does not know. */
	stored = row_encode_in(&w->op.arena, &mailbox_message_row, &row);
	assert_null(row_decode(&w->op, &before, stored, &row));
	assert_int_equal(row.header_length, 4);
	assert_int_equal(row.first_uid, 0);
}

static void a_large_copy_is_whole(void **state)
{
	struct mail_world *w = *state;
	const int count = CHUNK_OF_MESSAGES * 2 + 7;
	for (int i = 0; i < count; i++)
		append(w, "INBOX", "a\r\n", 0);
	struct copy_result result;
	struct uid_set all = all_uids(w);
	assert_null(mailbox_copy(&w->op, w->store, w->account, mail_world_status(w, "INBOX").id,
		&all, mail_world_status(w, "Archive").id, &result));
	assert_int_equal(result.count, count);
	assert_int_equal(mail_world_status(w, "Archive").messages, count);
	mail_world_restart(w);
	mail_store_work(&w->op, w->store);
	assert_int_equal(mail_world_status(w, "Archive").messages, count);
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	assert_int_equal(snapshot_count(snapshot), count);
	/* Blocks are nearly full only where messages came one by one. */
	assert_true(snapshot_memory(snapshot) <= 20 * (size_t)count);
	snapshot_unref(snapshot);
}

static void a_large_store_changes_all(void **state)
{
	struct mail_world *w = *state;
	const int count = CHUNK_OF_MESSAGES * 2 + 7;
	for (int i = 0; i < count; i++)
		append(w, "INBOX", "a\r\n", 0);
	struct flag_result result = change(w, "INBOX", FLAGS_ADD, FLAG_SEEN | FLAG_DELETED, NULL);
	assert_int_equal(uid_set_size(&result.changed), count);
	struct mailbox_status status = mail_world_status(w, "INBOX");
	assert_int_equal(status.unseen, 0);
	assert_int_equal(status.deleted, count);
	assert_int_equal(status.deleted_bytes, 3 * count);
	assert_true(status.highest_modseq == result.modseq);
	struct expunge_result gone;
	assert_null(mailbox_expunge(&w->op, w->store, w->account, status.id, NULL, true, &gone));
	assert_int_equal(uid_set_size(&gone.expunged), count);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 0);
}

static void a_copy_that_was_finished_is_not_undone(void **state)
{
	struct mail_world *w = *state;
	struct copy_result copied;
	struct uid_set all = all_uids(w);
	append(w, "INBOX", "a\r\n", 0);
	assert_null(mailbox_copy(&w->op, w->store, w->account, mail_world_status(w, "INBOX").id,
		&all, mail_world_status(w, "Archive").id, &copied));
	/* Somebody saw an intent that is gone by the time it is driven. */
	assert_null(expunge_for_intent(&w->op, w->store, w->account,
		mail_world_status(w, "Archive").id, &all, uuid_random()));
	assert_int_equal(mail_world_status(w, "Archive").messages, 1);
}

static void a_tree_is_renamed_whole(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id id;
	assert_null(mailbox_create(&w->op, w->store, w->account, SLICE("a/b/c"), 0, &id));
	append(w, "a/b", "x\r\n", 0);
	assert_null(mailbox_rename(&w->op, w->store, w->account, SLICE("a"), NULL, SLICE("z/y")));
	assert_int_equal(mail_world_status(w, "z/y/b").messages, 1);
	assert_true(ID_EQUAL(mail_world_status(w, "z/y/b/c").id, id));
	struct mailbox_status status;
	struct error *err = mailbox_find(&w->op, w->store, w->account, SLICE("a"), &status);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	struct mailbox_list list;
	assert_null(mailbox_list(&w->op, w->store, w->account, &list));
	assert_true(slice_equal(list.items[0].path, SLICE("INBOX")));
	assert_int_equal(list.count, 10);
}

static void another_mailbox_that_has_the_path_by_now_is_left_alone(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id seen;
	struct mailbox_id now;
	assert_null(mailbox_create(&w->op, w->store, w->account, SLICE("work"), 0, &seen));
	assert_null(
		mailbox_rename(&w->op, w->store, w->account, SLICE("work"), &seen, SLICE("old")));
	assert_null(mailbox_create(&w->op, w->store, w->account, SLICE("work"), 0, &now));
	assert_int_equal(mailbox_delete(&w->op, w->store, w->account, SLICE("work"), &seen)->kind,
		ERR_NOT_FOUND);
	assert_int_equal(
		mailbox_rename(&w->op, w->store, w->account, SLICE("work"), &seen, SLICE("new"))
			->kind,
		ERR_NOT_FOUND);
	assert_true(ID_EQUAL(mail_world_status(w, "work").id, now));
	assert_null(mailbox_delete(&w->op, w->store, w->account, SLICE("work"), &now));
}

static void a_deleted_mailbox_is_cleaned_up(void **state)
{
	struct mail_world *w = *state;
	struct mailbox_id id;
	assert_null(mailbox_create(&w->op, w->store, w->account, SLICE("tmp"), 0, &id));
	append(w, "tmp", "x\r\n", 0);
	assert_null(mailbox_delete(&w->op, w->store, w->account, SLICE("tmp"), NULL));
	struct quota quota;
	assert_null(mailbox_quota(&w->op, w->store, w->account, &quota));
	assert_int_equal(quota.used_count, 0);
	mail_store_work(&w->op, w->store);
	size_t removed;
	mail_store_work(&w->op, w->store);
	mail_world_commit_nothing(w);
	assert_null(mail_store_reclaim(&w->op, w->store, 0, &removed));
	assert_int_equal(removed, 1);
	struct blob_id *blobs;
	size_t count;
	assert_null(blob_list(w->blobs, &w->op, SLICE_NONE, 10, &blobs, &count));
	assert_int_equal(count, 0);
	struct snapshot *snapshot;
	assert_non_null(mailbox_snapshot(&w->op, w->store, w->account, id, &snapshot));
}

static struct message only_message(struct mail_world *w)
{
	struct message *messages;
	size_t count;
	struct uid_set all = all_uids(w);
	assert_null(mailbox_messages(&w->op, w->store, w->account, mail_world_status(w, "INBOX").id,
		&all, &messages, &count));
	assert_int_equal(count, 1);
	return messages[0];
}

static void then_the_envelope_has(
	struct mail_world *w, const struct message *message, struct slice text)
{
	struct message_summary summary;
	assert_null(message_summary_get(&w->op, w->store, message, &summary));
	assert_true(slice_find(summary.envelope, text) < summary.envelope.len);
}

static void a_summary_that_was_shown_stays_in_memory(void **state)
{
	struct mail_world *w = *state;
	struct message_summary summary;
	struct mutations rows;
	append(w, "INBOX", "Subject: one\r\n\r\n", 0);
	struct message message = only_message(w);
	then_the_envelope_has(w, &message, SLICE("one"));
	mutations_init(&rows, &w->op.arena);
	mutations_delete(&rows, &message_table, key_id(&w->op.arena, message.id.uuid),
		key_kind_row(&w->op.arena, MESSAGE_SUMMARY), clock_realtime_us());
	assert_null(engine_write(w->engine, &w->op, rows.items, rows.count, DURABLE));
	assert_null(blob_remove(w->blobs, &w->op, message.blob_id));
	then_the_envelope_has(w, &message, SLICE("one"));
	mail_world_restart(w);
	assert_int_equal(
		message_summary_get(&w->op, w->store, &message, &summary)->kind, ERR_CORRUPT);
}

static void a_once_key_makes_one_of_two(void **state)
{
	struct mail_world *w = *state;
	struct append_result first;
	struct append_result second;
	struct append_request request = {.account = w->account,
		.path = SLICE("INBOX"),
		.content = SLICE("a\r\n"),
		.once_key = SLICE("0123456789abcdef0123456789abcdef")};
	assert_null(mailbox_append(&w->op, w->store, &request, &first));
	assert_null(mailbox_append(&w->op, w->store, &request, &second));
	assert_true(second.was_done_before);
	assert_int_equal(second.uid, first.uid);
	mail_world_restart(w);
	mail_store_work(&w->op, w->store);
	assert_null(mailbox_append(&w->op, w->store, &request, &second));
	assert_true(second.was_done_before);
	assert_null(mailbox_once_release(&w->op, w->store, w->account, request.once_key));
	assert_null(mailbox_append(&w->op, w->store, &request, &second));
	assert_false(second.was_done_before);
	assert_null(mailbox_append(&w->op, w->store, &request, &second));
	assert_true(second.was_done_before);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 2);
}

/* For those who still see them; what is not there is left out. */
static void what_has_gone_is_read_from_the_log(void **state)
{
	struct mail_world *w = *state;
	append(w, "INBOX", "Subject: a\r\n\r\nxyz", FLAG_DELETED);
	append(w, "INBOX", "b\r\n", 0);
	append(w, "INBOX", "c\r\n", 0);
	struct mailbox_status inbox = mail_world_status(w, "INBOX");
	struct uid_set moved = {.arena = &w->op.arena};
	struct expunge_result expunged;
	struct copy_result result;
	uid_set_add(&moved, 2);
	assert_null(mailbox_expunge(&w->op, w->store, w->account, inbox.id, NULL, true, &expunged));
	assert_null(mailbox_move(&w->op, w->store, w->account, inbox.id, &moved,
		mail_world_status(w, "Archive").id, &result));
	mail_world_restart(w);
	struct uid_set all = all_uids(w);
	struct message *messages;
	struct slice content;
	size_t count;
	uid_set_init(&all, &w->op.arena);
	uid_set_add_range(&all, 1, 9);
	assert_null(mailbox_expunged_messages(&w->op, w->store, w->account, inbox.id,
		inbox.highest_modseq, &all, &messages, &count));
	assert_int_equal(count, 2);
	assert_int_equal(messages[0].uid, 1);
	assert_int_equal(messages[0].size, 17);
	assert_int_equal(messages[0].header_length, 14);
	assert_int_equal(messages[1].uid, 2);
	assert_int_equal(messages[1].size, 3);
	assert_true(messages[0].internal_date_us && messages[1].internal_date_us);
	assert_null(message_content(&w->op, w->store, &messages[0], 14, SIZE_MAX, &content));
	assert_true(slice_equal(content, SLICE("xyz")));
	assert_null(mailbox_expunged_messages(&w->op, w->store, w->account, inbox.id,
		mail_world_status(w, "INBOX").highest_modseq, &all, &messages, &count));
	assert_int_equal(count, 0);
}

/* Its content is purged at any time, which damages nothing. */
static void what_has_gone_may_be_purged(void **state)
{
	struct mail_world *w = *state;
	struct message gone = {.uid = 1, .is_expunged = true, .blob_id = blob_new_id(w->blobs, 5)};
	struct slice content;
	struct error *err = message_content(&w->op, w->store, &gone, 0, SIZE_MAX, &content);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	assert_null(message_measure(&w->op, w->store, &gone));
}

static struct error *two_messages(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_bytes, uint64_t *ret_count)
{
	(void)op;
	(void)context;
	(void)account;
	(void)address;
	*ret_bytes = 0;
	*ret_count = 2;
	return NULL;
}

static void quota_is_checked_inside_the_commit(void **state)
{
	struct mail_world *w = *state;
	mail_store_set_quota(w->store, two_messages, NULL);
	append(w, "INBOX", "a\r\n", 0);
	append(w, "INBOX", "a\r\n", 0);
	struct append_result result;
	struct append_request request = {
		.account = w->account, .path = SLICE("INBOX"), .content = SLICE("a\r\n")};
	struct error *err = mailbox_append(&w->op, w->store, &request, &result);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_LIMIT);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 2);
	assert_int_equal(mail_world_status(w, "INBOX").uidnext, 3);
}

static void a_long_history_is_trimmed_and_still_known(void **state)
{
	struct mail_world *w = *state;
	append(w, "INBOX", "a\r\n", 0);
	uint64_t before = mail_world_status(w, "INBOX").highest_modseq;
	for (int i = 0; i < 1500; i++) {
		change(w, "INBOX", i % 2 ? FLAGS_REMOVE : FLAGS_ADD, FLAG_FLAGGED, NULL);
		if (i == 700) {
			append(w, "INBOX", "b\r\n", FLAG_DELETED);
			struct expunge_result result;
			assert_null(mailbox_expunge(&w->op, w->store, w->account,
				mail_world_status(w, "INBOX").id, NULL, true, &result));
		}
		arena_release(&w->op.arena, (struct arena_mark){0});
	}
	mail_world_restart(w);
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	assert_int_equal(snapshot_count(snapshot), 1);
	assert_int_equal(snapshot_uidnext(snapshot), 3);
	struct mailbox_changes changes;
	assert_null(
		mailbox_changes_since(&w->op, w->store, w->account, snapshot, before, &changes));
	assert_true(changes.is_exact);
	assert_true(uid_set_contains(&changes.vanished, 2));
	assert_true(uid_set_contains(&changes.changed, 1));
	snapshot_unref(snapshot);
	struct engine_rows rows;
	assert_null(engine_scan(w->engine, &w->op, &account_table,
		key_account(&w->op.arena, w->account, 0), SLICE_NONE, SLICE_NONE, SIZE_MAX, false,
		READ_SERIAL, &rows));
	assert_true(rows.count < 520);
}

#define WRITERS 6
#define MAILS 60

static void *deliver_many(void *argument)
{
	struct mail_world *w = argument;
	for (int i = 0; i < MAILS; i++) {
		AUTO_OP(op, "writer");
		struct append_result result;
		struct append_request request = {
			.account = w->account, .path = SLICE("INBOX"), .content = SLICE("a\r\n")};
		assert_null(mailbox_append(&op, w->store, &request, &result));
	}
	return NULL;
}

static void writers_at_once_get_distinct_uids(void **state)
{
	struct mail_world *w = *state;
	pthread_t threads[WRITERS];
	for (int i = 0; i < WRITERS; i++)
		thread_start(&threads[i], "writer", deliver_many, w);
	for (int i = 0; i < WRITERS; i++)
		thread_join(threads[i]);
	struct mailbox_status status = mail_world_status(w, "INBOX");
	assert_int_equal(status.messages, WRITERS * MAILS);
	assert_int_equal(status.uidnext, WRITERS * MAILS + 1);
	struct message *messages;
	assert_int_equal(messages_in(w, "INBOX", &messages), WRITERS * MAILS);
	for (uint32_t i = 0; i < WRITERS * MAILS; i++)
		assert_int_equal(messages[i].uid, i + 1);
}

static int run(const char *name)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(an_appended_message_is_there_with_its_bytes),
		SCENARIO(everything_is_there_after_a_restart),
		SCENARIO(flags_change_counts_and_modseqs),
		SCENARIO(expunged_messages_vanish_exactly),
		SCENARIO(a_move_takes_all_in_one_commit),
		SCENARIO(where_a_message_came_first_goes_with_it),
		SCENARIO(rows_from_before_they_said_where_a_message_came_first_are_read),
		SCENARIO(a_large_copy_is_whole),
		SCENARIO(a_large_store_changes_all),
		SCENARIO(a_copy_that_was_finished_is_not_undone),
		SCENARIO(a_tree_is_renamed_whole),
		SCENARIO(another_mailbox_that_has_the_path_by_now_is_left_alone),
		SCENARIO(a_deleted_mailbox_is_cleaned_up),
		SCENARIO(a_once_key_makes_one_of_two),
		SCENARIO(a_summary_that_was_shown_stays_in_memory),
		SCENARIO(what_has_gone_is_read_from_the_log),
		SCENARIO(what_has_gone_may_be_purged),
		SCENARIO(quota_is_checked_inside_the_commit),
		SCENARIO(a_long_history_is_trimmed_and_still_known),
		SCENARIO(writers_at_once_get_distinct_uids),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("mailbox, one write spans all");
	engine_is_weak = true;
	failed += run("mailbox, projections are owed");
	content_is_inline = true;
	failed += run("mailbox, content among the rows");
	return failed;
}
