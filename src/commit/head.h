#pragma once

/* The image of an account's partition at one MODSEQ: its static row, its mailboxes, its
 * subscriptions, its open intents and the tail of its log. A head is whole or it is nothing: it
 * holds the log row at its own MODSEQ and an unbroken chain of `previous` behind it. Not
 * thread-safe; commit.c guards it. */

#include "base/hash_map.h"
#include "engine/engine.h"
#include "schema/tables.h"

struct head_mailbox {
	struct mailbox_id id;
	struct account_mailbox row; /* its slices point into `bytes` */
	char *bytes;
};

struct log_row {
	uint64_t modseq;
	struct account_log row; /* slices as in head_mailbox */
	char *bytes;
	size_t size;
};

struct head_annotation {
	struct slice key; /* mailbox id and name; into `bytes`, as the row's slices */
	struct account_annotation row;
	char *bytes;
};

struct head_intent {
	struct uuid operation_id;
	struct account_intent row;
	char *bytes;
};

struct head {
	bool is_loaded;
	bool exists; /* the account has a partition */
	struct account_static state;
	char *static_bytes;            /* what state.address points into */
	struct hash_map mailboxes;     /* mailbox_id -> struct head_mailbox */
	struct hash_map paths;         /* path -> struct head_mailbox, live ones only */
	struct hash_map subscriptions; /* name -> non-NULL */
	struct hash_map intents;       /* operation_id -> struct head_intent */
	struct hash_map annotations;   /* mailbox id, name -> struct head_annotation */
	struct log_row *tail;          /* ascending by MODSEQ */
	size_t tail_count;
	size_t tail_capacity;
	size_t tail_bytes;
	/* Where somebody reads it: this node has written the projections up to here, which
	 * `applied` of the state says only with the next commit. */
	uint64_t applied_here;
};

/* All projections up to here are what this node's reads find. */
static inline uint64_t head_applied(const struct head *head)
{
	return MAX_OF(head->state.applied, head->applied_here);
}

void head_init(struct head *head);
void head_done(struct head *head);

/* Reads the partition in one scan and replaces what the head held. ERR_CORRUPT when the log has a
 * hole or rows do not decode. */
MUST_CHECK struct error *head_load(struct op *op, struct engine *engine, struct slice partition,
	enum read_level level, struct head *head);

/* Installs the rows of a CAS that was applied: exactly the mutations that were sent. */
MUST_CHECK struct error *head_install(
	struct op *op, struct head *head, const struct mutation *mutations, size_t count);

const struct head_mailbox *head_mailbox(const struct head *head, struct mailbox_id id);
const struct head_mailbox *head_mailbox_at(const struct head *head, struct slice path);

/* NULL when the log tail does not hold it. */
const struct log_row *head_find_operation(const struct head *head, struct uuid operation_id);

/* Index of the first tail row above `modseq`. */
size_t head_tail_after(const struct head *head, uint64_t modseq);
