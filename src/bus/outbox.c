#include "bus/outbox.h"

#include <stdlib.h>

#include "bus/count.h"

struct waiting_entry {
	struct outbox_entry entry;
	struct waiting_entry *next;
};

void outbox_init(struct outbox *outbox, size_t most)
{
	mutex_init(&outbox->lock);
	hash_map_init(&outbox->waiting);
	outbox->first = NULL;
	outbox->end = &outbox->first;
	outbox->most = most;
	outbox->has_gap = false;
}

static struct outbox_entry take_first(struct outbox *outbox)
{
	struct waiting_entry *waiting = outbox->first;
	struct outbox_entry entry = waiting->entry;
	outbox->first = waiting->next;
	if (!outbox->first)
		outbox->end = &outbox->first;
	hash_map_remove(&outbox->waiting, ID_SLICE(entry.hint.account));
	free(waiting);
	return entry;
}

void outbox_done(struct outbox *outbox)
{
	while (outbox->first)
		take_first(outbox);
	hash_map_done(&outbox->waiting);
	mutex_done(&outbox->lock);
}

bool outbox_put(struct outbox *outbox, const struct outbox_entry *entry)
{
	AUTO_LOCK(&outbox->lock);
	struct slice key = ID_SLICE(entry->hint.account);
	struct waiting_entry *waiting = hash_map_find(&outbox->waiting, key);
	if (waiting) {
		if (entry->hint.modseq >= waiting->entry.hint.modseq)
			waiting->entry = *entry;
		return false;
	}
	if (outbox->waiting.count >= outbox->most) {
		outbox->has_gap = true;
		bus_count(BUS_DROPPED, 1);
		return false;
	}
	waiting = HEAP_NEW(struct waiting_entry);
	*waiting = (struct waiting_entry){.entry = *entry};
	*outbox->end = waiting;
	outbox->end = &waiting->next;
	hash_map_put(&outbox->waiting, key, waiting);
	return outbox->waiting.count == 1;
}

size_t outbox_take(struct outbox *outbox, struct outbox_entry *ret_entries, size_t most)
{
	AUTO_LOCK(&outbox->lock);
	size_t count = 0;
	while (count < most && outbox->first)
		ret_entries[count++] = take_first(outbox);
	return count;
}

size_t outbox_count(struct outbox *outbox)
{
	AUTO_LOCK(&outbox->lock);
	return outbox->waiting.count;
}

void outbox_note_gap(struct outbox *outbox)
{
	AUTO_LOCK(&outbox->lock);
	outbox->has_gap = true;
}

bool outbox_take_gap(struct outbox *outbox)
{
	AUTO_LOCK(&outbox->lock);
	bool has_gap = outbox->has_gap;
	outbox->has_gap = false;
	return has_gap;
}
