#include "account/password.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

/* Where '?' stands in "v1/users/?" and the like. */
#define NAME(request) ((request)->parts[2])

static json_t *quota_json(struct quota_limits quota)
{
	return json_pack(
		"{s:I, s:I}", "bytes", (json_int_t)quota.bytes, "count", (json_int_t)quota.count);
}

static struct error *quota_fields(struct admin_request *request, struct quota_limits *ret_quota)
{
	TRY(admin_number_field(request, "bytes", &ret_quota->bytes));
	return admin_number_field(request, "count", &ret_quota->count);
}

/* ---- domains ---- */

static struct error *list_domains(struct admin_request *request)
{
	struct domain_info *domains;
	size_t count;
	TRY(domain_list(&request->op, request->context->accounts, &domains, &count));
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "name", admin_json_text(domains[i].name),
				      "quota", quota_json(domains[i].quota)));
	request->answer = json_pack("{s:o}", "domains", list);
	return NULL;
}

static struct error *put_domain(struct admin_request *request)
{
	return domain_create(&request->op, request->context->accounts, NAME(request));
}

static struct error *delete_domain(struct admin_request *request)
{
	return domain_delete(&request->op, request->context->accounts, NAME(request));
}

static struct error *put_domain_quota(struct admin_request *request)
{
	struct quota_limits quota;
	TRY(quota_fields(request, &quota));
	return domain_set_quota(&request->op, request->context->accounts, NAME(request), quota);
}

/* ---- users ---- */

static json_t *user_json(struct op *op, const struct user_info *user)
{
	return json_pack("{s:o, s:s, s:b, s:o, s:I}", "address", admin_json_text(user->address),
		"account", uuid_text(&op->arena, user->account.uuid), "enabled", user->is_enabled,
		"quota", quota_json(user->quota), "created_us", (json_int_t)user->created_us);
}

static struct error *list_users(struct admin_request *request)
{
	struct slice domain;
	struct user_info *users;
	size_t count;
	TRY(admin_argument(request, "domain", &domain));
	TRY(user_list(&request->op, request->context->accounts, domain, &users, &count));
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, user_json(&request->op, &users[i]));
	request->answer = json_pack("{s:o}", "users", list);
	return NULL;
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

static struct error *password_field(
	struct admin_request *request, struct password_record *ret_record)
{
	struct slice password;
	TRY(admin_text_field(request, "password", &password));
	return password_make(&request->op, password, password_wants_scram(), ret_record);
}

static struct error *put_user(struct admin_request *request)
{
	struct password_record password;
	struct account_id account;
	TRY(password_field(request, &password));
	TRY(user_create(
		&request->op, request->context->accounts, NAME(request), &password, &account));
	request->answer =
		json_pack("{s:s}", "account", uuid_text(&request->op.arena, account.uuid));
	return NULL;
}

static struct error *delete_user(struct admin_request *request)
{
	/* By its id what is in the vault is found after the user has gone. */
	struct user_info user;
	TRY(user_get(&request->op, request->context->accounts, NAME(request), &user));
	TRY(user_delete(&request->op, request->context->accounts, NAME(request)));
	request->answer =
		json_pack("{s:s}", "account", uuid_text(&request->op.arena, user.account.uuid));
	return NULL;
}

static struct error *put_user_password(struct admin_request *request)
{
	struct password_record password;
	TRY(password_field(request, &password));
	return user_set_password(
		&request->op, request->context->accounts, NAME(request), &password);
}

static struct error *put_user_quota(struct admin_request *request)
{
	struct quota_limits quota;
	TRY(quota_fields(request, &quota));
	return user_set_quota(&request->op, request->context->accounts, NAME(request), quota);
}

static struct error *put_user_enabled(struct admin_request *request)
{
	json_t *enabled = json_object_get(request->body, "enabled");
	if (!json_is_boolean(enabled))
		return op_fail(&request->op, ERR_INVALID,
			"the field \"enabled\" is missing or neither true nor false");
	return user_set_enabled(
		&request->op, request->context->accounts, NAME(request), json_is_true(enabled));
}

/* ---- folders ---- */

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
	struct slice path;
	TRY(admin_text_field(request, "path", &path));
	TRY(account_named(request, &account));
	return mailbox_create(&request->op, request->context->store, account, path, 0, &mailbox);
}

static struct error *delete_folder(struct admin_request *request)
{
	struct account_id account;
	struct slice path;
	TRY(admin_argument(request, "path", &path));
	TRY(account_named(request, &account));
	return mailbox_delete(&request->op, request->context->store, account, path);
}

/* ---- aliases ---- */

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
	struct slice domain;
	struct alias_info *aliases;
	size_t count;
	TRY(admin_argument(request, "domain", &domain));
	TRY(alias_list(&request->op, request->context->accounts, domain, &aliases, &count));
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, alias_json(&aliases[i]));
	request->answer = json_pack("{s:o}", "aliases", list);
	return NULL;
}

static struct error *put_alias(struct admin_request *request)
{
	json_t *field = json_object_get(request->body, "targets");
	size_t count = json_array_size(field);
	if (!count)
		return op_fail(&request->op, ERR_INVALID,
			"the field \"targets\" is missing or no list of addresses");
	struct slice *targets = ARENA_ARRAY(&request->op.arena, struct slice, count);
	for (size_t i = 0; i < count; i++) {
		json_t *target = json_array_get(field, i);
		if (!json_is_string(target))
			return op_fail(&request->op, ERR_INVALID, "a target is no text");
		targets[i] = slice_of(json_string_value(target), json_string_length(target));
	}
	return alias_set(&request->op, request->context->accounts, NAME(request), targets, count);
}

static struct error *delete_alias(struct admin_request *request)
{
	return alias_delete(&request->op, request->context->accounts, NAME(request));
}

const struct admin_route admin_account_routes[] = {
	{"GET", "v1/domains", list_domains, false},
	{"PUT", "v1/domains/?", put_domain, false},
	{"DELETE", "v1/domains/?", delete_domain, false},
	{"PUT", "v1/domains/?/quota", put_domain_quota, false},
	{"GET", "v1/users", list_users, false},
	{"POST", "v1/users/?/solve", solve_user, false},
	{"GET", "v1/users/?", get_user, false},
	{"PUT", "v1/users/?", put_user, false},
	{"DELETE", "v1/users/?", delete_user, false},
	{"PUT", "v1/users/?/password", put_user_password, false},
	{"PUT", "v1/users/?/quota", put_user_quota, false},
	{"PUT", "v1/users/?/enabled", put_user_enabled, false},
	{"GET", "v1/users/?/folders", list_folders, false},
	{"POST", "v1/users/?/folders", post_folder, false},
	{"DELETE", "v1/users/?/folders", delete_folder, false},
	{"GET", "v1/aliases", list_aliases, false},
	{"PUT", "v1/aliases/?", put_alias, false},
	{"DELETE", "v1/aliases/?", delete_alias, false},
};
const size_t admin_account_route_count = ARRAY_SIZE(admin_account_routes);
