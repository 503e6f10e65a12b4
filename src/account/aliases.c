#include "account/account_private.h"

/* Aliases lead to addresses, which may be aliases again. */

#define ALIAS_DEPTH_MAX 8
#define ALIAS_TARGETS_MAX 1000
#define RESOLVED_MAX 1000

static struct error *decode_targets(
	struct op *op, struct slice bytes, struct slice **ret_targets, size_t *ret_count)
{
	struct reader reader = reader_of(bytes);
	uint64_t count = reader_varint(&reader);
	if (count > ALIAS_TARGETS_MAX)
		reader.failed = true;
	*ret_targets = ARENA_ARRAY(&op->arena, struct slice, reader.failed ? 1 : count + 1);
	*ret_count = 0;
	for (uint64_t i = 0; i < count && !reader.failed; i++)
		(*ret_targets)[(*ret_count)++] = reader_slice(&reader);
	if (!reader_is_complete(&reader))
		return op_fail(op, ERR_CORRUPT, "the targets of an alias cannot be read");
	return NULL;
}

static struct error *find_alias(struct op *op, struct accounts *accounts, struct slice name,
	struct slice **ret_targets, size_t *ret_count, bool *ret_found)
{
	struct alias alias;
	struct slice encoded;
	TRY(record_read(op, accounts, &alias_table, name, &alias, &encoded, ret_found));
	*ret_found = *ret_found && alias.state == RECORD_LIVE;
	if (*ret_found)
		directory_used(accounts, DIRECTORY_ALIAS, name);
	return *ret_found ? decode_targets(op, alias.targets, ret_targets, ret_count) : NULL;
}

struct resolving {
	struct accounts *accounts;
	struct slice domain_name; /* of the recipient */
	const struct domain *domain;
	struct delivery_target targets[RESOLVED_MAX];
	size_t count;
	size_t visited;
};

static void add_target(struct resolving *resolving, struct account_id account, struct slice address)
{
	for (size_t i = 0; i < resolving->count; i++)
		if (ID_EQUAL(resolving->targets[i].account, account))
			return;
	if (resolving->count < RESOLVED_MAX)
		resolving->targets[resolving->count++] =
			(struct delivery_target){.account = account, .address = address};
}

/* Depth is bounded, and so is the number of addresses looked at: a loop of aliases ends. */
static struct error *resolve_name(
	struct op *op, struct resolving *resolving, struct slice name, unsigned depth)
{
	struct user user;
	struct slice encoded;
	struct slice *targets;
	size_t count;
	bool found;
	if (depth > ALIAS_DEPTH_MAX || ++resolving->visited > RESOLVED_MAX * 2)
		return NULL;
	TRY(record_read(op, resolving->accounts, &user_table, name, &user, &encoded, &found));
	if (found && user.state == RECORD_LIVE) {
		directory_used(resolving->accounts, DIRECTORY_USER, name);
		add_target(resolving, (struct account_id){user.account_id}, name);
		if (slice_equal(domain_of(name), resolving->domain_name))
			quota_learn(resolving->accounts, &user, resolving->domain);
	}
	if (found && user.state != RECORD_DELETED)
		return NULL;
	TRY(find_alias(op, resolving->accounts, name, &targets, &count, &found));
	for (size_t i = 0; found && i < count; i++)
		TRY(resolve_name(op, resolving, targets[i], depth + 1));
	return NULL;
}

struct error *account_resolve(struct op *op, struct accounts *accounts, struct slice recipient,
	struct delivery_target **ret_targets, size_t *ret_count)
{
	struct address parsed;
	struct domain domain;
	TRY(address_normalise(op, accounts, recipient, &parsed));
	struct error *err = domain_must_exist(op, accounts, parsed.domain, &domain);
	if (err && err->kind == ERR_NOT_FOUND)
		return op_fail(op, ERR_DENIED, "the domain is not one of ours");
	TRY(err);
	directory_used(accounts, DIRECTORY_DOMAIN, parsed.domain);
	struct resolving *resolving = ARENA_NEW(&op->arena, struct resolving);
	resolving->accounts = accounts;
	resolving->domain_name = parsed.domain;
	resolving->domain = &domain;
	TRY(resolve_name(op, resolving, parsed.text, 0));
	if (!resolving->count)
		return op_fail(op, ERR_NOT_FOUND, "no such user");
	*ret_targets = resolving->targets;
	*ret_count = resolving->count;
	return NULL;
}

