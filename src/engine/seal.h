#pragma once

/* What makes wrong bytes of a row visible, whoever stored them: a stored value begins with a mark
 * and a checksum over where the row stands, its version and its bytes. A row that was altered, cut,
 * put at another key or given another version does not fit its checksum any more. Pure. */

#include "schema/table.h"

/* The value as it is stored, in the arena. Rows of tables with large values are left as they are:
 * their content has a checksum of its own, over the whole. */
struct slice row_seal(struct arena *arena, const struct table *table, struct slice partition,
	struct slice key, uint64_t version, struct slice value);

/* The value as it was given to row_seal; a row from before there were seals is taken as it is.
 * False: it is damaged. */
bool row_unseal(const struct table *table, struct slice partition, struct slice key,
	uint64_t version, struct slice stored, struct slice *ret_value);
