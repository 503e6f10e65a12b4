#include "base/test.h"

#include "format/charset.h"
#include "format/encoded_word.h"
#include "format/encoding.h"
#include "format/utf7.h"

struct pair {
	struct slice text, want;
};

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

static void expect(struct slice got, struct slice want)
{
	if (!slice_equal(got, want))
		fail_msg("got <" SLICE_FMT ">, not <" SLICE_FMT ">", SLICE_ARG(got),
			SLICE_ARG(want));
}

static void base64_goes_there_and_back(void **state)
{
	(void)state;
	static const struct pair pairs[] = {
		{SLICE_INIT(""), SLICE_INIT("")},
		{SLICE_INIT("f"), SLICE_INIT("Zg==")},
		{SLICE_INIT("fo"), SLICE_INIT("Zm8=")},
		{SLICE_INIT("foo"), SLICE_INIT("Zm9v")},
		{SLICE_INIT("\0\xff\x80z"), SLICE_INIT("AP+Aeg==")},
	};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct buf out = buf_in(&arena);
		struct slice bytes;
		base64_encode(&out, pairs[i].text);
		expect(buf_as_slice(&out), pairs[i].want);
		assert_true(base64_decode(&arena, pairs[i].want, &bytes));
		expect(bytes, pairs[i].text);
	}
	struct slice bytes;
	assert_false(base64_decode(&arena, SLICE("Zg="), &bytes));
	assert_false(base64_decode(&arena, SLICE("Z g="), &bytes));
	assert_false(base64_decode(&arena, SLICE("Zg==Zg=="), &bytes));
}

static void bodies_are_decoded_leniently(void **state)
{
	(void)state;
	expect(transfer_decode(&arena, ENCODING_BASE64, SLICE("Zm9v\r\nYm!Fy\r\nZg")),
		SLICE("foobarf"));
	expect(transfer_decode(&arena, ENCODING_BASE64, SLICE("Zm8=\r\nZm8=\r\nZg==Zg==")),
		SLICE("fofoff"));
	expect(transfer_decode(
		       &arena, ENCODING_BASE64, SLICE("Zm8=\r\n\r\n-- \r\nlist footer\r\n")),
		SLICE("fo"));
	static const struct pair quoted[] = {
		{SLICE_INIT("a=3Db=\r\nc  \r\nd =x =C3=A4"), SLICE_INIT("a=bc\r\nd =x \xc3\xa4")},
		{SLICE_INIT("end="), SLICE_INIT("end")},
		{SLICE_INIT("soft= \t\nline"), SLICE_INIT("softline")},
		{SLICE_INIT("a   b"), SLICE_INIT("a   b")},
	};
	for (size_t i = 0; i < ARRAY_SIZE(quoted); i++)
		expect(transfer_decode(&arena, ENCODING_QUOTED_PRINTABLE, quoted[i].text),
			quoted[i].want);
}

static void encoded_words_become_text(void **state)
{
	(void)state;
	static const struct pair pairs[] = {
		{SLICE_INIT("plain"), SLICE_INIT("plain")},
		{SLICE_INIT("=?ISO-8859-1?Q?a_=E4?= b"), SLICE_INIT("a \xc3\xa4 b")},
		{SLICE_INIT("=?utf-8?B?w6Q=?=\r\n =?utf-8?b?w6Q=?="),
			SLICE_INIT("\xc3\xa4\xc3\xa4")},
		{SLICE_INIT("=?utf-8?Q?=C3?= =?utf-8?Q?=A4?="), SLICE_INIT("\xc3\xa4")},
		{SLICE_INIT("=?utf-8?Q?a?= =?iso-8859-15?Q?=A4?= c"),
			SLICE_INIT("a\xe2\x82\xac c")},
		{SLICE_INIT("=?utf-7?Q?a?= =?x"), SLICE_INIT("=?utf-7?Q?a?= =?x")},
		{SLICE_INIT("raw \xe4"), SLICE_INIT("raw \xc3\xa4")},
		{SLICE_INIT("=?utf-8*en?q?x?="), SLICE_INIT("x")},
		{SLICE_INIT("=?utf-8?q?open"), SLICE_INIT("=?utf-8?q?open")},
	};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		expect(encoded_words_decode(&arena, pairs[i].text), pairs[i].want);
	struct slice text;
	assert_true(encoded_parameter_decode(&arena, SLICE("iso-8859-1'en'%A3%20r"), &text));
	expect(text, SLICE("\xc2\xa3 r"));
	assert_false(encoded_parameter_decode(&arena, SLICE("plain"), &text));
}

