#include "account/password.h"
#include "front/admin/admin_private.h"
#include "import/import.h"
#include "mailbox/store.h"

/* Where the name stands in "v1/users/{address}" and the like. */
#define NAME(request) ((request)->parts[2])

static const struct admin_field quota_fields[] = {
	{"bytes", ADMIN_NUMBER, "Bytes; 0: none of its own"},
	{"count", ADMIN_NUMBER, "Messages; 0: none of its own"},
	{0},
};

static json_t *quota_json(struct quota_limits quota)
{
	return json_pack(
		"{s:I, s:I}", "bytes", (json_int_t)quota.bytes, "count", (json_int_t)quota.count);
}

static struct quota_limits quota_given(struct admin_request *request)
{
	return (struct quota_limits){.bytes = admin_number_field(request, "bytes"),
		.count = admin_number_field(request, "count")};
}

/* Of what was made and cannot be read back: never that nothing was changed. */
static struct error *read_back(struct op *op, struct error *err)
{
	if (!err)
		return NULL;
	return op_fail(op, ERR_UNCERTAIN, "it was made, and cannot be read back: %s",
		error_chain(&op->arena, err));
}

struct list_part admin_list_part(struct admin_request *request, const struct admin_page *page)
{
	return (struct list_part){.domain = admin_argument(request, "domain"),
		.contains = admin_argument(request, "contains"),
		.after = page->after,
		.limit = page->limit};
}

/* ---- domains ---- */

static const struct admin_field domain_fields[] = {
	{"name", ADMIN_TEXT, "The domain"},
	{"quota", ADMIN_OBJECT, "Limits of each account in it that has none of its own",
		.fields = quota_fields},
	{0},
};
static const struct admin_field domains_fields[] = {
	{"domains", ADMIN_LIST, "By name", .fields = domain_fields}, {0}};
static const struct admin_field new_domain_fields[] = {
	{"name", ADMIN_TEXT, "The domain", 0, 1, 255}, {0}};

static json_t *domain_json(const struct domain_info *domain)
{
	return json_pack("{s:o, s:o}", "name", admin_json_text(domain->name), "quota",
		quota_json(domain->quota));
}

static struct error *list_domains(struct admin_request *request)
{
	struct domain_info *domains;
	size_t count;
	struct slice own = request->caller.domain;
	TRY(domain_list(&request->op, request->context->accounts, &domains, &count));
	struct admin_page page = admin_page_begin(request);
	for (size_t i = 0; i < count; i++)
		if ((!own.len || slice_equal(own, domains[i].name)) &&
			admin_page_wants(&page, domains[i].name))
			admin_page_add(&page, domains[i].name, domain_json(&domains[i]));
	admin_page_end(request, &page, "domains");
	return NULL;
}

static struct error *get_domain(struct admin_request *request)
{
	struct domain_info domain;
	TRY(domain_get(&request->op, request->context->accounts, NAME(request), &domain));
	request->answer = domain_json(&domain);
	return NULL;
}

static struct error *post_domain(struct admin_request *request)
{
	struct domain_info domain;
	struct slice name = admin_text_field(request, "name");
	TRY(domain_create(&request->op, request->context->accounts, name));
	TRY(read_back(
		&request->op, domain_get(&request->op, request->context->accounts, name, &domain)));
	admin_made(request, "/v1/domains/", domain.name);
	request->answer = domain_json(&domain);
	return NULL;
}

static struct error *delete_domain(struct admin_request *request)
{
	return domain_delete(&request->op, request->context->accounts, NAME(request));
}

static struct error *put_domain_quota(struct admin_request *request)
{
	return domain_set_quota(
		&request->op, request->context->accounts, NAME(request), quota_given(request));
}

/* ---- users ---- */

static const struct admin_field user_fields[] = {
	{"address", ADMIN_TEXT, "The address, folded"},
	{"account", ADMIN_UUID, "The id of the account"},
	{"enabled", ADMIN_BOOL, "May sign in"},
	{"quota", ADMIN_OBJECT, "The account's own limits", .fields = quota_fields},
	{"created_us", ADMIN_TIME, "When it was made"},
	{0},
};
static const struct admin_field users_fields[] = {
	{"users", ADMIN_LIST, "By address", .fields = user_fields}, {0}};
