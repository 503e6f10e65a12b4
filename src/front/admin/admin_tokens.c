#include "base/clock.h"
#include "front/admin/admin_private.h"
#include "front/admin/admin_token.h"

/* Who is let in over HTTP. */

#define US_PER_DAY (86400 * US_PER_S)

static const char *const roles[] = {"read", "operate", "admin", NULL};

static const struct admin_field token_fields[] = {
	{"id", ADMIN_UUID, "The token's id, which lets nobody in"},
	{"name", ADMIN_TEXT, "Whose it is, or what for"},
	{"role", ADMIN_TEXT, "What it may do", .choices = roles},
	{"domain", ADMIN_TEXT, "The one domain it is for; null: all", ADMIN_NULLABLE},
	{"created_us", ADMIN_TIME, "When it was made"},
	{"expires_us", ADMIN_TIME, "When it ends; null: never", ADMIN_NULLABLE},
	{"used_us", ADMIN_TIME, "When it was last used, to an hour; null: never", ADMIN_NULLABLE},
	{0},
};
static const struct admin_field tokens_fields[] = {
	{"tokens", ADMIN_LIST, "By id", .fields = token_fields}, {0}};
static const struct admin_field new_token_fields[] = {
	{"name", ADMIN_TEXT, "Whose it is, or what for", 0, 1, 100},
	{"role", ADMIN_TEXT, "What it may do", .choices = roles},
	{"domain", ADMIN_TEXT, "The one domain it is for; all without it", ADMIN_OPTIONAL, 1, 255},
	{"days", ADMIN_NUMBER, "Days until it ends; it does not without them", ADMIN_OPTIONAL, 1,
		36500},
	{0},
};
static const struct admin_field made_token_fields[] = {
	{"id", ADMIN_UUID, "The token's id"},
	{"token", ADMIN_TEXT, "What to send as \"Authorization: Bearer\"; it is not shown again"},
	{0},
};

static json_t *time_or_null(uint64_t us)
{
	return us ? json_integer((json_int_t)us) : json_null();
}

static json_t *token_json(struct op *op, const struct admin_token_info *info)
{
	const struct admin_token *token = &info->token;
	unsigned role = MIN_OF(MAX_OF(token->role, ADMIN_READ), ADMIN_ADMIN);
	return json_pack("{s:s, s:o, s:s, s:o, s:I, s:o, s:o}", "id",
		uuid_text(&op->arena, info->id), "name", admin_json_text(token->name), "role",
		roles[role - ADMIN_READ], "domain",
		token->domain.len ? admin_json_text(token->domain) : json_null(), "created_us",
		(json_int_t)token->created_us, "expires_us", time_or_null(token->expires_us),
		"used_us", time_or_null(info->used_us));
}

static struct error *list_tokens(struct admin_request *request)
{
	struct admin_token_info *infos;
	size_t count;
	TRY(admin_token_list(&request->op, request->tokens, &infos, &count));
	struct admin_page page = admin_page_begin(request);
	for (size_t i = 0; i < count; i++) {
		struct slice name = slice_from_cstr(uuid_text(&request->op.arena, infos[i].id));
		if (admin_page_wants(&page, name))
			admin_page_add(&page, name, token_json(&request->op, &infos[i]));
	}
	admin_page_end(request, &page, "tokens");
	return NULL;
}

static uint8_t role_given(struct admin_request *request)
{
	struct slice role = admin_text_field(request, "role");
	for (unsigned i = 0; roles[i]; i++)
		if (slice_equal(role, slice_from_cstr(roles[i])))
			return (uint8_t)(ADMIN_READ + i);
	return ADMIN_READ;
}

static struct error *post_token(struct admin_request *request)
{
	struct op *op = &request->op;
	struct slice domain = admin_text_field(request, "domain");
	uint64_t days = admin_number_field(request, "days");
	struct admin_token token = {.name = admin_text_field(request, "name"),
		.role = role_given(request),
		.expires_us = days ? clock_realtime_us() + days * US_PER_DAY : 0};
	struct uuid id;
	struct slice secret;
	if (domain.len) {
		struct domain_info info;
		TRY(domain_get(op, request->context->accounts, domain, &info));
		token.domain = info.name;
	}
	TRY(admin_token_create(op, request->tokens, &token, &id, &secret));
	request->answer = json_pack(
		"{s:s, s:o}", "id", uuid_text(&op->arena, id), "token", admin_json_text(secret));
	return NULL;
}

static struct error *delete_token(struct admin_request *request)
{
	struct uuid id;
	if (!uuid_parse(request->parts[2], &id))
		return op_fail(&request->op, ERR_NOT_FOUND, "a token is named by its UUID");
	return admin_token_revoke(&request->op, request->tokens, id);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/tokens", ADMIN_ADMIN, ADMIN_SERVER, 200, list_tokens, "Tokens that let in over HTTP", NULL, NULL, tokens_fields, NULL, true},
	{"POST", "v1/tokens", ADMIN_ADMIN, ADMIN_SERVER, 201, post_token, "Makes a token, and shows it this once", NULL, new_token_fields, made_token_fields},
	{"DELETE", "v1/tokens/{token}", ADMIN_ADMIN, ADMIN_SERVER, 204, delete_token, "Revokes a token"},
};
/* clang-format on */
const struct admin_routes admin_token_routes = ADMIN_ROUTES(routes);
