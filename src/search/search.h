#pragma once

/* Searching with an index that is late. A thread of its own follows the logs of accounts and keeps
 * their indexes; a search asks the index which messages of those it has seen certainly have not a
 * text, and looks at all others itself. So nothing that is wrong with the index makes a search
 * wrong: it makes it slow. */

#include "base/setting.h"
#include "index/index.h"
#include "mailbox/mailbox.h"

struct search;

/* search.*: an array of search_setting_count rows. */
extern const struct setting search_settings[];
extern const size_t search_setting_count;

/* Borrows the store; takes the index. NULL is no search: every function takes it. */
struct search *search_new(struct mail_store *store, struct index *index);

/* Starts the thread that indexes. It finds the accounts that a crash left behind first. */
void search_start(struct search *search);

/* Stops it, and closes the index. */
void search_free(struct search *search);

/* For mail_store_listen: the account has changed. Quick. What is forgotten because too many have
 * is found again by the notes of the sweeper. */
void search_account_changed(struct search *search, struct account_id account);

/* What an index says about one text in one mailbox: of the messages below `below`, only those in
 * `maybe` can have it. */
struct search_narrowing {
	uint32_t below; /* 0: nothing is known */
	struct uid_set maybe;
};

/* `fields` as in struct index_query; the needle is folded. Never an error: what cannot be asked is
 * not known. To be asked before the snapshot that is searched is read again. */
void search_narrow(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, struct slice needle,
	struct search_narrowing *ret_narrowing);

static inline bool search_is_left_out(const struct search_narrowing *narrowing, uint32_t uid)
{
	return uid < narrowing->below && !uid_set_contains(&narrowing->maybe, uid);
}

/* ---- For the administrator ---- */

/* The last turns of the indexer have all failed. */
bool search_is_failing(const struct search *search);

struct search_status {
	uint64_t modseq; /* of the account */
	uint64_t cursor; /* of its index; 0: there is none */
	uint64_t messages;
	uint64_t indexed; /* of them */
	struct index_size size;
	bool is_waiting; /* its turn comes */
};
MUST_CHECK struct error *search_status(struct op *op, struct search *search,
	struct account_id account, struct search_status *ret_status);

/* Throws the account's index away; it is made anew behind this call. */
MUST_CHECK struct error *search_rebuild(
	struct op *op, struct search *search, struct account_id account);

/* Brings one account's index up to date now, in the caller's thread. For tests and benchmarks. */
MUST_CHECK struct error *search_catch_up(
	struct op *op, struct search *search, struct account_id account);
