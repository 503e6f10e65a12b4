#pragma once

/* Documents for searching, by account. An index only proposes: what it leaves out certainly has not
 * what was asked for, what it gives may have it. It is a projection of the account's log and may
 * lag, lose its tail, or be lost altogether; it always says how far it is complete, and that never
 * runs ahead of what it holds. ERR_UNAVAILABLE: it cannot be asked or written now. ERR_CORRUPT:
 * what it held of this account was of no use and has been thrown away. Any thread may call. */

#include "base/op.h"
#include "format/search_texts.h"
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

/* A message has come to a place. A nil `message`: it is not known what it holds, so every search
 * proposes it. `texts` NULL: the index has the message already, in another place. */
struct index_add {
	struct index_place place;
	struct message_id message;
	const struct search_texts *texts;
};

/* Applied at once or not at all, in this order; what is there already stays as it is. A mailbox
 * that is forgotten loses its places and its coverage.
 *
 * `expected_cursor` is the cursor that whoever made the batch has seen. Another one: ERR_CONFLICT,
 * since the index may have been thrown away meanwhile, and what it covered with it. */
struct index_batch {
	uint64_t expected_cursor;
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
	struct index_coverage *covered;
	size_t covered_count;
};

/* How much of an account's index is of use. */
struct index_size {
	uint64_t documents;
	uint64_t dead; /* of messages that have no place any more */
	uint64_t places;
	uint64_t bytes;
};

struct index_query {
	struct mailbox_id mailbox;
	unsigned fields;     /* bits 1 << enum text_field: in one of these */
	struct slice needle; /* folded; INDEX_NEEDLE_MIN characters or more, no NUL */
};

#define INDEX_NEEDLE_MIN 3
#define INDEX_ALL_FIELDS ((1U << TEXT_FIELD_COUNT) - 1)

/* Of one moment of the index. */
struct index_found {
	uint64_t cursor;                /* 0: there is no index, and nothing else is set */
	struct index_coverage coverage; /* uidnext 0: of this mailbox nothing is known */
	uint32_t *uids;                 /* that may have it, ascending */
	size_t count;
};

struct index_ops {
	const char *name;
	struct error *(*apply)(struct index *index, struct op *op, struct account_id account,
		const struct index_batch *batch);
	struct error *(*find)(struct index *index, struct op *op, struct account_id account,
		const struct index_query *query, struct index_found *ret_found);
	struct error *(*state)(struct index *index, struct op *op, struct account_id account,
		struct index_state *ret_state);
	struct error *(*has)(struct index *index, struct op *op, struct account_id account,
		const struct message_id *messages, size_t count, bool *ret_has);
	struct error *(*size)(struct index *index, struct op *op, struct account_id account,
		struct index_size *ret_size);
	struct error *(*drop)(struct index *index, struct op *op, struct account_id account);
	void (*close)(struct index *index);
};

struct index {
	const struct index_ops *ops;
};

MUST_CHECK struct error *index_apply(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch);
MUST_CHECK struct error *index_find(struct index *index, struct op *op, struct account_id account,
	const struct index_query *query, struct index_found *ret_found);
MUST_CHECK struct error *index_get_state(struct index *index, struct op *op,
	struct account_id account, struct index_state *ret_state);

/* Which of the messages it has, in any place or none. */
MUST_CHECK struct error *index_has(struct index *index, struct op *op, struct account_id account,
	const struct message_id *messages, size_t count, bool *ret_has);
MUST_CHECK struct error *index_measure(
	struct index *index, struct op *op, struct account_id account, struct index_size *ret_size);

/* Forgets everything of the account. */
MUST_CHECK struct error *index_drop(struct index *index, struct op *op, struct account_id account);

/* NULL is nothing. */
void index_close(struct index *index);

/* Can an index be asked for this needle at all? */
bool index_takes_needle(struct slice needle);
