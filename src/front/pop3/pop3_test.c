#include "base/test.h"

#include "base/op.h"

#include "front/pop3/pop3_stuffing.h"

static const struct {
	const char *mail;
	int lines; /* of the body; -1: all */
	const char *sent;
} cases[] = {
	{"a: b\r\n\r\nbody\r\n", -1, "a: b\r\n\r\nbody\r\n.\r\n"},
	{"", -1, "\r\n.\r\n"},
	{"no end", -1, "no end\r\n.\r\n"},
	{"cr\r", -1, "cr\r\r\n.\r\n"},
	{"lf\n", -1, "lf\n\r\n.\r\n"},
	{".\r\n..\r\n.a\r\n", -1, "..\r\n...\r\n..a\r\n.\r\n"},
	{"a\n.\nb\r\n", -1, "a\n..\nb\r\n.\r\n"},
	{"a.\r\n", -1, "a.\r\n.\r\n"},
	{"a: b\r\n\r\n1\r\n2\r\n3\r\n", 0, "a: b\r\n\r\n.\r\n"},
	{"a: b\r\n\r\n1\r\n2\r\n3\r\n", 2, "a: b\r\n\r\n1\r\n2\r\n.\r\n"},
	{"a: b\r\n\r\n1\r\n\r\n3\r\n", 2, "a: b\r\n\r\n1\r\n\r\n.\r\n"},
	{"a: b\r\n\r\n1\r\n2", 9, "a: b\r\n\r\n1\r\n2\r\n.\r\n"},
	{"a: b\r\nc: d\r\n", 0, "a: b\r\nc: d\r\n.\r\n"},
	{"a: b\r\n\r\r\nc: d\r\n", 0, "a: b\r\n\r\r\nc: d\r\n.\r\n"},
	{"a: b\n\n1\n2\n", 1, "a: b\n\n1\n\r\n.\r\n"},
};

static void a_mail_is_stuffed_however_it_comes_in_pieces(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = strlen(cases[i].mail) + 1; piece > 0; piece--) {
			struct pop3_stuffing stuffing = {.is_limited = cases[i].lines >= 0,
				.lines_left = (uint64_t)cases[i].lines};
			struct buf out = buf_in(&op.arena);
			struct slice rest = slice_from_cstr(cases[i].mail);
			bool more = true;
			while (more && rest.len) {
				more = pop3_stuff(&stuffing, &out, slice_range(rest, 0, piece));
				rest = slice_from(rest, piece);
			}
			pop3_stuff_end(&stuffing, &out);
			buf_append_char(&out, '\0');
			assert_string_equal(out.ptr, cases[i].sent);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mail_is_stuffed_however_it_comes_in_pieces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
