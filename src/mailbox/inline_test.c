/* Small mail while the store of content does not answer at all: whoever asks it anything fails. */

#include "mailbox/mail_world.h"

#include "base/clock.h"
#include "base/scratch.h"
#include "blob/blob_inline.h"
#include "engine/memory.h"
#include "engine/rocksdb_scratch.h"
#include "mailbox/vault.h"

#define LIMIT 1024

static const char small[] = "Subject: small\r\n\r\nbody\r\n";

/* ---- A store that is down, and counts who asked ---- */

static unsigned asked;

static struct error *refuse(struct op *op)
{
	asked++;
	return op_fail(op, ERR_UNAVAILABLE, "the store of content is down");
}

static struct error *down_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	return refuse(op);
}

static struct error *down_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	return refuse(op);
}

static struct error *down_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	return refuse(op);
}

/* Empty; an audit asks what there is. */
static struct error *down_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	*ret_count = 0;
	return NULL;
}

static void down_close(struct blob_store *store)
{
	free(store);
}

static const struct blob_ops down_ops = {.name = "down",
	.put = down_put,
	.read = down_read,
	.remove = down_remove,
	.list = down_list,
	.close = down_close};

static struct blob_store *down_new(void)
{
	struct blob_store *store = HEAP_NEW(struct blob_store);
	*store = (struct blob_store){.ops = &down_ops, .is_apart = true};
	return store;
}

/* ---- The world ---- */

static enum { ATOMIC, WEAK, ROCKSDB } engine_kind;

static struct engine *engine_new(void)
{
	return engine_kind == ROCKSDB ? rocksdb_scratch_new()
				      : memory_engine_new(engine_kind == ATOMIC);
}

