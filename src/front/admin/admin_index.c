#include "front/admin/admin_private.h"
#include "search/search.h"

/* The search index of one account. */

static const struct admin_field index_fields[] = {
	{"messages", ADMIN_NUMBER, "Messages of the account"},
	{"indexed", ADMIN_NUMBER, "Of them in the index"},
	{"modseq", ADMIN_NUMBER, "The account's MODSEQ"},
	{"cursor", ADMIN_NUMBER, "How far the index has followed it; 0: there is none"},
	{"documents", ADMIN_NUMBER, "Documents in it"},
	{"dead", ADMIN_NUMBER, "Of them of mail that has gone"},
	{"places", ADMIN_NUMBER, "Places of messages in it"},
	{"bytes", ADMIN_NUMBER, "Its size"},
	{"owed", ADMIN_NUMBER, "Messages whose attachments will be read"},
	{"given_up", ADMIN_NUMBER, "Messages whose attachments could not be read"},
	{"waiting", ADMIN_BOOL, "Its turn comes"},
	{0},
};

static struct error *find_index(struct admin_request *request, struct account_id *ret_account)
{
	struct user_info user;
	if (!request->context->search)
		return op_fail(&request->op, ERR_NOT_FOUND, "there is no index: search.index");
	TRY(user_get(&request->op, request->context->accounts, request->parts[2], &user));
	*ret_account = user.account;
	return NULL;
}

static struct error *get_index(struct admin_request *request)
{
	struct account_id account;
	struct search_status status;
	TRY(find_index(request, &account));
	TRY(search_status(&request->op, request->context->search, account, &status));
	request->answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}",
		"messages", (json_int_t)status.messages, "indexed", (json_int_t)status.indexed,
		"modseq", (json_int_t)status.modseq, "cursor", (json_int_t)status.cursor,
		"documents", (json_int_t)status.size.documents, "dead",
		(json_int_t)status.size.dead, "places", (json_int_t)status.size.places, "bytes",
		(json_int_t)status.size.bytes, "owed", (json_int_t)status.size.owed, "given_up",
		(json_int_t)status.size.given_up, "waiting", status.is_waiting);
	return NULL;
}

static struct error *rebuild_index(struct admin_request *request)
{
	struct account_id account;
	TRY(find_index(request, &account));
	return search_rebuild(&request->op, request->context->search, account);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/users/{address}/index", ADMIN_READ, ADMIN_PATH_DOMAIN, 200, get_index, "How much of an account is in its search index", NULL, NULL, index_fields},
	{"POST", "v1/users/{address}/index/rebuild", ADMIN_OPERATE, ADMIN_PATH_DOMAIN, 204, rebuild_index, "Throws it away; it is made anew behind this"},
};
/* clang-format on */
const struct admin_routes admin_index_routes = ADMIN_ROUTES(routes);
