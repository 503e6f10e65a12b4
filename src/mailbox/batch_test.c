/* Several messages in one commit, and one in place of another. */

#include "base/clock.h"
#include "base/world.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

static int set_up(void **state)
{
	struct mail_world *w = HEAP_NEW(struct mail_world);
	mail_world_open(w, fault_engine_new(memory_engine_new(false), 1), NULL, 0);
	mail_world_make_account(w, SLICE("a@example.org"));
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

static struct append_result results[APPEND_BATCH_MAX];

static struct append_batch batch_of(
	struct mail_world *w, const char *path, const char *const *contents, size_t count)
{
	struct append_request *requests = ARENA_ARRAY(&w->op.arena, struct append_request, count);
	for (size_t i = 0; i < count; i++)
		requests[i] = (struct append_request){.account = w->account,
			.path = slice_from_cstr(path),
			.content = slice_from_cstr(contents[i])};
	return (struct append_batch){.requests = requests, .count = count};
}

static const char *const three[] = {"a\r\n", "bb\r\n", "ccc\r\n"};

static void several_come_with_one_modseq(void **state)
{
	struct mail_world *w = *state;
	struct append_batch batch = batch_of(w, "INBOX", three, 3);
	assert_null(mailbox_append_batch(&w->op, w->store, &batch, results));
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(results[i].uid, i + 1);
		assert_int_equal(results[i].modseq, results[0].modseq);
	}
	struct mailbox_status status = mail_world_status(w, "INBOX");
	assert_int_equal(status.messages, 3);
	assert_int_equal(status.bytes, 12);
	struct uid_set second = {.arena = &w->op.arena};
	uid_set_add(&second, 2);
	struct message *messages;
	struct slice content;
	size_t count;
	assert_null(mailbox_messages(
		&w->op, w->store, w->account, status.id, &second, &messages, &count));
	assert_int_equal(count, 1);
	assert_null(message_content(&w->op, w->store, &messages[0], 0, SIZE_MAX, &content));
	assert_true(slice_equal(content, SLICE("bb\r\n")));
}

static struct error *limited(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_bytes, uint64_t *ret_count)
{
	(void)op;
	(void)context;
	(void)account;
	(void)address;
	*ret_bytes = 12;
	*ret_count = 0;
	return NULL;
}

static void none_comes_where_one_has_no_room(void **state)
{
	struct mail_world *w = *state;
	const char *const four[] = {"a\r\n", "bb\r\n", "ccc\r\n", "d\r\n"};
	mail_world_status(w, "INBOX");
	mail_store_set_quota(w->store, limited, NULL);
	struct append_batch batch = batch_of(w, "INBOX", four, 4);
	struct error *err = mailbox_append_batch(&w->op, w->store, &batch, results);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_LIMIT);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 0);
	assert_int_equal(mail_world_status(w, "INBOX").uidnext, 1);
}

static void too_many_are_refused(void **state)
{
	struct mail_world *w = *state;
	struct append_batch batch = batch_of(w, "INBOX", three, 3);
	batch.count = APPEND_BATCH_MAX + 1;
	struct error *err = mailbox_append_batch(&w->op, w->store, &batch, results);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_LIMIT);
}

static struct append_batch replacement(struct mail_world *w, const char *path, uint32_t uid)
{
	static const char *const content[] = {"12345678\r\n"};
	struct append_batch batch = batch_of(w, path, content, 1);
	batch.replaced_mailbox = mail_world_status(w, "INBOX").id;
	batch.replaced_uid = uid;
	return batch;
}

/* The quota has room for it only when the other is gone. */
static void a_replaced_message_makes_room(void **state)
{
	struct mail_world *w = *state;
	struct append_batch batch = batch_of(w, "INBOX", three, 2);
	assert_null(mailbox_append_batch(&w->op, w->store, &batch, results));
	mail_store_set_quota(w->store, limited, NULL);
	batch = replacement(w, "INBOX", 1);
	struct error *err = mailbox_append_batch(&w->op, w->store, &batch, results);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_LIMIT);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 2);
	mail_store_set_quota(w->store, NULL, NULL);
	batch = replacement(w, "INBOX", 1);
	assert_null(mailbox_append_batch(&w->op, w->store, &batch, results));
	assert_int_equal(results[0].uid, 3);
	struct mailbox_status status = mail_world_status(w, "INBOX");
	assert_int_equal(status.messages, 2);
	assert_int_equal(status.bytes, 14);
	assert_int_equal(status.unseen, 2);
	struct quota quota;
	assert_null(mailbox_quota(&w->op, w->store, w->account, &quota));
	assert_int_equal(quota.used_count, 2);
	assert_int_equal(quota.used_bytes, 14);
}

static void what_is_gone_is_not_replaced(void **state)
{
	struct mail_world *w = *state;
	struct append_batch batch = replacement(w, "INBOX", 1);
	struct error *err = mailbox_append_batch(&w->op, w->store, &batch, results);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	assert_true(batch.replaced_is_gone);
	batch = replacement(w, "nowhere", 1);
	err = mailbox_append_batch(&w->op, w->store, &batch, results);
	assert_non_null(err);
	assert_false(batch.replaced_is_gone);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 0);
}

/* In another mailbox too, and after a restart. */
static void a_replacement_may_come_elsewhere(void **state)
{
	struct mail_world *w = *state;
	struct append_batch batch = batch_of(w, "INBOX", three, 3);
	assert_null(mailbox_append_batch(&w->op, w->store, &batch, results));
	batch = replacement(w, "Drafts", 2);
	assert_null(mailbox_append_batch(&w->op, w->store, &batch, results));
	mail_world_restart(w);
	assert_int_equal(mail_world_status(w, "INBOX").messages, 2);
	assert_int_equal(mail_world_status(w, "INBOX").bytes, 8);
	assert_int_equal(mail_world_status(w, "Drafts").messages, 1);
}

static bool is_candidate(struct mail_world *w, struct uuid message)
{
	struct engine_row row;
	bool found;
	struct message_id id = {message};
	assert_null(engine_get(w->engine, &w->op, &blob_candidate_table,
		key_candidates(&w->op.arena, id, clock_realtime_us()),
		key_id_row(&w->op.arena, 0, message), READ_NORMAL, &found, &row));
	return found;
}

/* What was undone is noted for reclaim, every message of it. */
static void undoing_names_all_of_them(void **state)
{
	struct mail_world *w = *state;
	struct buf detail = buf_in(&w->op.arena);
	struct uuid messages[3];
	for (int i = 0; i < 3; i++) {
		struct uuid blob = uuid_v7();
		messages[i] = uuid_v7();
		buf_append(&detail, uuid_as_slice(&messages[i]));
		buf_append(&detail, uuid_as_slice(&blob));
		buf_append(&detail, ID_SLICE(w->account));
	}
	assert_null(undo_append(&w->op, w->engine, buf_as_slice(&detail)));
	for (int i = 0; i < 3; i++)
		assert_true(is_candidate(w, messages[i]));
	struct error *err = undo_append(
		&w->op, w->engine, slice_range(buf_as_slice(&detail), 0, detail.len - 1));
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
}

#define SCENARIO(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCENARIO(several_come_with_one_modseq),
		SCENARIO(none_comes_where_one_has_no_room),
		SCENARIO(too_many_are_refused),
		SCENARIO(a_replaced_message_makes_room),
		SCENARIO(what_is_gone_is_not_replaced),
		SCENARIO(a_replacement_may_come_elsewhere),
		SCENARIO(undoing_names_all_of_them),
	};
	return cmocka_run_group_tests_name("mailbox/batch", tests, NULL, NULL);
}
