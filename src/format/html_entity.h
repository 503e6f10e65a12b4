#pragma once

/* Character references of HTML. Pure, any thread. */

#include "base/slice.h"

#define HTML_ENTITY_UTF8_MAX 4

/* Reads the reference at the front of `text`, which begins with `&`: *ret_length bytes of it mean
 * *ret_utf8_len bytes of UTF-8. Named ones (those of HTML 4 outside of mathematics and Greek) need
 * their semicolon. False when it is none that is known. */
bool html_entity_decode(struct slice text, size_t *ret_length,
	char ret_utf8[static HTML_ENTITY_UTF8_MAX], size_t *ret_utf8_len);
