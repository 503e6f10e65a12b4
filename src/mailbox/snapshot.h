#pragma once

/* What a mailbox holds at one MODSEQ: UIDs, flags, mod-sequences. Immutable and counted: a session
 * reads its own without locks, for as long as it likes, and sessions of one mailbox share it. At
 * most 16 bytes of memory a message. Sequence numbers here are positions, from 0. */

#include "mailbox/flags.h"
#include "mailbox/uid_set.h"
#include "schema/ids.h"

struct snapshot;

struct snapshot_message {
	uint32_t uid;
	uint16_t flags;
	uint16_t keyword_set; /* for snapshot_keywords() */
	uint64_t modseq;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot *snapshot);

struct mailbox_id snapshot_mailbox(const struct snapshot *snapshot);
uint32_t snapshot_count(const struct snapshot *snapshot);
uint32_t snapshot_uidvalidity(const struct snapshot *snapshot);
uint32_t snapshot_uidnext(const struct snapshot *snapshot);

/* The highest mod-sequence of the mailbox: what HIGHESTMODSEQ tells. */
uint64_t snapshot_highest_modseq(const struct snapshot *snapshot);

/* The mailbox was deleted by somebody. */
bool snapshot_is_deleted(const struct snapshot *snapshot);

/* The message at `position` < count. */
struct snapshot_message snapshot_at(const struct snapshot *snapshot, uint32_t position);

/* The first position whose UID is not below `uid`; count if there is none. */
uint32_t snapshot_lower_bound(const struct snapshot *snapshot, uint32_t uid);

/* False when there is no such message. */
bool snapshot_find(const struct snapshot *snapshot, uint32_t uid, uint32_t *ret_position,
	struct snapshot_message *ret_message);

const struct keyword_set *snapshot_keywords(
	const struct snapshot *snapshot, const struct snapshot_message *message);

/* The mailbox's keywords, by bit. Borrowed from the snapshot. */
const struct keyword_names *snapshot_keyword_names(const struct snapshot *snapshot);

/* Messages that have all bits of `with` and none of `without`. */
uint32_t snapshot_count_flags(const struct snapshot *snapshot, uint16_t with, uint16_t without);

/* Position of the first message without \Seen; count if there is none. */
uint32_t snapshot_first_unseen(const struct snapshot *snapshot);

/* What happened between two snapshots of one mailbox, by UID, each set in the arena. Unchanged
 * parts are shared and skipped. */
struct snapshot_difference {
	struct uid_set expunged; /* in `before` only */
	struct uid_set added;    /* in `after` only */
	struct uid_set changed;  /* in both, with another mod-sequence */
};
void snapshot_diff(struct arena *arena, const struct snapshot *before, const struct snapshot *after,
	struct snapshot_difference *ret_difference);

size_t snapshot_memory(const struct snapshot *snapshot);
