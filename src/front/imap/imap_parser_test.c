#include "base/test.h"

#include "base/buf.h"
#include "front/imap/imap_fetch.h"
#include "format/imap_list_match.h"
#include "front/imap/imap_search.h"

static struct imap_args args_of(const char *text, bool has_utf8)
{
	struct slice line = slice_from_cstr(text);
	return (struct imap_args){.line = line, .rest = line, .has_utf8 = has_utf8};
}

static void a_command_is_a_tag_and_a_name(void **state)
{
	(void)state;
	struct imap_args args;
	struct slice name;
	assert_true(imap_args_begin(SLICE("a1 uid Fetch 1 FLAGS\r\n"), &args, &name));
	assert_true(slice_equal(args.tag, SLICE("a1")));
	assert_true(args.is_uid);
	assert_true(slice_equal(name, SLICE("Fetch")));
	assert_true(slice_equal(args.rest, SLICE(" 1 FLAGS")));
	assert_false(imap_args_begin(SLICE("\r\n"), &args, &name));
	assert_false(imap_args_begin(SLICE("tag\r\n"), &args, &name));
	assert_false(imap_args_begin(SLICE("+ NOOP\r\n"), &args, &name));
}

static const struct string_case {
	const char *text;
	const char *want; /* NULL: refused */
} string_cases[] = {
	{"atom", "atom"},
	{"a]b", "a]b"},
	{"\"quo\\\"ted\\\\\"", "quo\"ted\\"},
	{"\"\"", ""},
	{"{3}\r\nabc", "abc"},
	{"{3+}\r\na\"c", "a\"c"},
	{"\"open", NULL},
	{"\"bad\\escape\"", NULL},
	{"\"line\r\nbreak\"", NULL},
	{"{4}\r\nabc", NULL},
	{"{3}abc", NULL},
	{"{}\r\n", NULL},
	{"(", NULL},
	{"", NULL},
	{"\xc3\xbc", NULL},
};

static void astrings_are_atoms_quoted_strings_or_literals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(string_cases); i++) {
		AUTO_OP(op, "test");
		struct imap_args args = args_of(string_cases[i].text, false);
		struct slice text;
		struct error *err = imap_astring(&op, &args, &text);
		if ((err == NULL) != (string_cases[i].want != NULL))
			fail_msg("<%s>", string_cases[i].text);
		assert_int_equal(args.is_bad, err != NULL);
		if (!err)
			assert_true(slice_equal(text, slice_from_cstr(string_cases[i].want)));
	}
}

static void mailbox_names_become_paths(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool has_utf8;
		const char *want; /* NULL: refused, but not as bad grammar */
	} cases[] = {
		{"inbox", false, "INBOX"},
		{"Inbox/x", false, "Inbox/x"},
		{"Entw&APw-rfe", false, "Entw\xc3\xbcrfe"},
		{"Entw&APw-rfe", true, "Entw&APw-rfe"},
		{"\"u\xcc\x88\"", true, "\xc3\xbc"},
		{"a/", false, "a"},
		{"a&b", false, NULL},
		{"\"\xff\"", true, NULL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		struct imap_args args = args_of(cases[i].text, cases[i].has_utf8);
		struct slice path;
		struct error *err = imap_mailbox(&op, &args, &path);
		assert_int_equal(err == NULL, cases[i].want != NULL);
		assert_false(args.is_bad);
		if (!err)
			assert_true(slice_equal(path, slice_from_cstr(cases[i].want)));
	}
}

static void sequences_keep_their_stars(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct imap_sequence sequence;
	struct imap_args args = args_of("1,3:*,*:7 x", false);
	assert_null(imap_sequence(&op, &args, &sequence));
	assert_int_equal(sequence.count, 3);
	assert_int_equal(sequence.ranges[1].first, 3);
	assert_int_equal(sequence.ranges[1].last, 0);
	assert_int_equal(sequence.ranges[2].first, 0);
	static const char *const wrong[] = {"0", "1:", "1,,2", "4294967296", ":3", ""};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		args = args_of(wrong[i], false);
		assert_non_null(imap_sequence(&op, &args, &sequence));
		assert_true(args.is_bad);
	}
}