static const struct admin_field whole_user_fields[] = {
	{"address", ADMIN_TEXT, "The address, folded"},
	{"account", ADMIN_UUID, "The id of the account"},
	{"enabled", ADMIN_BOOL, "May sign in"},
	{"quota", ADMIN_OBJECT, "The account's own limits", .fields = quota_fields},
	{"created_us", ADMIN_TIME, "When it was made"},
	{"used", ADMIN_OBJECT, "What it holds", .fields = quota_fields},
	{"limit", ADMIN_OBJECT, "The limits in force; 0: none", .fields = quota_fields},
	{0},
};
static const struct admin_field list_query[] = {
	{"domain", ADMIN_TEXT, "Of this domain alone", ADMIN_OPTIONAL, 1, 255},
	{"contains", ADMIN_TEXT, "Those whose address has this in it", ADMIN_OPTIONAL, 1, 255},
	{0},
};
static const struct admin_field new_user_fields[] = {
	{"address", ADMIN_TEXT, "The address", 0, 3, 320},
	{"password", ADMIN_TEXT, "The password", 0, 1, 1000},
	{0},
};
static const struct admin_field account_fields[] = {
	{"account", ADMIN_UUID, "The id of the account, by which its vault is found"}, {0}};
static const struct admin_field password_fields[] = {
	{"password", ADMIN_TEXT, "The new one", 0, 1, 1000}, {0}};
static const struct admin_field enabled_fields[] = {{"enabled", ADMIN_BOOL, "May sign in"}, {0}};
static const struct admin_field solved_fields[] = {
	{"mailboxes", ADMIN_NUMBER, "Mailboxes looked at"},
	{"checked", ADMIN_NUMBER, "Rows looked at"},
	{"missing", ADMIN_NUMBER, "Derived rows that were not there"},
	{"stale", ADMIN_NUMBER, "Derived rows that were older than their truth"},
	{"orphaned", ADMIN_NUMBER, "Derived rows of nothing"},
	{"fixed", ADMIN_NUMBER, "Rows put right"},
	{"maps_fixed", ADMIN_NUMBER, "Maps put right"},
	{"counts_wrong", ADMIN_NUMBER, "Counts that were not what the rows say: each is a bug"},
	{"rows_lost", ADMIN_NUMBER, "Messages of which nothing tells the rest"},
	{"content_lost", ADMIN_NUMBER, "Messages without their content"},
	{0},
};

static json_t *user_json(struct op *op, const struct user_info *user)
{
	return json_pack("{s:o, s:s, s:b, s:o, s:I}", "address", admin_json_text(user->address),
		"account", uuid_text(&op->arena, user->account.uuid), "enabled", user->is_enabled,
		"quota", quota_json(user->quota), "created_us", (json_int_t)user->created_us);
}

static struct error *list_users(struct admin_request *request)
{
	struct user_info *users;
	size_t count;
	struct admin_page page = admin_page_begin(request);
	struct list_part part = admin_list_part(request, &page);
	struct error *err =
		user_list(&request->op, request->context->accounts, &part, &users, &count);
	for (size_t i = 0; !err && i < count; i++)
		admin_page_add(&page, users[i].address, user_json(&request->op, &users[i]));
	page.has_more = part.has_more;
	page.last = part.last;
	admin_page_end(request, &page, "users");
	return err;
}

static struct error *get_user(struct admin_request *request)
{
	struct user_info user;
	struct quota quota;
	TRY(user_get(&request->op, request->context->accounts, NAME(request), &user));
	TRY(mailbox_quota(&request->op, request->context->store, user.account, &quota));
	request->answer = user_json(&request->op, &user);
	json_object_set_new(request->answer, "used",
		json_pack("{s:I, s:I}", "bytes", (json_int_t)quota.used_bytes, "count",
			(json_int_t)quota.used_count));
	json_object_set_new(request->answer, "limit",
		json_pack("{s:I, s:I}", "bytes", (json_int_t)quota.limit_bytes, "count",
			(json_int_t)quota.limit_count));
	return NULL;
}

/* Holds all that is derived from the account's mail against it, content included, and puts right
 * what differs. */
