#include "engine/level.h"

static const char *const names[LEVEL_COUNT] = {
	[LEVEL_NONE] = "none",
	[LEVEL_ANY] = "any",
	[LEVEL_ONE] = "one",
	[LEVEL_TWO] = "two",
	[LEVEL_THREE] = "three",
	[LEVEL_QUORUM] = "quorum",
	[LEVEL_ALL] = "all",
	[LEVEL_LOCAL_QUORUM] = "local_quorum",
	[LEVEL_EACH_QUORUM] = "each_quorum",
	[LEVEL_SERIAL] = "serial",
	[LEVEL_LOCAL_SERIAL] = "local_serial",
	[LEVEL_LOCAL_ONE] = "local_one",
};

const char *level_name(enum level level)
{
	return names[level];
}

bool level_parse(struct slice name, enum level *ret_level)
{
	for (enum level level = LEVEL_ANY; level < LEVEL_COUNT; level++) {
		if (slice_equal_nocase(name, slice_from_cstr(names[level]))) {
			*ret_level = level;
			return true;
		}
	}
	return false;
}

bool level_usable(enum level level, enum level_use use)
{
	bool serial = level == LEVEL_SERIAL || level == LEVEL_LOCAL_SERIAL;
	if (level == LEVEL_NONE)
		return false;
	if (use == LEVEL_FOR_SERIAL || serial)
		return serial && use == LEVEL_FOR_SERIAL;
	return use == LEVEL_FOR_WRITES || (level != LEVEL_ANY && level != LEVEL_EACH_QUORUM);
}

bool level_sees(enum level read, enum level write)
{
	if (read == LEVEL_NONE || write == LEVEL_NONE || write == LEVEL_ANY)
		return false;
	if (read == LEVEL_ALL || write == LEVEL_ALL)
		return true;
	if (read == LEVEL_LOCAL_QUORUM)
		return write == LEVEL_LOCAL_QUORUM || write == LEVEL_EACH_QUORUM;
	/* Half of all replicas may be elsewhere: a quorum of all need not meet that of one place.
	 */
	return read == LEVEL_QUORUM && (write == LEVEL_QUORUM || write == LEVEL_EACH_QUORUM);
}
