#include "format/envelope_texts.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "mailbox/vault.h"

/* "v1/users/?/vault/?": an address or an account's id, and a message's. */
#define ACCOUNT(request) ((request)->parts[2])
#define MESSAGE(request) ((request)->parts[4])

#define TERMS_MOST 32

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

static struct error *number_argument(
	struct admin_request *request, const char *name, uint64_t *ret_number)
{
	struct slice text;
	TRY(admin_argument(request, name, &text));
	*ret_number = 0;
	if (text.len && !slice_parse_u64(text, ret_number))
		return op_fail(
			&request->op, ERR_INVALID, "the argument \"%s\" is no whole number", name);
	return NULL;
}

/* One term a line. */
static struct error *terms_argument(struct admin_request *request, struct vault_filter *filter)
{
	struct slice rest;
	struct slice text;
	struct vault_term *terms = ARENA_ARRAY(&request->op.arena, struct vault_term, TERMS_MOST);
	TRY(admin_argument(request, "terms", &rest));
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
	uint64_t limit;
	*filter = (struct vault_filter){0};
	TRY(number_argument(request, "since_us", &filter->since_us));
	TRY(number_argument(request, "until_us", &filter->until_us));
	TRY(number_argument(request, "limit", &limit));
	TRY(admin_argument(request, "mailbox", &filter->path));
	TRY(terms_argument(request, filter));
	filter->limit = limit ? (size_t)limit : SIZE_MAX;
	return NULL;
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
	TRY(admin_text_field(request, "mailbox", ret_path));
	if (json_object_get(request->body, "to"))
		TRY(admin_text_field(request, "to", &to));
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

const struct admin_route admin_vault_routes[] = {
	{"GET", "v1/users/?/vault", list_vault, false},
	{"GET", "v1/users/?/vault/?", get_content, false},
	{"POST", "v1/users/?/vault/?/restore", restore, false},
	{"DELETE", "v1/users/?/vault/?", purge, false},
};
const size_t admin_vault_route_count = ARRAY_SIZE(admin_vault_routes);
