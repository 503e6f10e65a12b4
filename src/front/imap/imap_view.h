#pragma once

/* What one client knows of its selected mailbox: which message has which sequence number. A view
 * shows one snapshot and moves to a later one only where the protocol lets it tell the client.
 * Owned by a session; pure but for the snapshot's memory. */

#include "front/imap/imap_parser.h"
#include "mailbox/snapshot.h"

struct imap_view {
	struct snapshot *shown; /* owns a reference */
	uint32_t recent_from;   /* UIDs from here on are \Recent to this session */
	/* The result of SEARCH RETURN (SAVE); heap. */
	struct uid_range *saved;
	size_t saved_count;
};

/* Takes the reference. */
struct imap_view *imap_view_new(struct snapshot *takes);
void imap_view_free(struct imap_view *view);

/* Shows `takes` from now on. */
void imap_view_move(struct imap_view *view, struct snapshot *takes);

/* 0 when the client knows of no such message. */
uint32_t imap_view_sequence(const struct imap_view *view, uint32_t uid);

/* The UIDs a set names: by UID, or by sequence number. ERR_INVALID (BAD) for sequence numbers that
 * the client cannot know. */
MUST_CHECK struct error *imap_view_uids(struct op *op, struct imap_args *args,
	const struct imap_view *view, const struct imap_sequence *sequence, bool by_uid,
	struct uid_set *ret_uids);

void imap_view_save(struct imap_view *view, const struct uid_set *uids);

/* Walks the members of a set. */
struct uid_cursor {
	size_t range;
	uint32_t next;
};
bool uid_cursor_next(const struct uid_set *set, struct uid_cursor *cursor, uint32_t *ret_uid);

/* UIDs in both. */
void uid_set_intersect(struct arena *arena, const struct uid_set *a, const struct uid_set *b,
	struct uid_set *ret_both);

/* UIDs of `set` with and without a message in the snapshot; either may be NULL. */
void uid_set_split(struct arena *arena, const struct uid_set *set, const struct snapshot *snapshot,
	struct uid_set *ret_there, struct uid_set *ret_gone);
