#pragma once

/* Threads of messages (RFC 5256 3). Pure, any thread. */

#include "base/buf.h"

struct thread_message {
	uint32_t number; /* what the client is told */
	int64_t sent_at;
	struct slice subject;           /* the base subject, folded */
	bool is_reply;                  /* so the subject said */
	struct slice message_id;        /* without brackets, case kept; empty: none */
	const struct slice *references; /* the oldest first */
	size_t reference_count;
};

/* The messages are in the order of their numbers. Writes "(1 2)(3 (4)(5))". */
void thread_by_subject(
	struct arena *arena, const struct thread_message *messages, size_t count, struct buf *out);
void thread_by_references(
	struct arena *arena, const struct thread_message *messages, size_t count, struct buf *out);

/* Ids of a Message-ID, References or In-Reply-To field's value, without brackets, in order; at
 * most so many, the last ones. */
void message_ids_read(struct arena *arena, struct slice value, size_t most, struct slice **ret_ids,
	size_t *ret_count);
