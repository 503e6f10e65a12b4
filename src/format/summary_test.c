#include "base/test.h"

#include "base/buf.h"
#include "format/summary.h"

/* What FETCH would say of a message, for mails good and bad. */
static const struct summary_case {
	const char *name;
	struct slice message;
	const char *envelope;      /* NULL: not looked at */
	const char *bodystructure; /* NULL: not looked at */
} cases[] = {
	{"a plain mail",
		SLICE_INIT("Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
			   "Subject: Say \"hi\"\r\n"
			   "From: Fred Foobar <foobar@Blurdybloop.example>\r\n"
			   "To: mooch@owatagu.siam.edu.example (Mooch)\r\n"
			   "Message-ID: <B27397@Blurdybloop.example>\r\n"
			   "\r\n"
			   "Hello\r\nworld\r\n"),
		"(\"Mon, 7 Feb 1994 21:52:25 -0800\" \"Say \\\"hi\\\"\""
		" ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\"))"
		" ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\"))"
		" ((\"Fred Foobar\" NIL \"foobar\" \"Blurdybloop.example\"))"
		" ((\"Mooch\" NIL \"mooch\" \"owatagu.siam.edu.example\"))"
		" NIL NIL NIL \"<B27397@Blurdybloop.example>\")",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 14 2"
		" NIL NIL NIL NIL)"},
	{"an empty message", SLICE_INIT(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0"
		" NIL NIL NIL NIL)"},
	{"a group and 8-bit text",
		SLICE_INIT("To: Us: a@b, \"C, D\" <c.d@e>;\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n"),
		"(NIL {6}\r\ngr\xc3\xbc\xc3\x9f NIL NIL NIL"
		" ((NIL NIL \"Us\" NIL)(NIL NIL \"a\" \"b\")(\"C, D\" NIL \"c.d\" \"e\")"
		"(NIL NIL NIL NIL)) NIL NIL NIL NIL)",
		NULL},
	{"a multipart",
		SLICE_INIT("Content-Type: multipart/mixed; boundary=\"b 1\"; x=\"y\\\"z\"\n"
			   "\n"
			   "preamble\n"
			   "--b 1\n"
			   "\n"
			   "one\ntwo\n"
			   "--b 1 \n"
			   "Content-Type: image/png; name*0=a; name*1=\"b\"\n"
			   "Content-Transfer-Encoding: base64\n"
			   "Content-ID: <x@y>\n"
			   "Content-Disposition: attachment; filename=ab.png\n"
			   "Content-Language: en, de\n"
			   "\n"
			   "AAAA\n"
			   "--b 1--\n"
			   "epilogue\n"),
		NULL,
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 7 1"
		" NIL NIL NIL NIL)"
		"(\"image\" \"png\" (\"name\" \"ab\") \"<x@y>\" NIL \"base64\" 4"
		" NIL (\"attachment\" (\"filename\" \"ab.png\")) (\"en\" \"de\") NIL)"
		" \"mixed\" (\"boundary\" \"b 1\" \"x\" \"y\\\"z\") NIL NIL NIL)"},
	{"a message within",
		SLICE_INIT("Content-Type: message/rfc822\r\n"
			   "\r\n"
			   "Subject: in\r\n"
			   "\r\n"
			   "x\r\n"),
		NULL,
		"(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 18"
		" (NIL \"in\" NIL NIL NIL NIL NIL NIL NIL NIL)"
		" (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 3 1"
		" NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"},
	{"a multipart without a boundary",
		SLICE_INIT("Content-Type: multipart/mixed\r\n\r\nall there is\r\n"), NULL,
		"((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 14 1"
		" NIL NIL NIL NIL) \"mixed\" NIL NIL NIL NIL)"},
	{"a boundary that begins another",
		SLICE_INIT("Content-Type: multipart/mixed; boundary=a\r\n\r\n"
			   "--a\r\n"
			   "Content-Type: multipart/mixed; boundary=ab\r\n\r\n"
			   "--ab\r\n\r\ninner\r\n--ab--\r\n"
			   "--a--\r\n"),
		NULL,
		"(((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 5 0"
		" NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"ab\") NIL NIL NIL)"
		" \"mixed\" (\"boundary\" \"a\") NIL NIL NIL)"},
	{"a digest",
		SLICE_INIT("Content-Type: multipart/digest; boundary=d\r\n\r\n"
			   "--d\r\n\r\nSubject: s\r\n\r\nt\r\n--d--\r\n"),
		NULL,
		"((\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 15"
		" (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"
		" (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 1 0"
		" NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
		" \"digest\" (\"boundary\" \"d\") NIL NIL NIL)"},
	{"a message within, cut off in its header",
		SLICE_INIT("Content-Type: multipart/mixed; boundary=d\r\n\r\n"
			   "--d\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n--d--\r\n"),
		NULL,
		"((\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 10"
		" (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"
		" (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0"
		" NIL NIL NIL NIL) 0 NIL NIL NIL NIL)"
		" \"mixed\" (\"boundary\" \"d\") NIL NIL NIL)"},
	{"a message within, empty up to the delimiter",
		SLICE_INIT("Content-Type: multipart/mixed; boundary=d\r\n\r\n"
			   "--d\r\nContent-Type: message/rfc822\r\n\r\nSubject: s\r\n\r\n"
			   "--d--\r\n"),
		NULL,
		"((\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 14"
		" (NIL \"s\" NIL NIL NIL NIL NIL NIL NIL NIL)"
		" (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0"
		" NIL NIL NIL NIL) 2 NIL NIL NIL NIL)"
		" \"mixed\" (\"boundary\" \"d\") NIL NIL NIL)"},
	{"a part cut off in its header",
		SLICE_INIT("Content-Type: multipart/mixed; boundary=d\r\n\r\n"
			   "--d\r\nContent-Type: image/gif\r\n--d\r\n"),
		NULL,
		"((\"image\" \"gif\" NIL NIL NIL \"7BIT\" 0 NIL NIL NIL NIL)"
		"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0"
		" NIL NIL NIL NIL) \"mixed\" (\"boundary\" \"d\") NIL NIL NIL)"},
};

static void check(
	const struct summary_case *c, const char *what, struct slice got, const char *want)
{
	if (!want || slice_equal(got, slice_from_cstr(want)))
		return;
	fail_msg("%s: %s is\n" SLICE_FMT "\nnot\n%s", c->name, what, SLICE_ARG(got), want);
}

static void messages_are_summarised_as_fetch_prints_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		struct message_summary summary;
		assert_null(mime_summarise(&op, cases[i].message, &summary));
		check(&cases[i], "ENVELOPE", summary.envelope, cases[i].envelope);
		check(&cases[i], "BODYSTRUCTURE", summary.bodystructure, cases[i].bodystructure);
	}
}

