#pragma once

/* The fields of an RFC 5322 header, found in place. Lenient: a line that is no field comes back as
 * a field without a name, so that nothing of the bytes is lost. Pure, any thread. */

#include "base/arena.h"

struct header_field {
	struct slice name;  /* without the colon; empty for a line that is no field */
	struct slice value; /* folded as it stands, without the last line break */
	struct slice raw;   /* the whole field with its line breaks */
};

/* Length of the header with the empty line that ends it; the whole length when none does. */
size_t header_length(struct slice message);

/* Takes the next field off *rest. False at the empty line or the end. */
bool header_next(struct slice *rest, struct header_field *ret_field);

/* The first field of this name, in any case. */
bool header_find(struct slice header, struct slice name, struct header_field *ret_field);

/* A value on one line: line breaks before white space removed, ends trimmed. Borrows when there is
 * nothing to remove. */
struct slice header_unfold(struct arena *arena, struct slice value);

struct header_limits {
	size_t fields;
	size_t bytes;
};

/* True when the header keeps both limits. */
bool header_is_within(struct slice header, struct header_limits limits);
