#pragma once

/* Is a text in a message, as people see it: encoded words and transfer encodings decoded, charsets
 * and case made equal? Needles are folded (utf8_fold). Pure, any thread. */

#include "base/arena.h"

/* Some field of the header holds it, its name included. */
bool header_contains(struct arena *arena, struct slice header, struct slice folded);

/* Some text part of the message, or the header of a message within it; not what is attached as
 * something else. */
bool body_contains(struct arena *arena, struct slice message, struct slice folded);
