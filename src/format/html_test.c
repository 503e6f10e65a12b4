#include "base/test.h"

#include "format/html_text.h"

static void html_is_read_as_it_is_shown(void **state)
{
	(void)state;
	static const struct {
		const char *html, *text;
	} cases[] = {
		{"", ""},
		{"plain", "plain\n"},
		{"<p>one<p>two", "one\ntwo\n"},
		{"a<b>b</b>c <i> d</i>", "abc d\n"},
		{"  many \n\t spaces  ", "many spaces\n"},
		{"M&uuml;ller &amp; S&#246;hne &#x20AC;1",
			"M\xc3\xbcller & S\xc3\xb6hne \xe2\x82\xac"
			"1\n"},
		{"&#128;&#150;&#0;&#xd800;&#99999999;",
			"\xe2\x82\xac\xe2\x80\x93\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n"},
		{"&nosuch; &amp", "&nosuch; &amp\n"},
		{"x<!-- hidden > -- -->y", "xy\n"},
		{"x<!-- never ends", "x\n"},
		{"<!DOCTYPE html><?xml a?>z", "z\n"},
		{"a<script>if (a<b) hidden</script>b<STYLE>p{}</Style>c", "a\nb\nc\n"},
		{"a<script>never ends </scrip", "a\n"},
		{"1 < 2 <3> 4", "1 < 2 <3> 4\n"},
		{"a <b c", "a <b c\n"},
		{"<a href=\"http://x.example/?a=1&amp;b=>2\">link</a> end",
			"link end\nhttp://x.example/?a=1&b=>2\n"},
		{"<img alt='a cat' src=x><a title=t  href = /u >q</a>", "q\na cat\nt\n/u\n"},
		{"<td>1</td><td>2</td>", "1\n2\n"},
		{"<a title=\"open>text<b>", "<a title=\"open>text<b>\nopen>text<b>\n"},
	};
	struct arena arena;
	arena_init(&arena);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice text = html_to_text(&arena, slice_from_cstr(cases[i].html));
		if (!slice_equal(text, slice_from_cstr(cases[i].text)))
			fail_msg("%s: got <" SLICE_FMT ">", cases[i].html, SLICE_ARG(text));
	}
	arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(html_is_read_as_it_is_shown),
	};
	return cmocka_run_group_tests_name("format/html", tests, NULL, NULL);
}
