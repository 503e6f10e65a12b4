#include <assert.h>

#include "base/log.h"
#include "format/encoding.h"
#include "front/admin/admin_private.h"

static const struct {
	unsigned status;
	bool shows_message; /* else the standard text: what failed inside is for the log */
	const char *standard;
} answers[] = {
	[ERR_INVALID] = {MHD_HTTP_UNPROCESSABLE_CONTENT, true, "this cannot be"},
	[ERR_DENIED] = {MHD_HTTP_FORBIDDEN, true, "not allowed"},
	[ERR_NOT_FOUND] = {MHD_HTTP_NOT_FOUND, true, "not found"},
	[ERR_EXISTS] = {MHD_HTTP_CONFLICT, true, "there already"},
	[ERR_LIMIT] = {MHD_HTTP_INSUFFICIENT_STORAGE, true, "over a limit"},
	[ERR_CONFLICT] = {MHD_HTTP_CONFLICT, false, "changed by somebody else meanwhile"},
	[ERR_UNAVAILABLE] = {MHD_HTTP_SERVICE_UNAVAILABLE, false,
		"the store cannot be used now; nothing was changed"},
	[ERR_TIMEOUT] = {MHD_HTTP_SERVICE_UNAVAILABLE, false,
		"it took too long; nothing was changed"},
	[ERR_UNCERTAIN] = {MHD_HTTP_SERVICE_UNAVAILABLE, false,
		"it is not known yet whether this was done"},
	[ERR_CORRUPT] = {MHD_HTTP_INTERNAL_SERVER_ERROR, false, "stored data is damaged"},
	[ERR_CANCELLED] = {MHD_HTTP_SERVICE_UNAVAILABLE, false, "the server is stopping"},
	[ERR_INTERNAL] = {MHD_HTTP_INTERNAL_SERVER_ERROR, false, "an internal error"},
};
static_assert(ARRAY_SIZE(answers) == ERR_KIND_COUNT, "an answer for each kind of error");

/* ---- what stands in the first line ---- */

bool admin_path_parse(struct admin_request *request, const char *url)
{
	struct slice rest = slice_from_cstr(url);
	struct slice part;
	if (!slice_starts_with(rest, SLICE("/")))
		return false;
	rest = slice_from(rest, 1);
	while (slice_split(&rest, '/', &part)) {
		if (request->part_count == ADMIN_PATH_PARTS_MAX ||
			!percent_decode(
				&request->op.arena, part, &request->parts[request->part_count++]))
			return false;
	}
	return true;
}

bool admin_add_argument(struct admin_request *request, const char *name, const char *value)
{
	struct admin_argument *argument = &request->arguments[request->argument_count];
	if (request->argument_count == ADMIN_ARGUMENTS_MAX ||
		!percent_decode(&request->op.arena, slice_from_cstr(name), &argument->name) ||
		!percent_decode(
			&request->op.arena, slice_from_cstr(value ? value : ""), &argument->value))
		return false;
	for (size_t i = 0; i < request->argument_count; i++)
		if (slice_equal(request->arguments[i].name, argument->name))
			return false;
	request->argument_count++;
	return true;
}

/* ---- what handlers ask for ---- */

json_t *admin_json_text(struct slice text)
{
	json_t *json = json_stringn(text.ptr ? text.ptr : "", text.len);
	/* What is not UTF-8 cannot be in JSON; it is shown as far as it can be. */
	return json ? json : json_string("?");
}

struct slice admin_text_field(struct admin_request *request, const char *name)
{
	json_t *field = json_object_get(request->body, name);
	return slice_of(json_string_value(field), json_string_length(field));
}

uint64_t admin_number_field(struct admin_request *request, const char *name)
{
	uint64_t number;
	admin_whole_number(json_object_get(request->body, name), &number);
	return number;
}

struct slice admin_argument(struct admin_request *request, const char *name)
{
	for (size_t i = 0; i < request->argument_count; i++)
		if (slice_equal(request->arguments[i].name, slice_from_cstr(name)))
			return request->arguments[i].value;
	return SLICE_NONE;
}

