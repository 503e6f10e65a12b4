#pragma once

/* What a message row keeps of a message so that FETCH and SEARCH seldom need its content. Pure, any
 * thread. */

#include "base/op.h"

/* To be raised when mime_summarise makes another summary of some message than before: the task
 * `summaries` then makes the stored ones anew, which are served as they are until then. */
#define SUMMARY_FORMAT 2

struct message_summary {
	uint32_t header_length; /* bytes up to and with the empty line */
	/* Printed as IMAP wants them, without the item's name; literals inside where needed. */
	struct slice envelope;
	struct slice body;
	struct slice bodystructure;
	int64_t sent_at;          /* seconds since 1970 of the Date field; 0 without one */
	uint64_t message_id_hash; /* of the Message-ID without brackets; 0 without one */
	bool has_attachment;      /* some part is meant to be saved rather than shown */
	bool is_current;          /* of SUMMARY_FORMAT: it is not about to be made anew */
};

/* The slices live in the operation's arena. Broken mail is summarised as well as it can be. */
MUST_CHECK struct error *mime_summarise(
	struct op *op, struct slice message, struct message_summary *ret_summary);

/* Of a Message-ID, with or without its brackets; 0 is kept for "none". */
uint64_t message_id_hash(struct slice value);
