#pragma once

/* For whoever keeps something that is made of an account's mail, beside it and later than it, and
 * must not lose anything: a search index. The account's log is what it follows; its cursor is the
 * MODSEQ up to which it has. */

#include "commit/head.h"
#include "mailbox/mailbox.h"

struct account_place {
	struct mailbox_id mailbox;
	uint32_t uid;
};

struct account_news {
	uint64_t modseq; /* what the cursor becomes when this has been done */
	/* False: `since` is no point of this account's history (it was restored from an older
	 * copy), or the log does not reach back so far. What was made of it is of no use. */
	bool is_complete;
	struct account_place *gone; /* left their mailboxes since */
	size_t gone_count;
	struct mailbox_list mailboxes; /* that there are, at that moment or later */
};

/* `since` 0: nothing is known yet, so nothing has gone. ERR_NOT_FOUND: no such account. */
MUST_CHECK struct error *account_news_since(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t since, struct account_news *ret_news);

/* Has the account stood at this MODSEQ, as far as its log tells? */
MUST_CHECK struct error *account_has_stood_at(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t modseq, bool *ret_has);

/* What the account's head tells of it. */
struct account_facts {
	uint64_t modseq;
	struct slice address;
	uint64_t used_bytes;
	uint64_t used_count;
	bool is_here; /* its changes are decided in this data centre */
};

/* ERR_NOT_FOUND: no such account. */
MUST_CHECK struct error *account_facts_get(struct op *op, struct mail_store *store,
	struct account_id account, struct account_facts *ret_facts);

/* The log, row by row, for who has to see each of them. */
struct account_log_part {
	struct account_facts facts;
	/* False: rows between `since` and these are not kept any more, or the log does not know
	 * `since`: then these are all that it keeps. */
	bool is_complete;
	struct log_row *rows; /* ascending */
	size_t count;
};

/* Above `since`, which the account has stood at, or, if it is no point of its log, is a time.
 * ERR_NOT_FOUND: no such account. */
MUST_CHECK struct error *account_log_since(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t since, bool is_point,
	struct account_log_part *ret_part);

/* Every account that has a note for the sweeper, each once, in the arena: those that changed in the
 * last hours, and those that a follower is behind with. */
MUST_CHECK struct error *mail_store_noted(struct op *op, struct mail_store *store,
	struct account_id **ret_accounts, size_t *ret_count);

/* Accounts that changed lately, and each that the follower is behind with: found after a crash
 * without a look at all accounts. Where other nodes write the same accounts, none: the notes are
 * everybody's. */
MUST_CHECK struct error *mail_store_unsettled(struct op *op, struct mail_store *store,
	struct account_id **ret_accounts, size_t *ret_count);

/* While a follower is behind with an account, the notes that mail_store_noted reads are kept: see
 * commit_follow. */
void mail_store_follow(struct mail_store *store,
	bool (*is_behind)(void *context, struct account_id account), void *context);
