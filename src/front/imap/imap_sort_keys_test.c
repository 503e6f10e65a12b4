#include "base/test.h"

#include "front/imap/imap_sort_keys.h"

static struct arena arena;
static struct slice references[] = {SLICE_INIT("<a@example.org>"), SLICE_INIT("")};
static struct sort_keys keys;

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena);
	keys = (struct sort_keys){.known = (SORT_KNOWS_REFERENCES << 1) - 1,
		.arrival_us = 1732752000123456,
		.size = UINT64_MAX,
		.sent_at = -86400,
		.is_reply = true,
		.texts = {[SORT_SUBJECT] = SLICE_INIT("hello"), [SORT_CC] = SLICE_INIT("cc")},
		.message_id = SLICE("<b@example.org>"),
		.references = references,
		.reference_count = ARRAY_SIZE(references)};
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct buf encoded(void)
{
	struct buf bytes = buf_in(&arena);
	sort_keys_encode(&keys, &bytes);
	return bytes;
}

static void keys_survive_their_encoding(void **state)
{
	(void)state;
	struct sort_keys read;
	struct buf bytes = encoded();
	assert_true(sort_keys_decode(&arena, buf_as_slice(&bytes), &read));
	assert_int_equal(read.known, keys.known);
	assert_true(read.arrival_us == keys.arrival_us && read.size == keys.size);
	assert_true(read.sent_at == keys.sent_at && read.is_reply);
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		assert_true(slice_equal(read.texts[key], keys.texts[key]));
	assert_true(slice_equal(read.message_id, keys.message_id));
	assert_int_equal(read.reference_count, 2);
	assert_true(slice_equal(read.references[0], references[0]));
	assert_int_equal(read.references[1].len, 0);
}

static void what_is_cut_short_is_no_encoding(void **state)
{
	(void)state;
	struct sort_keys read;
	struct buf bytes = encoded();
	for (size_t len = 0; len < bytes.len; len++)
		assert_false(sort_keys_decode(&arena, slice_of(bytes.ptr, len), &read));
	buf_append_char(&bytes, 'x');
	assert_false(sort_keys_decode(&arena, buf_as_slice(&bytes), &read));
}

static void what_is_not_known_takes_no_room(void **state)
{
	(void)state;
	struct sort_keys read;
	keys.known = SORT_KNOWS(SORT_CC);
	struct buf bytes = encoded();
	assert_true(sort_keys_decode(&arena, buf_as_slice(&bytes), &read));
	assert_true(slice_equal(read.texts[SORT_CC], SLICE("cc")));
	assert_int_equal(read.texts[SORT_SUBJECT].len, 0);
	assert_int_equal(read.reference_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(keys_survive_their_encoding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_cut_short_is_no_encoding, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_known_takes_no_room, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