static void the_row_gets_date_hash_and_attachment(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct message_summary plain, mixed, none;
	assert_null(mime_summarise(&op, cases[0].message, &plain));
	assert_int_equal(plain.sent_at, 760686745);
	assert_true(plain.message_id_hash != 0);
	assert_false(plain.has_attachment);
	assert_null(mime_summarise(&op, cases[3].message, &mixed));
	assert_true(mixed.has_attachment);
	assert_int_equal(mixed.header_length, 57);
	assert_null(mime_summarise(&op, SLICE(""), &none));
	assert_true(none.message_id_hash == 0 && none.sent_at == 0);
}

static void depth_is_bounded(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct buf message = buf_in(&op.arena);
	for (int i = 0; i < 20000; i++)
		buf_append(&message, SLICE("Content-Type: message/rfc822\r\n\r\n"));
	struct message_summary summary;
	assert_null(mime_summarise(&op, buf_as_slice(&message), &summary));
	assert_true(summary.bodystructure.len < 20000);
}

static void the_number_of_parts_is_bounded(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct buf message = buf_in(&op.arena);
	buf_append(&message, SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (int i = 0; i < 100000; i++)
		buf_append(&message, SLICE("--b\r\n"));
	struct message_summary summary;
	assert_null(mime_summarise(&op, buf_as_slice(&message), &summary));
	assert_true(summary.body.len < 10000 * 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_summarised_as_fetch_prints_them),
		cmocka_unit_test(the_row_gets_date_hash_and_attachment),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(the_number_of_parts_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
