#include "base/digest.h"
#include "format/encoding.h"
#include "front/admin/admin_private.h"
#include "mailbox/snapshot.h"
#include "mailbox/store.h"

/* Single messages of an account: for import, and for whoever compares what came with what is
 * there. */

#define ADDRESS(request) ((request)->parts[2])
#define UID(request) ((request)->parts[4])
#define FLAGS_MOST 64

static const struct admin_field new_message_fields[] = {
	{"mailbox", ADMIN_TEXT, "Where to; it must be there", 0, 1, 1000},
	{"content", ADMIN_BASE64, "Its bytes"},
	{"flags", ADMIN_TEXTS, "\\Seen and its like, and keywords", ADMIN_OPTIONAL, 1, 128},
	{"received_us", ADMIN_TIME, "When it came; now if not given", ADMIN_OPTIONAL},
	{"source", ADMIN_TEXT,
		"What it is where it comes from: the same bytes from there are put into that "
		"mailbox once, within 7 days",
		ADMIN_OPTIONAL, 1, 1000},
	{0},
};
static const struct admin_field added_fields[] = {
	{"mailbox", ADMIN_TEXT, "Where it is"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY of that"},
	{"uid", ADMIN_NUMBER, "Its UID"},
	{"repeated", ADMIN_BOOL, "It was there from an earlier try"},
	{0},
};
static const struct admin_field mailbox_query[] = {
	{"mailbox", ADMIN_TEXT, "Which one", 0, 1, 1000}, {0}};
static const struct admin_field message_fields[] = {
	{"uid", ADMIN_NUMBER, "Its UID"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY of its mailbox"},
	{"bytes", ADMIN_NUMBER, "Its size"},
	{"sha256", ADMIN_TEXT, "Of its bytes, as they are read now"},
	{"flags", ADMIN_TEXTS, "Flags and keywords"},
	{"received_us", ADMIN_TIME, "When it came"},
	{0},
};

static const struct admin_field listed_fields[] = {
	{"uid", ADMIN_NUMBER, "Its UID"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY of its mailbox"},
	{"bytes", ADMIN_NUMBER, "Its size"},
	{"flags", ADMIN_TEXTS, "Flags and keywords"},
	{"received_us", ADMIN_TIME, "When it came"},
	{0},
};
static const struct admin_field list_fields[] = {
	{"messages", ADMIN_LIST, "By UID", .fields = listed_fields}, {0}};

static struct error *account_named(struct admin_request *request, struct account_id *ret_account)
{
	struct user_info user;
	TRY(user_get(&request->op, request->context->accounts, ADDRESS(request), &user));
	*ret_account = user.account;
	return NULL;
}

static struct error *read_flags(struct admin_request *request, struct append_request *append)
{
	json_t *list = json_object_get(request->body, "flags");
	struct slice *keywords = ARENA_ARRAY(&request->op.arena, struct slice, FLAGS_MOST);
	if (json_array_size(list) > FLAGS_MOST)
		return op_fail(&request->op, ERR_INVALID, "more than %d flags", FLAGS_MOST);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		struct slice name = slice_of(json_string_value(item), json_string_length(item));
		uint16_t flag = message_flag_named(name);
		append->flags |= flag;
		if (!flag && !keyword_is_valid(name))
			return op_fail(&request->op, ERR_INVALID,
				"\"" SLICE_FMT "\" is no flag and no keyword", SLICE_ARG(name));
		if (!flag)
			keywords[append->keyword_count++] = name;
	}
	append->keywords = keywords;
	return NULL;
}

/* The same bytes of the same source in the same mailbox are the same message. */
static struct slice once_key(struct admin_request *request, const struct append_request *append)
{
	struct slice source = admin_text_field(request, "source");
	struct buf text = buf_in(&request->op.arena);
	uint8_t *digest = arena_alloc(&request->op.arena, SHA256_SIZE);
	if (!source.len)
		return SLICE_NONE;
	sha256_of(append->content, digest);
	buf_slice(&text, SLICE("import"));
	buf_append(&text, ID_SLICE(append->account));
	buf_slice(&text, append->path);
	buf_slice(&text, source);
	buf_append(&text, slice_of(digest, SHA256_SIZE));
	sha256_of(buf_as_slice(&text), digest);
	return slice_of(digest, SHA256_SIZE);
}

static struct error *add_message(struct admin_request *request)
{
	struct append_request append = {.path = admin_text_field(request, "mailbox")};
	struct append_result result;
	TRY(account_named(request, &append.account));
	if (!base64_decode(
		    &request->op.arena, admin_text_field(request, "content"), &append.content))
		return op_fail(&request->op, ERR_INVALID, "\"content\" is no base64");
	if (append.content.len > admin_max_message_bytes()) {
		request->status = MHD_HTTP_CONTENT_TOO_LARGE;
		return op_fail(
			&request->op, ERR_INVALID, "the message is larger than admin.max_message");
	}
	if (!append.content.len)
		return op_fail(&request->op, ERR_INVALID, "the message is empty");
	TRY(read_flags(request, &append));
	if (json_object_get(request->body, "received_us"))
		append.internal_date_us = admin_number_field(request, "received_us");
	append.once_key = once_key(request, &append);
	TRY(mailbox_append(&request->op, request->context->store, &append, &result));
	request->answer = json_pack("{s:o, s:I, s:I, s:b}", "mailbox", admin_json_text(append.path),
		"uidvalidity", (json_int_t)result.uidvalidity, "uid", (json_int_t)result.uid,
		"repeated", result.was_done_before);
	return NULL;
}

static json_t *flags_json(const struct message *message, const struct keyword_names *names)
{
	json_t *list = json_array();
	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if (message->flags & message_flag_names[i].flag)
			json_array_append_new(list, admin_json_text(message_flag_names[i].name));
	for (unsigned i = 0; i < names->count; i++)
		if (keyword_set_has(&message->keywords, i))
			json_array_append_new(list, admin_json_text(names->names[i]));
	return list;
}

static struct error *answer_message(struct admin_request *request, const struct message *message,
	const struct snapshot *snapshot)
{
	struct slice content;
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX_SIZE + 1];
	TRY(message_content(
		&request->op, request->context->store, message, 0, UINT64_MAX, &content));
	sha256_of(content, digest);
	sha256_hex(digest, hex);
	request->answer = json_pack("{s:I, s:I, s:I, s:s, s:o, s:I}", "uid",
		(json_int_t)message->uid, "uidvalidity", (json_int_t)snapshot_uidvalidity(snapshot),
		"bytes", (json_int_t)content.len, "sha256", hex, "flags",
		flags_json(message, snapshot_keyword_names(snapshot)), "received_us",
		(json_int_t)message->internal_date_us);
	return NULL;
}

static struct error *find_message(struct admin_request *request, struct account_id account,
	const struct mailbox_status *mailbox, uint32_t uid, struct message **ret_message)
{
	struct uid_set uids;
	size_t count;
	uid_set_init(&uids, &request->op.arena);
	uid_set_add(&uids, uid);
	TRY(mailbox_messages(&request->op, request->context->store, account, mailbox->id, &uids,
		ret_message, &count));
	return count ? NULL : op_fail(&request->op, ERR_NOT_FOUND, "there is no such message");
}

/* The message that the path and the argument name. */
static struct error *find_named(struct admin_request *request, struct account_id *ret_account,
	struct mailbox_status *ret_mailbox, struct message **ret_message)
{
	struct op *op = &request->op;
	uint32_t uid;
	TRY(account_named(request, ret_account));
	TRY(mailbox_find(op, request->context->store, *ret_account,
		admin_argument(request, "mailbox"), ret_mailbox));
	if (!slice_parse_u32(UID(request), &uid) || !uid)
		return op_fail(op, ERR_NOT_FOUND, "there is no such message");
	return find_message(request, *ret_account, ret_mailbox, uid, ret_message);
}

static struct error *get_message(struct admin_request *request)
{
	struct account_id account;
	struct mailbox_status mailbox;
	struct snapshot *snapshot;
	struct message *message;
	TRY(find_named(request, &account, &mailbox, &message));
	TRY(mailbox_snapshot(
		&request->op, request->context->store, account, mailbox.id, &snapshot));
	struct error *err = answer_message(request, message, snapshot);
	snapshot_unref(snapshot);
	return err;
}

/* The bytes, and nothing of what the message is beside them. */
static struct error *get_content(struct admin_request *request)
{
	struct account_id account;
	struct mailbox_status mailbox;
	struct message *message;
	struct slice content;
	TRY(find_named(request, &account, &mailbox, &message));
	TRY(message_content(
		&request->op, request->context->store, message, 0, UINT64_MAX, &content));
	buf_append(&request->text, content);
	request->content_type = "message/rfc822";
	return NULL;
}

/* Ten digits, so that pages come in the order of UIDs. */
static struct slice cursor_of(struct arena *arena, uint32_t uid)
{
	return slice_from_cstr(arena_printf(arena, "%010u", uid));
}

static json_t *listed_json(const struct message *message, const struct snapshot *snapshot)
{
	return json_pack("{s:I, s:I, s:I, s:o, s:I}", "uid", (json_int_t)message->uid,
		"uidvalidity", (json_int_t)snapshot_uidvalidity(snapshot), "bytes",
		(json_int_t)message->size, "flags",
		flags_json(message, snapshot_keyword_names(snapshot)), "received_us",
		(json_int_t)message->internal_date_us);
}

static struct error *list_snapshot(struct admin_request *request, struct account_id account,
	struct mailbox_id mailbox, const struct snapshot *snapshot, struct admin_page *page)
{
	struct uid_set uids;
	struct message *messages;
	size_t count;
	uint32_t after = 0;
	slice_parse_u32(page->after, &after);
	uid_set_init(&uids, &request->op.arena);
	uint32_t from = snapshot_lower_bound(snapshot, after + 1);
	uint32_t end = from;
	for (; end < snapshot_count(snapshot) && end - from < page->limit; end++)
		uid_set_add(&uids, snapshot_at(snapshot, end).uid);
	TRY(mailbox_messages(
		&request->op, request->context->store, account, mailbox, &uids, &messages, &count));
	for (size_t i = 0; i < count; i++)
		admin_page_add(page, cursor_of(&request->op.arena, messages[i].uid),
			listed_json(&messages[i], snapshot));
	/* Some may have gone since the snapshot: it alone tells whether there are more. */
	page->has_more = end < snapshot_count(snapshot);
	if (page->has_more)
		page->last = cursor_of(&request->op.arena, snapshot_at(snapshot, end - 1).uid);
	return NULL;
}

static struct error *list_messages(struct admin_request *request)
{
	struct op *op = &request->op;
	struct mail_store *store = request->context->store;
	struct account_id account;
	struct mailbox_status mailbox;
	struct snapshot *snapshot;
	TRY(account_named(request, &account));
	TRY(mailbox_find(op, store, account, admin_argument(request, "mailbox"), &mailbox));
	TRY(mailbox_snapshot(op, store, account, mailbox.id, &snapshot));
	struct admin_page page = admin_page_begin(request);
	struct error *err = list_snapshot(request, account, mailbox.id, snapshot, &page);
	snapshot_unref(snapshot);
	admin_page_end(request, &page, "messages");
	return err;
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/users/{address}/messages", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, list_messages, "The messages of a mailbox", mailbox_query, NULL, list_fields, NULL, true},
	{"GET", "v1/users/{address}/messages/{uid}/content", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, get_content, "The bytes of a message", mailbox_query, NULL, NULL, "message/rfc822"},
	{"POST", "v1/users/{address}/messages", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 201, add_message, "Puts a message into a mailbox, as an import does", NULL, new_message_fields, added_fields},
	{"GET", "v1/users/{address}/messages/{uid}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, get_message, "What a message is: its SHA-256, flags, date", mailbox_query, NULL, message_fields},
};
/* clang-format on */
const struct admin_routes admin_message_routes = ADMIN_ROUTES(routes);
