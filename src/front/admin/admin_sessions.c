#include "front/admin/admin_private.h"
#include "session/session.h"

/* Who is connected to this node. */

static const struct admin_field session_fields[] = {
	{"session", ADMIN_NUMBER, "Its number on this node"},
	{"protocol", ADMIN_TEXT, "imap, pop3, smtp, submission or lmtp"},
	{"peer", ADMIN_TEXT, "The client's address"},
	{"tls", ADMIN_BOOL, "It is encrypted"},
	{"since_us", ADMIN_TIME, "Since when it is connected"},
	{"account", ADMIN_UUID, "Who has signed in; null: nobody", ADMIN_NULLABLE},
	{"address", ADMIN_TEXT, "That user's address; null: nobody, or no user of this server",
		ADMIN_NULLABLE},
	{0},
};
static const struct admin_field sessions_fields[] = {
	{"sessions", ADMIN_LIST, "By number", .fields = session_fields}, {0}};
static const struct admin_field list_query[] = {
	{"address", ADMIN_TEXT, "Of this user alone", ADMIN_OPTIONAL, 1, 320}, {0}};

static json_t *session_json(struct admin_request *request, const struct session_info *info)
{
	struct op *op = &request->op;
	struct slice address = SLICE_NONE;
	json_t *account = json_null();
	if (info->is_signed_in) {
		struct error *err = account_address(op, request->context->accounts,
			(struct account_id){info->account}, &address);
		if (err)
			address = SLICE_NONE;
		account = json_string(uuid_text(&op->arena, info->account));
	}
	return json_pack("{s:I, s:s, s:s, s:b, s:I, s:o, s:o}", "session", (json_int_t)info->number,
		"protocol", info->protocol, "peer", info->peer, "tls", info->is_tls, "since_us",
		(json_int_t)info->begun_us, "account", account, "address",
		address.ptr ? admin_json_text(address) : json_null());
}

/* Sorts as the number does. */
static struct slice cursor_of(struct arena *arena, const struct session_info *info)
{
	return slice_from_cstr(arena_printf(arena, "%020llu", (unsigned long long)info->number));
}

static struct error *list_sessions(struct admin_request *request)
{
	struct session_info *sessions;
	size_t count;
	struct user_info user = {0};
	struct slice wanted = admin_argument(request, "address");
	if (wanted.len)
		TRY(user_get(&request->op, request->context->accounts, wanted, &user));
	struct admin_page page = admin_page_begin(request);
	session_list(&request->op, &sessions, &count);
	for (size_t i = 0; i < count; i++) {
		struct slice name = cursor_of(&request->op.arena, &sessions[i]);
		bool is_meant =
			!wanted.len || (sessions[i].is_signed_in &&
					       uuid_equal(sessions[i].account, user.account.uuid));
		if (is_meant && admin_page_wants(&page, name))
			admin_page_add(&page, name, session_json(request, &sessions[i]));
	}
	admin_page_end(request, &page, "sessions");
	return NULL;
}

static struct error *disconnect(struct admin_request *request)
{
	uint64_t number;
	if (slice_parse_u64(request->parts[2], &number) && session_disconnect(number))
		return NULL;
	return op_fail(&request->op, ERR_NOT_FOUND, "there is no such session on this node");
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/sessions", ADMIN_READ, ADMIN_SERVER, 200, list_sessions, "Who is connected to this node", list_query, NULL, sessions_fields, NULL, true},
	{"DELETE", "v1/sessions/{session}", ADMIN_OPERATE, ADMIN_SERVER, 204, disconnect, "Ends a session behind the command it runs"},
};
/* clang-format on */
const struct admin_routes admin_session_routes = ADMIN_ROUTES(routes);
