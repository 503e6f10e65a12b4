#include "format/envelope_texts.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "mailbox/vault.h"

/* "v1/users/{account}/vault/{message}": an address or an account's id, and a message's. */
#define ACCOUNT(request) ((request)->parts[2])
#define MESSAGE(request) ((request)->parts[4])

#define TERMS_MOST 32

static const struct admin_field list_query[] = {
	{"since_us", ADMIN_TIME, "Deleted then or later", ADMIN_OPTIONAL},
	{"until_us", ADMIN_TIME, "Deleted before", ADMIN_OPTIONAL},
	{"mailbox", ADMIN_TEXT, "From this mailbox", ADMIN_OPTIONAL, 1, 1000},
	{"terms", ADMIN_TEXT,
		"Texts that are all in it, one a line: subject:words, from:, to:, date:, text:",
		ADMIN_OPTIONAL, 1},
	{"limit", ADMIN_NUMBER, "Messages at the most; all if not given", ADMIN_OPTIONAL, 1},
	{0},
};
static const struct admin_field message_fields[] = {
	{"id", ADMIN_UUID, "The message"},
	{"deleted_us", ADMIN_TIME, "When it was deleted"},
	{"mailbox", ADMIN_TEXT, "Where it was"},
	{"subject", ADMIN_TEXT, "Subject"},
	{"from", ADMIN_TEXT, "From"},
	{"to", ADMIN_TEXT, "To"},
	{"date", ADMIN_TEXT, "Date, as it was written"},
	{"received_us", ADMIN_TIME, "When it came"},
	{"bytes", ADMIN_NUMBER, "Its size"},
	{0},
};
static const struct admin_field messages_fields[] = {
	{"messages", ADMIN_LIST, "The last deleted first", .fields = message_fields},
	{"has_more", ADMIN_BOOL, "There are others beyond the limit"},
	{0},
};
static const struct admin_field target_fields[] = {
	{"mailbox", ADMIN_TEXT, "Where to; it is made", 0, 1, 1000},
	{"to", ADMIN_TEXT, "To whom; the account's own user if not given", ADMIN_OPTIONAL, 1, 320},
	{0},
};
static const struct admin_field restored_fields[] = {
	{"id", ADMIN_UUID, "The message"},
	{"mailbox", ADMIN_TEXT, "Where it is"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY of that"},
	{"uid", ADMIN_NUMBER, "Its UID"},
	{0},
};

/* The id is for accounts whose user has been removed. */
static struct error *find_account(struct admin_request *request, struct account_id *ret_account)
{
	struct user_info user;
	if (uuid_parse(ACCOUNT(request), &ret_account->uuid))
		return NULL;
	TRY(user_get(&request->op, request->context->accounts, ACCOUNT(request), &user));
	*ret_account = user.account;
	return NULL;
}

static struct error *find_message(struct admin_request *request, struct account_id *ret_account,
	struct message_id *ret_message)
{
	if (!uuid_parse(MESSAGE(request), &ret_message->uuid))
		return op_fail(&request->op, ERR_NOT_FOUND, SLICE_FMT " is no id of a message",
			SLICE_ARG(MESSAGE(request)));
	return find_account(request, ret_account);
}

/* One term a line. */
static struct error *terms_argument(struct admin_request *request, struct vault_filter *filter)
{
	struct slice rest = admin_argument(request, "terms");
	struct slice text;
	struct vault_term *terms = ARENA_ARRAY(&request->op.arena, struct vault_term, TERMS_MOST);
	while (slice_split(&rest, '\n', &text)) {
		if (!text.len)
			continue;
		if (filter->term_count == TERMS_MOST)
			return op_fail(&request->op, ERR_INVALID, "more than %d terms", TERMS_MOST);
		terms[filter->term_count++] = vault_term_parse(&request->op.arena, text);
	}
	filter->terms = terms;
	return NULL;
}

static struct error *read_filter(struct admin_request *request, struct vault_filter *filter)
{
	uint64_t limit = admin_number_argument(request, "limit");
	*filter = (struct vault_filter){.since_us = admin_number_argument(request, "since_us"),
		.until_us = admin_number_argument(request, "until_us"),
		.path = admin_argument(request, "mailbox"),
		.limit = limit ? (size_t)limit : SIZE_MAX};
	return terms_argument(request, filter);
}

static json_t *message_json(struct op *op, const struct vault_message *message)
{
	struct envelope_texts texts;
	envelope_texts_read(&op->arena, message->envelope, &texts);
	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "id",
		uuid_text(&op->arena, message->id.uuid), "deleted_us",
		(json_int_t)message->deleted_us, "mailbox", admin_json_text(message->path),
		"subject", admin_json_text(texts.subject), "from", admin_json_text(texts.from),
		"to", admin_json_text(texts.to), "date", admin_json_text(texts.date), "received_us",
		(json_int_t)message->internal_date_us, "bytes", (json_int_t)message->size);
}

