#pragma once

/* What is attached to a message that is none of its own texts (find_text.h): files that something
 * else must read. Pure, any thread. */

#include "base/arena.h"

struct attachment_rules {
	/* Media types that are left out, with blanks between, as media_type_is_listed()
	 * takes them. NULL: none. */
	const char *left_out;
	uint64_t bytes; /* as it stands in the message; larger ones are left out */
};

/* Of one message; what comes behind them is left out. */
#define ATTACHMENTS_MOST 20

/* Takes the decoded content of one, which lives as long as the call; false: no more are wanted. */
typedef bool (*attachment_visitor)(void *context, struct arena *arena, struct slice content);

/* What was allocated is released after each of them. */
void attachments_visit(struct arena *arena, struct slice message,
	const struct attachment_rules *rules, attachment_visitor visit, void *context);

/* Would any be visited? */
bool attachments_are_there(
	struct arena *arena, struct slice message, const struct attachment_rules *rules);

/* "text/plain", or with a star as subtype all of a type, blanks between; in any case. */
bool media_type_is_listed(const char *list, struct slice type, struct slice subtype);
