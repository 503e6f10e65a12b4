#pragma once

/* Special uses of mailboxes (RFC 6154) by name. Pure. */

#include "base/buf.h"

/* The bit of enum special_use for a name without its backslash; 0 if there is none. */
uint32_t special_use_find(struct slice name);

struct special_use_name {
	uint32_t use;
	struct slice name; /* with its backslash */
};
#define SPECIAL_USE_COUNT 7
extern const struct special_use_name special_use_names[SPECIAL_USE_COUNT];
