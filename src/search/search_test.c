#include "base/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/scratch.h"
#include "engine/memory.h"
#include "format/charset.h"
#include "format/find_text.h"
#include "format/header.h"
#include "index/fts5/fts5.h"
#include "mailbox/follow.h"
#include "mailbox/mail_world.h"
#include "search/search_private.h"

struct world {
	struct mail_world m;
	const char *folder;
	struct search *search;
};

static void open_search(struct world *w)
{
	struct index *index;
	const struct fts5_options options = {
		.folder = w->folder, .open_files = 4, .rules = search_texts_rules()};
	assert_null(fts5_open(&w->m.op, &options, &index));
	w->search = search_new(w->m.store, index);
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->m, memory_engine_new(true), NULL, 0);
	mail_world_make_account(&w->m, SLICE("alice@example.org"));
	w->folder = scratch_path(&w->m.op.arena);
	open_search(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	search_free(w->search);
	mail_world_close(&w->m);
	free(w);
	return 0;
}

static void check(struct world *w, struct error *err)
{
	if (err)
		fail_msg("%s", error_chain(&w->m.op.arena, err));
}

static struct mailbox_id box(struct world *w, const char *path)
{
	return mail_world_status(&w->m, path).id;
}

static uint32_t append(struct world *w, const char *path, struct slice content)
{
	struct append_result result;
	struct append_request request = {
		.account = w->m.account, .path = slice_from_cstr(path), .content = content};
	check(w, mailbox_append(&w->m.op, w->m.store, &request, &result));
	return result.uid;
}

static void expunge(struct world *w, const char *path, uint32_t first, uint32_t last)
{
	struct uid_set uids;
	struct expunge_result result;
	uid_set_init(&uids, &w->m.op.arena);
	uid_set_add_range(&uids, first, last);
	check(w, mailbox_expunge(
			 &w->m.op, w->m.store, w->m.account, box(w, path), &uids, false, &result));
}

static void transfer(struct world *w, const char *from, const char *to, uint32_t uid, bool moves)
{
	struct uid_set uids;
	struct copy_result result;
	uid_set_init(&uids, &w->m.op.arena);
	uid_set_add(&uids, uid);
	struct mailbox_id source = box(w, from);
	struct mailbox_id target = box(w, to);
	if (moves)
		check(w, mailbox_move(&w->m.op, w->m.store, w->m.account, source, &uids, target,
				 &result));
	else
		check(w, mailbox_copy(&w->m.op, w->m.store, w->m.account, source, &uids, target,
				 &result));
}

static void catch_up(struct world *w)
{
	check(w, search_catch_up(&w->m.op, w->search, w->m.account));
}

static struct search_status status(struct world *w)
{
	struct search_status status;
	check(w, search_status(&w->m.op, w->search, w->m.account, &status));
	return status;
}

static struct snapshot *snapshot_of(struct world *w, const char *path)
{
	struct snapshot *snapshot;
	check(w, mailbox_snapshot(&w->m.op, w->m.store, w->m.account, box(w, path), &snapshot));
	return snapshot;
}

static struct search_narrowing narrow(
	struct world *w, const char *path, unsigned fields, struct slice needle)
{
	struct search_narrowing narrowing;
	struct snapshot *snapshot = snapshot_of(w, path);
	search_narrow(&w->m.op, w->search, w->m.account, snapshot, fields,
		utf8_fold(&w->m.op.arena, needle), &narrowing);
	snapshot_unref(snapshot);
	return narrowing;
}

static bool is_proposed(struct world *w, const char *path, uint32_t uid, const char *needle)
{
	struct search_narrowing narrowing =
		narrow(w, path, INDEX_ALL_FIELDS, slice_from_cstr(needle));
	return !search_is_left_out(&narrowing, uid);
}

static struct slice mail(struct world *w, const char *subject, const char *body)
{
	return slice_from_cstr(arena_printf(&w->m.op.arena,
		"From: Carol <carol@example.net>\r\nSubject: %s\r\n\r\n%s\r\n", subject, body));
}

static bool stop_at_once(void *context, size_t messages)
{
	(void)context;
	(void)messages;
	return false;
}

static uint64_t index_id(struct world *w)
{
	struct index_state known;
	check(w, index_get_state(w->search->index, &w->m.op, w->m.account, &known));
	return known.id;
}

