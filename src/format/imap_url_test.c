#include "base/test.h"

#include "format/imap_url.h"

static const struct {
	const char *text;
	bool is_one;
	const char *mailbox;
	uint32_t uidvalidity, uid;
	const char *section;
	bool has_partial;
	uint32_t offset, length;
} cases[] = {
	{"/Drafts;UIDVALIDITY=385759045/;UID=20", true, "Drafts", 385759045, 20, ""},
	{"/Drafts;uidvalidity=5/;uid=20/;section=HEADER", true, "Drafts", 5, 20, "HEADER"},
	{"/a/b%20c/;UID=7/;SECTION=1.2.MIME", true, "a/b c", 0, 7, "1.2.MIME"},
	{"/Entw%C3%BCrfe/;UID=7", true, "Entw\xc3\xbcrfe", 0, 7, ""},
	{"/x/;UID=1/;SECTION=HEADER.FIELDS%20(To)", true, "x", 0, 1, "HEADER.FIELDS (To)"},
	{"/x/;UID=1/;PARTIAL=5", true, "x", 0, 1, "", true, 5, 0},
	{"/x/;UID=1/;SECTION=TEXT/;PARTIAL=0.10", true, "x", 0, 1, "TEXT", true, 0, 10},
	{";UID=9/;SECTION=1", true, "", 0, 9, "1"},
	{"", false},
	{"/", false},
	{"/x", false},
	{"x/;UID=1", false},
	{"/;UID=1", false},
	{"/x/;UID=0", false},
	{"/x/;UID=", false},
	{"/x/;UID=4294967296", false},
	{"/x;UIDVALIDITY=0/;UID=1", false},
	{"/x;UIDVALIDITY=1y/;UID=1", false},
	{"/x/;UID=1/;SECTION=", false},
	{"/x/;UID=1/;PARTIAL=5.0", false},
	{"/x/;UID=1/;PARTIAL=5.6.7", false},
	{"/x/;UID=1;URLAUTH=anonymous", false},
	{"/x%2/;UID=1", false},
	{"/x%zz/;UID=1", false},
	{"/x%00/;UID=1", false},
	{"/%ff/;UID=1", false},
	{"//host/x/;UID=1", false},
	{"imap://host/x/;UID=1", false},
};

static void a_url_names_a_message_or_nothing(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct imap_url url;
		bool is_one = imap_url_parse(&arena, slice_from_cstr(cases[i].text), &url);
		print_message("%s\n", cases[i].text);
		assert_int_equal(is_one, cases[i].is_one);
		if (!is_one)
			continue;
		assert_true(slice_equal(url.mailbox, slice_from_cstr(cases[i].mailbox)));
		assert_true(slice_equal(url.section, slice_from_cstr(cases[i].section)));
		assert_int_equal(url.uidvalidity, cases[i].uidvalidity);
		assert_int_equal(url.uid, cases[i].uid);
		assert_int_equal(url.has_partial, cases[i].has_partial);
		assert_int_equal(url.offset, cases[i].offset);
		assert_int_equal(url.length, cases[i].length);
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_url_names_a_message_or_nothing)};
	return cmocka_run_group_tests_name("format/imap_url", tests, NULL, NULL);
}