static struct error *list_vault(struct admin_request *request)
{
	struct op *op = &request->op;
	struct account_id account;
	struct vault_filter filter;
	struct vault_message *messages;
	size_t count;
	bool has_more;
	TRY(read_filter(request, &filter));
	TRY(find_account(request, &account));
	TRY(vault_list(
		op, request->context->store, account, &filter, &messages, &count, &has_more));
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, message_json(op, &messages[i]));
	request->answer = json_pack("{s:o, s:b}", "messages", list, "has_more", has_more);
	return NULL;
}

static struct error *get_content(struct admin_request *request)
{
	struct account_id account;
	struct message_id id;
	struct vault_message message;
	struct slice bytes;
	TRY(find_message(request, &account, &id));
	TRY(vault_get(&request->op, request->context->store, account, id, &message));
	TRY(vault_content(&request->op, request->context->store, &message, &bytes));
	buf_append(&request->text, bytes);
	request->content_type = "message/rfc822";
	return NULL;
}

/* Where it goes: {"mailbox": …, "to": an address; the account's own user if it is not there}. */
static struct error *find_target(
	struct admin_request *request, struct account_id *ret_target, struct slice *ret_path)
{
	struct user_info user;
	struct slice to = ACCOUNT(request);
	*ret_path = admin_text_field(request, "mailbox");
	if (json_object_get(request->body, "to"))
		to = admin_text_field(request, "to");
	TRY(admin_may_see(request, to));
	TRY(user_get(&request->op, request->context->accounts, to, &user));
	*ret_target = user.account;
	return NULL;
}

static struct error *restore(struct admin_request *request)
{
	struct account_id account;
	struct account_id target;
	struct message_id id;
	struct slice path;
	struct append_result result;
	TRY(find_message(request, &account, &id));
	TRY(find_target(request, &target, &path));
	TRY(vault_restore(
		&request->op, request->context->store, account, id, target, path, &result));
	request->answer = json_pack("{s:s, s:o, s:I, s:I}", "id",
		uuid_text(&request->op.arena, id.uuid), "mailbox", admin_json_text(path),
		"uidvalidity", (json_int_t)result.uidvalidity, "uid", (json_int_t)result.uid);
	return NULL;
}

static struct error *purge(struct admin_request *request)
{
	struct account_id account;
	struct message_id id;
	TRY(find_message(request, &account, &id));
	return vault_purge(&request->op, request->context->store, account, id);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/users/{account}/vault", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, list_vault, "Deleted mail that can still be had", list_query, NULL, messages_fields},
	{"GET", "v1/users/{account}/vault/{message}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, get_content, "The bytes of a deleted message", NULL, NULL, NULL, "message/rfc822"},
	{"POST", "v1/users/{account}/vault/{message}/restore", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, restore, "Puts it back", NULL, target_fields, restored_fields},
	{"DELETE", "v1/users/{account}/vault/{message}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, purge, "It cannot be restored any more"},
};
/* clang-format on */
const struct admin_routes admin_vault_routes = ADMIN_ROUTES(routes);
