#pragma once

/* Who wants to hear of what: sessions watch opaque keys (an account's id, say); whoever changed
 * something wakes the key, and each watching session gets one coalesced `woken` step in its serial
 * queue. Hints only: the step reads the truth. */

#include "session/session.h"

/* Called by the session's own steps. Watching a key twice is watching it once. */
void session_watch(struct session *session, struct slice key);
void session_unwatch(struct session *session, struct slice key);

/* `listener` is told of each key when the first session watches it, and when the last one does no
 * more: in that order for one key, and under a lock, so it must be quick and not come back here.
 * Set before any session is there; NULL: nobody. */
void watch_listen(
	void (*listener)(void *context, struct slice key, bool is_watched), void *context);

/* The keys that are watched now, in the arena. Any thread. */
void watch_keys(struct arena *arena, struct slice **ret_keys, size_t *ret_count);

/* Any thread; cheap when nobody watches. */
void watch_wake(struct slice key);
