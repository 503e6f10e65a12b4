#include "base/digest.h"
#include "front/admin/admin_private.h"
#include "import/import.h"
#include "mailbox/store.h"
#include "task/runner.h"
#include "task/task.h"

/* Mail of other IMAP servers: asking for it, and what came. */

#define ADDRESS(request) ((request)->parts[2])
#define PORT_TLS 993
#define PORT_CLEAR 143

static const char *const securities[] = {"tls", "starttls", "clear", NULL};

static const struct admin_field new_import_fields[] = {
	{"host", ADMIN_TEXT, "The other server", 0, 1, 255},
	{"port", ADMIN_NUMBER, "993 if not given; 143 without TLS from the start", ADMIN_OPTIONAL,
		1, UINT16_MAX},
	{"security", ADMIN_TEXT, "tls if not given; clear: the password can be read on the way",
		ADMIN_OPTIONAL, .choices = securities},
	{"certificates", ADMIN_TEXT, "PEM: who may vouch for it; the system's if not given",
		ADMIN_OPTIONAL, 1, IMPORT_CA_MOST},
	{"user", ADMIN_TEXT, "Who signs in there", 0, 1, 320},
	{"act_as", ADMIN_TEXT, "Whose mail it is, where the user may act for others",
		ADMIN_OPTIONAL, 1, 320},
	{"password", ADMIN_TEXT, "Of the user; kept until the task has ended", 0, 1, 1000},
	{"into", ADMIN_TEXT, "A folder that all of it goes into", ADMIN_OPTIONAL, 1, 900},
	{"mailboxes", ADMIN_TEXTS,
		"Which ones, with * and %, as they are called here; those with ! in front are not",
		ADMIN_OPTIONAL, 1, 1000},
	{"compare", ADMIN_BOOL, "Puts nothing: holds what is there against what was imported",
		ADMIN_OPTIONAL},
	{"rate", ADMIN_NUMBER, "Messages in a second at the most; 0: the setting's", ADMIN_OPTIONAL,
		0, UINT32_MAX},
	{0},
};
static const struct admin_field id_fields[] = {{"id", ADMIN_UUID, "The task"}, {0}};
static const struct admin_field record_fields[] = {
	{"source", ADMIN_TEXT, "Which message it is in its source"},
	{"mailbox", ADMIN_TEXT, "Where it was put; empty: that is gone"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY of that"},
	{"uid", ADMIN_NUMBER, "Its UID there"},
	{"sha256", ADMIN_TEXT, "Of its bytes, as they came"},
	{"bytes", ADMIN_NUMBER, "Its size"},
	{"flags", ADMIN_TEXTS, "Flags and keywords, as they came"},
	{"received_us", ADMIN_TIME, "When it came to the source"},
	{0},
};
static const struct admin_field records_fields[] = {
	{"messages", ADMIN_LIST, "By source", .fields = record_fields}, {0}};

static struct error *account_named(struct admin_request *request, struct user_info *ret_user)
{
	return user_get(&request->op, request->context->accounts, ADDRESS(request), ret_user);
}

/* ---- Asking for it ---- */

static enum imap_security security_of(struct admin_request *request)
{
	struct slice name = admin_text_field(request, "security");
	for (int i = IMAP_TLS; name.len && securities[i]; i++)
		if (slice_equal(name, slice_from_cstr(securities[i])))
			return (enum imap_security)i;
	return IMAP_TLS;
}

static struct error *read_import(struct admin_request *request, struct import_request *ret_import)
{
	json_t *list = json_object_get(request->body, "mailboxes");
	size_t count = json_array_size(list);
	struct import_request import = {.host = admin_text_field(request, "host"),
		.port = (uint16_t)admin_number_field(request, "port"),
		.security = security_of(request),
		.ca_pem = admin_text_field(request, "certificates"),
		.user = admin_text_field(request, "user"),
		.act_as = admin_text_field(request, "act_as"),
		.password = admin_text_field(request, "password"),
		.into = admin_text_field(request, "into"),
		.patterns = ARENA_ARRAY(&request->op.arena, struct slice, count + 1),
		.pattern_count = count};
	if (!import.port)
		import.port = import.security == IMAP_TLS ? PORT_TLS : PORT_CLEAR;
	for (size_t i = 0; i < count; i++) {
		json_t *item = json_array_get(list, i);
		import.patterns[i] = slice_of(json_string_value(item), json_string_length(item));
	}
	*ret_import = import;
	return import_request_check(&request->op, ret_import);
}

static struct error *submit_import(struct admin_request *request)
{
	struct op *op = &request->op;
	struct import_request import;
	struct user_info user;
	struct uuid id;
	bool compares = json_is_true(json_object_get(request->body, "compare"));
	TRY(account_named(request, &user));
	TRY(read_import(request, &import));
	const struct task_request task = {
		.kind = compares ? SLICE("import-compare") : SLICE("import"),
		.subject = user.address,
		.rate = (uint32_t)admin_number_field(request, "rate"),
		.source = import_request_source(&op->arena, &import),
		.input = import_request_encode(&op->arena, &import)};
	TRY(task_submit(op, mail_store_engine(request->context->store), &task, &id));
	task_runner_wake(request->context->tasks);
	const char *name = uuid_text(&op->arena, id);
	admin_made(request, "/v1/tasks/", slice_from_cstr(name));
	request->answer = json_pack("{s:s}", "id", name);
	return NULL;
}

/* ---- What came ---- */

static json_t *source_json(struct op *op, const struct import_record *record)
{
	return admin_json_text(slice_from_cstr(arena_printf(&op->arena,
		"imap://" SLICE_FMT "@" SLICE_FMT "/" SLICE_FMT ";UIDVALIDITY=%u/;UID=%u",
		SLICE_ARG(record->user), SLICE_ARG(record->host), SLICE_ARG(record->mailbox),
		record->source_uidvalidity, record->source_uid)));
}

static json_t *flags_json(struct slice names)
{
	json_t *list = json_array();
	struct slice name;
	while (slice_split(&names, ' ', &name))
		if (name.len)
			json_array_append_new(list, admin_json_text(name));
	return list;
}

static struct slice path_of(const struct mailbox_list *list, struct mailbox_id id)
{
	for (size_t i = 0; i < list->count; i++)
		if (ID_EQUAL(list->items[i].id, id))
			return list->items[i].path;
	return SLICE("");
}

static json_t *record_json(
	struct op *op, const struct import_record *record, const struct mailbox_list *mailboxes)
{
	char hex[SHA256_HEX_SIZE + 1] = "";
	if (record->sha256.len == SHA256_SIZE)
		sha256_hex((const uint8_t *)record->sha256.ptr, hex);
	return json_pack("{s:o, s:o, s:I, s:I, s:s, s:I, s:o, s:I}", "source",
		source_json(op, record), "mailbox",
		admin_json_text(path_of(mailboxes, record->target)), "uidvalidity",
		(json_int_t)record->uidvalidity, "uid", (json_int_t)record->uid, "sha256", hex,
		"bytes", (json_int_t)record->size, "flags", flags_json(record->flags),
		"received_us", (json_int_t)record->received_us);
}

static struct slice hex_of(struct arena *arena, struct slice bytes)
{
	struct buf text = buf_in(arena);
	for (size_t i = 0; i < bytes.len; i++)
		buf_printf(&text, "%02x", (uint8_t)bytes.ptr[i]);
	return buf_as_slice(&text);
}

static int digit_of(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static struct error *read_after(struct admin_request *request, struct slice text, struct buf *bytes)
{
	for (size_t i = 0; i + 1 < text.len; i += 2) {
		int high = digit_of(text.ptr[i]);
		int low = digit_of(text.ptr[i + 1]);
		if (high < 0 || low < 0)
			return op_fail(&request->op, ERR_INVALID, "\"after\" is of no page");
		buf_u8(bytes, (uint8_t)(high * 16 + low));
	}
	return NULL;
}

static struct error *list_records(struct admin_request *request)
{
	struct op *op = &request->op;
	struct mail_store *store = request->context->store;
	struct user_info user;
	struct mailbox_list mailboxes;
	struct import_record *records;
	struct buf after = buf_in(&op->arena);
	size_t count;
	TRY(account_named(request, &user));
	TRY(mailbox_list(op, store, user.account, &mailboxes));
	TRY(read_after(request, admin_argument(request, "after"), &after));
	struct admin_page page = admin_page_begin(request);
	struct error *err = import_records(
		op, store, user.account, buf_as_slice(&after), page.limit, &records, &count);
	for (size_t i = 0; !err && i < count; i++)
		admin_page_add(&page, hex_of(&op->arena, records[i].cursor),
			record_json(op, &records[i], &mailboxes));
	page.has_more = !err && count == page.limit;
	admin_page_end(request, &page, "messages");
	return err;
}

static struct error *forget_records(struct admin_request *request)
{
	struct user_info user;
	TRY(account_named(request, &user));
	return import_forget(&request->op, request->context->store, user.account);
}

/* Only who may see all domains has this server connect to others. */
/* clang-format off */
static const struct admin_route routes[] = {
	{"POST", "v1/users/{address}/imports", ADMIN_ADMIN, ADMIN_SERVER, 201, submit_import, "Takes in the mail of another IMAP server, as a task", NULL, new_import_fields, id_fields},
	{"GET", "v1/users/{address}/imports", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, list_records, "What was imported from other IMAP servers, message by message", NULL, NULL, records_fields, NULL, true},
	{"DELETE", "v1/users/{address}/imports", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, forget_records, "Forgets what was imported; the mail stays, and may come a second time"},
};
/* clang-format on */
const struct admin_routes admin_import_routes = ADMIN_ROUTES(routes);
