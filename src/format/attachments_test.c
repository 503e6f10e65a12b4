#include "base/test.h"

#include <stdio.h>

#include "base/buf.h"
#include "format/attachments.h"
#include "format/mime.h"

static const struct attachment_rules rules = {"text/* image/* application/pgp-signature", 1000};

static const char mail[] =
	"From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
	"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
	"--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: "
	"base64\r\n\r\nJVBERg==\r\n"
	"--b\r\nContent-Type: image/png\r\n\r\nnot looked at\r\n"
	"--b\r\nContent-Type: application/PGP-Signature\r\n\r\nnor this\r\n"
	"--b\r\nContent-Type: message/rfc822\r\n\r\n"
	"Subject: within\r\nContent-Type: application/octet-stream\r\n\r\nwithin another\r\n"
	"--b\r\nContent-Type: application/msword\r\n\r\n\r\n--b--\r\n";

struct seen {
	char text[256];
	size_t count, most;
};

static bool see(void *context, struct arena *arena, struct slice content)
{
	struct seen *seen = context;
	size_t length = strlen(seen->text);
	(void)arena;
	snprintf(seen->text + length, sizeof(seen->text) - length, "[" SLICE_FMT "]",
		SLICE_ARG(content));
	seen->count++;
	return seen->count < seen->most;
}

static struct seen visit(struct slice message, const struct attachment_rules *by, size_t most)
{
	struct arena arena;
	struct seen seen = {.most = most};
	arena_init(&arena);
	attachments_visit(&arena, message, by, see, &seen);
	assert_int_equal(seen.count > 0, attachments_are_there(&arena, message, by));
	arena_done(&arena);
	return seen;
}

static void what_is_no_text_and_not_left_out_is_attached(void **state)
{
	(void)state;
	assert_string_equal(
		visit(slice_from_cstr(mail), &rules, 100).text, "[%PDF][within another]");
}

static void whoever_has_enough_is_shown_no_more(void **state)
{
	(void)state;
	assert_string_equal(visit(slice_from_cstr(mail), &rules, 1).text, "[%PDF]");
}

static void what_is_too_large_is_left_out(void **state)
{
	const struct attachment_rules small = {rules.left_out, 10};
	(void)state;
	assert_string_equal(visit(slice_from_cstr(mail), &small, 100).text, "[%PDF]");
}

static void of_very_many_some_are_attached(void **state)
{
	struct buf many = buf_heap();
	(void)state;
	buf_append(&many, SLICE("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (int i = 0; i < 3 * ATTACHMENTS_MOST; i++)
		buf_append(&many, SLICE("--b\r\nContent-Type: application/pdf\r\n\r\nx\r\n"));
	assert_int_equal(visit(buf_as_slice(&many), &rules, SIZE_MAX).count, ATTACHMENTS_MOST);
	buf_done(&many);
}

static void types_are_listed_whole_or_by_a_star(void **state)
{
	static const struct {
		const char *list, *type, *subtype;
		bool is_listed;
	} cases[] = {
		{"text/* image/png", "TEXT", "html", true},
		{"text/* image/png", "image", "PNG", true},
		{"text/* image/png", "image", "jpeg", false},
		{"text", "text", "plain", false},
		{"  text/plain  ", "text", "plain", true},
		{"text/", "text", "", true},
		{"", "text", "plain", false},
		{NULL, "text", "plain", false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(media_type_is_listed(cases[i].list, slice_from_cstr(cases[i].type),
					 slice_from_cstr(cases[i].subtype)),
			cases[i].is_listed);
}

int main(void)
{
	mime_limits = (struct mime_limits){MIME_DEPTH_MAX, MIME_PARTS_MAX};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_text_and_not_left_out_is_attached),
		cmocka_unit_test(whoever_has_enough_is_shown_no_more),
		cmocka_unit_test(what_is_too_large_is_left_out),
		cmocka_unit_test(of_very_many_some_are_attached),
		cmocka_unit_test(types_are_listed_whole_or_by_a_star),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
