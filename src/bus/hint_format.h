#pragma once

/* How a hint travels. Pure. */

#include "bus/bus.h"

enum hint_kind {
	HINT_CHANGED = 1, /* an account has changed */
	HINT_GAP = 2,     /* hints were dropped before they were sent */
	HINT_PING = 3,    /* a node to itself */
};

struct hint_message {
	enum hint_kind kind;
	uint64_t origin; /* drawn at random by each node at its start */
	struct bus_hint hint;
};

#define HINT_BYTES 34

void hint_format(const struct hint_message *message, char ret_bytes[static HINT_BYTES]);

/* False: it is none, or of a later program. */
bool hint_parse(struct slice bytes, struct hint_message *ret_message);
