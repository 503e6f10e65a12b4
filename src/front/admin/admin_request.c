#include <assert.h>

#include "base/log.h"
#include "front/admin/admin_private.h"

static const struct {
	unsigned status;
	bool shows_message; /* else the standard text: what failed inside is for the log */
	const char *standard;
} answers[] = {
	[ERR_INVALID] = {400, true, "not understood"},
	[ERR_DENIED] = {403, true, "not allowed"},
	[ERR_NOT_FOUND] = {404, true, "not found"},
	[ERR_EXISTS] = {409, true, "there already"},
	[ERR_LIMIT] = {507, true, "over a limit"},
	[ERR_CONFLICT] = {409, false, "changed by somebody else meanwhile"},
	[ERR_UNAVAILABLE] = {503, false, "the store cannot be used now; nothing was changed"},
	[ERR_TIMEOUT] = {503, false, "it took too long; nothing was changed"},
	[ERR_UNCERTAIN] = {503, false, "it is not known yet whether this was done"},
	[ERR_CORRUPT] = {500, false, "stored data is damaged"},
	[ERR_CANCELLED] = {503, false, "the server is stopping"},
	[ERR_INTERNAL] = {500, false, "an internal error"},
};
static_assert(ARRAY_SIZE(answers) == ERR_KIND_COUNT, "an answer for each kind of error");

static int hex_value(char c)
{
	c = ascii_lower(c);
	if (ascii_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool admin_decode(struct arena *arena, struct slice text, struct slice *ret_decoded)
{
	struct buf out = buf_in(arena);
	buf_reserve(&out, text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (c == '%') {
			int high = i + 2 < text.len ? hex_value(text.ptr[i + 1]) : -1;
			int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c)
			return false;
		buf_append_char(&out, c);
	}
	*ret_decoded = buf_as_slice(&out);
	return true;
}

bool admin_path_parse(struct admin_request *request, const char *url)
{
	struct slice rest = slice_from_cstr(url);
	struct slice part;
	if (!slice_starts_with(rest, SLICE("/")))
		return false;
	rest = slice_from(rest, 1);
	while (slice_split(&rest, '/', &part)) {
		if (request->part_count == ADMIN_PATH_PARTS_MAX ||
			!admin_decode(
				&request->op.arena, part, &request->parts[request->part_count++]))
			return false;
	}
	return true;
}

static bool path_matches(const struct admin_request *request, const struct admin_route *route)
{
	struct slice rest = slice_from_cstr(route->path);
	struct slice part;
	size_t at = 0;
	while (slice_split(&rest, '/', &part)) {
		if (at == request->part_count)
			return false;
		struct slice given = request->parts[at++];
		if (slice_equal(part, SLICE("?")) ? given.len == 0 : !slice_equal(part, given))
			return false;
	}
	return at == request->part_count;
}

static const struct admin_route *find_in(const struct admin_request *request,
	const struct admin_route *routes, size_t count, bool *path_known)
{
	for (size_t i = 0; i < count; i++) {
		if (!path_matches(request, &routes[i]))
			continue;
		*path_known = true;
		if (strcmp(routes[i].method, request->method) == 0)
			return &routes[i];
	}
	return NULL;
}

const struct admin_route *admin_route_find(
	const struct admin_request *request, bool *ret_path_known)
{
	*ret_path_known = false;
	const struct {
		const struct admin_route *routes;
		size_t count;
	} tables[] = {{admin_account_routes, admin_account_route_count},
		{admin_consistency_routes, admin_consistency_route_count},
		{admin_status_routes, admin_status_route_count},
		{admin_task_routes, admin_task_route_count},
		{admin_vault_routes, admin_vault_route_count},
		{admin_index_routes, admin_index_route_count}};
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const struct admin_route *route =
			find_in(request, tables[i].routes, tables[i].count, ret_path_known);
		if (route)
			return route;
	}
	return NULL;
}

json_t *admin_json_text(struct slice text)
{
	json_t *json = json_stringn(text.ptr ? text.ptr : "", text.len);
	/* What is not UTF-8 cannot be in JSON; it is shown as far as it can be. */
	return json ? json : json_string("?");
}

struct error *admin_text_field(
	struct admin_request *request, const char *name, struct slice *ret_text)
{
	json_t *field = json_object_get(request->body, name);
	if (!json_is_string(field))
		return op_fail(
			&request->op, ERR_INVALID, "the field \"%s\" is missing or no text", name);
	*ret_text = slice_of(json_string_value(field), json_string_length(field));
	return NULL;
}

struct error *admin_number_field(
	struct admin_request *request, const char *name, uint64_t *ret_number)
{
	json_t *field = json_object_get(request->body, name);
	if (!json_is_integer(field) || json_integer_value(field) < 0)
		return op_fail(&request->op, ERR_INVALID,
			"the field \"%s\" is missing or no whole number", name);
	*ret_number = (uint64_t)json_integer_value(field);
	return NULL;
}

struct error *admin_argument(
	struct admin_request *request, const char *name, struct slice *ret_text)
{
	const char *value =
		MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
	if (!admin_decode(&request->op.arena, slice_from_cstr(value), ret_text))
		return op_fail(&request->op, ERR_INVALID, "the argument \"%s\" is broken", name);
	return NULL;
}

static struct error *parse_body(struct admin_request *request)
{
	json_error_t fault;
	if (request->is_too_big)
		return op_fail(&request->op, ERR_INVALID, "the request is too big");
	if (!request->upload.len)
		return NULL;
	request->body = json_loadb(
		request->upload.ptr, request->upload.len, JSON_REJECT_DUPLICATES, &fault);
	if (!request->body)
		return op_fail(&request->op, ERR_INVALID, "the body is no JSON: line %d: %s",
			fault.line, fault.text);
	if (!json_is_object(request->body))
		return op_fail(&request->op, ERR_INVALID, "the body is no JSON object");
	return NULL;
}

static struct error *run_route(struct admin_request *request, bool is_trusted)
{
	bool path_known;
	const struct admin_route *route = admin_route_find(request, &path_known);
	if (!is_trusted && !(route && route->is_open)) {
		request->status = MHD_HTTP_UNAUTHORIZED;
		return op_fail(&request->op, ERR_DENIED, "a token is needed");
	}
	if (!route) {
		request->status = path_known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
		return op_fail(&request->op, ERR_NOT_FOUND,
			path_known ? "this cannot be done there" : "there is nothing here");
	}
	TRY(parse_body(request));
	return route->handler(request);
}

static void answer_error(struct admin_request *request, const struct error *err)
{
	if (!request->status)
		request->status = answers[err->kind].status;
	bool shown = answers[err->kind].shows_message;
	if (!shown)
		log_error(&request->op, "admin-failed", FIELD_ERROR(&request->op, err));
	json_decref(request->answer);
	request->answer = json_pack("{s:o, s:s, s:s}", "error",
		admin_json_text(
			slice_from_cstr(shown ? err->message : answers[err->kind].standard)),
		"kind", error_kind_name(err->kind), "operation",
		uuid_text(&request->op.arena, request->op.id));
}

void admin_answer(struct admin_request *request, bool is_trusted)
{
	struct error *err = run_route(request, is_trusted);
	if (err)
		answer_error(request, err);
	if (!request->status)
		request->status = MHD_HTTP_OK;
	if (request->content_type)
		return;
	char *text = request->answer ? json_dumps(request->answer, JSON_INDENT(2)) : NULL;
	request->content_type = "application/json";
	buf_printf(&request->text, "%s\n", text ? text : "{}");
	free(text);
}
