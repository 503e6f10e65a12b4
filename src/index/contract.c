#include "index/contract.h"

#include "base/test.h"

#include "base/buf.h"
#include "base/random.h"
#include "format/charset.h"

struct world {
	struct op op;
	struct index *index;
	struct account_id account;
	struct mailbox_id inbox, archive;
};

static struct index *(*open_index)(struct op *op);

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->index = open_index(&w->op);
	w->account.uuid = uuid_v7();
	w->inbox.uuid = uuid_v7();
	w->archive.uuid = uuid_v7();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	index_close(w->index);
	op_done(&w->op);
	free(w);
	return 0;
}

static void apply(struct world *w, struct index_batch batch)
{
	struct index_state known;
	assert_null(index_get_state(w->index, &w->op, w->account, &known));
	batch.expected_cursor = known.cursor;
	struct error *err = index_apply(w->index, &w->op, w->account, &batch);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
}

static struct index_coverage coverage(struct mailbox_id mailbox, uint32_t uidnext)
{
	return (struct index_coverage){.mailbox = mailbox, .uidvalidity = 1, .uidnext = uidnext};
}

static struct search_texts body(const char *text)
{
	return (struct search_texts){
		.fields = {[TEXT_BODY] = slice_from_cstr(text)}, .is_whole = true};
}

/* Adds one message, and covers the mailbox up to it. */
static struct message_id add_texts(
	struct world *w, struct mailbox_id mailbox, uint32_t uid, const struct search_texts *texts)
{
	struct message_id message = {uuid_v7()};
	struct index_coverage covered = coverage(mailbox, uid + 1);
	struct index_add add = {.place = {mailbox, uid}, .message = message, .texts = texts};
	apply(w, (struct index_batch){.added = &add,
			 .added_count = 1,
			 .covered = &covered,
			 .covered_count = 1,
			 .cursor = uid + 100});
	return message;
}

static struct message_id add(
	struct world *w, struct mailbox_id mailbox, uint32_t uid, const char *text)
{
	struct search_texts texts = body(text);
	return add_texts(w, mailbox, uid, &texts);
}

static void remove_place(struct world *w, struct mailbox_id mailbox, uint32_t uid, uint64_t cursor)
{
	struct index_place place = {mailbox, uid};
	apply(w, (struct index_batch){.removed = &place, .removed_count = 1, .cursor = cursor});
}

static struct index_found find(
	struct world *w, struct mailbox_id mailbox, unsigned fields, const char *needle)
{
	struct index_found found;
	struct index_query query = {
		.mailbox = mailbox, .fields = fields, .needle = slice_from_cstr(needle)};
	struct error *err = index_find(w->index, &w->op, w->account, &query, &found);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
	return found;
}

/* `uids` ends with 0. */
static void then_found(struct world *w, struct mailbox_id mailbox, unsigned fields,
	const char *needle, const uint32_t *uids)
{
	struct index_found found = find(w, mailbox, fields, needle);
	size_t count = 0;
	for (; uids[count]; count++)
		if (count >= found.count || found.uids[count] != uids[count])
			fail_msg("%s: %u is not found", needle, uids[count]);
	if (found.count != count)
		fail_msg("%s: %u is found", needle, found.uids[count]);
}

#define THEN_FOUND(w, mailbox, fields, needle, ...) \
	then_found(w, mailbox, fields, needle, (const uint32_t[]){__VA_ARGS__})

static struct index_held held(struct world *w, struct mailbox_id mailbox, uint32_t below)
{
	struct index_found found;
	const struct index_query query = {.mailbox = mailbox,
		.below = below,
		.fields = INDEX_ALL_FIELDS,
		.needle = SLICE("nowhere")};
	assert_null(index_find(w->index, &w->op, w->account, &query, &found));
	return found.held;
}

static void then_held(
	struct world *w, struct mailbox_id mailbox, uint32_t below, uint64_t count, uint64_t sum)
{
	struct index_held now = held(w, mailbox, below);
	bool is_altered;
	assert_int_equal(now.count, count);
	assert_int_equal(now.uid_sum, sum);
	assert_int_equal(now.altered, 0);
	assert_null(index_is_altered(w->index, &w->op, w->account, &is_altered));
	assert_false(is_altered);
}

