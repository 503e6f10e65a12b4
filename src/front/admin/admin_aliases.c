#include "front/admin/admin_private.h"

/* Addresses that lead to others: to one, or to a group. */

#define NAME(request) ((request)->parts[2])

static const struct admin_field alias_fields[] = {
	{"address", ADMIN_TEXT, "The address, folded"},
	{"targets", ADMIN_TEXTS, "Where its mail goes"},
	{0},
};
static const struct admin_field aliases_fields[] = {
	{"aliases", ADMIN_LIST, "By address", .fields = alias_fields}, {0}};
static const struct admin_field list_query[] = {
	{"domain", ADMIN_TEXT, "Of this domain alone", ADMIN_OPTIONAL, 1, 255},
	{"contains", ADMIN_TEXT, "Those whose address has this in it", ADMIN_OPTIONAL, 1, 255},
	{0},
};
static const struct admin_field targets_fields[] = {
	{"targets", ADMIN_TEXTS, "Where its mail goes", ADMIN_NOT_EMPTY, 1, 320}, {0}};

static json_t *alias_json(const struct alias_info *alias)
{
	json_t *targets = json_array();
	for (size_t i = 0; i < alias->target_count; i++)
		json_array_append_new(targets, admin_json_text(alias->targets[i]));
	return json_pack(
		"{s:o, s:o}", "address", admin_json_text(alias->address), "targets", targets);
}

static struct error *list_aliases(struct admin_request *request)
{
	struct alias_info *aliases;
	size_t count;
	struct admin_page page = admin_page_begin(request);
	struct list_part part = admin_list_part(request, &page);
	struct error *err =
		alias_list(&request->op, request->context->accounts, &part, &aliases, &count);
	for (size_t i = 0; !err && i < count; i++)
		admin_page_add(&page, aliases[i].address, alias_json(&aliases[i]));
	page.has_more = part.has_more;
	page.last = part.last;
	admin_page_end(request, &page, "aliases");
	return err;
}

static struct error *get_alias(struct admin_request *request)
{
	struct alias_info alias;
	TRY(alias_get(&request->op, request->context->accounts, NAME(request), &alias));
	request->answer = alias_json(&alias);
	return NULL;
}

static struct error *put_alias(struct admin_request *request)
{
	json_t *field = json_object_get(request->body, "targets");
	size_t count = json_array_size(field);
	struct slice *targets = ARENA_ARRAY(&request->op.arena, struct slice, count + 1);
	for (size_t i = 0; i < count; i++) {
		json_t *target = json_array_get(field, i);
		targets[i] = slice_of(json_string_value(target), json_string_length(target));
	}
	return alias_set(&request->op, request->context->accounts, NAME(request), targets, count);
}

static struct error *delete_alias(struct admin_request *request)
{
	return alias_delete(&request->op, request->context->accounts, NAME(request));
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/aliases", ADMIN_READ, ADMIN_QUERY_DOMAIN, 200, list_aliases, "Addresses that lead to others", list_query, NULL, aliases_fields, NULL, true},
	{"GET", "v1/aliases/{address}", ADMIN_READ, ADMIN_PATH_DOMAIN, 200, get_alias, "One of them", NULL, NULL, alias_fields},
	{"PUT", "v1/aliases/{address}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, put_alias, "Makes it, or sets where it leads", NULL, targets_fields},
	{"DELETE", "v1/aliases/{address}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, delete_alias, "Removes it"},
};
/* clang-format on */
const struct admin_routes admin_alias_routes = ADMIN_ROUTES(routes);