static struct error *solve_user(struct admin_request *request)
{
	struct user_info user;
	struct solve_report report;
	TRY(user_get(&request->op, request->context->accounts, NAME(request), &user));
	TRY(mail_store_solve(&request->op, request->context->store, user.account, true, &report));
	request->answer = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"mailboxes", (json_int_t)report.mailboxes, "checked",
		(json_int_t)report.rows.checked, "missing", (json_int_t)report.rows.missing,
		"stale", (json_int_t)report.rows.stale, "orphaned",
		(json_int_t)report.rows.orphaned, "fixed", (json_int_t)report.rows.fixed,
		"maps_fixed", (json_int_t)report.maps_fixed, "counts_wrong",
		(json_int_t)report.counts_wrong, "rows_lost", (json_int_t)report.rows_lost,
		"content_lost", (json_int_t)report.content_lost);
	return NULL;
}

static struct error *password_given(
	struct admin_request *request, struct password_record *ret_record)
{
	return password_make(&request->op, admin_text_field(request, "password"),
		password_wants_scram(), ret_record);
}

static struct error *post_user(struct admin_request *request)
{
	struct password_record password;
	struct account_id account;
	struct user_info user;
	struct slice address = admin_text_field(request, "address");
	TRY(password_given(request, &password));
	TRY(user_create(&request->op, request->context->accounts, address, &password, &account));
	TRY(read_back(
		&request->op, user_get(&request->op, request->context->accounts, address, &user)));
	admin_made(request, "/v1/users/", user.address);
	request->answer = user_json(&request->op, &user);
	return NULL;
}

static struct error *delete_user(struct admin_request *request)
{
	/* By its id what is in the vault is found after the user has gone. */
	struct user_info user;
	TRY(user_get(&request->op, request->context->accounts, NAME(request), &user));
	TRY(import_forget(&request->op, request->context->store, user.account));
	TRY(user_delete(&request->op, request->context->accounts, NAME(request)));
	request->answer =
		json_pack("{s:s}", "account", uuid_text(&request->op.arena, user.account.uuid));
	return NULL;
}

static struct error *put_user_password(struct admin_request *request)
{
	struct password_record password;
	TRY(password_given(request, &password));
	return user_set_password(
		&request->op, request->context->accounts, NAME(request), &password);
}

static struct error *put_user_quota(struct admin_request *request)
{
	return user_set_quota(
		&request->op, request->context->accounts, NAME(request), quota_given(request));
}

static struct error *put_user_enabled(struct admin_request *request)
{
	return user_set_enabled(&request->op, request->context->accounts, NAME(request),
		json_is_true(json_object_get(request->body, "enabled")));
}

/* ---- folders ---- */

static const struct admin_field folder_fields[] = {
	{"path", ADMIN_TEXT, "The path, with / between its names"},
	{"messages", ADMIN_NUMBER, "Messages in it"},
	{"unseen", ADMIN_NUMBER, "Of them without \\Seen"},
	{"bytes", ADMIN_NUMBER, "Their size"},
	{"uidvalidity", ADMIN_NUMBER, "UIDVALIDITY"},
	{"uidnext", ADMIN_NUMBER, "UIDNEXT"},
	{"subscribed", ADMIN_BOOL, "The user is subscribed to it"},
	{0},
};
static const struct admin_field folders_fields[] = {
	{"folders", ADMIN_LIST, "INBOX first, the others by path", .fields = folder_fields}, {0}};
static const struct admin_field path_fields[] = {
	{"path", ADMIN_TEXT, "The path of the folder", 0, 1, 1000}, {0}};

static struct error *account_named(struct admin_request *request, struct account_id *ret_account)
{
	struct user_info user;
	TRY(user_get(&request->op, request->context->accounts, NAME(request), &user));
	*ret_account = user.account;
	return NULL;
}

static json_t *folder_json(const struct mailbox_status *status)
{
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b}", "path",
		admin_json_text(status->path), "messages", (json_int_t)status->messages, "unseen",
		(json_int_t)status->unseen, "bytes", (json_int_t)status->bytes, "uidvalidity",
		(json_int_t)status->uidvalidity, "uidnext", (json_int_t)status->uidnext,
		"subscribed", status->is_subscribed);
}