/* Of a message that another writer has put there and not covered nothing is counted. */
static void what_it_holds_of_what_it_covers_is_counted(void **state)
{
	struct world *w = *state;
	struct search_texts texts = body("common");
	struct index_add uncovered = {
		.place = {w->inbox, 9}, .message = {uuid_v7()}, .texts = &texts};
	for (uint32_t uid = 1; uid <= 5; uid++)
		add(w, w->inbox, uid, "common");
	add(w, w->archive, 1000000, "common");
	then_held(w, w->inbox, UINT32_MAX, 5, 15);
	then_held(w, w->inbox, 4, 3, 6);
	then_held(w, w->archive, UINT32_MAX, 1, 1000000);
	remove_place(w, w->inbox, 2, 2000000);
	apply(w, (struct index_batch){.added = &uncovered, .added_count = 1});
	then_held(w, w->inbox, UINT32_MAX, 4, 13);
	then_held(w, w->inbox, 4, 2, 4);
	uncovered.place.uid = 3;
	uncovered.replaces = true;
	apply(w, (struct index_batch){.added = &uncovered, .added_count = 1});
	then_held(w, w->inbox, 4, 2, 4);
}

static void an_index_that_is_not_there_says_so(void **state)
{
	struct world *w = *state;
	struct index_state known;
	struct index_size size;
	bool has = true;
	struct message_id message = {uuid_v7()};
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "anything").cursor, 0);
	assert_null(index_get_state(w->index, &w->op, w->account, &known));
	assert_int_equal(known.cursor, 0);
	assert_int_equal(known.covered_count, 0);
	assert_null(index_has(w->index, &w->op, w->account, &message, 1, &has));
	assert_false(has);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.documents, 0);
	assert_null(index_drop(w->index, &w->op, w->account));
}

static void what_has_the_text_is_proposed(void **state)
{
	struct world *w = *state;
	add(w, w->inbox, 3, "the quick brown fox");
	add(w, w->inbox, 7, "a quicker one \"quoted\" it's 100%");
	add(w, w->inbox, 9,
		"stra\xc3\x9f"
		"e caf\xc3\xa9 \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	add(w, w->archive, 3, "quick in another folder");
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "quick", 3, 7, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "uicke", 7, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "brown fox", 3, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "\"quoted\" it's 100%", 7, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "caf\xc3\xa9", 9, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 9, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "nowhere", 0);
	THEN_FOUND(w, w->archive, INDEX_ALL_FIELDS, "quick", 3, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, " AND ", 0);
}

static void only_the_fields_asked_for_are_looked_at(void **state)
{
	struct world *w = *state;
	struct search_texts texts = {.is_whole = true};
	static const char *const words[TEXT_FIELD_COUNT] = {
		"alpha", "bravo", "charlie", "delta", "echoo", "foxtrot", "golf"};
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		texts.fields[i] = slice_from_cstr(words[i]);
	add_texts(w, w->inbox, 1, &texts);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		for (int j = 0; j < TEXT_FIELD_COUNT; j++)
			assert_int_equal(find(w, w->inbox, 1U << i, words[j]).count, i == j);
	THEN_FOUND(w, w->inbox, 1U << TEXT_TO | 1U << TEXT_CC, "charlie", 1, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "golf", 1, 0);
}

static void what_is_not_known_whole_is_always_proposed(void **state)
{
	struct world *w = *state;
	struct search_texts cut = body("the beginning");
	struct index_add unknown = {.place = {w->inbox, 5}};
	struct index_coverage covered = coverage(w->inbox, 6);
	cut.is_whole = false;
	add(w, w->inbox, 2, "whole");
	add_texts(w, w->inbox, 4, &cut);
	apply(w, (struct index_batch){.added = &unknown,
			 .added_count = 1,
			 .covered = &covered,
			 .covered_count = 1});
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "the end", 4, 5, 0);
	THEN_FOUND(w, w->inbox, 1U << TEXT_SUBJECT, "whole", 4, 5, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "whole", 2, 4, 5, 0);
}

static void it_says_how_far_it_is_complete(void **state)
{
	struct world *w = *state;
	struct index_state known;
	add(w, w->inbox, 4, "some text");
	add(w, w->archive, 8, "some text");
	struct index_found found = find(w, w->inbox, INDEX_ALL_FIELDS, "nowhere");
	assert_int_equal(found.cursor, 108);
	assert_int_equal(found.coverage.uidnext, 5);
	assert_int_equal(found.coverage.uidvalidity, 1);
	struct mailbox_id other = {uuid_v7()};
	found = find(w, other, INDEX_ALL_FIELDS, "some");
	assert_int_equal(found.coverage.uidnext, 0);
	assert_int_equal(found.count, 0);
	assert_null(index_get_state(w->index, &w->op, w->account, &known));
	assert_int_equal(known.cursor, 108);
	assert_int_equal(known.covered_count, 2);
}

