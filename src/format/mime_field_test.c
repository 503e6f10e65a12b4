#include "base/test.h"

#include "base/buf.h"
#include "format/mime_field.h"

/* Each parameter printed as name=value. */
static const struct parameters_case {
	struct slice text;
	const char *want;
} cases[] = {
	{SLICE_INIT("x; a=1; b=\"2;3\""), "a=1 b=2;3 "},
	{SLICE_INIT("x; a*0=1; a*1=2"), "a=12 "},
	{SLICE_INIT("x; a*2=3; b=x; a*0=1; A*1=2"), "a=123 b=x "},
	{SLICE_INIT("x; a*10=c; a*9=b; a*1=a"), "a=abc "},
	{SLICE_INIT("x; a*1*=%BC; a*0*=utf-8''%C3"), "a*=utf-8''%C3%BC "},
	{SLICE_INIT("x; a*0*=utf-8''%C3%BC; a*1=\" 100%25\""), "a*=utf-8''%C3%BC 100%2525 "},
	{SLICE_INIT("x; a=plain; a*0=1; a*1=2"), "a=plain a=12 "},
	{SLICE_INIT("x; a*=utf-8''%41; a*0=1"), "a*=utf-8''%41 a=1 "},
	{SLICE_INIT("x; a*0=1; a*0=2; *0=3; a**0=4"), "a=12 *0=3 a**0=4 "},
};

static void pieces_are_joined_by_their_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena arena;
		arena_init(&arena);
		struct buf out = buf_in(&arena);
		for (struct mime_parameter *p = mime_parameters(&arena, cases[i].text); p;
			p = p->next)
			buf_printf(&out, SLICE_FMT "=" SLICE_FMT " ", SLICE_ARG(p->name),
				SLICE_ARG(p->value));
		buf_append_char(&out, '\0');
		assert_string_equal(out.ptr, cases[i].want);
		arena_done(&arena);
	}
}

static void a_boundary_may_be_encoded(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena);
	struct mime_part *root = mime_scan(
		&arena, SLICE("Content-Type: multipart/mixed; boundary*=x-any''b%3D\r\n\r\n"
			      "--b=\r\n\r\none\r\n--b=\r\n\r\ntwo\r\n--b=--\r\n"));
	assert_int_equal(root->child_count, 2);
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_joined_by_their_numbers),
		cmocka_unit_test(a_boundary_may_be_encoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
