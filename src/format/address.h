#pragma once

/* Address lists of header fields (RFC 5322 3.4), leniently: whatever is written between two commas
 * yields an address. Quoting is removed, encoded words stay as they are. Pure, any thread. */

#include "base/arena.h"

#define ADDRESSES_MAX 10000

enum address_kind {
	ADDRESS_MAILBOX,
	ADDRESS_GROUP_BEGIN, /* `name` is the group's */
	ADDRESS_GROUP_END,
};

struct header_address {
	enum address_kind kind;
	struct slice name;  /* ptr NULL when there is none */
	struct slice route; /* "@a,@b" (RFC 5322 4.4); ptr NULL when there is none */
	struct slice local;
	struct slice host; /* empty when none is written */
};

struct address_list {
	struct header_address *items;
	size_t count;
};

/* Groups are always closed. What stands past ADDRESSES_MAX is left out. */
void address_list_parse(struct arena *arena, struct slice text, struct address_list *ret_list);
