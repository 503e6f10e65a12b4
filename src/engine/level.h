#pragma once

/* The consistency levels, by Cassandra's names: how many replicas must have answered. Pure. */

#include "base/slice.h"

enum level {
	LEVEL_NONE, /* no level given: no fallback, or the engine has no levels */
	LEVEL_ANY,
	LEVEL_ONE,
	LEVEL_TWO,
	LEVEL_THREE,
	LEVEL_QUORUM,
	LEVEL_ALL,
	LEVEL_LOCAL_QUORUM,
	LEVEL_EACH_QUORUM,
	LEVEL_SERIAL,
	LEVEL_LOCAL_SERIAL,
	LEVEL_LOCAL_ONE,
	LEVEL_COUNT,
};

/* What a level is asked to serve. */
enum level_use { LEVEL_FOR_READS, LEVEL_FOR_WRITES, LEVEL_FOR_SERIAL };

/* "local_quorum"; never NULL. */
const char *level_name(enum level level);

/* By name, whatever its case; false for a name that is none. */
bool level_parse(struct slice name, enum level *ret_level);

/* Can the level serve this at all? ANY cannot read, EACH_QUORUM cannot read, SERIAL and
 * LOCAL_SERIAL serve LEVEL_FOR_SERIAL only, and nothing else does. */
bool level_usable(enum level level, enum level_use use);

/* Does a read at one level see whatever was acknowledged at the other by the same data centre,
 * however many data centres there are? */
bool level_sees(enum level read, enum level write);
