#include "account/account_private.h"

#include "base/clock.h"

static struct error *find_user(struct op *op, struct accounts *accounts, struct slice address,
	struct user *ret_user, struct slice *ret_name)
{
	struct address parsed;
	struct slice encoded;
	bool found;
	TRY(address_normalise(op, accounts, address, &parsed));
	TRY(record_read(op, accounts, &user_table, parsed.text, ret_user, &encoded, &found));
	if (!found || ret_user->state == RECORD_DELETED)
		return op_fail(op, ERR_NOT_FOUND, "no user " SLICE_FMT, SLICE_ARG(parsed.text));
	*ret_name = parsed.text;
	return NULL;
}

struct error *account_find_login(
	struct op *op, struct accounts *accounts, struct slice user_name, struct login *ret_login)
{
	struct user user;
	struct slice name;
	struct error *err = find_user(op, accounts, user_name, &user, &name);
	if (err && err->kind == ERR_INVALID)
		return op_fail(op, ERR_NOT_FOUND, "no such user");
	TRY(err);
	directory_used(accounts, DIRECTORY_USER, name);
	*ret_login = (struct login){.account.uuid = user.account_id,
		.address = name,
		.is_enabled = user.state == RECORD_LIVE,
		.password = user.password,
		.scram_salt = user.scram_salt,
		.scram_iterations = user.scram_iterations,
		.scram_stored_key = user.scram_stored_key,
		.scram_server_key = user.scram_server_key};
	return NULL;
}

struct making {
	struct account_id account;
	const struct password_record *password;
};

static void set_password(struct user *user, const struct password_record *password)
{
	user->password = password->password;
	user->scram_salt = password->scram_salt;
	user->scram_iterations = password->scram_iterations;
	user->scram_stored_key = password->scram_stored_key;
	user->scram_server_key = password->scram_server_key;
}

static struct error *make_user(struct op *op, void *row, bool found, void *context)
{
	struct making *making = context;
	struct user *user = row;
	if (found && user->state != RECORD_DELETED)
		return op_fail(op, ERR_EXISTS, "the user exists");
	uint32_t revision = user->revision;
	*user = (struct user){.revision = revision,
		.account_id = making->account.uuid,
		.created_us = clock_realtime_us()};
	set_password(user, making->password);
	return NULL;
}

static struct error *must_be_free(struct op *op, struct accounts *accounts, struct slice name)
{
	struct alias alias;
	struct slice encoded;
	bool found;
	TRY(record_read(op, accounts, &alias_table, name, &alias, &encoded, &found));
	if (found && alias.state == RECORD_LIVE)
		return op_fail(op, ERR_EXISTS, "there is an alias of that name");
	return NULL;
}

struct error *user_create(struct op *op, struct accounts *accounts, struct slice address,
	const struct password_record *password, struct account_id *ret_account)
{
	struct address parsed;
	struct domain domain;
	struct user row;
	struct making making = {.account.uuid = uuid_v7(), .password = password};
	TRY(address_normalise(op, accounts, address, &parsed));
	if (parsed.detail.len)
		return op_fail(op, ERR_INVALID, "a user's address has no +detail");
	TRY(domain_must_exist(op, accounts, parsed.domain, &domain));
	TRY(must_be_free(op, accounts, parsed.text));
	struct slice encoded;
	bool found;
	TRY(record_read(op, accounts, &user_table, parsed.text, &row, &encoded, &found));
	if (found && row.state != RECORD_DELETED)
		return op_fail(op, ERR_EXISTS, "the user exists");
	/* The account first: a user without one would be worse than an account without a user. */
	TRY(mail_store_make_account(op, accounts->store, making.account, parsed.text));
	struct record_change change = {.table = &user_table,
		.name = parsed.text,
		.row = &row,
		.revision = &row.revision,
		.change = make_user,
		.context = &making};
	/* A name too many in the listing is passed over; one too few would hide a user. */
	TRY(directory_note(op, accounts, DIRECTORY_USER, parsed.text, making.account, true));
	TRY(record_change(op, accounts, &change));
	if (ret_account)
		*ret_account = making.account;
	return NULL;
}

struct editing {
	const struct password_record *password;
	const struct quota_limits *quota;
	const bool *enabled;
	bool remove;
	bool is_last_step;         /* of the removal */
	struct account_id account; /* out */
};