static int set_up(void **state)
{
	struct mail_world *w = HEAP_NEW(struct mail_world);
	mail_world_open(w, engine_new(), down_new(), LIMIT);
	mail_world_make_account(w, SLICE("alice@example.org"));
	asked = 0;
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

static struct error *append(struct mail_world *w, struct slice content, struct append_result *ret)
{
	struct append_request request = {
		.account = w->account, .path = SLICE("INBOX"), .content = content};
	return mailbox_append(&w->op, w->store, &request, ret);
}

static struct message_id given_small(struct mail_world *w)
{
	struct append_result result;
	assert_null(append(w, slice_from_cstr(small), &result));
	return result.message;
}

static struct mailbox_id box(struct mail_world *w, const char *path)
{
	return mail_world_status(w, path).id;
}

static struct uid_set all_uids(struct mail_world *w)
{
	struct uid_set all = {.arena = &w->op.arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	return all;
}

static void then_all_are_read(struct mail_world *w, const char *path, size_t wanted)
{
	struct message *messages;
	size_t count;
	struct slice bytes;
	struct uid_set all = all_uids(w);
	assert_null(mailbox_messages(
		&w->op, w->store, w->account, box(w, path), &all, &messages, &count));
	assert_int_equal(count, wanted);
	for (size_t i = 0; i < count; i++) {
		assert_null(message_content(&w->op, w->store, &messages[i], 0, UINT64_MAX, &bytes));
		assert_true(slice_equal(bytes, slice_from_cstr(small)));
		assert_null(message_content(&w->op, w->store, &messages[i], 9, 5, &bytes));
		assert_true(slice_equal(bytes, SLICE("small")));
	}
}

static void when_expunged(struct mail_world *w, const char *path)
{
	struct expunge_result result;
	assert_null(
		mailbox_expunge(&w->op, w->store, w->account, box(w, path), NULL, false, &result));
}

/* Rows that commits owe are written, and the next commit says so. */
static void when_applied(struct mail_world *w)
{
	if (engine_kind != WEAK)
		return;
	clock_sleep_ns(60 * NS_PER_MS);
	mail_store_work(&w->op, w->store);
	mail_world_commit_nothing(w);
}

static size_t when_reclaimed(struct mail_world *w)
{
	size_t removed;
	when_applied(w);
	assert_null(mail_store_reclaim(&w->op, w->store, 0, &removed));
	return removed;
}

static size_t rows_of(struct mail_world *w, struct message_id id)
{
	struct engine_rows rows;
	assert_null(engine_scan(w->engine, &w->op, &message_table, ID_SLICE(id), SLICE_NONE,
		SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	return rows.count;
}

/* ---- What is told of it ---- */

static void small_mail_comes_and_goes_without_the_store_of_content(void **state)
{
	struct mail_world *w = *state;
	struct copy_result copied;
	struct append_result result;
	struct audit_report audit;
	struct solve_report solved;
	struct uid_set all = all_uids(w);
	struct message_id id = given_small(w);
	then_all_are_read(w, "INBOX", 1);
	assert_null(mailbox_copy(
		&w->op, w->store, w->account, box(w, "INBOX"), &all, box(w, "Archive"), &copied));
	assert_null(mailbox_move(
		&w->op, w->store, w->account, box(w, "INBOX"), &all, box(w, "Trash"), &copied));
	mail_world_restart(w);
	then_all_are_read(w, "Archive", 1);
	then_all_are_read(w, "Trash", 1);
	assert_null(mail_store_solve(&w->op, w->store, w->account, true, &solved));
	assert_int_equal(solved.content_lost, 0);
	/* Copies share it: the last one counts. */
	when_expunged(w, "Trash");
	assert_int_equal(when_reclaimed(w), 0);
	then_all_are_read(w, "Archive", 1);
	assert_null(mail_store_audit(&w->op, w->store, &audit));
	assert_int_equal(audit.blobs, 1);
	assert_int_equal(audit.live, 1);
	when_expunged(w, "Archive");
	assert_int_equal(when_reclaimed(w), 1);
	assert_int_equal(rows_of(w, id), 0);
	assert_null(mail_store_audit(&w->op, w->store, &audit));
	assert_int_equal(audit.blobs, 0);
	assert_int_equal(asked, 0);

	char large[LIMIT + 1];
	memset(large, 'x', sizeof(large));
	struct error *err = append(w, slice_of(large, sizeof(large)), &result);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	assert_int_equal(asked, 1);
}

/* The setting may be changed between any two steps. */
static void what_is_deleted_is_restored_with_the_option_off(void **state)
{
	struct mail_world *w = *state;
	struct vault_message message;
	struct slice bytes;
	struct append_result result;
	struct message_id id = given_small(w);
	when_expunged(w, "INBOX");
	w->blobs->inline_max = 0;
	mail_world_restart(w);
	assert_null(vault_get(&w->op, w->store, w->account, id, &message));
	assert_null(vault_content(&w->op, w->store, &message, &bytes));
	assert_true(slice_equal(bytes, slice_from_cstr(small)));
	/* What is restored is stored anew: now in the store that is down. */
	struct error *err =
		vault_restore(&w->op, w->store, w->account, id, w->account, SLICE("Back"), &result);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	w->blobs->inline_max = LIMIT;
	assert_null(vault_restore(
		&w->op, w->store, w->account, id, w->account, SLICE("Back"), &result));
	then_all_are_read(w, "Back", 1);
}

/* A message that shares another's content has an id of the other kind: it has none of its own. */
static void content_that_is_shared_is_kept_for_whoever_is_left(void **state)
{
	struct mail_world *w = *state;
	struct append_result first;
	struct append_result second;
	struct append_request request = {
		.account = w->account, .path = SLICE("INBOX"), .content = slice_from_cstr(small)};
	assert_null(mailbox_append(&w->op, w->store, &request, &first));
	request.blob = &first.blob;
	request.path = SLICE("Archive");
	assert_null(mailbox_append(&w->op, w->store, &request, &second));
	assert_false(blob_is_inline((struct blob_id){second.message.uuid}));
	when_expunged(w, "INBOX");
	assert_int_equal(when_reclaimed(w), 0);
	then_all_are_read(w, "Archive", 1);
	when_expunged(w, "Archive");
	assert_int_equal(when_reclaimed(w), 1);
	assert_int_equal(rows_of(w, first.message) + rows_of(w, second.message), 0);
}

/* The row is not there: damage, which takes nothing else with it. */
static void a_message_whose_content_row_is_lost_is_kept(void **state)
{
	struct mail_world *w = *state;
	struct message *messages;
	size_t count;
	struct slice bytes;
	struct uid_set all = all_uids(w);
	struct message_id id = given_small(w);
	assert_null(blob_remove(w->blobs, &w->op, (struct blob_id){id.uuid}));
	assert_null(mailbox_messages(
		&w->op, w->store, w->account, box(w, "INBOX"), &all, &messages, &count));
	assert_int_equal(count, 1);
	struct error *err = message_content(&w->op, w->store, &messages[0], 0, UINT64_MAX, &bytes);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_int_equal(asked, 0);
}

static int run(const char *name)
{
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(small_mail_comes_and_goes_without_the_store_of_content),
		SCENARIO(what_is_deleted_is_restored_with_the_option_off),
		SCENARIO(content_that_is_shared_is_kept_for_whoever_is_left),
		SCENARIO(a_message_whose_content_row_is_lost_is_kept),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = run("inline, one write spans all");
	engine_kind = WEAK;
	failed += run("inline, projections are owed");
	engine_kind = ROCKSDB;
	failed += run("inline, in RocksDB");
	return failed + scratch_remove();
}