static void mailbox_names_go_through_utf7(void **state)
{
	(void)state;
	static const struct pair pairs[] = {
		{SLICE_INIT("Entw&APw-rfe"), SLICE_INIT("Entw\xc3\xbcrfe")},
		{SLICE_INIT("a&-b"), SLICE_INIT("a&b")},
		{SLICE_INIT("&U,BTFw-/&ZeVnLIqe-"),
			SLICE_INIT(
				"\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e")},
		{SLICE_INIT("&2D3eAA-"), SLICE_INIT("\xf0\x9f\x98\x80")},
	};
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		struct slice utf8;
		assert_true(utf7_to_utf8(&arena, pairs[i].text, &utf8));
		expect(utf8, pairs[i].want);
		struct buf out = buf_in(&arena);
		utf7_print(&out, pairs[i].want);
		expect(buf_as_slice(&out), pairs[i].text);
	}
	static const struct slice wrong[] = {
		SLICE_INIT("open&"),
		SLICE_INIT("&AGE-"),      /* an ASCII letter needs no shift */
		SLICE_INIT("&APw-&APw-"), /* one run in two */
		SLICE_INIT("&2D0-"),      /* half a pair */
		SLICE_INIT("&APx-"),      /* padding that is not zero */
		SLICE_INIT("\xc3\xbc"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct slice utf8;
		assert_false(utf7_to_utf8(&arena, wrong[i], &utf8));
	}
}

static void searching_folds_case_and_forms(void **state)
{
	(void)state;
	static const struct {
		struct slice text, needle;
		bool found;
	} cases[] = {
		{SLICE_INIT("Hello World"), SLICE_INIT("LO WO"), true},
		{SLICE_INIT("Hello World"), SLICE_INIT("low"), false},
		{SLICE_INIT("GR\xc3\x9cSSE"), SLICE_INIT("gr\xc3\xbc\xc3\x9f"), true},
		{SLICE_INIT("a\xcc\x88"), SLICE_INIT("\xc3\x84"), true},
		{SLICE_INIT("caf\xc3\xa9"), SLICE_INIT("CAFE"), true},
		{SLICE_INIT("caf\xc3\xa9"), SLICE_INIT("cafe\xcc\x81"), true},
		{SLICE_INIT("r\xc3\xa9sum\xc3\xa9"), SLICE_INIT("resume"), false},
		{SLICE_INIT("\xff broken"), SLICE_INIT("broken"), true},
		{SLICE_INIT(""), SLICE_INIT("x"), false},
		{SLICE_INIT(""), SLICE_INIT(""), true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(
			utf8_contains(&arena, cases[i].text, utf8_fold(&arena, cases[i].needle)),
			cases[i].found);
}

static void a_needle_is_found_across_pieces_of_a_long_text(void **state)
{
	(void)state;
	size_t size = KIB(200);
	char *text = arena_alloc_raw(&arena, size);
	for (size_t at = KIB(64) - 12; at < KIB(64) + 4; at++) {
		memset(text, 'x', size);
		memcpy(text + at, "NEEDLE", 6);
		assert_true(utf8_contains(&arena, slice_of(text, size), SLICE("needle")));
		assert_false(utf8_contains(&arena, slice_of(text, size), SLICE("needles")));
	}
}

static void names_are_brought_to_nfc(void **state)
{
	(void)state;
	struct slice nfc;
	assert_true(utf8_to_nfc(&arena, SLICE("u\xcc\x88"), &nfc));
	expect(nfc, SLICE("\xc3\xbc"));
	assert_false(utf8_to_nfc(&arena, SLICE("\xc3"), &nfc));
	assert_false(utf8_is_valid(SLICE("\xed\xa0\x80")));
}

static void charsets_are_converted_if_they_are_known(void **state)
{
	(void)state;
	struct slice utf8;
	assert_true(
		charset_to_utf8(&arena, SLICE("ISO-2022-JP"), SLICE("\x1b$BF|K\\\x1b(B"), &utf8));
	expect(utf8, SLICE("\xe6\x97\xa5\xe6\x9c\xac"));
	assert_true(charset_to_utf8(&arena, SLICE("utf-16le"), SLICE("a\0b\0"), &utf8));
	expect(utf8, SLICE("ab"));
	assert_false(charset_to_utf8(&arena, SLICE("SCSU"), SLICE("a"), &utf8));
	assert_false(charset_to_utf8(&arena, SLICE("utf-8\0x"), SLICE("a"), &utf8));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_goes_there_and_back),
		cmocka_unit_test(bodies_are_decoded_leniently),
		cmocka_unit_test(encoded_words_become_text),
		cmocka_unit_test(mailbox_names_go_through_utf7),
		cmocka_unit_test(searching_folds_case_and_forms),
		cmocka_unit_test(a_needle_is_found_across_pieces_of_a_long_text),
		cmocka_unit_test(names_are_brought_to_nfc),
		cmocka_unit_test(charsets_are_converted_if_they_are_known),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
