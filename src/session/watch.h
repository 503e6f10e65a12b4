#pragma once

/* Who wants to hear of what: sessions watch opaque keys (an account's id, say); whoever changed
 * something wakes the key, and each watching session gets one coalesced `woken` step in its serial
 * queue. Hints only: the step reads the truth. */

#include "session/session.h"

/* Called by the session's own steps. Watching a key twice is watching it once. */
void session_watch(struct session *session, struct slice key);
void session_unwatch(struct session *session, struct slice key);

/* The keys that are watched now, in the arena. Any thread. */
void watch_keys(struct arena *arena, struct slice **ret_keys, size_t *ret_count);

/* Any thread; cheap when nobody watches. */
void watch_wake(struct slice key);
