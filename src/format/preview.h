#pragma once

/* The first words of a message, as a list of mail shows them (RFC 8970). Pure, any thread. */

#include "base/arena.h"

/* RFC 8970 3.2 allows 256 and recommends 200. */
#define PREVIEW_CHARACTERS_MAX 200

/* UTF-8, white space collapsed, no control characters; empty when the message has no text. Also of
 * the first bytes of a message. */
struct slice preview_make(struct arena *arena, struct slice message);