static struct error *list_folders(struct admin_request *request)
{
	struct account_id account;
	struct mailbox_list folders;
	TRY(account_named(request, &account));
	TRY(mailbox_list(&request->op, request->context->store, account, &folders));
	json_t *list = json_array();
	for (size_t i = 0; i < folders.count; i++)
		json_array_append_new(list, folder_json(&folders.items[i]));
	request->answer = json_pack("{s:o}", "folders", list);
	return NULL;
}

static struct error *post_folder(struct admin_request *request)
{
	struct account_id account;
	struct mailbox_id mailbox;
	struct mailbox_status status;
	struct slice path = admin_text_field(request, "path");
	struct mail_store *store = request->context->store;
	TRY(account_named(request, &account));
	TRY(mailbox_create(&request->op, store, account, path, 0, &mailbox));
	TRY(read_back(&request->op, mailbox_find(&request->op, store, account, path, &status)));
	request->answer = folder_json(&status);
	return NULL;
}

static struct error *delete_folder(struct admin_request *request)
{
	struct account_id account;
	TRY(account_named(request, &account));
	return mailbox_delete(&request->op, request->context->store, account,
		admin_argument(request, "path"), NULL);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/domains", ADMIN_READ, ADMIN_SCOPE_IS_OWN, 200, list_domains, "The domains that mail is taken for", NULL, NULL, domains_fields, NULL, true},
	{"POST", "v1/domains", ADMIN_ADMIN, ADMIN_SERVER, 201, post_domain, "Adds a domain", NULL, new_domain_fields, domain_fields},
	{"GET", "v1/domains/{domain}", ADMIN_READ, ADMIN_PATH_DOMAIN, 200, get_domain, "One domain", NULL, NULL, domain_fields},
	{"DELETE", "v1/domains/{domain}", ADMIN_ADMIN, ADMIN_SERVER, 204, delete_domain, "Removes a domain that has no users and no aliases"},
	{"PUT", "v1/domains/{domain}/quota", ADMIN_ADMIN, ADMIN_SERVER, 204, put_domain_quota, "Sets the limits of each account in it", NULL, quota_fields},
	{"GET", "v1/users", ADMIN_READ, ADMIN_QUERY_DOMAIN, 200, list_users, "Who has an account", list_query, NULL, users_fields, NULL, true},
	{"POST", "v1/users", ADMIN_ADMIN, ADMIN_BODY_DOMAIN, 201, post_user, "Adds a user, with an account and the usual folders", NULL, new_user_fields, user_fields},
	{"GET", "v1/users/{address}", ADMIN_READ, ADMIN_PATH_DOMAIN, 200, get_user, "One user, with what the account holds", NULL, NULL, whole_user_fields},
	{"DELETE", "v1/users/{address}", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 200, delete_user, "Removes a user and the mail", NULL, NULL, account_fields},
	{"PUT", "v1/users/{address}/password", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, put_user_password, "Sets the password", NULL, password_fields},
	{"PUT", "v1/users/{address}/quota", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, put_user_quota, "Sets the account's own limits", NULL, quota_fields},
	{"PUT", "v1/users/{address}/enabled", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, put_user_enabled, "Lets the user sign in, or not", NULL, enabled_fields},
	{"POST", "v1/users/{address}/solve", ADMIN_OPERATE, ADMIN_PATH_DOMAIN, 200, solve_user, "Holds what is derived against its truth, and puts right what differs", NULL, NULL, solved_fields},
	{"GET", "v1/users/{address}/folders", ADMIN_READ, ADMIN_PATH_DOMAIN, 200, list_folders, "The folders of an account", NULL, NULL, folders_fields},
	{"POST", "v1/users/{address}/folders", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 201, post_folder, "Adds a folder, and those above it", NULL, path_fields, folder_fields},
	{"DELETE", "v1/users/{address}/folders", ADMIN_ADMIN, ADMIN_PATH_DOMAIN, 204, delete_folder, "Removes a folder and its mail", path_fields},
};
/* clang-format on */
const struct admin_routes admin_account_routes = ADMIN_ROUTES(routes);
