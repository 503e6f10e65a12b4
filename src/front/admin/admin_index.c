#include "front/admin/admin_private.h"
#include "search/search.h"

/* The search index of one account. */

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
	request->answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "messages",
		(json_int_t)status.messages, "indexed", (json_int_t)status.indexed, "modseq",
		(json_int_t)status.modseq, "cursor", (json_int_t)status.cursor, "documents",
		(json_int_t)status.size.documents, "dead", (json_int_t)status.size.dead, "places",
		(json_int_t)status.size.places, "bytes", (json_int_t)status.size.bytes, "waiting",
		status.is_waiting);
	return NULL;
}

static struct error *rebuild_index(struct admin_request *request)
{
	struct account_id account;
	TRY(find_index(request, &account));
	return search_rebuild(&request->op, request->context->search, account);
}

const struct admin_route admin_index_routes[] = {
	{"GET", "v1/users/?/index", get_index},
	{"POST", "v1/users/?/index/rebuild", rebuild_index},
};
const size_t admin_index_route_count = ARRAY_SIZE(admin_index_routes);
