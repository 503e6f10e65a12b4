#pragma once

/* LIST's wildcards: `*` stands for anything, `%` for anything without a delimiter. Pure. */

#include "base/slice.h"

/* No longer name matches anything. */
#define IMAP_LIST_NAME_MAX 1000

/* Linear in the name for each pattern character at worst. */
bool imap_list_match(struct slice pattern, struct slice name);