static void a_copy_needs_no_text_and_a_move_leaves_one_place(void **state)
{
	struct world *w = *state;
	bool has[2];
	struct message_id message = add(w, w->inbox, 1, "to be moved");
	struct message_id ask[] = {message, {uuid_v7()}};
	struct search_texts texts = body("to be moved");
	struct index_coverage covered = coverage(w->archive, 2);
	struct index_add copy = {.place = {w->archive, 1}, .message = message};
	assert_null(index_has(w->index, &w->op, w->account, ask, 2, has));
	assert_false(has[1]);
	bool copies = has[0];
	copy.texts = copies ? NULL : &texts;
	apply(w, (struct index_batch){.added = &copy,
			 .added_count = 1,
			 .covered = &covered,
			 .covered_count = 1,
			 .cursor = 200});
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "moved", 1, 0);
	THEN_FOUND(w, w->archive, INDEX_ALL_FIELDS, "moved", 1, 0);
	remove_place(w, w->inbox, 1, 201);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "moved", 0);
	THEN_FOUND(w, w->archive, INDEX_ALL_FIELDS, "moved", 1, 0);
	assert_null(index_has(w->index, &w->op, w->account, ask, 2, has));
	assert_int_equal(has[0], copies);
	assert_false(has[1]);
}

static void what_is_done_twice_is_done_once(void **state)
{
	struct world *w = *state;
	struct index_size size;
	struct search_texts texts = body("hello again");
	struct index_add adds[] = {{.place = {w->inbox, 1}, .texts = &texts},
		{.place = {w->inbox, 1}, .texts = &texts}};
	adds[0].message.uuid = adds[1].message.uuid = uuid_v7();
	for (int i = 0; i < 2; i++)
		apply(w, (struct index_batch){.added = adds, .added_count = 2, .cursor = 1});
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.documents, 1);
	assert_int_equal(size.places, 1);
	for (int i = 0; i < 2; i++)
		remove_place(w, w->inbox, 1, 2);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.places, 0);
	assert_int_equal(size.dead, size.documents);
}

static void a_mailbox_that_is_forgotten_is_not_covered(void **state)
{
	struct world *w = *state;
	add(w, w->inbox, 1, "some text");
	add(w, w->archive, 1, "some text");
	apply(w, (struct index_batch){.forgotten = &w->inbox, .forgotten_count = 1});
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "some").coverage.uidnext, 0);
	THEN_FOUND(w, w->archive, INDEX_ALL_FIELDS, "some", 1, 0);
}

static void a_batch_that_fails_changes_nothing(void **state)
{
	struct world *w = *state;
	struct search_texts texts = body("new text");
	struct index_coverage covered = coverage(w->inbox, 9);
	struct index_add adds[] = {
		{.place = {w->inbox, 7}, .message = {uuid_v7()}, .texts = &texts},
		/* Said to be there, and is not. */
		{.place = {w->inbox, 8}, .message = {uuid_v7()}}};
	struct index_batch batch = {.added = adds,
		.added_count = 2,
		.covered = &covered,
		.covered_count = 1,
		.expected_cursor = 101,
		.cursor = 300};
	add(w, w->inbox, 1, "old text");
	struct error *err = index_apply(w->index, &w->op, w->account, &batch);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CORRUPT);
	assert_true(find(w, w->inbox, INDEX_ALL_FIELDS, "text").coverage.uidnext < 9);
}

/* The index was thrown away between two batches: the second must not cover what was in the first.
 */
static void a_writer_that_has_seen_another_index_is_refused(void **state)
{
	struct world *w = *state;
	struct index_coverage covered = coverage(w->inbox, 9);
	struct index_batch batch = {
		.covered = &covered, .covered_count = 1, .expected_cursor = 101, .cursor = 102};
	add(w, w->inbox, 1, "some text");
	assert_null(index_drop(w->index, &w->op, w->account));
	struct error *err = index_apply(w->index, &w->op, w->account, &batch);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CONFLICT);
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "text").coverage.uidnext, 0);
	add(w, w->inbox, 1, "some text");
	assert_null(index_apply(w->index, &w->op, w->account, &batch));
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "text").coverage.uidnext, 9);
}

