#include "base/test.h"

#include "base/buf.h"
#include "format/address.h"

/* Each address printed as kind|name|route|local|host, so that a case is one line. */
static const struct address_case {
	struct slice text;
	const char *want;
} cases[] = {
	{SLICE_INIT("a@b"), "m|-|-|a|b "},
	{SLICE_INIT("Pete(A nice \\) chap) <pete(his)@silly.test(his host)>"),
		"m|Pete|-|pete|silly.test "},
	{SLICE_INIT("\"Joe Q. \\\"Public\" <john.q@x>, Mary <m@y>"),
		"m|Joe Q. \"Public|-|john.q|x m|Mary|-|m|y "},
	{SLICE_INIT("A Group:Ed <e@x>,joe@y;, x@z"),
		"<|A Group|-|| m|Ed|-|e|x m|-|-|joe|y >|-|-|| m|-|-|x|z "},
	{SLICE_INIT("undisclosed recipients:;"), "<|undisclosed recipients|-|| >|-|-|| "},
	{SLICE_INIT("open: a@b"), "<|open|-|| m|-|-|a|b >|-|-|| "},
	{SLICE_INIT("<@hop1,@hop2:user@host>"), "m|-|@hop1,@hop2|user|host "},
	{SLICE_INIT("john@doe@x"), "m|-|-|john|doe "},
	{SLICE_INIT("root"), "m|-|-|root| "},
	{SLICE_INIT("<>"), "m|-|-|| "},
	{SLICE_INIT("John Doe john@x"), "m|John Doe|-|john|x "},
	{SLICE_INIT("\"a b\"@[1.2.3.4]"), "m|-|-|a b|[1.2.3.4] "},
	{SLICE_INIT("a <b@c, d@e"), "m|a|-|b|c m|-|-|d|e "},
	{SLICE_INIT(",,;;,\0]>"), "m|-|-|\0]| "},
	{SLICE_INIT("Joe <j . q (middle) . \"p\" @ x . y>"), "m|Joe|-|j.q.p|x.y "},
	{SLICE_INIT("Joe j . q @x"), "m|Joe|-|j.q|x "},
	{SLICE_INIT("John Q. john@x"), "m|John Q.|-|john|x "},
	{SLICE_INIT("<<a@x>>, >b@y<, c@z"), "m|-|-|a|x m|-|-|b|y m|-|-|c|z "},
	{SLICE_INIT("a@x b@y <rubbish>"), "m|-|-|a|x m|-|-|b|y "},
	{SLICE_INIT("A <a@x> B <b@y> and more"), "m|A|-|a|x m|B|-|b|y "},
	{SLICE_INIT("x@y (Real\r\n Name)"), "m|Real Name|-|x|y "},
	{SLICE_INIT(""), ""},
};

static void print_text(struct buf *out, struct slice text)
{
	buf_append_char(out, '|');
	buf_append(out, text.ptr ? text : SLICE("-"));
}

static void addresses_are_read_as_people_write_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena arena;
		arena_init(&arena);
		struct address_list list;
		address_list_parse(&arena, cases[i].text, &list);
		struct buf out = buf_in(&arena);
		for (size_t j = 0; j < list.count; j++) {
			const struct header_address *address = &list.items[j];
			buf_append_char(&out, "m<>"[address->kind]);
			print_text(&out, address->name);
			print_text(&out, address->route);
			buf_append_char(&out, '|');
			buf_append(&out, address->local);
			buf_append_char(&out, '|');
			buf_append(&out, address->host);
			buf_append_char(&out, ' ');
		}
		buf_append_char(&out, '\0');
		assert_string_equal(out.ptr, cases[i].want);
		arena_done(&arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_as_people_write_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
