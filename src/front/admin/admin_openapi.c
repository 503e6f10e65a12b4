/* The description of the interface, as OpenAPI 3.1, out of the routes themselves. */

#include "front/admin/admin_private.h"

#define PROBLEM "#/components/schemas/Problem"

static const struct admin_field problem_fields[] = {
	{"type", ADMIN_TEXT, "about:blank: the status says what kind of problem it is"},
	{"title", ADMIN_TEXT, "The status in words"},
	{"status", ADMIN_NUMBER, "The status"},
	{"detail", ADMIN_TEXT, "What is wrong, for people"},
	{"kind", ADMIN_TEXT, "What kind of error it was in the server", ADMIN_OPTIONAL},
	{"operation", ADMIN_TEXT, "The operation, which finds the rest in the log", ADMIN_OPTIONAL},
	{0},
};

static const char *const role_names[] = {[ADMIN_OPEN] = "none",
	[ADMIN_READ] = "read",
	[ADMIN_OPERATE] = "operate",
	[ADMIN_ADMIN] = "admin"};

static json_t *parameter(const struct admin_field *field, const char *where)
{
	bool is_needed = !(field->flags & ADMIN_OPTIONAL);
	return json_pack("{s:s, s:s, s:b, s:o}", "name", field->name, "in", where, "required",
		is_needed, "schema", admin_field_schema(field, true));
}

static void add_path_parameters(json_t *list, const char *path)
{
	struct slice rest = slice_from_cstr(path);
	struct slice part;
	while (slice_split(&rest, '/', &part))
		if (slice_starts_with(part, SLICE("{")))
			json_array_append_new(list,
				parameter(admin_path_field(slice_range(part, 1, part.len - 1)),
					"path"));
}

static void add_query_parameters(json_t *list, const struct admin_field *fields)
{
	for (; fields && fields->name; fields++)
		json_array_append_new(list, parameter(fields, "query"));
}

static json_t *parameters_of(const struct admin_route *route)
{
	json_t *list = json_array();
	add_path_parameters(list, route->path);
	add_query_parameters(list, route->query);
	if (route->is_paged)
		add_query_parameters(list, admin_page_fields);
	return list;
}

static void add_problem(json_t *answers, unsigned status, const char *description)
{
	char name[8];
	snprintf(name, sizeof(name), "%u", status);
	json_object_set_new(answers, name,
		json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", description, "content",
			"application/problem+json", "schema", "$ref", PROBLEM));
}

static json_t *answer_schema(const struct admin_route *route)
{
	json_t *schema = admin_object_schema(route->answer, false);
	if (!route->is_paged)
		return schema;
	json_object_set_new(json_object_get(schema, "properties"), "next",
		json_pack("{s:[s, s], s:s}", "type", "string", "null", "description",
			"The page after this one: its \"after\"; null when this is the last"));
	json_array_append_new(json_object_get(schema, "required"), json_string("next"));
	return schema;
}

static json_t *good_answer(const struct admin_route *route)
{
	json_t *answer = json_pack("{s:s}", "description",
		route->status == MHD_HTTP_CREATED      ? "It was made"
		: route->status == MHD_HTTP_NO_CONTENT ? "It was done"
						       : "The answer");
	if (route->status == MHD_HTTP_CREATED)
		json_object_set_new(answer, "headers",
			json_pack("{s:{s:s, s:b, s:{s:s}}}", "Location", "description",
				"Where it is", "required", false, "schema", "type", "string"));
	if (route->answer)
		json_object_set_new(answer, "content",
			json_pack("{s:{s:o}}", "application/json", "schema", answer_schema(route)));
	else if (route->content_type)
		json_object_set_new(answer, "content",
			json_pack(
				"{s:{s:{s:s}}}", route->content_type, "schema", "type", "string"));
	return answer;
}