static void then_listed(struct world *w, struct mailbox_id mailbox, uint32_t from, size_t most,
	const struct index_entry *expected, size_t expected_count)
{
	size_t count = 0;
	struct index_entry *entries = NULL;
	assert_null(
		index_list(w->index, &w->op, w->account, mailbox, from, most, &entries, &count));
	assert_int_equal(count, expected_count);
	for (size_t i = 0; i < expected_count && entries && expected; i++) {
		assert_int_equal(entries[i].uid, expected[i].uid);
		assert_true(ID_EQUAL(entries[i].message, expected[i].message));
		if (expected[i].fingerprint)
			assert_int_equal(entries[i].fingerprint, expected[i].fingerprint);
	}
}

static void what_it_has_is_listed(void **state)
{
	struct world *w = *state;
	struct search_texts texts = body("some text");
	uint64_t fingerprint = search_texts_fingerprint(&texts);
	struct index_add unknown = {.place = {w->inbox, 5}};
	const struct index_entry all[] = {{2, add_texts(w, w->inbox, 2, &texts), fingerprint},
		{.uid = 5}, {9, add_texts(w, w->inbox, 9, &texts), fingerprint}};
	add(w, w->archive, 3, "elsewhere");
	apply(w, (struct index_batch){.added = &unknown, .added_count = 1});
	then_listed(w, w->inbox, 1, 10, all, 3);
	then_listed(w, w->inbox, 1, 2, all, 2);
	then_listed(w, w->inbox, 3, 10, &all[1], 2);
	then_listed(w, w->inbox, 10, 10, NULL, 0);
	then_listed(w, (struct mailbox_id){uuid_v7()}, 1, 10, NULL, 0);
	w->account.uuid = uuid_v7();
	then_listed(w, w->inbox, 1, 10, NULL, 0);
}

static void what_is_wrong_is_replaced(void **state)
{
	struct world *w = *state;
	struct search_texts texts = body("the right text");
	struct message_id message = add(w, w->inbox, 1, "the wrong text");
	struct index_add right = {
		.place = {w->inbox, 1}, .message = message, .texts = &texts, .replaces = true};
	struct index_add unknown = {.place = {w->inbox, 2}};
	struct index_coverage covered = coverage(w->inbox, 3);
	apply(w, (struct index_batch){.added = &unknown,
			 .added_count = 1,
			 .covered = &covered,
			 .covered_count = 1});
	apply(w, (struct index_batch){.added = &right, .added_count = 1});
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "right", 1, 2, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "wrong", 2, 0);
	/* It is known now. */
	right.place.uid = 2;
	right.message.uuid = uuid_v7();
	apply(w, (struct index_batch){.added = &right, .added_count = 1});
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "right", 1, 2, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "wrong", 0);
}

/* Until it is whole, what was there is asked. */
static void one_that_is_made_beside_takes_the_place_at_once(void **state)
{
	struct world *w = *state;
	struct index_state before, after;
	struct index *live = w->index;
	struct index_coverage covered = coverage(w->inbox, 9);
	add(w, w->inbox, 1, "the old text");
	assert_null(index_get_state(live, &w->op, w->account, &before));
	assert_true(before.id != 0);
	struct error *err = index_swap(live, &w->op, w->account);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "old text", 1, 0);

	w->index = index_beside(live);
	add(w, w->inbox, 1, "the new text");
	assert_null(index_get_state(w->index, &w->op, w->account, &after));
	assert_int_equal(after.cursor, before.cursor);
	w->index = live;
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "old text", 1, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "new text", 0);

	assert_null(index_swap(live, &w->op, w->account));
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "old text", 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "new text", 1, 0);
	assert_null(index_get_state(index_beside(live), &w->op, w->account, &after));
	assert_int_equal(after.cursor, 0);
	/* Who has seen the old one has seen another, though it stood at the same cursor. */
	struct index_batch batch = {.covered = &covered,
		.covered_count = 1,
		.expected_cursor = before.cursor,
		.expected_id = before.id};
	err = index_apply(live, &w->op, w->account, &batch);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_CONFLICT);
	add(w, w->inbox, 2, "more of it");
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "more of", 2, 0);
}

