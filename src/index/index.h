#pragma once

/* Documents for searching, by account. An index only proposes: what it leaves out certainly has not
 * what was asked for, what it gives may have it. It is a projection of the account's log and may
 * lag, lose its tail, or be lost altogether; it always says how far it is complete, and that never
 * runs ahead of what it holds. ERR_UNAVAILABLE: it cannot be asked or written now. ERR_INVALID: it
 * takes one of the documents neither now nor later; nothing that depends on it was done.
 * ERR_CORRUPT: what it held of this account was of no use and has been thrown away. Any thread may
 * call. */

#include "base/op.h"
#include "format/search_words.h"
#include "schema/ids.h"

struct index;

/* Of one mailbox: each message below `uidnext` that has not been expunged up to the cursor is in
 * the index. */
struct index_coverage {
	struct mailbox_id mailbox;
	uint32_t uidvalidity;
	uint32_t uidnext;
};

struct index_place {
	struct mailbox_id mailbox;
	uint32_t uid;
};

/* What an index knows of the texts that are attached to a message (search_texts.h). */
#define INDEX_ATTACHED_WHOLE 0 /* all that there is, or there are none */
#define INDEX_ATTACHED_OWED \
	1 /* nobody has read them yet; more: as often as that less one it failed */
#define INDEX_ATTACHED_OWED_MOST 254
#define INDEX_ATTACHED_GIVEN_UP 255 /* something of them cannot be read */

/* A message has come to a place. A nil `message`: it is not known what it holds, so every search
 * proposes it. `texts` NULL: the index has the message already, in another place. `replaces`: what
 * the index has of the message is wrong, in all its places. `is_attached`: it has all but what is
 * attached, and what is attached comes now; nothing happens if the message has gone from there, or
 * become another `version`. */
struct index_add {
	struct index_place place;
	struct message_id message;
	const struct search_texts *texts;
	bool replaces;
	bool is_attached;
	uint64_t version; /* as index_owed() told it */
};

/* Applied at once or not at all, in this order; what is there already stays as it is. A mailbox
 * that is forgotten loses its places and its coverage.
 *
 * `expected_cursor` is the cursor that whoever made the batch has seen, `expected_id` the id (0: of
 * any). Others: ERR_CONFLICT, since the index may have been thrown away or replaced meanwhile, and
 * what it covered with it. */
struct index_batch {
	uint64_t expected_cursor;
	uint64_t expected_id;
	const struct mailbox_id *forgotten;
	size_t forgotten_count;
	const struct index_place *removed;
	size_t removed_count;
	const struct index_add *added;
	size_t added_count;
	const struct index_coverage *covered;
	size_t covered_count;
	uint64_t cursor; /* 0: as it is */
};

struct index_state {
	uint64_t cursor; /* MODSEQ of the account; 0: there is no index of it */
	uint64_t id;     /* random, another one whenever it is begun anew or replaced; 0: none */
	struct index_coverage *covered;
	size_t covered_count;
};

/* What an index has at a place. */
struct index_entry {
	uint32_t uid;
	struct message_id message; /* nil: it is not known what it holds */
	uint64_t fingerprint;      /* search_texts_fingerprint() of its texts */
	unsigned attached;         /* INDEX_ATTACHED_… */
	uint64_t version;          /* changes with what is there */
	bool is_altered; /* by others, as far as the index can tell: nothing it says of it counts */
};

/* How much of an account's index is of use. */
struct index_size {
	uint64_t documents;
	uint64_t dead; /* of messages that have no place any more */
	uint64_t places;
	uint64_t bytes;
	uint64_t owed;     /* places or documents whose attachments nobody has read yet */
	uint64_t given_up; /* … nobody can read */
};

/* What an index really has of what it covers, counted when it is asked: documents may be lost or
 * altered behind its back. */
struct index_held {
	uint64_t count;   /* places */
	uint64_t uid_sum; /* of their UIDs */
	uint64_t altered; /* of them, as far as the index can tell */
};

struct index_query {
	struct mailbox_id mailbox;
	uint32_t below;  /* what is held is counted below this UID, of what is covered; 0: not */
	unsigned fields; /* bits 1 << enum text_field: in one of these */
	struct slice needle; /* folded; INDEX_NEEDLE_MIN characters or more, no NUL */
};

#define INDEX_NEEDLE_MIN 3
#define INDEX_ALL_FIELDS ((1U << TEXT_FIELD_COUNT) - 1)

/* Of one moment of the index. */
struct index_found {
	uint64_t cursor;                /* 0: there is no index, and nothing else is set */
	struct index_coverage coverage; /* uidnext 0: of this mailbox nothing is known */
	struct index_held held;
	uint32_t *uids; /* that may have it, ascending */
	size_t count;
	bool is_old; /* what answers may be of an older making: the account is to be caught up with
		      */
};

/* Of what is attached there are words only. */
#define INDEX_ATTACHED_FIELD (1U << TEXT_FIELD_COUNT)
#define INDEX_WORDS_FIELDS (SEARCH_WORDS_FIELDS | INDEX_ATTACHED_FIELD)

/* Words, as search_words.h has them: in one of these fields is each of them, or one that is like
 * it.
 */
