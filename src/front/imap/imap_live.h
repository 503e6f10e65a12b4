#pragma once

/* Searches whose result is kept up to date (RFC 5267 4.3). Included only inside front/imap. */

#include "front/imap/imap_search.h"

/* Of one session. */
#define LIVE_SEARCHES_MAX 8
#define LIVE_KEYS_BYTES_MAX KIB(4)
/* Messages that are read for one update of one search. */
#define LIVE_READ_MAX 1000

struct live_search;

/* Follows a search that has found `uids`; says so if it cannot. */
void imap_live_begin(struct imap_session *session, const struct imap_args *args,
	const struct search_request *request, const struct uid_set *uids);

/* Ends all of them: the mailbox is left. */
void imap_live_end(struct imap_session *session);

/* REMOVEFROM for what goes, in the numbers that the client still knows. */
void imap_live_expunged(
	struct op *op, struct imap_session *session, const struct uid_set *expunged);

/* ADDTO and REMOVEFROM for what is new or has changed in `now`. */
void imap_live_changed(struct op *op, struct imap_session *session, const struct snapshot *now,
	const struct snapshot_difference *difference);