static void accounts_know_nothing_of_each_other(void **state)
{
	struct world *w = *state;
	struct account_id first = w->account;
	add(w, w->inbox, 1, "mine alone");
	w->account.uuid = uuid_v7();
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "mine").cursor, 0);
	add(w, w->inbox, 2, "mine too");
	assert_null(index_drop(w->index, &w->op, w->account));
	assert_int_equal(find(w, w->inbox, INDEX_ALL_FIELDS, "mine").cursor, 0);
	w->account = first;
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "mine", 1, 0);
}

/* ---- Words ---- */

static struct index_ranking rank(
	struct world *w, struct mailbox_id mailbox, unsigned fields, const char *text)
{
	struct index_ranking ranking;
	struct search_words words;
	search_words_ask(&w->op.arena, utf8_fold(&w->op.arena, slice_from_cstr(text)), &words);
	struct index_word_query query = {.mailbox = mailbox, .fields = fields, .words = &words};
	struct error *err = index_rank(w->index, &w->op, w->account, &query, &ranking);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
	return ranking;
}

/* The UIDs end with 0, and the last of them is the least. */
static void then_ranked(struct world *w, const char *text, const uint32_t *uids)
{
	struct index_ranking ranking = rank(w, w->inbox, INDEX_ALL_FIELDS, text);
	size_t count = 0;
	unsigned before = 101;
	for (; uids[count]; count++) {
		const struct index_hit *hit = NULL;
		for (size_t i = 0; i < ranking.count; i++)
			if (ranking.hits[i].uid == uids[count])
				hit = &ranking.hits[i];
		if (!hit || !hit->score)
			fail_msg("%s: %u is not found", text, uids[count]);
		else if (hit->score >= before)
			fail_msg("%s: %u has a score of %u", text, hit->uid, hit->score);
		else
			before = hit->score;
	}
	if (ranking.count != count)
		fail_msg("%s: %zu are found", text, ranking.count);
	for (size_t i = 1; i < ranking.count; i++)
		assert_true(ranking.hits[i - 1].uid < ranking.hits[i].uid);
}

#define THEN_RANKED(w, text, ...) then_ranked(w, text, (const uint32_t[]){__VA_ARGS__, 0})

static void words_are_found_by_how_near_they_come(void **state)
{
	struct world *w = *state;
	add(w, w->inbox, 1, "the conferense is on monday");
	add(w, w->inbox, 3, "conference rooms, a list of them");
	add(w, w->inbox, 4, "of the cnoferense nothing is known");
	add(w, w->inbox, 6, "conferences: another word of the same");
	add(w, w->inbox, 7, "nothing of that kind at all");
	add(w, w->inbox, 9, "caf\x65\xcc\x81 in the morning");
	add(w, w->archive, 2, "a conference elsewhere");
	THEN_RANKED(w, "conference", 3, 6, 1, 4);
	THEN_RANKED(w, "Conference ROOMS", 3);
	THEN_RANKED(w, "rooms conference", 3);
	assert_int_equal(rank(w, w->inbox, INDEX_ALL_FIELDS, "confer").count, 3);
	THEN_RANKED(w, "caf\xc3\xa9", 9);
	THEN_RANKED(w, "cafe", 9);
	struct index_ranking none = rank(w, w->inbox, INDEX_ALL_FIELDS, "xylophone");
	assert_int_equal(none.count, 0);
	assert_int_equal(none.coverage.uidnext, 10);
	assert_true(none.cursor > 0);
	assert_int_equal(rank(w, w->inbox, INDEX_ALL_FIELDS, "rooms nowhere").count, 0);
}

static void a_word_in_the_subject_and_a_seldom_one_weigh_more(void **state)
{
	struct world *w = *state;
	struct search_texts common_texts =
		body("common words that each of them has, and no others");
	struct search_texts texts = {.is_whole = true};
	common_texts.fields[TEXT_SUBJECT] = SLICE("subject: what is common");
	for (uint32_t uid = 1; uid <= 20; uid++)
		add_texts(w, w->inbox, uid, &common_texts);
	add(w, w->inbox, 21, "common and seldom words");
	add(w, w->inbox, 22, "seldom seldom seldom");
	texts.fields[TEXT_SUBJECT] = SLICE("subject: seldom");
	add_texts(w, w->inbox, 23, &texts);
	THEN_RANKED(w, "seldom", 23, 22, 21);
	struct index_ranking common = rank(w, w->inbox, INDEX_ALL_FIELDS, "common");
	struct index_ranking seldom = rank(w, w->inbox, INDEX_ALL_FIELDS, "seldom");
	assert_int_equal(common.count, 21);
	assert_true(common.hits[0].score < seldom.hits[0].score);
	/* The name of the field is no word, and only fields that are asked for are looked at. */
	assert_int_equal(rank(w, w->inbox, INDEX_ALL_FIELDS, "subject").count, 0);
	assert_int_equal(rank(w, w->inbox, 1U << TEXT_SUBJECT, "seldom").count, 1);
	assert_int_equal(rank(w, w->inbox, 1U << TEXT_BODY, "seldom").count, 2);
	assert_int_equal(rank(w, w->inbox, 1U << TEXT_TO, "seldom").count, 0);
}

