#include "account/account_private.h"

#include <stdlib.h>

#include "base/clock.h"

/* The limits of an account: its own, else its domain's, else the global one. Asked for at every
 * append, so they are cached for moments; a change on this node forgets them at once. */

#define CACHED_NS (5 * NS_PER_S)
#define CACHED_MOST 100000

static void forget_all(struct accounts *accounts)
{
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&accounts->quotas, &cursor, NULL, &value))
		free(value);
	hash_map_done(&accounts->quotas);
	hash_map_init(&accounts->quotas);
}

void quota_forget_all(struct accounts *accounts)
{
	AUTO_LOCK(&accounts->lock);
	forget_all(accounts);
}

static bool find_cached(
	struct accounts *accounts, struct account_id account, struct cached_quota *ret_quota)
{
	AUTO_LOCK(&accounts->lock);
	struct cached_quota *cached = hash_map_find(&accounts->quotas, ID_SLICE(account));
	if (!cached || cached->until_ns < clock_monotonic_ns())
		return false;
	*ret_quota = *cached;
	return true;
}

static void keep(
	struct accounts *accounts, struct account_id account, const struct cached_quota *quota)
{
	AUTO_LOCK(&accounts->lock);
	struct cached_quota *cached = hash_map_find(&accounts->quotas, ID_SLICE(account));
	if (!cached) {
		if (accounts->quotas.count >= CACHED_MOST)
			forget_all(accounts);
		cached = HEAP_NEW(struct cached_quota);
		hash_map_put(&accounts->quotas, ID_SLICE(account), cached);
	}
	*cached = *quota;
}

static struct cached_quota limits_of(const struct user *user, const struct domain *domain)
{
	uint64_t domain_bytes =
		domain->quota_bytes ? domain->quota_bytes : account_config.quota_bytes;
	uint64_t domain_count =
		domain->quota_count ? domain->quota_count : account_config.quota_messages;
	return (struct cached_quota){.bytes = user->quota_bytes ? user->quota_bytes : domain_bytes,
		.count = user->quota_count ? user->quota_count : domain_count,
		.until_ns = clock_monotonic_ns() + CACHED_NS};
}

static struct error *read_limits(struct op *op, struct accounts *accounts, struct slice address,
	struct cached_quota *ret_quota)
{
	struct user user;
	struct domain domain;
	struct slice encoded;
	bool found;
	TRY(record_read(op, accounts, &user_table, address, &user, &encoded, &found));
	TRY(record_read(
		op, accounts, &domain_table, domain_of(address), &domain, &encoded, &found));
	*ret_quota = limits_of(&user, &domain);
	return NULL;
}

void quota_learn(struct accounts *accounts, const struct user *user, const struct domain *domain)
{
	struct cached_quota quota = limits_of(user, domain);
	keep(accounts, (struct account_id){user->account_id}, &quota);
}

struct error *quota_limits_of(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_bytes, uint64_t *ret_count)
{
	struct accounts *accounts = context;
	struct cached_quota quota;
	if (!find_cached(accounts, account, &quota)) {
		TRY(read_limits(op, accounts, address, &quota));
		keep(accounts, account, &quota);
	}
	*ret_bytes = quota.bytes;
	*ret_count = quota.count;
	return NULL;
}