static void what_is_indexed_narrows_a_search(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "apples and pears"));
	append(w, "INBOX", mail(w, "second", "oranges"));
	assert_true(is_proposed(w, "INBOX", 2, "apples"));
	catch_up(w);
	assert_true(is_proposed(w, "INBOX", 1, "Apples"));
	assert_false(is_proposed(w, "INBOX", 2, "apples"));
	assert_false(is_proposed(w, "INBOX", 1, "second"));
	assert_false(is_proposed(w, "INBOX", 1, "nowhere"));
	struct search_status now = status(w);
	assert_int_equal(now.messages, 2);
	assert_int_equal(now.indexed, 2);
	assert_int_equal(now.size.documents, 2);
}

static void what_has_just_come_is_proposed(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "one"));
	catch_up(w);
	uint32_t uid = append(w, "INBOX", mail(w, "second", "two"));
	assert_true(is_proposed(w, "INBOX", uid, "anything"));
	assert_false(is_proposed(w, "INBOX", 1, "anything"));
}

static void short_needles_are_not_narrowed(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "one"));
	catch_up(w);
	assert_true(is_proposed(w, "INBOX", 1, "zz"));
	assert_true(is_proposed(w, "INBOX", 1, ""));
	assert_false(is_proposed(w, "INBOX", 1, "zzz"));
}

static void copies_and_moves_read_nothing(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "apples"));
	append(w, "INBOX", mail(w, "second", "pears"));
	catch_up(w);
	transfer(w, "INBOX", "Archive", 1, false);
	transfer(w, "INBOX", "Archive", 2, true);
	catch_up(w);
	assert_true(is_proposed(w, "Archive", 1, "apples"));
	assert_false(is_proposed(w, "Archive", 1, "pears"));
	assert_true(is_proposed(w, "Archive", 2, "pears"));
	struct search_status now = status(w);
	assert_int_equal(now.size.documents, 2);
	assert_int_equal(now.size.places, 3);
	assert_int_equal(now.size.dead, 0);
}

static void expunged_mail_leaves_the_index(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "apples"));
	append(w, "INBOX", mail(w, "second", "pears"));
	append(w, "Archive", mail(w, "third", "plums"));
	catch_up(w);
	expunge(w, "INBOX", 1, 1);
	check(w, mailbox_delete(&w->m.op, w->m.store, w->m.account, SLICE("Archive"), NULL));
	struct search_narrowing narrowing = narrow(w, "INBOX", INDEX_ALL_FIELDS, SLICE("apples"));
	assert_true(uid_set_contains(&narrowing.maybe, 1));
	catch_up(w);
	narrowing = narrow(w, "INBOX", INDEX_ALL_FIELDS, SLICE("apples"));
	assert_true(uid_set_is_empty(&narrowing.maybe));
	assert_int_equal(status(w).size.places, 1);
}

static void an_index_of_dead_mail_is_made_anew(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 1500 };
	for (int i = 0; i < MESSAGES; i++)
		append(w, "INBOX", mail(w, "many", "short"));
	catch_up(w);
	expunge(w, "INBOX", 2, MESSAGES);
	clock_set_skew_us((int64_t)(7200 * US_PER_S));
	append(w, "INBOX", mail(w, "last", "later"));
	catch_up(w);
	clock_set_skew_us(0);
	struct search_status now = status(w);
	assert_int_equal(now.size.documents, 2);
	assert_int_equal(now.size.dead, 0);
	assert_int_equal(now.indexed, 2);
}

/* ---- Made anew, and held against the messages ---- */

static void searches_are_narrowed_while_the_index_is_made_anew(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 250 };
	bool more = true;
	int steps = 0;
	const struct search_pace stop = {.pace = stop_at_once};
	for (int i = 0; i < MESSAGES; i++)
		append(w, "INBOX", mail(w, "one of many", "apples"));
	catch_up(w);
	uint64_t id = index_id(w);
	for (; more; steps++) {
		check(w, search_rebuild_step(
				 &w->m.op, w->search, w->m.account, steps == 0, &stop, &more));
		assert_false(is_proposed(w, "INBOX", 1, "nowhere"));
		assert_true(is_proposed(w, "INBOX", 1, "apples"));
		assert_true(more == (index_id(w) == id));
	}
	assert_true(steps >= 3);
	assert_int_equal(status(w).size.documents, MESSAGES);
	assert_int_equal(status(w).indexed, MESSAGES);
}