static void what_is_not_known_has_no_score(void **state)
{
	struct world *w = *state;
	struct index_add unknown = {.place = {w->inbox, 5}};
	struct index_coverage covered = coverage(w->inbox, 6);
	assert_int_equal(rank(w, w->inbox, INDEX_ALL_FIELDS, "anything").cursor, 0);
	add(w, w->inbox, 2, "whole");
	apply(w, (struct index_batch){.added = &unknown,
			 .added_count = 1,
			 .covered = &covered,
			 .covered_count = 1});
	struct index_ranking ranking = rank(w, w->inbox, INDEX_ALL_FIELDS, "whole");
	assert_int_equal(ranking.count, 2);
	assert_true(ranking.hits[0].score > 0);
	assert_int_equal(ranking.hits[1].uid, 5);
	assert_int_equal(ranking.hits[1].score, 0);
	remove_place(w, w->inbox, 5, 200);
	remove_place(w, w->inbox, 2, 201);
	assert_int_equal(rank(w, w->inbox, INDEX_ALL_FIELDS, "whole").count, 0);
}

/* What the index finds is what would be found in the texts. */
static void words_are_found_where_they_are_in_the_texts(void **state)
{
	static const char *const pieces[] = {"invoice", "invoices", "invocie", "invo", "voice",
		"\xc3\xa9t\xc3\xa9", "ete", "\xe6\x9d\xb1\xe4\xba\xac", "an", "and", "ant"};
	static const char *const asked[] = {"invoice", "invoices", "inv", "voices", "ete", "an ete",
		"and", "ants", "\xe6\x9d\xb1\xe4\xba\xac", "inovice and"};
	struct world *w = *state;
	enum { TEXTS = 30 };
	struct search_texts made[TEXTS];
	struct index_add adds[TEXTS];
	struct index_coverage covered = coverage(w->inbox, TEXTS + 1);
	struct arena *arena = &w->op.arena;
	for (uint32_t i = 0; i < TEXTS; i++) {
		struct buf text = buf_in(arena);
		for (uint64_t left = 1 + random_below(3); left; left--)
			buf_printf(&text, "%s ", pieces[random_below(ARRAY_SIZE(pieces))]);
		made[i] = (struct search_texts){
			.fields = {[TEXT_BODY] = utf8_fold(arena, buf_as_slice(&text))},
			.is_whole = true};
		adds[i] = (struct index_add){.place = {w->inbox, i + 1}, .texts = &made[i]};
		adds[i].message.uuid = uuid_v7();
	}
	apply(w, (struct index_batch){.added = adds,
			 .added_count = TEXTS,
			 .covered = &covered,
			 .covered_count = 1,
			 .cursor = 1});
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		struct search_words words;
		size_t next = 0;
		struct index_ranking found = rank(w, w->inbox, INDEX_ALL_FIELDS, asked[i]);
		search_words_ask(arena, utf8_fold(arena, slice_from_cstr(asked[i])), &words);
		for (uint32_t uid = 1; uid <= TEXTS; uid++) {
			struct slice text = search_words_make(
				arena, TEXT_BODY, made[uid - 1].fields[TEXT_BODY]);
			unsigned likeness = search_words_likeness(&words, text);
			bool is_found = next < found.count && found.hits[next].uid == uid;
			if (is_found != (likeness > 0))
				fail_msg("%s in " SLICE_FMT, asked[i], SLICE_ARG(text));
			if (!is_found)
				continue;
			assert_in_range(found.hits[next].score, likeness / 2, likeness);
			next++;
		}
	}
}

/* ---- What is attached ---- */

static struct index_entry *owed(struct world *w, size_t count)
{
	struct index_entry *entries;
	size_t owed;
	struct error *err =
		index_owed(w->index, &w->op, w->account, w->inbox, 1, 10, &entries, &owed);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
	assert_int_equal(owed, count);
	return entries;
}

