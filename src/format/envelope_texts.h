#pragma once

/* What a printed ENVELOPE tells people. Pure, any thread. */

#include "base/arena.h"
#include "format/date.h"

/* One address of it: the first, be it a group's name (which is its `local`, without a host). */
struct envelope_address {
	struct slice name; /* UTF-8, decoded */
	struct slice local, host;
};

/* UTF-8, encoded words decoded, addresses as "Name <a@b>, …"; empty for what is not there. */
struct envelope_texts {
	struct slice date; /* as it was written */
	struct slice subject, from, to, cc;
	struct envelope_address first_from, first_to, first_cc;
	bool has_date;
	struct date sent;
};

/* Of what format/envelope.h prints. What cannot be read stays empty. */
void envelope_texts_read(
	struct arena *arena, struct slice printed, struct envelope_texts *ret_texts);