static struct verify_report verify(struct world *w, enum verify_mode mode)
{
	struct verify_report report = {0};
	const struct verify_scope scope = {.mode = mode};
	check(w, search_verify(&w->m.op, w->search, w->m.account, &scope, &report));
	return report;
}

static void then_verified(struct world *w, uint64_t checked)
{
	struct verify_report report = verify(w, VERIFY_TELLS);
	assert_int_equal(report.checked, checked);
	assert_int_equal(report.missing + report.stale + report.orphaned + report.behind, 0);
}

/* Applied as if by an indexer that is wrong. */
static void damage_index(struct world *w, struct index_batch batch)
{
	struct index_state known;
	check(w, index_get_state(w->search->index, &w->m.op, w->m.account, &known));
	batch.expected_cursor = known.cursor;
	check(w, index_apply(w->search->index, &w->m.op, w->m.account, &batch));
}

/* Its place is gone, the index goes on saying that it covers it. */
static void lose(struct world *w, const char *path, uint32_t uid)
{
	struct index_place lost = {box(w, path), uid};
	damage_index(w, (struct index_batch){.removed = &lost, .removed_count = 1});
}

static void what_an_index_has_lost_is_proposed_at_once(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 5; i++)
		append(w, "INBOX", mail(w, "one", i == 3 ? "apples" : "pears"));
	catch_up(w);
	lose(w, "INBOX", 4);
	assert_true(is_proposed(w, "INBOX", 4, "apples"));
	assert_true(is_proposed(w, "INBOX", 4, "nowhere"));
	assert_false(is_proposed(w, "INBOX", 5, "apples"));
	/* One has gone that the index has still: the count is right, and says nothing. */
	append(w, "INBOX", mail(w, "last", "plums"));
	expunge(w, "INBOX", 2, 2);
	assert_true(is_proposed(w, "INBOX", 4, "apples"));
	assert_false(is_proposed(w, "INBOX", 3, "apples"));
	assert_true(is_proposed(w, "INBOX", 6, "apples"));
}

static bool is_mended(struct world *w)
{
	for (int i = 0; i < 1000; i++) {
		if (verify(w, VERIFY_TELLS).missing == 0)
			return true;
		clock_sleep_ns(10 * NS_PER_MS);
	}
	return false;
}

static void what_a_search_finds_lost_is_mended_behind_it(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 3; i++)
		append(w, "INBOX", mail(w, "one", "apples"));
	catch_up(w);
	lose(w, "INBOX", 2);
	search_start(w->search);
	assert_true(is_proposed(w, "INBOX", 2, "nowhere"));
	assert_true(is_mended(w));
	assert_false(is_proposed(w, "INBOX", 2, "nowhere"));
	assert_true(is_proposed(w, "INBOX", 2, "apples"));
}

static void what_differs_from_the_messages_is_told_and_mended(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 230 };
	struct search_texts wrong = {.fields = {[TEXT_BODY] = SLICE("rubbish")}, .is_whole = true};
	for (int i = 0; i < MESSAGES; i++)
		append(w, "INBOX", mail(w, "one of many", "apples"));
	append(w, "Archive", mail(w, "another", "pears"));
	expunge(w, "INBOX", 50, 50);
	catch_up(w);
	then_verified(w, MESSAGES);

	struct mailbox_id inbox = box(w, "INBOX");
	struct index_add adds[] = {
		{.place = {inbox, 10}, .message = {uuid_v7()}, .texts = &wrong},  /* stale */
		{.place = {inbox, 20}},                                           /* unknown */
		{.place = {inbox, 50}, .message = {uuid_v7()}, .texts = &wrong}}; /* orphaned */
	struct index_place removed[] = {{inbox, 30}, {box(w, "Archive"), 1}};
	damage_index(w, (struct index_batch){.added = adds,
				.added_count = ARRAY_SIZE(adds),
				.removed = removed,
				.removed_count = ARRAY_SIZE(removed)});
	append(w, "INBOX", mail(w, "later", "plums"));
	struct verify_report told = verify(w, VERIFY_TELLS);
	assert_int_equal(told.checked, MESSAGES);
	assert_int_equal(told.missing, 2);
	assert_int_equal(told.stale, 2);
	assert_int_equal(told.orphaned, 1);
	assert_int_equal(told.behind, 1);
	assert_int_equal(told.fixed, 0);

	struct verify_report retried = verify(w, VERIFY_RETRIES);
	assert_true(retried.checked < 10);
	assert_int_equal(retried.stale, 1);
	struct verify_report mended = verify(w, VERIFY_MENDS);
	assert_int_equal(mended.stale, 1);
	assert_int_equal(mended.orphaned, 1);
	assert_int_equal(mended.fixed + retried.fixed, 5);
	then_verified(w, MESSAGES + 1);
	assert_false(is_proposed(w, "INBOX", 10, "rubbish"));
	assert_true(is_proposed(w, "INBOX", 10, "apples"));
	assert_true(is_proposed(w, "Archive", 1, "pears"));
}

