#include "base/test.h"

#include "base/buf.h"
#include "format/charset.h"
#include "format/find_text.h"
#include "format/header.h"
#include "format/mime.h"
#include "format/search_texts.h"

#define MAIL                                                                        \
	"From: =?utf-8?q?J=C3=BCrgen?= <juergen@example.org>\r\n"                   \
	"To: Bob <bob@example.org>,\r\n\tcarol@example.org\r\n"                     \
	"Subject:=?iso-8859-1?q?Gr=FC=DFe_aus?= =?iso-8859-1?q?_K=F6ln?=\r\n"       \
	"=?utf-8?q?X: =41?= caf\xc3\xa9\r\n"                                        \
	"MIME-Version: 1.0\r\n"                                                     \
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n"                         \
	"preamble\r\n--b\r\n"                                                       \
	"Content-Type: text/plain; charset=utf-8\r\n"                               \
	"Content-Transfer-Encoding: base64\r\n\r\n"                                 \
	"U3RyYcOfZSBuYWNoIE5vcmRlbg==\r\n--b\r\n"                                   \
	"Content-Type: text/html\r\n\r\n"                                           \
	"<p>in <b>bo</b>ld and M&uuml;ller</p>\r\n--b\r\n"                          \
	"Content-Type: application/pdf; name=\"=?utf-8?q?pl=C3=A4ne?=.pdf\"\r\n"    \
	"Content-Disposition: attachment; filename*=utf-8''b%C3%BCcher.pdf\r\n\r\n" \
	"%PDF hidden\r\n--b\r\n"                                                    \
	"Content-Type: message/rfc822\r\n\r\n"                                      \
	"Subject: within\r\n\r\ninner text\r\n--b--\r\n"

static struct arena arena;
static const struct mime_limits limits = {MIME_DEPTH_MAX, MIME_PARTS_MAX};

static int begin(void **state)
{
	(void)state;
	mime_limits = limits;
	arena_init(&arena);
	return 0;
}

static int end(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct search_texts texts_of(struct slice mail, size_t limit)
{
	struct search_texts texts;
	search_texts_make(&arena, mail, header_length(mail), limit, &texts);
	return texts;
}

static bool holds(struct slice text, struct slice needle)
{
	return needle.len == 0 || slice_find(text, needle) < text.len;
}

static void then_field_holds(enum text_field field, const char *needle, bool expected)
{
	struct search_texts texts = texts_of(SLICE(MAIL), SIZE_MAX);
	struct slice folded = utf8_fold(&arena, slice_from_cstr(needle));
	if (holds(texts.fields[field], folded) != expected)
		fail_msg("%s: " SLICE_FMT, needle, SLICE_ARG(texts.fields[field]));
}

static void each_text_is_where_it_belongs(void **state)
{
	(void)state;
	then_field_holds(TEXT_FROM, "J\xc3\xbcrgen <JUERGEN@", true);
	then_field_holds(TEXT_TO, "from:", false);
	then_field_holds(TEXT_TO, "carol", true);
	then_field_holds(TEXT_SUBJECT, "subject:Gr\xc3\xbcsse aus K\xc3\xb6ln", true);
	then_field_holds(TEXT_OTHER_FIELDS, "x: a caf\xc3\xa9", true);
	then_field_holds(TEXT_OTHER_FIELDS, "=41?= caf\xc3\xa9", true);
	then_field_holds(TEXT_OTHER_FIELDS, "mime-version: 1.0", true);
	then_field_holds(TEXT_OTHER_FIELDS, "carol", false);
	then_field_holds(TEXT_BODY, "Strasse nach", true);
	then_field_holds(TEXT_BODY, "in bold and m\xc3\xbcller", true);
	then_field_holds(TEXT_BODY, "<p>", false);
	then_field_holds(TEXT_BODY, "pl\xc3\xa4ne.pdf", true);
	then_field_holds(TEXT_BODY,
		"b\xc3\xbc"
		"cher.pdf",
		true);
	then_field_holds(TEXT_BODY, "hidden", false);
	then_field_holds(TEXT_BODY, "subject: within", true);
	then_field_holds(TEXT_BODY, "inner text", true);
	then_field_holds(TEXT_BODY, "preamble", false);
}

/* Every run of bytes of the mail, and every run of what its texts are, is a needle. */
static void what_is_found_in_a_mail_is_in_its_texts(void **state)
{
	(void)state;
	struct slice mail = SLICE(MAIL);
	struct slice header = slice_range(mail, 0, header_length(mail));
	struct search_texts texts = texts_of(mail, SIZE_MAX);
	struct buf all = buf_in(&arena);
	buf_append(&all, mail);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		buf_append(&all, texts.fields[i]);
	size_t found = 0;
	for (size_t from = 0; from + 9 < all.len; from++) {
		struct arena_mark mark = arena_mark(&arena);
		struct slice bytes = slice_range(buf_as_slice(&all), from, from + 3 + from % 7);
		struct slice needle = utf8_fold(&arena, bytes);
		bool in_header = false;
		for (int i = 0; i < TEXT_BODY; i++)
			in_header |= holds(texts.fields[i], needle);
		bool in_body = holds(texts.fields[TEXT_BODY], needle);
		assert_true(in_header || !header_contains(&arena, header, needle));
		assert_true(in_body || !body_contains(&arena, mail, needle));
		found += body_contains(&arena, mail, needle);
		arena_release(&arena, mark);
	}
	assert_true(found > 50);
}

static void what_is_beyond_the_limit_is_said_to_be_missing(void **state)
{
	(void)state;
	struct search_texts whole = texts_of(SLICE(MAIL), SIZE_MAX);
	size_t length = 0;
	assert_true(whole.is_whole);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		length += whole.fields[i].len;
	assert_true(texts_of(SLICE(MAIL), length).is_whole);
	for (size_t limit = 0; limit < length / 2; limit += 17)
		assert_false(texts_of(SLICE(MAIL), limit).is_whole);
}

static void other_limits_are_other_rules(void **state)
{
	(void)state;
	uint32_t rules = search_texts_rules();
	assert_int_equal(search_texts_rules(), rules);
	mime_limits.depth--;
	assert_int_not_equal(search_texts_rules(), rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_text_is_where_it_belongs, begin, end),
		cmocka_unit_test_setup_teardown(
			what_is_found_in_a_mail_is_in_its_texts, begin, end),
		cmocka_unit_test_setup_teardown(
			what_is_beyond_the_limit_is_said_to_be_missing, begin, end),
		cmocka_unit_test_setup_teardown(other_limits_are_other_rules, begin, end),
	};
	return cmocka_run_group_tests_name("format/search_texts", tests, NULL, NULL);
}