static struct error *edit_user(struct op *op, void *row, bool found, void *context)
{
	struct editing *editing = context;
	struct user *user = row;
	if (!found || user->state == RECORD_DELETED)
		return op_fail(op, ERR_NOT_FOUND, "no such user");
	if (editing->password)
		set_password(user, editing->password);
	if (editing->quota) {
		user->quota_bytes = editing->quota->bytes;
		user->quota_count = editing->quota->count;
	}
	if (editing->enabled && user->state == USER_LEAVING)
		return op_fail(op, ERR_INVALID, "the user is being removed");
	if (editing->enabled)
		user->state = *editing->enabled ? RECORD_LIVE : USER_DISABLED;
	if (editing->remove)
		user->state = editing->is_last_step ? RECORD_DELETED : USER_LEAVING;
	editing->account.uuid = user->account_id;
	return NULL;
}

static struct error *change_user(
	struct op *op, struct accounts *accounts, struct slice address, struct editing *editing)
{
	struct address parsed;
	struct user row;
	TRY(address_normalise(op, accounts, address, &parsed));
	struct record_change change = {.table = &user_table,
		.name = parsed.text,
		.row = &row,
		.revision = &row.revision,
		.change = edit_user,
		.context = editing};
	TRY(record_change(op, accounts, &change));
	quota_forget_all(accounts);
	if (!editing->remove)
		return NULL;
	/* Whatever stops this on its way: the user is still there, leaving, and is removed again.
	 */
	TRY(mail_store_empty_account(op, accounts->store, editing->account));
	TRY(directory_note(op, accounts, DIRECTORY_USER, parsed.text, editing->account, false));
	editing->is_last_step = true;
	return record_change(op, accounts, &change);
}

struct error *user_delete(struct op *op, struct accounts *accounts, struct slice address)
{
	struct editing editing = {.remove = true};
	return change_user(op, accounts, address, &editing);
}

struct error *user_set_password(struct op *op, struct accounts *accounts, struct slice address,
	const struct password_record *password)
{
	struct editing editing = {.password = password};
	return change_user(op, accounts, address, &editing);
}

struct error *user_set_quota(
	struct op *op, struct accounts *accounts, struct slice address, struct quota_limits quota)
{
	struct editing editing = {.quota = &quota};
	return change_user(op, accounts, address, &editing);
}

struct error *user_set_enabled(
	struct op *op, struct accounts *accounts, struct slice address, bool enabled)
{
	struct editing editing = {.enabled = &enabled};
	return change_user(op, accounts, address, &editing);
}

static void fill_info(struct slice name, const struct user *user, struct user_info *info)
{
	*info = (struct user_info){.address = name,
		.account.uuid = user->account_id,
		.is_enabled = user->state == RECORD_LIVE,
		.quota = {.bytes = user->quota_bytes, .count = user->quota_count},
		.created_us = user->created_us};
}

struct error *user_get(
	struct op *op, struct accounts *accounts, struct slice address, struct user_info *ret_user)
{
	struct user user;
	struct slice name;
	TRY(find_user(op, accounts, address, &user, &name));
	fill_info(name, &user, ret_user);
	return NULL;
}

struct error *user_list(struct op *op, struct accounts *accounts, struct list_part *part,
	struct user_info **ret_users, size_t *ret_count)
{
	struct slice *names;
	size_t count;
	TRY(directory_part(op, accounts, DIRECTORY_USER, part, &names, &count));
	*ret_users = ARENA_ARRAY(&op->arena, struct user_info, count ? count : 1);
	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct user row;
		struct slice encoded;
		bool found;
		part->has_more = *ret_count == part->limit;
		if (part->has_more)
			return NULL;
		TRY(record_read(op, accounts, &user_table, names[i], &row, &encoded, &found));
		if (found && row.state != RECORD_DELETED)
			fill_info(names[i], &row, &(*ret_users)[(*ret_count)++]);
		part->last = names[i];
	}
	return NULL;
}

static struct error *copy_address(struct op *op, const struct head *head, void *context)
{
	*(struct slice *)context = arena_dup(&op->arena, head->state.address);
	return NULL;
}

struct error *account_address(struct op *op, struct accounts *accounts, struct account_id account,
	struct slice *ret_address)
{
	return commit_read(
		op, mail_store_commit(accounts->store), account, copy_address, ret_address);
}
