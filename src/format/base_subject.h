#pragma once

/* What subjects of one conversation have in common (RFC 5256 2.1). Pure, any thread. */

#include "base/arena.h"

/* The subject is UTF-8, decoded; the base subject is borrowed from it or in the arena.
 * *ret_is_reply: something says that it answers or passes on another message. */
struct slice base_subject(struct arena *arena, struct slice subject, bool *ret_is_reply);
