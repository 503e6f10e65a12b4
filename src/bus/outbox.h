#pragma once

/* Hints that wait to be sent, in order, at most one of an account: a newer one takes the place of
 * the one that waits. Bounded: what does not fit is dropped, counted, and remembered as a gap. Any
 * thread. */

#include "base/hash_map.h"
#include "base/sync.h"
#include "bus/bus.h"

struct outbox_entry {
	struct bus_hint hint;
	uint64_t origin; /* the sender's name for itself, as it likes */
};

struct outbox {
	struct mutex lock;       /* of what follows */
	struct hash_map waiting; /* account -> struct waiting_entry */
	struct waiting_entry *first, **end;
	size_t most;
	bool has_gap;
};

void outbox_init(struct outbox *outbox, size_t most);
void outbox_done(struct outbox *outbox);

/* True when it was empty before: whoever sends may be asleep. */
bool outbox_put(struct outbox *outbox, const struct outbox_entry *entry);

/* Takes up to `most` of the oldest; returns how many. */
size_t outbox_take(struct outbox *outbox, struct outbox_entry *ret_entries, size_t most);

size_t outbox_count(struct outbox *outbox);

/* Something was lost after it was taken. */
void outbox_note_gap(struct outbox *outbox);

/* Was something dropped since the last time that this was asked? */
bool outbox_take_gap(struct outbox *outbox);
