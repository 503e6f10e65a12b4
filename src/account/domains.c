#include "account/account_private.h"

#include "base/clock.h"

struct error *domain_must_exist(
	struct op *op, struct accounts *accounts, struct slice name, struct domain *ret_domain)
{
	struct slice encoded;
	bool found;
	TRY(record_read(op, accounts, &domain_table, name, ret_domain, &encoded, &found));
	if (!found || ret_domain->state != RECORD_LIVE)
		return op_fail(op, ERR_NOT_FOUND, "no domain " SLICE_FMT, SLICE_ARG(name));
	return NULL;
}

static struct error *make_domain(struct op *op, void *row, bool found, void *context)
{
	(void)context;
	struct domain *domain = row;
	if (found && domain->state == RECORD_LIVE)
		return op_fail(op, ERR_EXISTS, "the domain exists");
	uint32_t revision = domain->revision;
	*domain = (struct domain){.revision = revision, .created_us = clock_realtime_us()};
	return NULL;
}

struct error *domain_create(struct op *op, struct accounts *accounts, struct slice name)
{
	struct domain row;
	struct slice domain;
	TRY(domain_normalise(op, name, &domain));
	struct record_change change = {.table = &domain_table,
		.name = domain,
		.row = &row,
		.revision = &row.revision,
		.change = make_domain};
	/* A name too many in the listing is passed over; one too few would hide a domain. */
	TRY(directory_note(op, accounts, DIRECTORY_DOMAIN, domain, (struct account_id){0}, true));
	return record_change(op, accounts, &change);
}

static struct error *remove_domain(struct op *op, void *row, bool found, void *context)
{
	(void)context;
	struct domain *domain = row;
	if (!found || domain->state != RECORD_LIVE)
		return op_fail(op, ERR_NOT_FOUND, "no such domain");
	domain->state = RECORD_DELETED;
	return NULL;
}

static struct error *must_be_empty(struct op *op, struct accounts *accounts,
	enum directory_kind kind, struct slice domain, const char *what)
{
	struct slice *names;
	size_t count;
	TRY(directory_names(op, accounts, kind, &names, &count));
	for (size_t i = 0; i < count; i++)
		if (name_is_in_domain(names[i], domain))
			return op_fail(op, ERR_INVALID, "the domain has %s", what);
	return NULL;
}

struct error *domain_delete(struct op *op, struct accounts *accounts, struct slice name)
{
	struct domain row;
	struct slice domain;
	TRY(domain_normalise(op, name, &domain));
	TRY(must_be_empty(op, accounts, DIRECTORY_USER, domain, "users"));
	TRY(must_be_empty(op, accounts, DIRECTORY_ALIAS, domain, "aliases"));
	struct record_change change = {.table = &domain_table,
		.name = domain,
		.row = &row,
		.revision = &row.revision,
		.change = remove_domain};
	TRY(record_change(op, accounts, &change));
	return directory_note(
		op, accounts, DIRECTORY_DOMAIN, domain, (struct account_id){0}, false);
}

struct error *domain_get(
	struct op *op, struct accounts *accounts, struct slice name, struct domain_info *ret_domain)
{
	struct domain row;
	struct slice domain;
	TRY(domain_normalise(op, name, &domain));
	TRY(domain_must_exist(op, accounts, domain, &row));
	*ret_domain = (struct domain_info){
		.name = domain, .quota = {.bytes = row.quota_bytes, .count = row.quota_count}};
	return NULL;
}

struct error *domain_list(struct op *op, struct accounts *accounts,
	struct domain_info **ret_domains, size_t *ret_count)
{
	struct slice *names;
	size_t count;
	TRY(directory_names(op, accounts, DIRECTORY_DOMAIN, &names, &count));
	*ret_domains = ARENA_ARRAY(&op->arena, struct domain_info, count ? count : 1);
	*ret_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct domain row;
		struct slice encoded;
		bool found;
		TRY(record_read(op, accounts, &domain_table, names[i], &row, &encoded, &found));
		if (found && row.state == RECORD_LIVE)
			(*ret_domains)[(*ret_count)++] = (struct domain_info){.name = names[i],
				.quota = {.bytes = row.quota_bytes, .count = row.quota_count}};
	}
	return NULL;
}

static struct error *limit_domain(struct op *op, void *row, bool found, void *context)
{
	struct domain *domain = row;
	const struct quota_limits *quota = context;
	if (!found || domain->state != RECORD_LIVE)
		return op_fail(op, ERR_NOT_FOUND, "no such domain");
	domain->quota_bytes = quota->bytes;
	domain->quota_count = quota->count;
	return NULL;
}

struct error *domain_set_quota(
	struct op *op, struct accounts *accounts, struct slice name, struct quota_limits quota)
{
	struct domain row;
	struct slice domain;
	TRY(domain_normalise(op, name, &domain));
	struct record_change change = {.table = &domain_table,
		.name = domain,
		.row = &row,
		.revision = &row.revision,
		.change = limit_domain,
		.context = &quota};
	TRY(record_change(op, accounts, &change));
	quota_forget_all(accounts);
	return NULL;
}
