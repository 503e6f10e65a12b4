#include "base/test.h"

#include "base/op.h"
#include "import/import_private.h"

static void a_request_comes_back_as_it_was(void **state)
{
	AUTO_OP(op, "test");
	struct slice patterns[] = {SLICE("*"), SLICE("!Old")};
	const struct import_request request = {.host = SLICE("mail.example.net"),
		.port = 993,
		.user = SLICE("her"),
		.password = SLICE("secret"),
		.into = SLICE("Old"),
		.patterns = patterns,
		.pattern_count = 2};
	struct import_request back;
	struct slice bytes = import_request_encode(&op.arena, &request);
	assert_true(import_request_decode(&op.arena, bytes, &back));
	assert_true(slice_equal(back.password, request.password) && back.port == 993);
	assert_true(back.pattern_count == 2 && slice_equal(back.patterns[1], patterns[1]));
	assert_null(import_request_check(&op, &back));
	for (size_t len = 0; len < bytes.len; len++)
		assert_false(import_request_decode(&op.arena, slice_range(bytes, 0, len), &back));
	struct slice told = import_request_source(&op.arena, &request);
	assert_true(slice_equal(told, SLICE("imaps://her@mail.example.net:993 into Old")));
	struct import_request bad = request;
	bad.host = SLICE("a/b");
	assert_non_null(import_request_check(&op, &bad));
	bad = request;
	bad.user = SLICE("a\r\nb");
	assert_non_null(import_request_check(&op, &bad));
}

static void names_become_ours(void **state)
{
	static const struct {
		const char *raw, *into, *path;
		char delimiter;
	} cases[] = {{"INBOX", "", "INBOX", '.'}, {"inbox", "Old", "Old", '.'},
		{"a.b", "", "a/b", '.'},
		{"a/b", "",
			"a\xe2\x88\x95"
			"b",
			'.'},
		{"INBOX.Sent", "", "Sent", '.'},
		{"Entw&APw-rfe/x.y", "Old", "Old/Entw\xc3\xbcrfe/x.y", '/'},
		{"Entw\xc3\xbcrfe", "", "Entw\xc3\xbcrfe", '/'}, {"a&b", "", "a&b", '/'},
		{"a\xff", "", NULL, '/'}, {"a\nb", "", NULL, '/'}};
	const struct imap_namespaces namespaces = {
		.items = {{{SLICE("INBOX."), '.'}}, {{SLICE("user."), '.'}}}, .counts = {1, 1, 0}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		const struct import_request request = {.into = slice_from_cstr(cases[i].into)};
		struct source_mailbox mailbox = {.raw = slice_from_cstr(cases[i].raw)};
		source_name(&op.arena, &request, &namespaces, cases[i].delimiter, &mailbox);
		print_message("%s\n", cases[i].raw);
		assert_int_equal(mailbox.fault != NULL, cases[i].path == NULL);
		if (cases[i].path)
			assert_true(slice_equal(mailbox.path, slice_from_cstr(cases[i].path)));
	}
	assert_true(source_is_foreign(&namespaces, SLICE("user.bob")));
	assert_true(source_is_foreign(&namespaces, SLICE("user")));
	assert_false(source_is_foreign(&namespaces, SLICE("users")));
}

static void patterns_choose(void **state)
{
	struct slice some[] = {SLICE("A*"), SLICE("!A/x")};
	struct slice others[] = {SLICE("!A*")};
	const struct import_request chosen = {.patterns = some, .pattern_count = 2};
	const struct import_request left = {.patterns = others, .pattern_count = 1};
	const struct source_mailbox a = {.own = SLICE("A/y")};
	const struct source_mailbox x = {.own = SLICE("A/x")};
	const struct source_mailbox b = {.own = SLICE("B")};
	assert_true(source_is_chosen(&chosen, &a) && !source_is_chosen(&chosen, &x));
	assert_true(!source_is_chosen(&chosen, &b) && source_is_chosen(&left, &b));
	assert_false(source_is_chosen(&left, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_back_as_it_was),
		cmocka_unit_test(names_become_ours),
		cmocka_unit_test(patterns_choose),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
