#include "base/test.h"

#include "front/smtp/smtp_frame_trace_test.h"
#include "front/smtp/smtp_path.h"

static int set_up(void **state)
{
	(void)state;
	smtp_config.max_line = 100;
	smtp_config.max_message_bytes = 200;
	return 0;
}

/* Whole, and cut in every way into equal pieces: the same comes out. */
static void expect(const char *input, const char *expected)
{
	AUTO_OP(op, "test");
	for (size_t piece = strlen(input); piece > 0; piece--) {
		struct buf out = buf_in(&op.arena);
		assert_true(frame_trace(&out, slice_from_cstr(input), piece));
		buf_append_char(&out, '\0');
		assert_string_equal(out.ptr, expected);
	}
}

static void a_line_ends_in_crlf_and_nothing_else(void **state)
{
	(void)state;
	expect("NOOP\r\nnoop x\r\n", "NOOP|\nnoop x|\n");
	expect("NOOP\n", "NOOP|BAD LINE\n");
	expect("NO\rOP\r\n", "NO\rOP|BAD LINE\n");
	expect("NOOP\r\r\n", "NOOP\r|BAD LINE\n");
	expect("\r\n", "|\n");
}

static void a_line_too_long_is_skipped_to_its_end(void **state)
{
	(void)state;
	expect("NOOP "
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nQUIT\r\n",
		"|TOO BIG\nQUIT|\n");
}

static void a_mail_ends_at_its_dot_and_loses_stuffed_ones(void **state)
{
	(void)state;
	expect("DATA\r\na\r\n.\r\nQUIT\r\n", "DATA|\na\r\n|\nQUIT|\n");
	expect("DATA\r\n.\r\nQUIT\r\n", "DATA|\n|\nQUIT|\n");
	expect("DATA\r\n..\r\n.a\r\n...\r\n.\r\n", "DATA|\n.\r\na\r\n..\r\n|\n");
	expect("DATA\r\na.\r\n.\r\n", "DATA|\na.\r\n|\n");
}

static void smuggled_ends_are_no_ends_and_spoil_the_mail(void **state)
{
	(void)state;
	static const char *const ends[] = {"\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\n",
		"\r\n.\r", "\r\r\n.\r\r\n", "\n.\r", "\r.\n"};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const char *input = arena_printf(&op.arena,
			"DATA\r\nbody%sMAIL FROM:<x@y>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n", ends[i]);
		for (size_t piece = strlen(input); piece > 0; piece--) {
			struct buf out = buf_in(&op.arena);
			assert_true(frame_trace(&out, slice_from_cstr(input), piece));
			buf_append_char(&out, '\0');
			assert_non_null(strstr(out.ptr, "|BAD LINE\nQUIT|\n"));
			assert_null(strstr(out.ptr, "MAIL FROM:<x@y>|"));
		}
	}
}

static void a_mail_past_the_limit_is_skipped_to_its_end(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	struct buf input = buf_in(&op.arena), out = buf_in(&op.arena);
	buf_append(&input, SLICE("DATA\r\n"));
	for (int i = 0; i < 100; i++)
		buf_append(&input, SLICE("12345678\r\n"));
	buf_append(&input, SLICE(".\r\nQUIT\r\n"));
	assert_true(frame_trace(&out, buf_as_slice(&input), 7));
	assert_true(out.len < 300);
	assert_true(slice_ends_with(buf_as_slice(&out), SLICE("|TOO BIG\nQUIT|\n")));
}

static void chunks_are_counted_not_read(void **state)
{
	(void)state;
	expect("BDAT 5\r\na\n.\r\nBDAT 0 LAST\r\nQUIT\r\n",
		"BDAT 5a\n.\r\n|\nBDAT 0 LAST|\nQUIT|\n");
	expect("BDAT 4 LAST\r\nQUITNOOP\r\n", "BDAT 4 LASTQUIT|\nNOOP|\n");
	expect("BDAT x\r\nNOOP\r\n", "BDAT x|BAD CHUNK\nNOOP|\n");
	expect("BDAT 1 FIRST\r\n", "BDAT 1 FIRST|BAD CHUNK\n");
	expect("BDAT 99999999999999999999\r\n", "BDAT 99999999999999999999|BAD CHUNK\n");
}

