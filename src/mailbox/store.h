#pragma once

/* Everything that mailbox operations need, put together once by `app`. */

#include "commit/commit.h"
#include "mailbox/mailbox.h"

struct blob_store;

struct mail_settings {
	uint64_t grace_ms;            /* how long content is kept that nothing refers to any more */
	bool keeps_vault;             /* what is expunged can be listed and restored as long */
	uint64_t summary_cache_bytes; /* of a store that is opened from now on */
};

extern struct mail_settings mail_settings;

/* The limits of an account, from its own row, its domain's, or the settings (0: none). Must be
 * quick: it is asked while a commit is planned. */
typedef struct error *(*quota_lookup)(struct op *op, void *context, struct account_id account,
	struct slice address, uint64_t *ret_limit_bytes, uint64_t *ret_limit_count);

/* Borrows engine, ledger and blobs. */
struct mail_store *mail_store_new(
	struct engine *engine, struct ledger *ledger, struct blob_store *blobs);
void mail_store_free(struct mail_store *store);
void mail_store_set_quota(struct mail_store *store, quota_lookup lookup, void *context);

struct commit *mail_store_commit(struct mail_store *store);
struct engine *mail_store_engine(struct mail_store *store);
struct blob_store *mail_store_blobs(struct mail_store *store);

/* Makes the account's partition, with INBOX and the usual folders. ERR_EXISTS. */
MUST_CHECK struct error *mail_store_make_account(
	struct op *op, struct mail_store *store, struct account_id account, struct slice address);

/* Removes every mailbox and its mail. */
MUST_CHECK struct error *mail_store_empty_account(
	struct op *op, struct mail_store *store, struct account_id account);

/* Background work, to be called now and then (every 100 ms): looks for what was left undone, drives
 * open intents, and without helpers does their work too. */
void mail_store_work(struct op *op, struct mail_store *store);

/* What can be shared by as many threads as there are parts: writing owed projections, working off
 * the ledger; each in its own time. All are made before any works. */
struct mail_helper;
struct mail_helper *mail_helper_new(struct mail_store *store, unsigned part, unsigned parts);
void mail_helper_work(struct op *op, struct mail_helper *helper);
void mail_helper_free(struct mail_helper *helper);

/* Compares everything that is derived with its truth, account by account, and puts right what
 * differs. Online. Drift found where none can be is a bug: it is counted and logged. */
struct solve_report {
	struct repair_report rows;
	uint64_t mailboxes;
	uint64_t maps_fixed;
	uint64_t counts_wrong; /* of a mailbox or the account: reported, never guessed at */
	uint64_t busy;         /* mailboxes that changed each time they were looked at */
	uint64_t log_holes;    /* rows of the account's log are missing: not to be made up */
	uint64_t log_damaged;  /* rows of the log are there and cannot be read */
	uint64_t rows_lost;    /* a message is known to be there, and nothing tells the rest */
	uint64_t content_lost; /* a message whose content is missing; checked when asked for */
};
MUST_CHECK struct error *mail_store_solve(struct op *op, struct mail_store *store,
	struct account_id account, bool with_content, struct solve_report *ret_report);

enum solve_part {
	SOLVE_ROWS = 1,   /* message rows and places, against the log */
	SOLVE_MAPS = 2,   /* mailbox_map, against the rows */
	SOLVE_COUNTS = 4, /* counts of mailboxes, against the rows */
	SOLVE_CONTENT = 8 /* is the content of every message there? */
};

struct solve_scope {
	unsigned parts; /* enum solve_part */
	/* Called for every page of rows read, with their number; may wait. False: stop, with
	 * ERR_CANCELLED, what was put right until then stays so. NULL: as fast as it goes. */
	bool (*pace)(void *context, size_t rows);
	void *pace_context;
};

/* As mail_store_solve, of some parts; adds to the report, to which an error has added what was done
 * before it. */
MUST_CHECK struct error *mail_store_solve_parts(struct op *op, struct mail_store *store,
	struct account_id account, const struct solve_scope *scope,
	struct solve_report *inout_report);

/* Makes the summaries that are missing or of an older format, out of the content. Adds to the
 * report. Of the scope only the pace. */
struct fill_report {
	uint64_t mailboxes;
	uint64_t checked;
	uint64_t missing;    /* or damaged */
	uint64_t old;        /* made by an earlier format */
	uint64_t unreadable; /* the content cannot be read either */
	uint64_t fixed;
};
MUST_CHECK struct error *mail_store_fill_summaries(struct op *op, struct mail_store *store,
	struct account_id account, const struct solve_scope *scope,
	struct fill_report *inout_report);

/* Every stored content, by what becomes of it. */
struct audit_report {
	uint64_t blobs;
	uint64_t live;     /* a message with a place refers to it */
	uint64_t waiting;  /* its last place has gone, reclaim will come */
	uint64_t orphaned; /* neither: left by a crash between content and commit */
	uint64_t left;     /* orphaned, and now left to reclaim */
};
MUST_CHECK struct error *mail_store_audit(
	struct op *op, struct mail_store *store, struct audit_report *ret_report);

/* As mail_store_audit, and leaves to reclaim what is nobody's since it was put `grace_us` ago or
 * longer: that must be well above the age at which a commit still takes content. */
MUST_CHECK struct error *mail_store_tidy(struct op *op, struct mail_store *store, uint64_t grace_us,
	struct audit_report *ret_report);

/* The same page by page, for who has time. `grace_us` 0: only tell, as mail_store_audit. One thread
 * at a time. */
struct audit;
struct audit *audit_begin(struct mail_store *store, uint64_t grace_us);
void audit_end(struct audit *audit);

/* Goes on after *inout_last (nil: from the start), of any audit of the same stores. *ret_count 0:
 * it was the end. After an error the page may be repeated: nothing was added to the report. */
MUST_CHECK struct error *audit_page(struct op *op, struct audit *audit, struct blob_id *inout_last,
	size_t *ret_count, struct audit_report *inout_report);

/* How many contents this process could not leave to reclaim: for the audit to find. */
uint64_t content_left_behind_count(void);

/* Removes content that nothing refers to since `grace_us` ago or longer. Returns how many. What
 * cannot be dealt with is left for the next round, and does not keep others from their turn: the
 * error is then of the first such. */
MUST_CHECK struct error *mail_store_reclaim(
	struct op *op, struct mail_store *store, uint64_t grace_us, size_t *ret_removed);