static json_t *answers_of(const struct admin_route *route)
{
	char status[8];
	json_t *answers = json_object();
	snprintf(status, sizeof(status), "%u", route->status);
	json_object_set_new(answers, status, good_answer(route));
	add_problem(answers, MHD_HTTP_BAD_REQUEST, "The request is not what is described here");
	if (route->role != ADMIN_OPEN) {
		add_problem(answers, MHD_HTTP_UNAUTHORIZED, "A token is needed");
		add_problem(answers, MHD_HTTP_FORBIDDEN, "The token is not for this");
	}
	add_problem(answers, MHD_HTTP_NOT_FOUND, "There is no such thing");
	if (strcmp(route->method, "GET") != 0)
		add_problem(answers, MHD_HTTP_CONFLICT,
			"It is there already, or was changed by somebody else meanwhile");
	if (route->body) {
		add_problem(answers, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large");
		add_problem(answers, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "The body is no JSON");
	}
	add_problem(answers, MHD_HTTP_UNPROCESSABLE_CONTENT,
		"The request has the right form, and what it asks for cannot be");
	add_problem(answers, MHD_HTTP_INTERNAL_SERVER_ERROR, "Stored data is damaged, or a bug");
	add_problem(answers, MHD_HTTP_SERVICE_UNAVAILABLE,
		"The store cannot be used now, or it is not known yet whether this was done");
	add_problem(answers, MHD_HTTP_INSUFFICIENT_STORAGE, "Over a limit");
	return answers;
}

/* "GET v1/users/{address}/quota" is "get_users_address_quota". */
static const char *operation_id(struct arena *arena, const struct admin_route *route)
{
	struct buf id = buf_in(arena);
	struct slice rest = slice_from_cstr(route->path);
	struct slice part;
	for (const char *at = route->method; *at; at++)
		buf_append_char(&id, ascii_lower(*at));
	while (slice_split(&rest, '/', &part)) {
		if (slice_equal(part, SLICE("v1")))
			continue;
		buf_append_char(&id, '_');
		for (size_t i = 0; i < part.len; i++)
			if (part.ptr[i] != '{' && part.ptr[i] != '}')
				buf_append_char(
					&id, ascii_is_alpha(part.ptr[i]) ? part.ptr[i] : '_');
	}
	return arena_cstr(arena, buf_as_slice(&id));
}

static const char *tag_of(struct arena *arena, const struct admin_route *route)
{
	struct slice rest = slice_from_cstr(route->path);
	struct slice part;
	slice_split(&rest, '/', &part);
	if (slice_equal(part, SLICE("v1")))
		slice_split(&rest, '/', &part);
	return arena_cstr(arena, part);
}

static json_t *operation_of(struct arena *arena, const struct admin_route *route)
{
	json_t *operation = json_pack("{s:s, s:s, s:[s], s:o, s:o, s:s}", "operationId",
		operation_id(arena, route), "summary", route->summary, "tags", tag_of(arena, route),
		"parameters", parameters_of(route), "responses", answers_of(route), "x-role",
		role_names[route->role]);
	json_object_set_new(operation, "security",
		route->role == ADMIN_OPEN ? json_array() : json_pack("[{s:[]}]", "token"));
	if (route->body)
		json_object_set_new(operation, "requestBody",
			json_pack("{s:b, s:{s:{s:o}}}", "required", true, "content",
				"application/json", "schema",
				admin_object_schema(route->body, true)));
	return operation;
}

static void add_route(struct arena *arena, json_t *paths, const struct admin_route *route)
{
	const char *path = arena_printf(arena, "/%s", route->path);
	json_t *item = json_object_get(paths, path);
	if (!item) {
		item = json_object();
		json_object_set_new(paths, path, item);
	}
	struct buf method = buf_in(arena);
	for (const char *at = route->method; *at; at++)
		buf_append_char(&method, ascii_lower(*at));
	json_object_set_new(
		item, arena_cstr(arena, buf_as_slice(&method)), operation_of(arena, route));
}

struct error *admin_openapi(struct admin_request *request)
{
	struct arena *arena = &request->op.arena;
	const struct admin_route *route;
	json_t *paths = json_object();
	for (size_t i = 0; (route = admin_route_at(i)); i++)
		add_route(arena, paths, route);
	request->answer = json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:{s:o}, s:{s:{s:s, s:s}}}}",
		"openapi", "3.1.0", "info", "title", "Holdfast administration", "version",
		request->context->version, "description",
		"Times are microseconds since 1970. Lists are read page by page: \"next\" of one "
		"is "
		"\"after\" of the following. Errors are problem details (RFC 9457).",
		"paths", paths, "components", "schemas", "Problem",
		admin_object_schema(problem_fields, false), "securitySchemes", "token", "type",
		"http", "scheme", "bearer");
	return NULL;
}
