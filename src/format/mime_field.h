#pragma once

/* The structured fields of a part: Content-Type, Content-Disposition and the plain ones. Pure, any
 * thread. */

#include "format/mime.h"

/* A token at the front of *text, past white space and comments; empty if something else is there.
 */
struct slice mime_token(struct slice *text);

/* The parameters of a field, from its first `;` on. RFC 2231 continuations (name*0, name*1) are
 * joined by their numbers; the joined name ends in `*` if any piece was encoded, and plain pieces
 * are escaped then. */
struct mime_parameter *mime_parameters(struct arena *arena, struct slice text);

/* What a parameter is, encoded (`name*`) or not, for those that are no text to be shown: a
 * boundary, the name of a charset. SLICE_NONE if absent. */
struct slice mime_parameter_bytes(
	struct arena *arena, const struct mime_parameter *first, struct slice name);

/* Fills in what a part's header says of it. `default_message`: without a Content-Type the part is
 * message/rfc822 (RFC 2046 5.1.5), otherwise text/plain. */
void mime_read_fields(
	struct arena *arena, struct slice header, bool default_message, struct mime_part *part);