static void an_answer_in_auth_is_a_plain_line(void **state)
{
	(void)state;
	expect("AUTH PLAIN\r\nBDAT 5\r\nQUIT\r\n", "AUTH PLAIN|\nBDAT 5|\nQUIT|\n");
}

static void paths_are_taken_apart(void **state)
{
	(void)state;
	static const struct {
		const char *arguments;
		const char *address; /* NULL: none */
		const char *parameters;
	} cases[] = {
		{"FROM:<a@b>", "a@b", ""},
		{"from:<a@b>", "a@b", ""},
		{"FROM: <a@b>", "a@b", ""},
		{"FROM:<>", "", ""},
		{"FROM:<> SIZE=3", "", "SIZE=3"},
		{"FROM:<a@b> SIZE=3 BODY=8BITMIME", "a@b", "SIZE=3 BODY=8BITMIME"},
		{"FROM:<@one,@two:a@b>", "a@b", ""},
		{"FROM:<\"a > b\"@c>", "\"a > b\"@c", ""},
		{"FROM:<\"a\\\"b\"@c>", "\"a\\\"b\"@c", ""},
		{"FROM:a@b", NULL, NULL},
		{"FROM:<a@b", NULL, NULL},
		{"FROM:<a b@c>", NULL, NULL},
		{"FROM:<a@b>SIZE=3", NULL, NULL},
		{"FROM:<@one>", NULL, NULL},
		{"FROM:<\"a@b>", NULL, NULL},
		{"FROM:<\"a\\\nb\"@c>", NULL, NULL},
		{"TO:<a@b>", NULL, NULL},
		{"FROM", NULL, NULL},
		{"", NULL, NULL},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct smtp_path path;
		struct error *err = smtp_parse_path(
			&op, slice_from_cstr(cases[i].arguments), SLICE("FROM"), &path);
		assert_int_equal(!err, cases[i].address != NULL);
		if (err)
			continue;
		assert_true(slice_equal(path.address, slice_from_cstr(cases[i].address)));
		assert_true(slice_equal(path.parameters, slice_from_cstr(cases[i].parameters)));
	}
}

static void parameters_come_one_by_one(void **state)
{
	(void)state;
	struct slice rest = SLICE("SIZE=10  SMTPUTF8 ENVID=a=b");
	struct smtp_parameter parameter;
	assert_true(smtp_next_parameter(&rest, &parameter));
	assert_true(slice_equal(parameter.value, SLICE("10")));
	assert_true(smtp_next_parameter(&rest, &parameter));
	assert_null(parameter.value.ptr);
	assert_true(smtp_next_parameter(&rest, &parameter));
	assert_true(slice_equal(parameter.value, SLICE("a=b")));
	assert_false(smtp_next_parameter(&rest, &parameter));
	assert_true(smtp_is_xtext(SLICE("a+2Bb")));
	assert_false(smtp_is_xtext(SLICE("a+2")));
	assert_false(smtp_is_xtext(SLICE("a=b")));
	assert_true(smtp_is_notify(SLICE("SUCCESS,DELAY")));
	assert_false(smtp_is_notify(SLICE("NEVER,DELAY")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_in_crlf_and_nothing_else),
		cmocka_unit_test(a_line_too_long_is_skipped_to_its_end),
		cmocka_unit_test(a_mail_ends_at_its_dot_and_loses_stuffed_ones),
		cmocka_unit_test(smuggled_ends_are_no_ends_and_spoil_the_mail),
		cmocka_unit_test(a_mail_past_the_limit_is_skipped_to_its_end),
		cmocka_unit_test(chunks_are_counted_not_read),
		cmocka_unit_test(an_answer_in_auth_is_a_plain_line),
		cmocka_unit_test(paths_are_taken_apart),
		cmocka_unit_test(parameters_come_one_by_one),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
