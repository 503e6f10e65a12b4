#pragma once

/* How much mail a domain's accounts hold, for reports. Limits never depend on it: they are decided
 * by the account's head, in its own commit. */

#include "base/setting.h"
#include "consumer/consumer.h"

/* usage.* */
extern const struct setting usage_settings[];
extern const size_t usage_setting_count;

/* Is there to be one? */
bool usage_is_wanted(void);

/* The consumer `usage`. Borrows the store. */
void usage_consumer(struct mail_store *store, struct consumer *ret_consumer);

/* Writes down what the account holds now. The row says as of which MODSEQ, and the latest stays: so
 * an event that comes twice counts once. No account: nothing is written. */
MUST_CHECK struct error *usage_note(
	struct op *op, struct mail_store *store, struct account_id account);

struct usage_total {
	uint64_t accounts; /* that hold any mail */
	uint64_t messages;
	uint64_t bytes;
};

/* Adds up the rows of a domain's accounts. */
MUST_CHECK struct error *usage_of_domain(struct op *op, struct mail_store *store,
	struct slice domain, struct usage_total *ret_total);
