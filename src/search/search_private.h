#pragma once

/* Inside search/ only. */

#include "base/hash_map.h"
#include "base/sync.h"
#include "format/attachments.h"
#include "search/search.h"
#include "search/tika.h"

struct search_config {
	uint64_t rate;       /* messages read in a second; 0: as fast as it goes */
	uint64_t text_bytes; /* of a message */

	const char *tika; /* its address; empty: none */
	uint64_t tika_timeout_ms;
	uint64_t tika_text_bytes; /* of an attachment */
	uint64_t tika_tries;      /* of a message */
	struct attachment_rules attached;
	int attached_in; /* enum attached_in */
};

/* Which keys of SEARCH find what is attached. */
enum attached_in { ATTACHED_IN_FUZZY, ATTACHED_IN_TEXT };

extern struct search_config search_config;

/* The latest work of a group on the bus, to be told when it is done. */
struct held_work {
	struct bus_work name;
	bool is_held;
};

/* An account whose index is behind, or may be. */
struct waiting {
	struct account_id account;
	uint64_t since_ns; /* it is behind */
	uint64_t due_ns;
	unsigned failures;             /* since the last success */
	bool is_renewed;               /* it has changed again since its turn began */
	bool is_rebuilt;               /* its index is made anew */
	bool is_doubted;               /* a search missed something in its index */
	struct held_work work;         /* came with its hints, and since its turn began */
	struct held_work work_of_turn; /* had come before */
	struct waiting *next, *previous;
};

/* Accounts in the order in which they are due, save for those that have failed. */
struct queue {
	struct mutex lock; /* of what follows */
	struct condition wake;
	struct hash_map waiting; /* account -> struct waiting */
	struct waiting *first, *last;
	/* How often an account found no room, or may have: at the start all are forgotten. The
	 * sweeper's notes say which they were; so many times they have been read. */
	uint64_t forgotten, remembered;
	bool is_stopping;
	bool is_quiet;   /* no metric tells of it */
	struct bus *bus; /* whose work it is; NULL: none */
};

void queue_init(struct queue *queue);
void queue_done(struct queue *queue);

/* Without a delay its turn is at once, even if it has failed. */
void queue_put(struct queue *queue, struct account_id account, uint64_t delay_ns);
/* As queue_put without a delay; it is said to be rebuilt until that has ended, or its turn is done.
 * False: there is no room. */
bool queue_put_rebuilt(struct queue *queue, struct account_id account);
void queue_end_rebuilt(struct queue *queue, struct account_id account);
bool queue_is_rebuilt(struct queue *queue, struct account_id account);

/* As queue_put without a delay. Who ends the doubt does so before he looks. */
void queue_put_doubted(struct queue *queue, struct account_id account);
bool queue_end_doubted(struct queue *queue, struct account_id account);

/* As queue_put; the queue says when the work is done. */
void queue_put_work(
	struct queue *queue, struct account_id account, uint64_t delay_ns, struct bus_work name);

/* Accounts may have been forgotten: the notes are read again. */
void queue_forget(struct queue *queue);

bool queue_has(struct queue *queue, struct account_id account);
bool queue_is_stopping(struct queue *queue);
void queue_stop(struct queue *queue);

/* Waits until an account is due and takes it. False when told to stop, or, with *ret_forgotten not
 * 0, when accounts have been forgotten and there is room for them: queue_remember is told of it
 * when they have been put again. */
bool queue_take(struct queue *queue, struct account_id *ret_account, uint64_t *ret_forgotten);
void queue_remember(struct queue *queue, uint64_t forgotten);

enum turn { TURN_DONE, TURN_MORE, TURN_FAILED };
void queue_give_back(struct queue *queue, struct account_id account, enum turn turn);

/* Waits, or until told to stop. */
void queue_pause(struct queue *queue, uint64_t until_ns);

struct search {
	struct mail_store *store;
	struct index *index;
	struct queue queue;
	bool is_started;
	pthread_t thread;
	uint64_t pace_ns;          /* the thread's own: when it may read the next message */
	_Atomic unsigned failures; /* in a row */

	struct tika *tika; /* NULL: nobody reads attachments */
	struct queue owed; /* accounts whose index owes attachments, or may */
	pthread_t owed_thread;
	atomic_bool is_stopping;
	unsigned times_away; /* its own: in a row */
};

/* The indexer's threads yield to those that serve clients (nice(1)). */
#define SEARCH_NICENESS 10

/* ---- catch_up.c ---- */

/* One slice of work on an account's index; *ret_more when it is not up to date behind it.
 * `pace` is called after so many messages have been read. */
struct catch_up {
	struct mail_store *store;
	struct index *index;
	struct account_id account;
	uint64_t until_ns;
	bool (*pace)(void *context, size_t messages); /* false: stop; NULL: nobody cares */
	void *pace_context;
	bool is_worn;        /* out: the index should be made anew, since much of it is dead */
	bool *owes;          /* set when attachments are owed; NULL: nobody cares */
	uint64_t cursor, id; /* its own: of the index, as this turn knows it */
};
MUST_CHECK struct error *catch_up_run(struct op *op, struct catch_up *work, bool *ret_more);

/* The index of the account made anew beside the one that is asked, whose work this is. *ret_more
 * false: it has taken that one's place. */
MUST_CHECK struct error *rebuild_begin(struct op *op, const struct catch_up *work);
MUST_CHECK struct error *rebuild_run(struct op *op, const struct catch_up *work, bool *ret_more);

/* ---- verify.c ---- */

/* Puts right what the index has lost, and what others have altered there as far as it can tell;
 * reads no other messages. */
MUST_CHECK struct error *verify_doubts(struct op *op, struct mail_store *store, struct index *index,
	struct account_id account, const struct search_pace *pace, bool *ret_owes);

/* The same if the index tells that others have altered anything: before anything is applied, since
 * that may hide it. */
MUST_CHECK struct error *verify_altered(struct op *op, struct mail_store *store,
	struct index *index, struct account_id account, const struct search_pace *pace,
	bool *ret_owes);

/* What an index is told of a message; its attachments are owed. *ret_is_lost: its content cannot be
 * read, whatever is done. */
MUST_CHECK struct error *read_texts(struct op *op, struct mail_store *store,
	const struct index *index, const struct message *message, struct search_texts *ret_texts,
	bool *ret_is_lost);

/* NULL: nothing is known of the mailbox. */
const struct index_coverage *find_coverage(
	const struct index_state *state, struct mailbox_id mailbox);

/* ---- attachments.c: a thread that reads what the indexer has left owing ---- */

const struct attachment_rules *attachment_rules(void);
void attachments_start(struct search *search);

/* Attachments of the account are owed, or may be. */
void attachments_owed(struct search *search, struct account_id account);

/* One turn of it without end, in the caller's thread: for tests. */
MUST_CHECK struct error *attachments_catch_up(
	struct op *op, struct search *search, struct account_id account);