static void one_message_is_indexed_again(void **state)
{
	struct world *w = *state;
	struct verify_report report = {0};
	struct verify_scope scope = {.mode = VERIFY_RENEWS, .path = SLICE("INBOX"), .uid = 2};
	for (int i = 0; i < 3; i++)
		append(w, "INBOX", mail(w, "some", "mail"));
	check(w, search_verify(&w->m.op, w->search, w->m.account, &scope, &report));
	assert_int_equal(report.checked, 1);
	assert_int_equal(report.fixed, 1);
	assert_int_equal(status(w).size.dead, 1);
	then_verified(w, 3);
	scope.path = SLICE("Nowhere");
	struct error *err = search_verify(&w->m.op, w->search, w->m.account, &scope, &report);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
}

/* Turns that end after each page: what is covered then is there, and nothing falls between. */
static void work_that_is_cut_short_goes_on_where_it_was(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 230 };
	struct catch_up work = {.store = w->m.store,
		.index = w->search->index,
		.account = w->m.account,
		.until_ns = 0};
	for (uint32_t uid = 1; uid <= MESSAGES; uid++)
		append(w, "INBOX",
			mail(w, "one of many", arena_printf(&w->m.op.arena, "number%03u", uid)));
	expunge(w, "INBOX", 95, 104);
	int turns = 0;
	for (bool more = true; more; turns++) {
		check(w, catch_up_run(&w->m.op, &work, &more));
		for (uint32_t uid = 1; uid <= MESSAGES; uid += 3) {
			const char *needle = arena_printf(&w->m.op.arena, "number%03u", uid);
			assert_true(
				is_proposed(w, "INBOX", uid, needle) || (uid >= 95 && uid <= 104));
		}
	}
	assert_true(turns >= 3);
	assert_int_equal(status(w).size.documents, MESSAGES - 10);
	assert_false(is_proposed(w, "INBOX", 1, "number002"));
	assert_false(is_proposed(w, "INBOX", MESSAGES, "number002"));
}

struct dropping {
	struct world *w;
	int pages;
};

static bool drop_at_the_second_page(void *context, size_t messages)
{
	struct dropping *dropping = context;
	struct world *w = dropping->w;
	(void)messages;
	if (++dropping->pages == 2)
		check(w, index_drop(w->search->index, &w->m.op, w->m.account));
	return true;
}

static void an_index_that_is_dropped_meanwhile_is_begun_anew(void **state)
{
	struct world *w = *state;
	enum { MESSAGES = 250 };
	struct dropping dropping = {.w = w};
	struct catch_up work = {.store = w->m.store,
		.index = w->search->index,
		.account = w->m.account,
		.until_ns = UINT64_MAX,
		.pace = drop_at_the_second_page,
		.pace_context = &dropping};
	bool more = true;
	for (int i = 0; i < MESSAGES; i++)
		append(w, "INBOX", mail(w, "one of many", "apples"));
	while (more)
		check(w, catch_up_run(&w->m.op, &work, &more));
	assert_true(dropping.pages > 3);
	assert_true(is_proposed(w, "INBOX", 1, "apples"));
	assert_int_equal(status(w).size.documents, MESSAGES);
}

static void no_account_no_index(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "first", "apples"));
	catch_up(w);
	const char *path = fts5_path(&w->m.op.arena, w->folder, w->m.account);
	assert_int_equal(access(path, F_OK), 0);
	/* Rows of another engine: the account is not in it. */
	struct engine *empty = memory_engine_new(true);
	struct mail_store *other = mail_store_new(empty, w->m.ledger, w->m.blobs);
	struct mail_store *own = w->m.store;
	w->search->store = other;
	catch_up(w);
	w->search->store = own;
	mail_store_free(other);
	engine_close(empty);
	assert_int_not_equal(access(path, F_OK), 0);
}

