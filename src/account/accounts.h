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

/* ---- Healing of the names for listing (enum directory_kind), page by page ---- */

#define DIRECTORY_PAGE 64

/* Lists again the records behind `after` (empty: from the start) whose names are missing.
 * *ret_count 0: there are no more. Adds to the report, fixed only. */
MUST_CHECK struct error *accounts_hold_records(struct op *op, struct accounts *accounts,
	unsigned kind, struct slice after, struct slice *ret_last, size_t *ret_count,
	struct repair_report *inout_report);

/* Takes out of the listing what has had no record for an hour. */
MUST_CHECK struct error *accounts_hold_names(struct op *op, struct accounts *accounts,
	unsigned kind, struct repair_report *inout_report);

/* The same of names that were used lately, by who signed in or got mail. For the background. */
MUST_CHECK struct error *accounts_hold_used(struct op *op, struct accounts *accounts);
