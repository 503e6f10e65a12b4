#pragma once

/* Encoded words in header fields (RFC 2047) and encoded parameters (RFC 2231). Pure, any thread. */

#include "base/arena.h"

/* A field's value as UTF-8 on one line: unfolded, encoded words decoded, those of unknown charsets
 * left as they are; raw bytes that are no UTF-8 are taken for Windows-1252. */
struct slice encoded_words_decode(struct arena *arena, struct slice value);

/* "utf-8'en'%c2%a3" → "utf-8" and the two bytes; false if it is not of that form. */
bool encoded_parameter_split(struct arena *arena, struct slice value, struct slice *ret_charset,
	struct slice *ret_bytes);

/* "utf-8'en'%c2%a3": false if it is not of that form or in an unknown charset. */
bool encoded_parameter_decode(struct arena *arena, struct slice value, struct slice *ret_utf8);