/* Rows that were restored from a copy older than the index: a UID that the index knows is another
 * message's. */
static void an_index_of_another_history_is_of_no_use(void **state)
{
	struct world *w = *state;
	bool has_stood = true;
	append(w, "INBOX", mail(w, "first", "apples"));
	append(w, "INBOX", mail(w, "second", "pears"));
	catch_up(w);
	struct search_status before = status(w);
	assert_null(account_has_stood_at(
		&w->m.op, w->m.store, w->m.account, before.cursor, &has_stood));
	assert_true(has_stood);
	struct index_batch batch = {.expected_cursor = before.cursor, .cursor = before.cursor - 1};
	check(w, index_apply(w->search->index, &w->m.op, w->m.account, &batch));
	assert_true(is_proposed(w, "INBOX", 1, "nowhere"));
	catch_up(w);
	assert_int_equal(status(w).cursor, before.cursor);
	assert_false(is_proposed(w, "INBOX", 1, "nowhere"));
	batch.expected_cursor = before.cursor;
	batch.cursor = before.cursor + 1000;
	check(w, index_apply(w->search->index, &w->m.op, w->m.account, &batch));
	assert_true(is_proposed(w, "INBOX", 1, "nowhere"));
	/* It is still told when the account has come further than that. */
	clock_set_skew_us((int64_t)US_PER_S);
	append(w, "INBOX", mail(w, "third", "plums"));
	clock_set_skew_us(0);
	assert_true(is_proposed(w, "INBOX", 1, "nowhere"));
	catch_up(w);
	assert_false(is_proposed(w, "INBOX", 1, "nowhere"));
}

/* ---- The thread ---- */

static void changed(void *context, struct account_id account, uint64_t modseq)
{
	(void)modseq;
	search_account_changed(context, account);
}

