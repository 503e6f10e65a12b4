#pragma once

/* What a message is sorted and threaded by. It never changes, so that it stays in memory from one
 * command to the next: neither the message's row nor its summary is read again. Included only
 * inside front/imap. */

#include "front/imap/imap_private.h"
#include "front/imap/imap_sort.h"

struct sort_keys {
	unsigned known; /* bits of SORT_KNOWS: what of this has been looked up */
	uint64_t arrival_us, size;
	int64_t sent_at;
	struct slice texts[SORT_KEY_COUNT]; /* folded, for keys that are texts */
	bool is_reply;                      /* with SORT_SUBJECT */
	struct slice message_id;            /* with SORT_KNOWS_REFERENCES, as the rest */
	struct slice *references;
	size_t reference_count;
};

#define SORT_KNOWS(key) (1U << (key))
#define SORT_KNOWS_REFERENCES SORT_KNOWS(SORT_KEY_COUNT)

/* All that the request asks of a message, but for its score. */
unsigned sort_keys_wanted(const struct sort_request *request);

/* In the arena. False: `wanted` is not in memory; *ret_keys says what is known all the same. */
bool sort_keys_find(struct arena *arena, struct mailbox_id mailbox, uint32_t uid, unsigned wanted,
	struct sort_keys *ret_keys);

/* Reads what is `wanted` of the message, and keeps it in memory. In the operation's arena the keys
 * alone stay. */
MUST_CHECK struct error *sort_keys_read(struct op *op, struct imap_session *session,
	const struct message *row, unsigned wanted, struct sort_keys *ret_keys);

/* Bytes of memory that they may take; of the settings. */
extern uint64_t sort_keys_cache_bytes;

/* One message's keys as they stand in memory. */
void sort_keys_encode(const struct sort_keys *keys, struct buf *out);

/* Borrows from the bytes. False: they are no such encoding. */
bool sort_keys_decode(struct arena *arena, struct slice bytes, struct sort_keys *ret_keys);
