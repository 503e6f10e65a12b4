#include "base/test.h"
#include "front/admin/admin_private.h"

static void percent_encoding_is_undone_or_refused(void **state)
{
	static const struct {
		const char *text, *decoded; /* NULL: refused */
	} cases[] = {
		{"plain", "plain"},
		{"", ""},
		{"a%40b", "a@b"},
		{"%2f%2F", "//"},
		{"%c3%a9", "\xc3\xa9"},
		{"100%", NULL},
		{"%4", NULL},
		{"%zz", NULL},
		{"%4z", NULL},
		{"a%00b", NULL},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct slice decoded;
		bool done = admin_decode(&op.arena, slice_from_cstr(cases[i].text), &decoded);
		assert_int_equal(done, cases[i].decoded != NULL);
		if (done)
			assert_true(slice_equal(decoded, slice_from_cstr(cases[i].decoded)));
	}
}

static void a_path_leads_to_its_route(void **state)
{
	static const struct {
		const char *method, *url, *route; /* route NULL: there is none */
		bool path_known;
	} cases[] = {
		{"GET", "/v1/users", "v1/users", true},
		{"GET", "/v1/users/a%40b", "v1/users/?", true},
		{"PUT", "/v1/users/a%2Fb%40c/password", "v1/users/?/password", true},
		{"POST", "/v1/users", NULL, true},
		{"GET", "/v1/users/", NULL, false},
		{"GET", "/v1", NULL, false},
		{"GET", "/", NULL, false},
		{"GET", "/v1/users/a/folders/b", NULL, false},
		{"GET", "/health", "health", true},
		{"get", "/health", NULL, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct admin_request request = {.method = cases[i].method};
		bool path_known;
		op_init(&request.op, "test");
		assert_true(admin_path_parse(&request, cases[i].url));
		const struct admin_route *route = admin_route_find(&request, &path_known);
		assert_int_equal(path_known, cases[i].path_known);
		assert_int_equal(route != NULL, cases[i].route != NULL);
		if (route)
			assert_string_equal(route->path, cases[i].route);
		op_done(&request.op);
	}
}

static void what_is_no_path_is_refused(void **state)
{
	static const char *const urls[] = {"", "v1", "/a/%zz", "/1/2/3/4/5/6/7"};
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct admin_request request = {.method = "GET"};
		op_init(&request.op, "test");
		assert_false(admin_path_parse(&request, urls[i]));
		op_done(&request.op);
	}
}

static void an_unknown_path_is_answered_without_being_trusted(void **state)
{
	struct admin_request request = {.method = "GET"};
	op_init(&request.op, "test");
	request.text = buf_in(&request.op.arena);
	assert_true(admin_path_parse(&request, "/nothing"));
	admin_answer(&request, false);
	assert_int_equal(request.status, 401);
	json_decref(request.answer);
	op_done(&request.op);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_encoding_is_undone_or_refused),
		cmocka_unit_test(a_path_leads_to_its_route),
		cmocka_unit_test(what_is_no_path_is_refused),
		cmocka_unit_test(an_unknown_path_is_answered_without_being_trusted),
	};
	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