static bool comes_true(struct world *w, bool (*holds)(struct world *w))
{
	uint64_t until_ns = clock_monotonic_ns() + 20 * NS_PER_S;
	while (!holds(w) && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(5 * NS_PER_MS);
	return holds(w);
}

static bool all_is_indexed(struct world *w)
{
	struct search_status now = status(w);
	return now.indexed == now.messages && !now.is_waiting;
}

static void the_thread_follows_what_happens(void **state)
{
	struct world *w = *state;
	mail_store_listen(w->m.store, changed, w->search);
	search_start(w->search);
	for (int i = 0; i < 20; i++)
		append(w, "INBOX", mail(w, "some", "mail"));
	assert_true(comes_true(w, all_is_indexed));
	assert_int_equal(status(w).size.documents, 20);
	uint64_t id = index_id(w);
	check(w, search_rebuild(&w->m.op, w->search, w->m.account));
	assert_true(comes_true(w, all_is_indexed));
	assert_int_equal(status(w).size.documents, 20);
	assert_true(index_id(w) != id);
}

/* Nobody told the thread: it finds the account by the notes of the sweeper. */
static void what_a_crash_left_behind_is_found(void **state)
{
	struct world *w = *state;
	append(w, "INBOX", mail(w, "some", "mail"));
	assert_int_equal(status(w).cursor, 0);
	search_start(w->search);
	assert_true(comes_true(w, all_is_indexed));
	assert_int_equal(status(w).size.documents, 1);
}

static bool is_failing(struct world *w)
{
	return search_is_failing(w->search);
}

/* Something stands where the account's folder would be made. */
static void an_index_that_cannot_be_written_is_told_of_and_waits(void **state)
{
	struct world *w = *state;
	char *folder = arena_printf(
		&w->m.op.arena, "%s", fts5_path(&w->m.op.arena, w->folder, w->m.account));
	*strrchr(folder, '/') = '\0';
	int fd = open(folder, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	append(w, "INBOX", mail(w, "some", "mail"));
	search_start(w->search);
	assert_true(is_proposed(w, "INBOX", 1, "nowhere"));
	assert_true(comes_true(w, is_failing));
	assert_true(is_proposed(w, "INBOX", 1, "nowhere"));
	assert_int_equal(unlink(folder), 0);
	assert_true(comes_true(w, all_is_indexed));
	assert_false(search_is_failing(w->search));
	assert_false(is_proposed(w, "INBOX", 1, "nowhere"));
}

/* ---- What an index does not take ---- */

static const struct index_ops *good_ops;

static struct error *refuse_poison(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch)
{
	for (size_t i = 0; i < batch->added_count; i++) {
		const struct search_texts *texts = batch->added[i].texts;
		for (size_t n = 0; texts && n < TEXT_FIELD_COUNT; n++)
			if (slice_find(texts->fields[n], SLICE("poison")) < texts->fields[n].len)
				return op_fail(op, ERR_INVALID, "this cannot be in an index");
	}
	return good_ops->apply(index, op, account, batch);
}

/* It holds up no other message, and a search finds it. */
static void a_message_that_the_index_refuses_is_read_by_searches(void **state)
{
	struct world *w = *state;
	good_ops = w->search->index->ops;
	struct index_ops picky = *good_ops;
	picky.apply = refuse_poison;
	w->search->index->ops = &picky;
	append(w, "INBOX", mail(w, "first", "apple"));
	append(w, "INBOX", mail(w, "second", "poison"));
	append(w, "INBOX", mail(w, "third", "pear"));
	catch_up(w);
	w->search->index->ops = good_ops;
	struct search_status now = status(w);
	assert_int_equal(now.indexed, 3);
	assert_int_equal(now.size.documents, 2);
	struct search_narrowing narrowing = narrow(w, "INBOX", INDEX_ALL_FIELDS, SLICE("poison"));
	assert_int_equal(narrowing.below, 4);
	assert_false(search_is_left_out(&narrowing, 2));
	assert_true(search_is_left_out(&narrowing, 1) && search_is_left_out(&narrowing, 3));
}

static bool says_behind(void *context, struct account_id account)
{
	(void)account;
	return *(bool *)context;
}

/* The notes are kept until the index has followed, however long that takes. */
static void notes_outlive_a_long_delay(void **state)
{
	struct world *w = *state;
	bool is_behind = true;
	size_t count;
	struct account_id *accounts;
	append(w, "INBOX", mail(w, "some", "mail"));
	mail_store_follow(w->m.store, NULL, w->search);
	mail_store_follow(w->m.store, says_behind, &is_behind);
	clock_set_skew_us((int64_t)(10 * 3600 * US_PER_S));
	check(w, commit_sweep(&w->m.op, mail_store_commit(w->m.store)));
	check(w, mail_store_unsettled(&w->m.op, w->m.store, &accounts, &count));
	assert_int_equal(count, 1);
	assert_true(ID_EQUAL(accounts[0], w->m.account));
	is_behind = false;
	/* Old notes are looked at seldom. */
	check(w, commit_sweep(&w->m.op, mail_store_commit(w->m.store)));
	check(w, mail_store_unsettled(&w->m.op, w->m.store, &accounts, &count));
	assert_int_equal(count, 1);
	clock_set_skew_us((int64_t)(11 * 3600 * US_PER_S));
	check(w, commit_sweep(&w->m.op, mail_store_commit(w->m.store)));
	check(w, mail_store_unsettled(&w->m.op, w->m.store, &accounts, &count));
	clock_set_skew_us(0);
	mail_store_follow(w->m.store, NULL, &is_behind);
	assert_int_equal(count, 0);
}

/* ---- With the index a search finds what it finds without ---- */

static const char *const words[] = {"apple", "Pear", "gro\xc3\x9f", "caf\xc3\xa9",
	"re: ", "=?utf-8?q?K=C3=B6ln?=", "100%", "a\"b", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
	"\xef\xac\x81n", "x", "\r\n ", "<b>bold</b>", "&uuml;ber"};

static struct slice random_text(struct world *w, uint64_t length)
{
	struct buf text = buf_in(&w->m.op.arena);
	for (; length; length--) {
		buf_append(&text, slice_from_cstr(words[random_below(ARRAY_SIZE(words))]));
		if (random_below(3))
			buf_append_char(&text, ' ');
	}
	return buf_as_slice(&text);
}

static struct slice random_mail(struct world *w)
{
	static const char *const types[] = {"text/plain", "text/html", "text/plain; charset=utf-8",
		"image/png; name=apple.png", "message/rfc822"};
	struct buf text = buf_in(&w->m.op.arena);
	struct slice subject = random_text(w, random_below(4));
	struct slice from = random_text(w, 1);
	struct slice body = random_text(w, random_below(30));
	buf_printf(&text, "From: " SLICE_FMT "\r\nSubject: " SLICE_FMT "\r\n", SLICE_ARG(from),
		SLICE_ARG(subject));
	buf_printf(&text, "Content-Type: %s\r\n\r\n" SLICE_FMT,
		types[random_below(ARRAY_SIZE(types))], SLICE_ARG(body));
	return buf_as_slice(&text);
}

static bool field_has(
	struct arena *arena, struct slice header, struct slice name, struct slice needle)
{
	struct search_texts texts;
	search_texts_make(arena, header, header.len, SIZE_MAX, &texts);
	struct slice text = texts.fields[text_field_of(name)];
	return slice_find(text, needle) < text.len;
}

static void compare(struct world *w, const char *path, size_t *inout_left_out)
{
	size_t count;
	struct message *messages;
	struct uid_set all = {.arena = &w->m.op.arena};
	struct slice raw = random_text(w, 3);
	size_t at = random_below(raw.len);
	struct slice needle =
		utf8_fold(&w->m.op.arena, slice_range(raw, at, at + 1 + random_below(9)));
	struct search_narrowing text = narrow(w, path, INDEX_ALL_FIELDS, needle);
	struct search_narrowing body = narrow(w, path, 1U << TEXT_BODY, needle);
	struct search_narrowing subject = narrow(w, path, 1U << TEXT_SUBJECT, needle);
	if (!needle.len)
		return;
	uid_set_add_range(&all, 1, UINT32_MAX);
	check(w, mailbox_messages(&w->m.op, w->m.store, w->m.account, box(w, path), &all, &messages,
			 &count));
	for (size_t i = 0; i < count; i++) {
		struct slice bytes;
		check(w,
			message_content(&w->m.op, w->m.store, &messages[i], 0, UINT64_MAX, &bytes));
		struct slice header = slice_range(bytes, 0, messages[i].header_length);
		uint32_t uid = messages[i].uid;
		bool in_body = body_contains(&w->m.op.arena, bytes, needle);
		bool in_header = header_contains(&w->m.op.arena, header, needle);
		bool in_subject = field_has(&w->m.op.arena, header, SLICE("subject"), needle);
		assert_false((in_body || in_header) && search_is_left_out(&text, uid));
		assert_false(in_body && search_is_left_out(&body, uid));
		assert_false(in_subject && search_is_left_out(&subject, uid));
		*inout_left_out += search_is_left_out(&text, uid);
	}
}

static void damage(struct world *w)
{
	const char *path = fts5_path(&w->m.op.arena, w->folder, w->m.account);
	if (random_below(2)) {
		unlink(path);
		return;
	}
	search_free(w->search);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		assert_int_equal(pwrite(fd, "rubbish", 7, 0), 7);
		close(fd);
		unlink(arena_printf(&w->m.op.arena, "%s-wal", path));
	}
	open_search(w);
}

static const char *random_box(void)
{
	return random_below(2) ? "INBOX" : "Archive";
}

static void do_something(struct world *w)
{
	const char *from = random_box();
	uint32_t uid = 1 + (uint32_t)random_below(30);
	switch (random_below(12)) {
	case 0:
		expunge(w, from, uid, uid + 3);
		break;
	case 1:
	case 2:
		transfer(w, from, random_box(), uid, random_below(2));
		break;
	case 3:
	case 4:
	case 5:
		catch_up(w);
		break;
	case 6:
		if (random_below(6) == 0)
			damage(w);
		break;
	default:
		append(w, from, random_mail(w));
		break;
	}
}

static void a_search_with_the_index_finds_what_a_scan_finds(void **state)
{
	struct world *w = *state;
	size_t left_out = 0;
	for (int i = 0; i < 250; i++) {
		struct arena_mark mark = arena_mark(&w->m.op.arena);
		do_something(w);
		for (int j = 0; j < 3; j++)
			compare(w, random_box(), &left_out);
		arena_release(&w->m.op.arena, mark);
	}
	assert_true(left_out > 100);
}

/* ---- Attachments ---- */

static void open_search_with_attachments(struct world *w)
{
	struct index *index;
	const struct fts5_options options = {.folder = scratch_path(&w->m.op.arena),
		.open_files = 4,
		.rules = search_texts_rules(),
		.has_words = true,
		.has_attached = true};
	search_free(w->search);
	check(w, fts5_open(&w->m.op, &options, &index));
	w->search = search_new(w->m.store, index);
	/* Nobody listens there. */
	search_config.tika = "http://127.0.0.1:1";
	search_config.tika_timeout_ms = 1000;
	search_config.tika_tries = 1;
	search_config.attached = (struct attachment_rules){"text/plain", MIB(1)};
	check(w, search_read_attachments(&w->m.op, w->search));
}

static struct search_ranking rank_with_attached(struct world *w, const char *text)
{
	struct search_ranking ranking;
	struct search_words wanted;
	struct snapshot *snapshot = snapshot_of(w, "INBOX");
	search_words_ask(&w->m.op.arena, slice_from_cstr(text), &wanted);
	search_rank(&w->m.op, w->search, w->m.account, snapshot,
		SEARCH_WORDS_FIELDS | search_attached_field(w->search, true), &wanted, false,
		&ranking);
	snapshot_unref(snapshot);
	return ranking;
}

static struct slice mail_with_file(void)
{
	return SLICE("Subject: file\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
		     "--b\r\n\r\nsee it\r\n--b\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n"
		     "--b--\r\n");
}

static void what_is_attached_is_owed_and_a_search_says_so(void **state)
{
	struct world *w = *state;
	open_search_with_attachments(w);
	assert_true(search_may_owe(&w->m.op, w->search, mail_with_file()));
	assert_false(search_may_owe(&w->m.op, w->search, mail(w, "plain", "text")));
	append(w, "INBOX", mail(w, "plain", "text"));
	uint32_t uid = append(w, "INBOX", mail_with_file());
	/* What is not covered is looked at by whoever searches. */
	assert_int_equal(rank_with_attached(w, "pelican").below, 0);
	catch_up(w);
	assert_true(queue_has(&w->search->owed, w->m.account));
	struct search_ranking ranking = rank_with_attached(w, "pelican");
	assert_int_equal(ranking.below, uid + 1);
	assert_int_equal(ranking.owed, 1);
	/* By its own texts it is found meanwhile. */
	ranking = rank_with_attached(w, "see");
	assert_int_equal(ranking.count, 1);
	assert_int_equal(ranking.hits[0].uid, uid);
	/* That nobody is there to read it is not its fault. */
	check(w, attachments_catch_up(&w->m.op, w->search, w->m.account));
	assert_int_equal(status(w).size.owed, 1);
	assert_int_equal(status(w).size.given_up, 0);
	expunge(w, "INBOX", uid, uid);
	catch_up(w);
	assert_int_equal(rank_with_attached(w, "pelican").owed, 0);
}

static void who_waits_because_it_failed_waits_on(void **state)
{
	struct world *w = *state;
	struct account_id account;
	uint64_t forgotten;
	open_search_with_attachments(w);
	attachments_owed(w->search, w->m.account);
	assert_true(queue_take(&w->search->owed, &account, &forgotten));
	queue_give_back(&w->search->owed, account, TURN_FAILED);
	const struct waiting *waiting =
		hash_map_find(&w->search->owed.waiting, ID_SLICE(w->m.account));
	uint64_t due_ns = waiting->due_ns;
	attachments_owed(w->search, w->m.account);
	assert_int_equal(waiting->due_ns, due_ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_indexed_narrows_a_search, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_just_come_is_proposed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(short_needles_are_not_narrowed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(copies_and_moves_read_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(expunged_mail_leaves_the_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_index_of_dead_mail_is_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_attached_is_owed_and_a_search_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_waits_because_it_failed_waits_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			searches_are_narrowed_while_the_index_is_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_differs_from_the_messages_is_told_and_mended, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_an_index_has_lost_is_proposed_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_a_search_finds_lost_is_mended_behind_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_message_is_indexed_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			work_that_is_cut_short_goes_on_where_it_was, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_index_that_is_dropped_meanwhile_is_begun_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_account_no_index, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_index_of_another_history_is_of_no_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_thread_follows_what_happens, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_a_crash_left_behind_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_index_that_cannot_be_written_is_told_of_and_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_message_that_the_index_refuses_is_read_by_searches, set_up, tear_down),
		cmocka_unit_test_setup_teardown(notes_outlive_a_long_delay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_search_with_the_index_finds_what_a_scan_finds, set_up, tear_down),
	};
	int failures = cmocka_run_group_tests_name("search", tests, NULL, NULL);
	return failures + scratch_remove();
}