struct error *account_may_send_as(struct op *op, struct accounts *accounts,
	struct account_id account, struct slice address, bool *ret_may)
{
	struct delivery_target *targets;
	size_t count;
	*ret_may = false;
	struct error *err = account_resolve(op, accounts, address, &targets, &count);
	if (err &&
		(err->kind == ERR_NOT_FOUND || err->kind == ERR_DENIED || err->kind == ERR_INVALID))
		return NULL;
	TRY(err);
	for (size_t i = 0; i < count; i++)
		*ret_may |= ID_EQUAL(targets[i].account, account);
	return NULL;
}

static struct error *put_alias(struct op *op, void *row, bool found, void *context)
{
	(void)op;
	(void)found;
	struct alias *alias = row;
	alias->state = RECORD_LIVE;
	alias->targets = *(struct slice *)context;
	return NULL;
}

static struct error *encode_targets(struct op *op, struct accounts *accounts,
	const struct slice *targets, size_t count, struct slice *ret_bytes)
{
	struct buf out = buf_in(&op->arena);
	if (!count || count > ALIAS_TARGETS_MAX)
		return op_fail(op, ERR_INVALID, "an alias has 1 to %d targets", ALIAS_TARGETS_MAX);
	buf_varint(&out, count);
	for (size_t i = 0; i < count; i++) {
		struct address parsed;
		TRY(address_normalise(op, accounts, targets[i], &parsed));
		buf_slice(&out, parsed.text);
	}
	*ret_bytes = buf_as_slice(&out);
	return NULL;
}

struct error *alias_set(struct op *op, struct accounts *accounts, struct slice address,
	const struct slice *targets, size_t target_count)
{
	struct address parsed;
	struct domain domain;
	struct alias row;
	struct user user;
	struct slice bytes;
	struct slice encoded;
	bool found;
	TRY(address_normalise(op, accounts, address, &parsed));
	TRY(domain_must_exist(op, accounts, parsed.domain, &domain));
	TRY(record_read(op, accounts, &user_table, parsed.text, &user, &encoded, &found));
	if (found && user.state != RECORD_DELETED)
		return op_fail(op, ERR_EXISTS, "there is a user of that name");
	TRY(encode_targets(op, accounts, targets, target_count, &bytes));
	struct record_change change = {.table = &alias_table,
		.name = parsed.text,
		.row = &row,
		.revision = &row.revision,
		.change = put_alias,
		.context = &bytes};
	/* A name too many in the listing is passed over; one too few would hide an alias. */
	TRY(directory_note(
		op, accounts, DIRECTORY_ALIAS, parsed.text, (struct account_id){0}, true));
	return record_change(op, accounts, &change);
}

static struct error *remove_alias(struct op *op, void *row, bool found, void *context)
{
	(void)context;
	struct alias *alias = row;
	if (!found || alias->state != RECORD_LIVE)
		return op_fail(op, ERR_NOT_FOUND, "no such alias");
	alias->state = RECORD_DELETED;
	alias->targets = SLICE("\0");
	return NULL;
}

struct error *alias_delete(struct op *op, struct accounts *accounts, struct slice address)
{
	struct address parsed;
	struct alias row;
	TRY(address_normalise(op, accounts, address, &parsed));
	struct record_change change = {.table = &alias_table,
		.name = parsed.text,
		.row = &row,
		.revision = &row.revision,
		.change = remove_alias};
	TRY(record_change(op, accounts, &change));
	return directory_note(
		op, accounts, DIRECTORY_ALIAS, parsed.text, (struct account_id){0}, false);
}

struct error *alias_get(struct op *op, struct accounts *accounts, struct slice address,
	struct alias_info *ret_alias)
{
	struct address parsed;
	bool found;
	TRY(address_normalise(op, accounts, address, &parsed));
	TRY(find_alias(
		op, accounts, parsed.text, &ret_alias->targets, &ret_alias->target_count, &found));
	if (!found)
		return op_fail(op, ERR_NOT_FOUND, "no alias " SLICE_FMT, SLICE_ARG(parsed.text));
	ret_alias->address = parsed.text;
	return NULL;
}

struct error *alias_list(struct op *op, struct accounts *accounts, struct list_part *part,
	struct alias_info **ret_aliases, size_t *ret_count)
{
	struct slice *names;
	size_t count;
	TRY(directory_part(op, accounts, DIRECTORY_ALIAS, part, &names, &count));
	*ret_aliases = ARENA_ARRAY(&op->arena, struct alias_info, count ? count : 1);
	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct alias_info *info = &(*ret_aliases)[*ret_count];
		bool found;
		part->has_more = *ret_count == part->limit;
		if (part->has_more)
			return NULL;
		TRY(find_alias(
			op, accounts, names[i], &info->targets, &info->target_count, &found));
		info->address = names[i];
		*ret_count += found;
		part->last = names[i];
	}
	return NULL;
}