static struct search_texts owing(const char *text)
{
	struct search_texts texts = body(text);
	texts.attached_state = INDEX_ATTACHED_OWED;
	return texts;
}

static void attach(struct world *w, const struct index_entry *entry, const char *text,
	const char *attached, unsigned attached_state)
{
	struct search_texts texts = body(text);
	texts.attached = slice_from_cstr(attached);
	texts.attached_state = attached_state;
	struct index_add add = {.place = {w->inbox, entry->uid},
		.message = entry->message,
		.texts = &texts,
		.is_attached = true,
		.version = entry->version};
	apply(w, (struct index_batch){.added = &add, .added_count = 1});
}

/* 0: none. */
static uint32_t only_ranked(struct world *w, unsigned fields, const char *text, bool is_exact)
{
	struct index_ranking found;
	struct search_words words;
	search_words_ask(&w->op.arena, slice_from_cstr(text), &words);
	const struct index_word_query query = {
		.mailbox = w->inbox, .fields = fields, .words = &words, .is_exact = is_exact};
	struct error *err = index_rank(w->index, &w->op, w->account, &query, &found);
	if (err)
		fail_msg("%s", error_chain(&w->op.arena, err));
	assert_in_range(found.count, 0, 1);
	assert_true(!found.count || found.hits[0].score > 0);
	return found.count ? found.hits[0].uid : 0;
}

static void what_is_attached_comes_later_and_is_found_by_its_words(void **state)
{
	struct world *w = *state;
	struct search_texts texts = owing("a letter");
	const unsigned both = INDEX_ATTACHED_FIELD | 1U << TEXT_BODY;
	struct index_size size;
	add(w, w->inbox, 4, "another letter");
	struct message_id message = add_texts(w, w->inbox, 5, &texts);
	struct index_entry *entries = owed(w, 1);
	assert_int_equal(entries[0].uid, 5);
	assert_true(ID_EQUAL(entries[0].message, message));
	assert_int_equal(entries[0].attached, INDEX_ATTACHED_OWED);
	assert_int_equal(only_ranked(w, both, "pelican", false), 0);
	attach(w, &entries[0], "a letter", "the pelican and the ostrich", INDEX_ATTACHED_WHOLE);
	owed(w, 0);
	assert_int_equal(only_ranked(w, both, "pelican", false), 5);
	assert_int_equal(only_ranked(w, INDEX_ATTACHED_FIELD, "ostrich pelican", true), 5);
	assert_int_equal(only_ranked(w, both, "letter pelican", false), 5);
	assert_int_equal(only_ranked(w, both, "pelcan", false), 5);
	assert_int_equal(only_ranked(w, both, "pelcan", true), 0);
	assert_int_equal(only_ranked(w, both, "peli", true), 5);
	assert_int_equal(only_ranked(w, 1U << TEXT_BODY, "pelican", false), 0);
	assert_int_equal(only_ranked(w, INDEX_ATTACHED_FIELD, "letter", false), 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "letter", 4, 5, 0);
	THEN_FOUND(w, w->inbox, INDEX_ALL_FIELDS, "pelican", 0);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.places, 2);
	assert_int_equal(size.dead, 0);
}

static void what_cannot_be_read_is_tried_again_and_then_given_up(void **state)
{
	struct world *w = *state;
	struct search_texts texts = owing("a letter");
	struct index_entry *entries;
	struct index_size size;
	size_t count;
	add_texts(w, w->inbox, 5, &texts);
	attach(w, owed(w, 1), "a letter", "", INDEX_ATTACHED_OWED + 1);
	entries = owed(w, 1);
	assert_int_equal(entries[0].attached, INDEX_ATTACHED_OWED + 1);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.owed, 1);
	attach(w, &entries[0], "a letter", "half", INDEX_ATTACHED_GIVEN_UP);
	owed(w, 0);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.owed, 0);
	assert_int_equal(size.given_up, 1);
	assert_null(index_list(w->index, &w->op, w->account, w->inbox, 1, 10, &entries, &count));
	assert_int_equal(count, 1);
	assert_int_equal(entries[0].attached, INDEX_ATTACHED_GIVEN_UP);
	assert_int_equal(only_ranked(w, INDEX_ATTACHED_FIELD, "half", false), 5);
}

