#pragma once

/* Inside mailbox/ only: how snapshots are made. Messages stand in blocks of up to 1,024, ascending
 * by UID; a new snapshot shares the blocks that did not change. */

#include "commit/commit.h"
#include "mailbox/log_entry.h"
#include "mailbox/snapshot.h"

#define BLOCK_MESSAGES 1024

struct block {
	uint32_t references;
	uint32_t count;
	uint32_t
		capacity; /* only while a builder fills it: a finished block has next to no slack */
	uint64_t *modseqs;
	uint32_t *uids;
	uint16_t *keyword_sets;
	uint8_t *flags;
};

/* The distinct sets of keywords in use; 0 is the empty one. A mailbox with more than
 * KEYWORD_SETS_MAX of them (no client makes so many) shows the messages beyond without keywords;
 * the rows keep them. */
#define KEYWORD_SETS_MAX UINT16_MAX
struct keyword_table {
	uint32_t references;
	uint32_t count;
	uint32_t capacity;
	struct keyword_set sets[];
};

struct snapshot {
	uint32_t references;
	struct mailbox_id mailbox;
	uint32_t uidvalidity;
	uint32_t uidnext;
	uint64_t highest_modseq;
	uint64_t as_of; /* MODSEQ of the account up to which it is complete */
	bool is_deleted;
	struct keyword_names keyword_names;
	char *keyword_bytes; /* what the names point into */
	struct keyword_table *keywords;
	uint32_t count;
	size_t block_count;
	struct block **blocks;
	uint32_t *starts; /* position of each block's first message */
};

/* A snapshot in the making. Owns references to its blocks; finish or drop it. */
struct snapshot_builder {
	struct block **blocks;
	bool *is_own; /* made here, so it may be changed in place */
	size_t block_count;
	size_t capacity;
	struct keyword_table *keywords;
	struct hash_map keyword_index; /* set -> its number + 1; filled at the first keyword */
};

/* From nothing (NULL) or from a snapshot. */
void builder_begin(struct snapshot_builder *builder, const struct snapshot *base);
void builder_drop(struct snapshot_builder *builder);

/* A UID that is there already is replaced. */
void builder_put(struct snapshot_builder *builder, uint32_t uid, uint16_t flags,
	const struct keyword_set *keywords, uint64_t modseq);
void builder_remove(struct snapshot_builder *builder, uint32_t uid);

/* False when absent. */
bool builder_get(const struct snapshot_builder *builder, uint32_t uid, uint16_t *ret_flags,
	struct keyword_set *ret_keywords);

/* Applies what a log row says about one mailbox. Rows at or below as_of[chunk of the UID] are
 * passed over (as_of NULL: none are). */
struct builder_scope {
	struct mailbox_id mailbox;
	const uint64_t *as_of;
	size_t chunk_count;
	uint32_t first_uid;
	uint32_t last_uid;
};
MUST_CHECK struct error *builder_apply(struct op *op, struct snapshot_builder *builder,
	const struct builder_scope *scope, const struct log_row *row);

/* Takes the builder's blocks; *row are the mailbox's own numbers. ERR_CORRUPT when its keyword
 * names cannot be read. */
MUST_CHECK struct error *builder_finish(struct op *op, struct snapshot_builder *builder,
	struct mailbox_id mailbox, const struct account_mailbox *row, uint64_t as_of,
	struct snapshot **ret_snapshot);