uint64_t admin_number_argument(struct admin_request *request, const char *name)
{
	uint64_t number = 0;
	bool is_there = slice_parse_u64(admin_argument(request, name), &number);
	return is_there ? number : 0;
}

static void append_encoded(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (ascii_is_alpha(c) || ascii_is_digit(c) || (c && strchr("-._~@", c)))
			buf_append_char(out, c);
		else
			buf_printf(out, "%%%02X", (uint8_t)c);
	}
}

void admin_made(struct admin_request *request, const char *collection, struct slice name)
{
	struct buf location = buf_in(&request->op.arena);
	buf_printf(&location, "%s", collection);
	append_encoded(&location, name);
	request->location = arena_cstr(&request->op.arena, buf_as_slice(&location));
}

/* ---- who may ---- */

struct error *admin_may_see(struct admin_request *request, struct slice name)
{
	struct op *op = &request->op;
	struct address address;
	struct slice own = request->caller.domain;
	if (!own.len)
		return NULL;
	/* A domain alone is normalised as one behind an '@' is. */
	if (slice_find_char(name, '@') == name.len)
		name = slice_from_cstr(arena_printf(&op->arena, "x@" SLICE_FMT, SLICE_ARG(name)));
	struct error *err = address_normalise(op, request->context->accounts, name, &address);
	if (!err && slice_equal(address.domain, own))
		return NULL;
	return op_fail(op, ERR_DENIED, "this token is for " SLICE_FMT " alone", SLICE_ARG(own));
}

static struct error *fill_in_domain(struct admin_request *request)
{
	struct slice asked = admin_argument(request, "domain");
	if (!request->caller.domain.len)
		return NULL;
	if (asked.len)
		return admin_may_see(request, asked);
	if (request->argument_count == ADMIN_ARGUMENTS_MAX)
		return op_fail(&request->op, ERR_INVALID, "too many arguments");
	request->arguments[request->argument_count++] =
		(struct admin_argument){SLICE("domain"), request->caller.domain};
	return NULL;
}

static struct error *check_scope(struct admin_request *request)
{
	switch (request->route->scope) {
	case ADMIN_PATH_DOMAIN:
		return admin_may_see(request, request->parts[2]);
	case ADMIN_BODY_DOMAIN:
		return admin_may_see(request, admin_text_field(request, "address"));
	case ADMIN_QUERY_DOMAIN:
		return fill_in_domain(request);
	case ADMIN_SCOPE_IS_OWN:
		return NULL;
	case ADMIN_SERVER:
		break;
	}
	if (!request->caller.domain.len)
		return NULL;
	return op_fail(&request->op, ERR_DENIED, "this token is for one domain alone");
}

static struct error *check_role(struct admin_request *request, const char *allow)
{
	bool is_known = request->caller.role > ADMIN_OPEN;
	if (!is_known && !(request->route && request->route->role == ADMIN_OPEN)) {
		request->status = MHD_HTTP_UNAUTHORIZED;
		request->challenge = "Bearer realm=\"holdfast\"";
		return op_fail(&request->op, ERR_DENIED, "a token is needed");
	}
	if (!request->route) {
		request->allow = allow;
		request->status = allow ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
		return op_fail(&request->op, ERR_NOT_FOUND,
			allow ? "this cannot be done there" : "there is nothing here");
	}
	if (request->caller.role >= request->route->role)
		return NULL;
	return op_fail(&request->op, ERR_DENIED, "this token may not do that");
}

/* ---- the body ---- */

