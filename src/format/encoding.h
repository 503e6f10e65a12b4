#pragma once

/* Content transfer encodings (RFC 2045 6) and plain base64. Pure, any thread. */

#include "base/buf.h"

enum transfer_encoding {
	ENCODING_IDENTITY, /* 7BIT, 8BIT, BINARY */
	ENCODING_BASE64,
	ENCODING_QUOTED_PRINTABLE,
	ENCODING_UNKNOWN,
};

enum transfer_encoding transfer_encoding_of(struct slice name);

/* Leniently: rubbish is passed over, a cut end gives what it can, and base64 ends where lines that
 * are none follow its padding. Borrows for identity; unknown
 * encodings are not decoded. */
struct slice transfer_decode(
	struct arena *arena, enum transfer_encoding encoding, struct slice bytes);

/* Exactly RFC 4648 4, padding included; false for anything else. */
bool base64_decode(struct arena *arena, struct slice text, struct slice *ret_bytes);
void base64_encode(struct buf *out, struct slice bytes);

/* 0 to 15, or -1. */
int hex_digit(char c);

/* "%20" and its like (RFC 3986 2.1); false for a wrong one, and for NUL. An empty text has a
 * pointer too. */
bool percent_decode(struct arena *arena, struct slice text, struct slice *ret_text);
