#pragma once

/* Searching with an index that is late. A thread of its own follows the logs of accounts and keeps
 * their indexes; a search asks the index which messages of those it has seen certainly have not a
 * text, and looks at all others itself. So nothing that is wrong with the index makes a search
 * wrong: it makes it slow. */

#include "base/setting.h"
#include "bus/bus.h"
#include "index/index.h"
#include "mailbox/mailbox.h"

struct search;

/* search.*: an array of search_setting_count rows. */
extern const struct setting search_settings[];
extern const size_t search_setting_count;

/* Borrows the store; takes the index. NULL is no search: every function takes it. */
struct search *search_new(struct mail_store *store, struct index *index);

/* Is something told to read attachments, by the settings? Then the index is to be made with words
 * of attachments. ERR_INVALID: it cannot be used. */
bool search_wants_attachments(void);
MUST_CHECK struct error *search_check_attachments(struct op *op);

/* A thread of its own will read attachments, if the index takes them. Before search_start. */
MUST_CHECK struct error *search_read_attachments(struct op *op, struct search *search);

/* Starts the thread that indexes. It finds the accounts that a crash left behind first. */
void search_start(struct search *search);

/* Stops it, and closes the index. */
void search_free(struct search *search);

/* For mail_store_listen: the account has changed. Quick. What is forgotten because too many have
 * is found again by the notes of the sweeper. */
void search_account_changed(struct search *search, struct account_id account);

/* Is the index the same one on every node? Then it is enough if one of them hears of a change. */
bool search_is_shared(const struct search *search);

/* Instead of search_account_changed: joins the work group `index` of a bus that has not started. A
 * hint is done when the index has what it was about. */
void search_join(struct search *search, struct bus *bus);

/* What an index says about one text in one mailbox: of the messages below `below`, only those in
 * `maybe` can have it. Messages that it should know and does not have are among them. */
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

/* ---- Words, and how near they come (RFC 6203) ---- */

/* Does the index keep words? Without them, or without an index, there is no FUZZY. */
bool search_has_words(const struct search *search);

/* What an index says about words in one mailbox: of the messages below `below`, those in `hits`
 * have them. */
struct search_ranking {
	uint32_t below; /* 0: nothing is known */
	const struct index_hit *hits;
	size_t count;
	/* If attachments were asked for: messages whose attachments nobody has read yet, some more
	 * perhaps. They have been looked for by all else. */
	uint64_t owed;
};

/* As search_narrow. `is_exact` as in struct index_word_query. */
void search_rank(struct op *op, struct search *search, struct account_id account,
	const struct snapshot *snapshot, unsigned fields, const struct search_words *words,
	bool is_exact, struct search_ranking *ret_ranking);

/* INDEX_ATTACHED_FIELD if the index knows words of attachments and these keys look for them; 0. */
unsigned search_attached_field(const struct search *search, bool is_fuzzy);

/* Has this message attachments that nobody has read, if the index has not said so? */
bool search_may_owe(struct op *op, const struct search *search, struct slice content);

/* Has a message them, by what the index said? *ret_score is 0 if not. False: it is not known. */
bool search_ranking_score(const struct search_ranking *ranking, uint32_t uid, unsigned *ret_score);

/* Has this message them? Its words are those that the index would have. 0: no. */
unsigned search_score_message(struct op *op, struct slice content, size_t header_length,
	unsigned fields, const struct search_words *words);

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

/* The account's index is made anew behind this call, beside the one there is, which searches ask
 * meanwhile. Forgotten when the process ends. */
MUST_CHECK struct error *search_rebuild(
	struct op *op, struct search *search, struct account_id account);

/* Called after so many messages were looked at; may wait. False: stop. NULL: as fast as it goes. */
struct search_pace {
	bool (*pace)(void *context, size_t messages);
	void *context;
};

/* The same in the caller's thread, some seconds of it at a time. What another process has begun is
 * gone on with unless `is_first`. *ret_more false: it is in its place. */
MUST_CHECK struct error *search_rebuild_step(struct op *op, struct search *search,
	struct account_id account, bool is_first, const struct search_pace *pace, bool *ret_more);

/* Throws away what such steps have made and not put in its place. */
MUST_CHECK struct error *search_rebuild_drop(
	struct op *op, struct search *search, struct account_id account);

/* Every account has been made anew: what was kept for those that had not been is let go. */
MUST_CHECK struct error *search_settle(struct op *op, struct search *search);

/* Holds what an index covers against the messages, each of them. */
enum verify_mode {
	VERIFY_TELLS,   /* changes nothing */
	VERIFY_MENDS,   /* what differs is put right */
	VERIFY_RENEWS,  /* every message is indexed again */
	VERIFY_RETRIES, /* only messages that could not be read before */
	VERIFY_DOUBTS,  /* only what the index has lost or says that others have altered */
};

struct verify_scope {
	enum verify_mode mode;
	struct slice path; /* of one mailbox; empty: of all */
	uint32_t uid;      /* of one message in it; 0: of all */
	struct search_pace pace;
};

struct verify_report {
	uint64_t mailboxes;
	uint64_t checked;    /* messages */
	uint64_t missing;    /* covered, and not in the index */
	uint64_t stale;      /* another message's or other texts, or not found by its own text */
	uint64_t orphaned;   /* of no message */
	uint64_t unreadable; /* no content, so the index cannot know it */
	uint64_t behind;     /* not covered yet: searches read them */
	uint64_t fixed;
};

/* Adds to the report. ERR_CANCELLED: the pace said so. */
MUST_CHECK struct error *search_verify(struct op *op, struct search *search,
	struct account_id account, const struct verify_scope *scope,
	struct verify_report *inout_report);

/* Brings one account's index up to date now, in the caller's thread. For tests and benchmarks. */
MUST_CHECK struct error *search_catch_up(
	struct op *op, struct search *search, struct account_id account);
