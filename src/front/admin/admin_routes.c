#include "front/admin/admin_private.h"

static const struct admin_routes *const tables[] = {&admin_status_routes, &admin_account_routes,
	&admin_alias_routes, &admin_vault_routes, &admin_index_routes, &admin_session_routes,
	&admin_task_routes, &admin_consistency_routes, &admin_token_routes, &admin_overview_routes,
	&admin_history_routes, &admin_trace_routes, &admin_consumer_routes,
	&admin_checkpoint_routes, &admin_message_routes, &admin_import_routes};

#define PAGE_DEFAULT 1000
#define PAGE_MOST 10000

const struct admin_field admin_page_fields[] = {
	{"limit", ADMIN_NUMBER, "Items at the most; 1000 if not given", ADMIN_OPTIONAL, 1,
		PAGE_MOST},
	{"after", ADMIN_TEXT, "What the page before gave as \"next\"", ADMIN_OPTIONAL},
	{0},
};

static const char *const kinds[] = {"read", "write", "delete", NULL};

static const struct admin_field path_fields[] = {
	{"domain", ADMIN_TEXT, "A domain", 0, 1, 320},
	{"address", ADMIN_TEXT, "An address", 0, 1, 320},
	{"account", ADMIN_TEXT, "An address, or the id of an account", 0, 1, 320},
	{"message", ADMIN_UUID, "The id of a message in the vault"},
	{"task", ADMIN_UUID, "The id of a task"},
	{"checkpoint", ADMIN_UUID, "The id of a checkpoint"},
	{"operation", ADMIN_UUID, "The id of an operation"},
	{"uid", ADMIN_NUMBER, "The UID of a message", 0, 1, UINT32_MAX},
	{"session", ADMIN_NUMBER, "The number of a session of this node", 0, 1},
	{"letter", ADMIN_TEXT, "The name of a dead letter", 0, 1, 320},
	{"token", ADMIN_UUID, "The id of a token"},
	{"kind", ADMIN_TEXT, "A kind of queries", .choices = kinds},
	{"id", ADMIN_TEXT, "A Message-ID, or the id in the answer to a delivery", 0, 1, 1000},
	{0},
};

const struct admin_route *admin_route_at(size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		if (n < tables[i]->count)
			return &tables[i]->rows[n];
		n -= tables[i]->count;
	}
	return NULL;
}

static bool is_name(struct slice part)
{
	return slice_starts_with(part, SLICE("{"));
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
		if (is_name(part) ? given.len == 0 : !slice_equal(part, given))
			return false;
	}
	return at == request->part_count;
}

const struct admin_route *admin_route_find(struct admin_request *request, const char **ret_allow)
{
	const struct admin_route *route;
	const char *allow = NULL;
	/* Who can GET can have the head alone (RFC 9110 9.3.2); MHD leaves the body out. */
	bool is_head = strcmp(request->method, "HEAD") == 0;
	for (size_t i = 0; (route = admin_route_at(i)); i++) {
		if (!path_matches(request, route))
			continue;
		if (strcmp(route->method, is_head ? "GET" : request->method) == 0)
			return route;
		allow = allow ? arena_printf(&request->op.arena, "%s, %s", allow, route->method)
			      : route->method;
		if (strcmp(route->method, "GET") == 0)
			allow = arena_printf(&request->op.arena, "%s, HEAD", allow);
	}
	*ret_allow = allow;
	return NULL;
}

const struct admin_field *admin_path_field(struct slice name)
{
	for (const struct admin_field *field = path_fields; field->name; field++)
		if (slice_equal(name, slice_from_cstr(field->name)))
			return field;
	return NULL;
}

struct error *admin_check_path(struct admin_request *request)
{
	struct slice rest = slice_from_cstr(request->route->path);
	struct slice part;
	for (size_t i = 0; slice_split(&rest, '/', &part); i++) {
		if (!is_name(part))
			continue;
		const struct admin_field *field =
			admin_path_field(slice_range(part, 1, part.len - 1));
		TRY(admin_check_text(&request->op, field, request->parts[i]));
	}
	return NULL;
}

static const struct admin_field *find_field(const struct admin_field *fields, struct slice name)
{
	for (; fields && fields->name; fields++)
		if (slice_equal(name, slice_from_cstr(fields->name)))
			return fields;
	return NULL;
}

static struct error *must_be_there(struct admin_request *request, const struct admin_field *fields)
{
	for (; fields && fields->name; fields++)
		if (!(fields->flags & ADMIN_OPTIONAL) && !admin_argument(request, fields->name).ptr)
			return op_fail(&request->op, ERR_INVALID, "the argument \"%s\" is missing",
				fields->name);
	return NULL;
}

struct error *admin_check_query(struct admin_request *request)
{
	const struct admin_route *route = request->route;
	for (size_t i = 0; i < request->argument_count; i++) {
		const struct admin_argument *argument = &request->arguments[i];
		const struct admin_field *field = find_field(route->query, argument->name);
		if (!field && route->is_paged)
			field = find_field(admin_page_fields, argument->name);
		if (!field)
			return op_fail(&request->op, ERR_INVALID,
				"there is no argument \"" SLICE_FMT "\" here",
				SLICE_ARG(argument->name));
		TRY(admin_check_text(&request->op, field, argument->value));
	}
	return must_be_there(request, route->query);
}

/* ---- pages ---- */

struct admin_page admin_page_begin(struct admin_request *request)
{
	uint64_t limit = admin_number_argument(request, "limit");
	return (struct admin_page){.after = admin_argument(request, "after"),
		.limit = limit ? (size_t)limit : PAGE_DEFAULT,
		.items = json_array()};
}

bool admin_page_wants(struct admin_page *page, struct slice name)
{
	if (slice_compare(name, page->after) <= 0 && page->after.len)
		return false;
	bool has_room = json_array_size(page->items) < page->limit;
	page->has_more = page->has_more || !has_room;
	return has_room;
}

void admin_page_add(struct admin_page *page, struct slice name, json_t *item)
{
	json_array_append_new(page->items, item);
	page->last = name;
}

void admin_page_end(struct admin_request *request, struct admin_page *page, const char *name)
{
	request->answer = json_pack("{s:o, s:o}", name, page->items, "next",
		page->has_more ? admin_json_text(page->last) : json_null());
}
