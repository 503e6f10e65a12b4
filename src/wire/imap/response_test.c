#include "base/test.h"

#include "base/op.h"
#include "wire/imap/response.h"

static const struct imap_limits_of_source limits = {
	.text_bytes = 60, .literal_bytes = 10, .literals = 2};

static void responses_are_cut_where_they_end(void **state)
{
	static const struct {
		const char *bytes;
		enum imap_cut cut;
		size_t len;
	} cases[] = {{"* OK hello\r\nx", IMAP_CUT_WHOLE, 12}, {"* OK hel", IMAP_CUT_MORE, 0},
		{"* 1 FETCH (BODY[] {3}\r\na\nb)\r\n*", IMAP_CUT_WHOLE, 29},
		{"* 1 FETCH (BODY[] {3}\r\na\n", IMAP_CUT_MORE, 0},
		{"* 1 FETCH (BODY[] {3}\r\na\nb)", IMAP_CUT_MORE, 0},
		{"* OK it ends with {3}\r\n", IMAP_CUT_WHOLE, 23},
		{"h1 NO it ends with {3}\r\n", IMAP_CUT_WHOLE, 24},
		{"* 1 FETCH (BODY[] {11}\r\n", IMAP_CUT_BIG_LITERAL, 0},
		{"* 1 FETCH (BODY[] {99999999999999999999}\r\n", IMAP_CUT_WHOLE, 42},
		{"* X {1}\r\na {1}\r\na {1}\r\n", IMAP_CUT_BIG_LITERAL, 0},
		{"* OK 7890123456789012345678901234567890123456789012345678901234567890",
			IMAP_CUT_TOO_LONG, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct imap_cutter cutter = {0};
		size_t len = 0;
		print_message("%s\n", cases[i].bytes);
		assert_int_equal(imap_cut(&cutter, &limits, slice_from_cstr(cases[i].bytes), &len),
			cases[i].cut);
		assert_int_equal(len, cases[i].len);
	}
}

static void a_message_is_read(void **state)
{
	AUTO_OP(op, "test");
	struct imap_response response;
	struct imap_fetched fetched;
	assert_true(imap_response_parse(
		SLICE("* 12 FETCH (FLAGS (\\Seen $A) X-OTHER (a (\"b\\\"\" NIL)) UID 7 "
		      "BODY[] {5}\r\na\0)\r\n INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\" "
		      "RFC822.SIZE 5)\r\n"),
		&response));
	assert_int_equal(response.number, 12);
	assert_true(slice_equal(response.name, SLICE("FETCH")));
	assert_true(imap_fetched_parse(&op.arena, response.rest, &fetched));
	assert_int_equal(fetched.uid, 7);
	assert_int_equal(fetched.size, 5);
	assert_int_equal(fetched.flag_count, 2);
	assert_true(slice_equal(fetched.flags[1], SLICE("$A")));
	assert_true(slice_equal(fetched.body, SLICE("a\0)\r\n")));
	assert_true(slice_equal(fetched.internal_date, SLICE(" 1-Jan-2020 00:00:00 +0000")));
	assert_false(imap_fetched_parse(&op.arena, SLICE("(UID 0)"), &fetched));
	assert_false(imap_fetched_parse(&op.arena, SLICE("(UID 1"), &fetched));
	assert_false(imap_fetched_parse(&op.arena, SLICE("(BODY[] {9}\r\nabc)"), &fetched));
	assert_true(imap_fetched_parse(&op.arena, SLICE("(BODY[] NIL)"), &fetched));
	assert_true(fetched.has_body && !fetched.body.ptr);
}

static void mailboxes_are_read(void **state)
{
	AUTO_OP(op, "test");
	struct imap_listed listed;
	struct imap_namespaces namespaces;
	assert_true(imap_listed_parse(
		&op.arena, SLICE("(\\Sent \\HasNoChildren) \".\" \"a\\\"b\""), &listed));
	assert_int_equal(listed.delimiter, '.');
	assert_true(slice_equal(listed.name, SLICE("a\"b")));
	assert_true(imap_listed_parse(&op.arena, SLICE("() NIL {3}\r\na b"), &listed));
	assert_int_equal(listed.delimiter, 0);
	assert_true(slice_equal(listed.name, SLICE("a b")));
	assert_true(imap_listed_parse(&op.arena, SLICE("() \"/\" NIL"), &listed));
	assert_true(slice_equal(listed.name, SLICE("NIL")));
	assert_false(imap_listed_parse(&op.arena, SLICE("() \"/\" \"\""), &listed));
	assert_true(imap_namespaces_parse(&op.arena,
		SLICE("((\"INBOX.\" \".\")) ((\"user.\" \".\" \"X\" (\"y\"))) NIL"), &namespaces));
	assert_int_equal(namespaces.counts[0] + namespaces.counts[1] * 10, 11);
	assert_true(slice_equal(namespaces.items[1][0].prefix, SLICE("user.")));
}

static void statuses_and_numbers_are_read(void **state)
{
	struct imap_response response;
	uint32_t number = 0;
	struct slice rest = SLICE("4  5 x");
	assert_true(imap_response_parse(SLICE("* OK [UIDVALIDITY 7] ok\r\n"), &response));
	assert_int_equal(response.status, IMAP_STATUS_OK);
	assert_true(imap_code_number(response.code, SLICE("uidvalidity"), &number));
	assert_int_equal(number, 7);
	assert_true(imap_search_next(&rest, &number) && imap_search_next(&rest, &number));
	assert_int_equal(number, 5);
	assert_false(imap_search_next(&rest, &number));
	assert_false(imap_response_parse(SLICE("\r\n"), &response));
	assert_false(imap_response_parse(SLICE("h1 FETCH\r\n"), &response));
	assert_true(imap_has_word(SLICE("A NAMESPACE"), SLICE("namespace")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(responses_are_cut_where_they_end),
		cmocka_unit_test(a_message_is_read),
		cmocka_unit_test(mailboxes_are_read),
		cmocka_unit_test(statuses_and_numbers_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