struct index_word_query {
	struct mailbox_id mailbox;
	uint32_t below;  /* as in struct index_query */
	unsigned fields; /* some of INDEX_WORDS_FIELDS */
	const struct search_words *words;
	bool is_exact; /* that word, or one that begins so */
};

struct index_hit {
	uint32_t uid;
	uint8_t score; /* index_score(); 0: it is not known what this message holds */
};

/* Of one moment of the index. Here it does not propose: its answer stands. */
struct index_ranking {
	uint64_t cursor; /* as in struct index_found */
	struct index_coverage coverage;
	struct index_held held;
	struct index_hit *hits; /* ascending */
	size_t count;
};

struct index_ops {
	const char *name;
	bool is_shared; /* every node has the same one: it is enough if one of them adds to it */
	struct error *(*prepare)(struct index *index, struct op *op); /* NULL: nothing to do */
	struct error *(*apply)(struct index *index, struct op *op, struct account_id account,
		const struct index_batch *batch);
	struct error *(*find)(struct index *index, struct op *op, struct account_id account,
		const struct index_query *query, struct index_found *ret_found);
	struct error *(*rank)(struct index *index, struct op *op, struct account_id account,
		const struct index_word_query *query, struct index_ranking *ret_ranking);
	struct error *(*state)(struct index *index, struct op *op, struct account_id account,
		struct index_state *ret_state);
	struct error *(*has)(struct index *index, struct op *op, struct account_id account,
		const struct message_id *messages, size_t count, bool *ret_has);
	struct error *(*list)(struct index *index, struct op *op, struct account_id account,
		struct mailbox_id mailbox, uint32_t from, size_t most,
		struct index_entry **ret_entries, size_t *ret_count);
	struct error *(*owed)(struct index *index, struct op *op, struct account_id account,
		struct mailbox_id mailbox, uint32_t from, size_t most,
		struct index_entry **ret_entries, size_t *ret_count);
	struct error *(*is_altered)(struct index *index, struct op *op, struct account_id account,
		bool *ret_altered); /* NULL: it never is without being thrown away */
	struct error *(*size)(struct index *index, struct op *op, struct account_id account,
		struct index_size *ret_size);
	struct error *(*drop)(struct index *index, struct op *op, struct account_id account);
	struct error *(*swap)(struct index *index, struct op *op, struct account_id account);
	struct error *(*settle)(struct index *index, struct op *op); /* NULL: nothing to do */
	struct index *(*beside)(struct index *index);
	void (*close)(struct index *index);
};

struct index {
	const struct index_ops *ops;
	bool has_words;    /* it keeps words, and can be asked for them */
	bool has_attached; /* those of attachments too */
};

/* Before it is asked what it has so as to add to it: what is written now may be another index than
 * the one that was asked so far. Cheap once it was done. */
MUST_CHECK struct error *index_prepare(struct index *index, struct op *op);

MUST_CHECK struct error *index_apply(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch);
MUST_CHECK struct error *index_find(struct index *index, struct op *op, struct account_id account,
	const struct index_query *query, struct index_found *ret_found);
MUST_CHECK struct error *index_rank(struct index *index, struct op *op, struct account_id account,
	const struct index_word_query *query, struct index_ranking *ret_ranking);

/* 1 to 100: how much a message has to do with what was asked. `likeness` in percent, of all words
 * on the average; `weight` is what BM25 makes of how often they come here and how seldom elsewhere,
 * of one word on the average. */
uint8_t index_score(unsigned likeness, double weight);
/* Where nothing else is known. */
#define INDEX_WEIGHT_COMMON 2.0

MUST_CHECK struct error *index_get_state(struct index *index, struct op *op,
	struct account_id account, struct index_state *ret_state);

/* Which of the messages it has, in any place or none. An index that cannot copy has none. */
MUST_CHECK struct error *index_has(struct index *index, struct op *op, struct account_id account,
	const struct message_id *messages, size_t count, bool *ret_has);
MUST_CHECK struct error *index_measure(
	struct index *index, struct op *op, struct account_id account, struct index_size *ret_size);

/* At most so many of a mailbox's places, ascending from this UID. */
MUST_CHECK struct error *index_list(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count);

/* The same of places whose attachments are owed. */
MUST_CHECK struct error *index_owed(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count);

/* May others have altered documents of the account? To be asked before anything is applied: that
 * may hide it. */
MUST_CHECK struct error *index_is_altered(
	struct index *index, struct op *op, struct account_id account, bool *ret_altered);

/* Where an account's index is made anew while searches ask the one there is: an index of its own,
 * which lives as long as this one and has no other beside it. */
struct index *index_beside(struct index *index);

/* What was made beside takes the place of what is asked. ERR_NOT_FOUND: there is nothing beside. A
 * crash leaves the one or the other, or none. */
MUST_CHECK struct error *index_swap(struct index *index, struct op *op, struct account_id account);

/* All accounts have been made anew: what was kept for those that had not been is let go. */
MUST_CHECK struct error *index_settle(struct index *index, struct op *op);

/* Forgets everything of the account. */
MUST_CHECK struct error *index_drop(struct index *index, struct op *op, struct account_id account);

/* NULL is nothing. */
void index_close(struct index *index);

/* Can an index be asked for this needle at all? */
bool index_takes_needle(struct slice needle);
