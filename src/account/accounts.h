#pragma once

/* Making the accounts module: what `app` needs besides account.h. */

#include "account/account.h"
#include "base/setting.h"
#include "mailbox/store.h"

struct account_config {
	bool deliver_detail;  /* user+detail@ is user@ */
	uint64_t quota_bytes; /* of each account without its own or its domain's; 0: none */
	uint64_t quota_messages;
};

extern struct account_config account_config;
extern const struct setting account_settings[];
extern const size_t account_setting_count;

/* Borrows the store and gives it its quota lookup. */
struct accounts *accounts_new(struct mail_store *store);
void accounts_free(struct accounts *accounts);
struct mail_store *accounts_store(struct accounts *accounts);