static void what_has_gone_meanwhile_does_not_come_back_by_its_attachments(void **state)
{
	struct world *w = *state;
	struct search_texts texts = owing("a letter");
	struct index_size size;
	add_texts(w, w->inbox, 5, &texts);
	struct index_entry *entries = owed(w, 1);
	remove_place(w, w->inbox, 5, 200);
	attach(w, entries, "a letter", "pelican", INDEX_ATTACHED_WHOLE);
	assert_null(index_measure(w->index, &w->op, w->account, &size));
	assert_int_equal(size.places, 0);
	assert_int_equal(only_ranked(w, INDEX_ATTACHED_FIELD, "pelican", false), 0);
}

/* Random texts of few characters; what has the needle must be among what is proposed. */
static void nothing_that_has_the_needle_is_left_out(void **state)
{
	static const char *const pieces[] = {"a", "b", "ab", " ", "\n", "\"", "\xc3\xa9",
		"\xe6\x97\xa5", "\xf0\x9f\x98\x80", "-"};
	struct world *w = *state;
	enum { TEXTS = 40, NEEDLES = 300 };
	struct slice texts[TEXTS];
	struct search_texts made[TEXTS];
	struct index_add adds[TEXTS];
	struct index_coverage covered = coverage(w->inbox, TEXTS + 1);
	struct arena *arena = &w->op.arena;
	for (uint32_t i = 0; i < TEXTS; i++) {
		struct buf text = buf_in(arena);
		for (uint64_t left = 5 + random_below(60); left; left--)
			buf_append(
				&text, slice_from_cstr(pieces[random_below(ARRAY_SIZE(pieces))]));
		if (i % 9 == 0)
			buf_append(&text, SLICE("nul\0and more\xff"));
		texts[i] = utf8_fold(arena, buf_as_slice(&text));
		made[i] =
			(struct search_texts){.fields = {[TEXT_BODY] = texts[i]}, .is_whole = true};
		adds[i] = (struct index_add){.place = {w->inbox, i + 1}, .texts = &made[i]};
		adds[i].message.uuid = uuid_v7();
	}
	apply(w, (struct index_batch){.added = adds,
			 .added_count = TEXTS,
			 .covered = &covered,
			 .covered_count = 1,
			 .cursor = 1});
	size_t proposed = 0, right = 0;
	for (int i = 0; i < NEEDLES; i++) {
		struct slice from = texts[random_below(TEXTS)];
		size_t at = random_below(from.len);
		struct slice needle =
			utf8_fold(arena, slice_range(from, at, at + 3 + random_below(20)));
		struct index_found found;
		struct index_query query = {
			.mailbox = w->inbox, .fields = 1U << TEXT_BODY, .needle = needle};
		if (!index_takes_needle(needle))
			continue;
		assert_null(index_find(w->index, &w->op, w->account, &query, &found));
		size_t next = 0;
		for (uint32_t uid = 1; uid <= TEXTS; uid++) {
			bool has = slice_find(texts[uid - 1], needle) < texts[uid - 1].len;
			bool is_proposed = next < found.count && found.uids[next] == uid;
			next += is_proposed;
			assert_true(is_proposed || !has);
			right += has;
		}
		proposed += found.count;
	}
	assert_true(right > 0);
	/* Random texts: an index that proposes everything is none. */
	assert_true(proposed < (size_t)TEXTS * NEEDLES / 2);
}

int index_contract_run(const char *name, struct index *(*open)(struct op *op))
{
	open_index = open;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_it_holds_of_what_it_covers_is_counted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_index_that_is_not_there_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_has_the_text_is_proposed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			only_the_fields_asked_for_are_looked_at, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_not_known_whole_is_always_proposed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_says_how_far_it_is_complete, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_needs_no_text_and_a_move_leaves_one_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_done_twice_is_done_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_mailbox_that_is_forgotten_is_not_covered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_batch_that_fails_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_writer_that_has_seen_another_index_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_it_has_is_listed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_is_made_beside_takes_the_place_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			accounts_know_nothing_of_each_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_that_has_the_needle_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			words_are_found_by_how_near_they_come, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_word_in_the_subject_and_a_seldom_one_weigh_more, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_known_has_no_score, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			words_are_found_where_they_are_in_the_texts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_attached_comes_later_and_is_found_by_its_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_read_is_tried_again_and_then_given_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_has_gone_meanwhile_does_not_come_back_by_its_attachments, set_up,
			tear_down),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
