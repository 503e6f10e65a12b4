#pragma once

/* Characters: from a mail's charset to UTF-8, to normal form, to the folded form that searching
 * compares. Through ICU. Pure, any thread. */

#include "base/arena.h"

/* The charset is one of those we take (an empty name is US-ASCII). */
bool charset_is_known(struct slice charset);

/* Bytes that the charset does not have become U+FFFD. False for an unknown charset. Borrows what is
 * UTF-8 or ASCII already. */
bool charset_to_utf8(
	struct arena *arena, struct slice charset, struct slice bytes, struct slice *ret_utf8);

bool utf8_is_valid(struct slice text);

/* Composed normal form (NFC); false for invalid UTF-8. Borrows when it is that already. */
bool utf8_to_nfc(struct arena *arena, struct slice text, struct slice *ret_nfc);

/* What equal-looking texts have in common, as i;unicode-casemap has it (RFC 5051): compatibility
 * forms and case are folded (NFKC_Casefold), and what is left is decomposed (NFD), so that a letter
 * is found with and without its marks behind it. Invalid bytes become U+FFFD. */
struct slice utf8_fold(struct arena *arena, struct slice text);

/* True if the folded text holds the folded needle. Works through the text in pieces, so memory does
 * not grow with it; what was allocated is released. */
bool utf8_contains(struct arena *arena, struct slice text, struct slice folded_needle);