static void fetch_items_are_read(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct fetch_request request;
	struct imap_args args = args_of(
		" 1:* (UID BODY.PEEK[2.1.HEADER.FIELDS (To \"Cc\")]<3.10> RFC822.SIZE BODY)",
		false);
	assert_null(imap_fetch_parse(&op, &args, &request));
	assert_int_equal(request.item_count, 4);
	assert_false(request.sets_seen);
	const struct fetch_item *item = &request.items[1];
	assert_int_equal(item->section.part_count, 2);
	assert_int_equal(item->section.text, SECTION_FIELDS);
	assert_int_equal(item->section.field_count, 2);
	assert_int_equal(item->offset, 3);
	assert_int_equal(item->length, 10);
	assert_true(slice_equal(item->label, SLICE("BODY[2.1.HEADER.FIELDS (To \"Cc\")]")));
	args = args_of(" 1 FULL (CHANGEDSINCE 7)", false);
	assert_null(imap_fetch_parse(&op, &args, &request));
	assert_int_equal(request.item_count, 5);
	assert_int_equal(request.changed_since, 7);
}

static void wrong_fetches_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {" 1 (", " 1 ()", " 1 BODY[", " 1 BODY[0]",
		" 1 BODY[1.]", " 1 BODY[MIME]", " 1 BODY[HEADER.FIELDS ()]", " 1 BODY[]<1>",
		" 1 BODY[]<1.0>", " 1 NOSUCH", " 1 FLAGS x", " 1 BINARY[HEADER]", " 1 (FLAGS UID",
		" 1 FLAGS (VANISHED)", " 1 BODY[1TEXT]", ""};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		AUTO_OP(op, "test");
		struct fetch_request request;
		struct imap_args args = args_of(wrong[i], false);
		if (!imap_fetch_parse(&op, &args, &request))
			fail_msg("<%s> was taken", wrong[i]);
		assert_true(args.is_bad);
	}
}

static void searches_ask_cheap_keys_first(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct search_request request;
	struct imap_args args = args_of(
		" RETURN (MIN COUNT) CHARSET UTF-8 TEXT x NOT (SEEN SINCE 1-Feb-2000) 1:3", false);
	assert_null(imap_search_parse(&op, &args, &request));
	assert_int_equal(request.returns, SEARCH_RETURN_MIN | SEARCH_RETURN_COUNT);
	const struct search_node *node = request.root->first;
	assert_int_equal(node->kind, SEARCH_SEQUENCE);
	assert_int_equal(node->next->kind, SEARCH_NOT);
	assert_int_equal(node->next->cost, SEARCH_COSTS_ROW);
	assert_int_equal(node->next->next->kind, SEARCH_TEXT);
	assert_int_equal(request.root->cost, SEARCH_COSTS_CONTENT);
}

static void searches_are_bounded(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct search_request request;
	struct buf text = buf_in(&op.arena);
	for (int i = 0; i < 1000; i++)
		buf_append(&text, SLICE(" NOT"));
	buf_append_char(&text, '\0');
	struct imap_args args = args_of(text.ptr, false);
	assert_non_null(imap_search_parse(&op, &args, &request));
	assert_true(args.is_bad);
	text.len = 0;
	for (int i = 0; i < SEARCH_NODES_MAX + 1; i++)
		buf_append(&text, SLICE(" ALL"));
	buf_append_char(&text, '\0');
	args = args_of(text.ptr, false);
	assert_non_null(imap_search_parse(&op, &args, &request));
	static const char *const wrong[] = {"", " ", " FROM", " ON 32-Jan-2000", " ()", " (SEEN",
		" OR SEEN", " NOSUCH", " RETURN (X) ALL", " LARGER x", " SEEN  SEEN"};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		args = args_of(wrong[i], false);
		if (!imap_search_parse(&op, &args, &request))
			fail_msg("<%s> was taken", wrong[i]);
	}
	args = args_of(" CHARSET KLINGON TEXT x", false);
	assert_non_null(imap_search_parse(&op, &args, &request));
	assert_false(args.is_bad);
	assert_true(slice_starts_with(args.no_code, SLICE("BADCHARSET")));
}

static void list_patterns_know_two_wildcards(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{"*", "a/b/c", true},
		{"%", "a/b", false},
		{"%", "a", true},
		{"%/b", "a/b", true},
		{"a*c", "a/b/c", true},
		{"a%c", "a/c", false},
		{"a", "a/b", false},
		{"", "", true},
		{"*%*%*%*%*%*%*%x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(imap_list_match(slice_from_cstr(cases[i].pattern),
					 slice_from_cstr(cases[i].name)),
			cases[i].matches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_is_a_tag_and_a_name),
		cmocka_unit_test(astrings_are_atoms_quoted_strings_or_literals),
		cmocka_unit_test(mailbox_names_become_paths),
		cmocka_unit_test(sequences_keep_their_stars),
		cmocka_unit_test(fetch_items_are_read),
		cmocka_unit_test(wrong_fetches_are_refused),
		cmocka_unit_test(searches_ask_cheap_keys_first),
		cmocka_unit_test(searches_are_bounded),
		cmocka_unit_test(list_patterns_know_two_wildcards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
