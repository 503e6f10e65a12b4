#include "base/test.h"
#include "format/encoding.h"
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
		bool done = percent_decode(&op.arena, slice_from_cstr(cases[i].text), &decoded);
		assert_int_equal(done, cases[i].decoded != NULL);
		if (done)
			assert_true(slice_equal(decoded, slice_from_cstr(cases[i].decoded)));
	}
}

static void a_path_leads_to_its_route(void **state)
{
	static const struct {
		const char *method, *url, *route, *allow; /* route NULL: there is none */
	} cases[] = {
		{"GET", "/v1/users", "v1/users", NULL},
		{"GET", "/v1/users/a%40b", "v1/users/{address}", NULL},
		{"HEAD", "/v1/users/a%40b", "v1/users/{address}", NULL},
		{"PUT", "/v1/users/a%2Fb%40c/password", "v1/users/{address}/password", NULL},
		{"PUT", "/v1/users", NULL, "GET, HEAD, POST"},
		{"GET", "/v1/users/", NULL, NULL},
		{"GET", "/v1", NULL, NULL},
		{"GET", "/", NULL, NULL},
		{"GET", "/v1/users/a/folders/b", NULL, NULL},
		{"GET", "/health", "health", NULL},
		{"get", "/health", NULL, "GET, HEAD"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct admin_request request = {.method = cases[i].method};
		const char *allow = NULL;
		op_init(&request.op, "test");
		assert_true(admin_path_parse(&request, cases[i].url));
		const struct admin_route *route = admin_route_find(&request, &allow);
		assert_int_equal(route != NULL, cases[i].route != NULL);
		if (route)
			assert_string_equal(route->path, cases[i].route);
		else if (cases[i].allow)
			assert_string_equal(allow, cases[i].allow);
		else
			assert_null(allow);
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

static unsigned answer_of(const char *method, const char *url, enum admin_role role)
{
	struct admin_request request = {.method = method, .caller.role = role};
	op_init(&request.op, "test");
	request.text = buf_in(&request.op.arena);
	assert_true(admin_path_parse(&request, url));
	admin_answer(&request);
	assert_non_null(json_object_get(request.answer, "detail"));
	json_decref(request.answer);
	op_done(&request.op);
	return request.status;
}

static void who_may_not_is_told_so_before_anything_is_read(void **state)
{
	assert_int_equal(answer_of("GET", "/nothing", ADMIN_OPEN), 401);
	assert_int_equal(answer_of("GET", "/v1/users", ADMIN_OPEN), 401);
	assert_int_equal(answer_of("GET", "/nothing", ADMIN_READ), 404);
	assert_int_equal(answer_of("POST", "/v1/domains", ADMIN_READ), 403);
	assert_int_equal(answer_of("POST", "/v1/domains", ADMIN_OPERATE), 403);
	assert_int_equal(answer_of("PUT", "/v1/domains", ADMIN_ADMIN), 405);
	assert_int_equal(answer_of("GET", "/v1/tasks/x", ADMIN_READ), 400);
}

/* Every row can be described, and no two answer to the same. */
static void the_routes_are_whole(void **state)
{
	const struct admin_route *route;
	AUTO_OP(op, "test");
	for (size_t i = 0; (route = admin_route_at(i)); i++) {
		struct slice rest = slice_from_cstr(route->path);
		struct slice part;
		const struct admin_route *other;
		assert_non_null(route->handler);
		assert_non_null(route->summary);
		assert_true(route->status == 200 || route->status == 201 || route->status == 204);
		assert_int_equal(route->status == 204, !route->answer && !route->content_type);
		if (route->scope == ADMIN_BODY_DOMAIN)
			assert_string_equal(route->body->name, "address");
		while (slice_split(&rest, '/', &part))
			if (slice_starts_with(part, SLICE("{")))
				assert_non_null(
					admin_path_field(slice_range(part, 1, part.len - 1)));
		for (size_t k = i + 1; (other = admin_route_at(k)); k++)
			assert_false(strcmp(route->path, other->path) == 0 &&
				     strcmp(route->method, other->method) == 0);
	}
}

static void objects_are_held_against_their_fields(void **state)
{
	static const char *const choices[] = {"one", "two", NULL};
	static const struct admin_field inner[] = {{"n", ADMIN_NUMBER, "", 0, 2, 9}, {0}};
	static const struct admin_field fields[] = {
		{"text", ADMIN_TEXT, "", 0, 2, 3},
		{"choice", ADMIN_TEXT, "", ADMIN_OPTIONAL, .choices = choices},
		{"flag", ADMIN_BOOL, "", ADMIN_OPTIONAL},
		{"list", ADMIN_TEXTS, "", ADMIN_OPTIONAL | ADMIN_NOT_EMPTY, 1, 2},
		{"inner", ADMIN_OBJECT, "", ADMIN_OPTIONAL, .fields = inner},
		{"id", ADMIN_UUID, "", ADMIN_OPTIONAL},
		{0},
	};
	static const struct {
		const char *json;
		bool is_good;
	} cases[] = {
		{"{\"text\": \"ab\"}", true},
		{"{\"text\": \"\u00e9\u00e9\u00e9\"}", true},
		{"{\"text\": \"a\"}", false},
		{"{\"text\": \"abcd\"}", false},
		{"{\"text\": 1}", false},
		{"{}", false},
		{"[]", false},
		{"{\"text\": \"ab\", \"other\": 1}", false},
		{"{\"text\": \"ab\", \"choice\": \"two\"}", true},
		{"{\"text\": \"ab\", \"choice\": \"three\"}", false},
		{"{\"text\": \"ab\", \"flag\": false}", true},
		{"{\"text\": \"ab\", \"flag\": null}", false},
		{"{\"text\": \"ab\", \"list\": [\"a\", \"bc\"]}", true},
		{"{\"text\": \"ab\", \"list\": []}", false},
		{"{\"text\": \"ab\", \"list\": [\"abc\"]}", false},
		{"{\"text\": \"ab\", \"inner\": {\"n\": 9}}", true},
		{"{\"text\": \"ab\", \"inner\": {\"n\": 10}}", false},
		{"{\"text\": \"ab\", \"inner\": {\"n\": -2}}", false},
		{"{\"text\": \"ab\", \"id\": \"00000000-0000-7000-8000-00000000000a\"}", true},
		{"{\"text\": \"ab\", \"id\": \"00000000-0000-7000-8000-00000000000A\"}", false},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *object = json_loads(cases[i].json, 0, NULL);
		assert_non_null(object);
		struct error *err = admin_check_object(&op, fields, object);
		assert_int_equal(err == NULL, cases[i].is_good);
		json_decref(object);
	}
}

static void pages_follow_each_other_without_gap_or_repeat(void **state)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	struct admin_request request = {.argument_count = 1};
	op_init(&request.op, "test");
	size_t seen = 0;
	request.arguments[0] = (struct admin_argument){SLICE("limit"), SLICE("2")};
	for (int turn = 0; turn < 3; turn++) {
		struct admin_page page = admin_page_begin(&request);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			struct slice name = slice_from_cstr(names[i]);
			if (admin_page_wants(&page, name))
				admin_page_add(&page, name, json_string(names[i]));
		}
		admin_page_end(&request, &page, "names");
		json_t *list = json_object_get(request.answer, "names");
		for (size_t i = 0; i < json_array_size(list); i++)
			assert_string_equal(
				json_string_value(json_array_get(list, i)), names[seen++]);
		json_t *next = json_object_get(request.answer, "next");
		assert_int_equal(json_is_null(next), turn == 2);
		request.argument_count = 2;
		request.arguments[1] = (struct admin_argument){SLICE("after"),
			arena_dup(&request.op.arena, slice_from_cstr(json_string_value(next)))};
		json_decref(request.answer);
	}
	assert_int_equal(seen, ARRAY_SIZE(names));
	op_done(&request.op);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_encoding_is_undone_or_refused),
		cmocka_unit_test(a_path_leads_to_its_route),
		cmocka_unit_test(what_is_no_path_is_refused),
		cmocka_unit_test(who_may_not_is_told_so_before_anything_is_read),
		cmocka_unit_test(the_routes_are_whole),
		cmocka_unit_test(objects_are_held_against_their_fields),
		cmocka_unit_test(pages_follow_each_other_without_gap_or_repeat),
	};
	return cmocka_run_group_tests_name("admin", tests, NULL, NULL);
}