static bool says_json(struct admin_request *request)
{
	struct slice type = slice_from_cstr(
		MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Type"));
	type = slice_trim(slice_range(type, 0, slice_find_char(type, ';')));
	return slice_equal_nocase(type, SLICE("application/json"));
}

static struct error *parse_body(struct admin_request *request)
{
	json_error_t fault;
	if (!request->route->body)
		return NULL;
	if (request->is_too_big) {
		request->status = MHD_HTTP_CONTENT_TOO_LARGE;
		return op_fail(&request->op, ERR_INVALID, "the request is too big");
	}
	if (request->upload.len && !says_json(request)) {
		request->status = MHD_HTTP_UNSUPPORTED_MEDIA_TYPE;
		return op_fail(
			&request->op, ERR_INVALID, "the body must be application/json, and say so");
	}
	request->body = json_loadb(
		request->upload.ptr, request->upload.len, JSON_REJECT_DUPLICATES, &fault);
	if (!request->body)
		return op_fail(&request->op, ERR_INVALID, "the body is no JSON: line %d: %s",
			fault.line, fault.text);
	return admin_check_object(&request->op, request->route->body, request->body);
}

/* What comes in is what the route's row says. */
static struct error *check_form(struct admin_request *request)
{
	struct error *err = admin_check_path(request);
	if (!err)
		err = admin_check_query(request);
	if (!err)
		err = parse_body(request);
	if (err && !request->status)
		request->status = MHD_HTTP_BAD_REQUEST;
	return err;
}

static struct error *run_route(struct admin_request *request)
{
	const char *allow = NULL;
	request->route = admin_route_find(request, &allow);
	TRY(check_role(request, allow));
	TRY(check_form(request));
	TRY(check_scope(request));
	return request->route->handler(request);
}

/* ---- answers ---- */

static void write_json(struct admin_request *request, const char *content_type)
{
	char *text = json_dumps(request->answer, JSON_INDENT(2));
	request->content_type = content_type;
	request->text.len = 0;
	buf_printf(&request->text, "%s\n", text ? text : "{}");
	free(text);
}

/* RFC 9457 */
static void write_problem(struct admin_request *request, const char *detail)
{
	json_decref(request->answer);
	request->answer = json_pack("{s:s, s:s, s:i, s:o}", "type", "about:blank", "title",
		MHD_get_reason_phrase_for(request->status), "status", (int)request->status,
		"detail", admin_json_text(slice_from_cstr(detail)));
	json_object_set_new(request->answer, "operation",
		json_string(uuid_text(&request->op.arena, request->op.id)));
	request->location = NULL;
}

void admin_refuse(struct admin_request *request, unsigned status, const char *detail)
{
	request->status = status;
	write_problem(request, detail);
	write_json(request, "application/problem+json");
}

void admin_answer_error(struct admin_request *request, const struct error *err)
{
	if (!request->status)
		request->status = answers[err->kind].status;
	bool shown = answers[err->kind].shows_message;
	if (!shown)
		log_error(&request->op, "admin-failed", FIELD_ERROR(&request->op, err));
	write_problem(request, shown ? err->message : answers[err->kind].standard);
	json_object_set_new(request->answer, "kind", json_string(error_kind_name(err->kind)));
	write_json(request, "application/problem+json");
}

static bool changes_something(const struct admin_request *request)
{
	return strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0;
}

static const char *path_text(struct admin_request *request)
{
	struct buf path = buf_in(&request->op.arena);
	for (size_t i = 0; i < request->part_count; i++) {
		buf_append_char(&path, '/');
		append_encoded(&path, request->parts[i]);
	}
	return arena_cstr(&request->op.arena, buf_as_slice(&path));
}

/* Who changed what, and whether it was done. What the change holds may be a password. */
static void log_change(struct admin_request *request)
{
	log_info(&request->op, "admin-change", FIELD_SLICE("by", request->caller.name),
		FIELD_TEXT("peer", request->is_local ? "local" : request->peer.text),
		FIELD_TEXT("method", request->method), FIELD_TEXT("path", path_text(request)),
		FIELD_U64("status", request->status));
}

void admin_answer(struct admin_request *request)
{
	struct error *err = run_route(request);
	if (err)
		admin_answer_error(request, err);
	if (!request->status)
		request->status = request->route->status;
	if (changes_something(request) && request->caller.role > ADMIN_OPEN)
		log_change(request);
	if (!request->content_type && request->status != MHD_HTTP_NO_CONTENT)
		write_json(request, "application/json");
}
