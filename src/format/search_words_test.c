#include "base/test.h"

#include "base/buf.h"
#include "format/charset.h"
#include "format/search_words.h"

static struct arena arena;

static int begin(void **state)
{
	(void)state;
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct slice fold(const char *text)
{
	return utf8_fold(&arena, slice_from_cstr(text));
}

static void texts_have_words(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"", ""},
		{" \n.-", ""},
		{"The quick, brown fox", "the quick brown fox"},
		{"don't mail@example.org 3.14", "don t mail example org 3 14"},
		/* With and without marks, however they are written. */
		{"Caf\xc3\xa9 cafe\xcc\x81 \xc3\x85ngstr\xc3\xb6m", "cafe cafe angstrom"},
		{"Stra\xc3\x9f"
		 "e",
			"strasse"},
		{"\xc5\x81\xc3\xb3"
		 "d\xc5\xba \xc3\xb8re \xc3\x86ther",
			"lodz ore aether"},
		{"\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd", "\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd"},
		/* Vowel signs are no accents. */
		{"\xe0\xa4\x95\xe0\xa5\x81", "\xe0\xa4\x95\xe0\xa5\x81"},
		/* "Tokyo is fine", without spaces. */
		{"\xe6\x9d\xb1\xe4\xba\xac\xe3\x81\xaf\xe6\x99\xb4\xe3\x82\x8c",
			"\xe6\x9d\xb1\xe4\xba\xac \xe3\x81\xaf \xe6\x99\xb4\xe3\x82\x8c"},
		{"a\xe6\x9d\xb1\xe4\xba\xac"
		 "b",
			"a \xe6\x9d\xb1\xe4\xba\xac b"},
		{"broken \xff bytes\x01", "broken bytes"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice words = search_words_make(&arena, TEXT_BODY, fold(cases[i].text));
		if (!slice_equal(words, slice_from_cstr(cases[i].words)))
			fail_msg("%s: " SLICE_FMT, cases[i].text, SLICE_ARG(words));
	}
}

static void a_long_word_is_cut(void **state)
{
	struct buf text = buf_in(&arena);
	for (int i = 0; i < 100; i++)
		buf_append(&text, SLICE("\xc3\xa6x"));
	buf_append(&text, SLICE(" end"));
	struct slice words = search_words_make(&arena, TEXT_BODY, buf_as_slice(&text));
	assert_true(slice_ends_with(words, SLICE("x end")));
	assert_true(words.len < SEARCH_WORD_CHARACTERS_MAX * 2);
}

static void the_name_of_a_field_is_no_word_of_it(void **state)
{
	struct slice text = SLICE("subject: to whom\nwhom\nsubject: subject: again");
	struct slice words = search_words_make(&arena, TEXT_SUBJECT, text);
	assert_true(slice_equal(words, SLICE("to whom whom subject again")));
	words = search_words_make(&arena, TEXT_BODY, SLICE("subject: here"));
	assert_true(slice_equal(words, SLICE("subject here")));
	words = search_words_make(&arena, TEXT_TO, SLICE("to: a@b\nhttp: c"));
	assert_true(slice_equal(words, SLICE("a b http c")));
}

static void words_are_alike_or_not(void **state)
{
	static const struct {
		const char *wanted, *word;
		unsigned likeness;
	} cases[] = {
		{"hello", "hello", WORD_IS_SAME},
		{"helo", "hello", WORD_IS_NEAR},
		{"hello", "helo", WORD_IS_NEAR},
		{"hello", "hallo", WORD_IS_NEAR},
		{"hello", "hlelo", WORD_IS_NEAR},
		{"hello", "hlleo", 0},
		{"hello", "jello", 0},
		{"hel", "hell", WORD_BEGINS},
		{"he", "hell", 0},
		{"hel", "hal", 0},
		{"a", "a", WORD_IS_SAME},
		{"a", "b", 0},
		{"invoices", "invoice", WORD_IS_NEAR},
		{"invoices", "invoiced", WORD_IS_NEAR},
		{"invoices", "invoicing", 0},
		{"conference", "confrence", WORD_IS_NEAR},
		{"conference", "conferense", WORD_IS_NEAR},
		{"conference", "confernece", WORD_IS_NEAR},
		{"conference", "cnoferense", WORD_IS_FAR},
		{"conference", "conf", 0},
		{"conf", "conference", WORD_BEGINS},
		/* Letters, not bytes. */
		{"\xd0\xb8\xd0\xb2\xd0\xb0\xd0\xbd", "\xd0\xb8\xd0\xb2\xd0\xbe\xd0\xbd",
			WORD_IS_NEAR},
		{"\xe6\x9d\xb1", "\xe6\x9d\xb1\xe4\xba\xac", WORD_BEGINS},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		unsigned likeness = search_word_likeness(
			slice_from_cstr(cases[i].wanted), slice_from_cstr(cases[i].word));
		if (likeness != cases[i].likeness)
			fail_msg("%s, %s: %u", cases[i].wanted, cases[i].word, likeness);
	}
}

static void each_word_that_is_asked_for_is_to_be_found(void **state)
{
	struct search_words wanted;
	search_words_ask(&arena, fold("IMAP break, imap"), &wanted);
	assert_int_equal(wanted.count, 2);
	assert_int_equal(search_words_likeness(&wanted, SLICE("break of imap")), WORD_IS_SAME);
	assert_int_equal(search_words_likeness(&wanted, SLICE("imap breaks")),
		(WORD_IS_SAME + WORD_BEGINS) / 2);
	/* The best of several. */
	assert_int_equal(
		search_words_likeness(&wanted, SLICE("breaks imap break breaks")), WORD_IS_SAME);
	assert_int_equal(search_words_likeness(&wanted, SLICE("imap")), 0);
	assert_int_equal(search_words_likeness(&wanted, SLICE_NONE), 0);
}

static void what_is_asked_for_is_bounded_and_may_have_no_words(void **state)
{
	struct search_words wanted;
	search_words_ask(&arena, fold("a b c d e f g h i j k"), &wanted);
	assert_int_equal(wanted.count, ARRAY_SIZE(wanted.items));
	search_words_ask(&arena, fold("?!"), &wanted);
	assert_int_equal(wanted.count, 0);
	assert_int_equal(search_words_likeness(&wanted, SLICE("any")), 0);
	search_words_ask(&arena, SLICE_NONE, &wanted);
	assert_int_equal(wanted.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(texts_have_words, begin, end),
		cmocka_unit_test_setup_teardown(a_long_word_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(the_name_of_a_field_is_no_word_of_it, begin, end),
		cmocka_unit_test_setup_teardown(words_are_alike_or_not, begin, end),
		cmocka_unit_test_setup_teardown(
			each_word_that_is_asked_for_is_to_be_found, begin, end),
		cmocka_unit_test_setup_teardown(
			what_is_asked_for_is_bounded_and_may_have_no_words, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
