#include "base/test.h"

#include "base/arena.h"
#include "format/preview.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
	const char *name, *message, *preview;
} cases[] = {
	{"white space is one blank", "\r\n a \t b\r\n\r\nc \r\n", "a b c"},
	{"at most 200 characters", "\r\n" HUNDRED HUNDRED "x", HUNDRED HUNDRED},
	{"no blank at the end of them", "\r\n" HUNDRED HUNDRED " x", HUNDRED HUNDRED},
	{"nor a word that has no room",
		"\r\n" HUNDRED "12345678901234567890123456789012345678901234567890"
		"1234567890123456789012345678901234567890123456789 x",
		HUNDRED "12345678901234567890123456789012345678901234567890"
			"1234567890123456789012345678901234567890123456789"},
	{"characters, not bytes", "Content-Type: text/plain; charset=utf-8\r\n\r\n\xc3\xa4\xc3\xb6",
		"\xc3\xa4\xc3\xb6"},
	{"another charset", "Content-Type: text/plain; charset=iso-8859-1\r\n\r\n\xe4", "\xc3\xa4"},
	{"padding is left out",
		"Content-Type: text/plain; charset=utf-8\r\n\r\na \xcd\x8f \xe2\x80\x8c \xcd\x8f b",
		"a b"},
	{"a joiner between letters stays",
		"Content-Type: text/plain; charset=utf-8\r\n\r\na\xe2\x80\x8d"
		"b",
		"a\xe2\x80\x8d"
		"b"},
	{"html", "Content-Type: text/html\r\n\r\n<title>t</title><b>a</b>b<p>c", "t ab c"},
	{"not what is attached",
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: "
		"attachment\r\n\r\nfile\r\n--b\r\n\r\ntext\r\n--b--\r\n",
		"text"},
	{"not of what is encrypted",
		"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nVersion: "
		"1\r\n--b--\r\n",
		""},
	{"nothing", "", ""},
};

static void a_preview_is_the_first_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena arena;
		arena_init(&arena);
		struct slice preview = preview_make(&arena, slice_from_cstr(cases[i].message));
		if (!slice_equal(preview, slice_from_cstr(cases[i].preview)))
			fail_msg("%s: <" SLICE_FMT ">", cases[i].name, SLICE_ARG(preview));
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_preview_is_the_first_words)};
	return cmocka_run_group_tests_name("format/preview", tests, NULL, NULL);
}
