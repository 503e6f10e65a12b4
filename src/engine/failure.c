#include "engine/failure.h"

static const struct {
	const char *name;
	bool executed_perhaps;
	bool means_fallback;
} codes[FAILURE_CODE_COUNT] = {
	[FAILURE_NONE] = {"none", false, false},
	[FAILURE_NO_HOST] = {"no host", false, true},
	[FAILURE_BUSY] = {"too many requests in flight", false, false},
	[FAILURE_UNAVAILABLE] = {"unavailable", false, true},
	[FAILURE_OVERLOADED] = {"overloaded", false, true},
	[FAILURE_BOOTSTRAPPING] = {"bootstrapping", false, true},
	[FAILURE_READ_TIMEOUT] = {"read timeout", true, true},
	[FAILURE_READ_FAILURE] = {"read failure", true, true},
	[FAILURE_WRITE_TIMEOUT] = {"write timeout", true, true},
	[FAILURE_WRITE_FAILURE] = {"write failure", true, true},
	[FAILURE_CAS_UNKNOWN] = {"CAS outcome unknown", true, true},
	[FAILURE_SERVER_ERROR] = {"server error", true, true},
	[FAILURE_CLIENT_TIMEOUT] = {"no answer in time", true, true},
	[FAILURE_CONNECTION_LOST] = {"connection lost", true, true},
	[FAILURE_REJECTED] = {"rejected", false, false},
};

const char *failure_code_name(enum failure_code code)
{
	return codes[code].name;
}

static bool executed_perhaps(enum failure_request request, const struct failure *failure)
{
	if (failure->tried_before)
		return true;
	if (failure->code == FAILURE_UNAVAILABLE && request == FAILURE_OF_CAS)
		return !level_usable(failure->level, LEVEL_FOR_SERIAL);
	return codes[failure->code].executed_perhaps;
}

enum error_kind failure_outcome(enum failure_request request, const struct failure *failure)
{
	bool perhaps = executed_perhaps(request, failure);
	if (request == FAILURE_OF_READ) {
		if (failure->code == FAILURE_REJECTED)
			return ERR_INTERNAL;
		return perhaps ? ERR_TIMEOUT : ERR_UNAVAILABLE;
	}
	if (perhaps)
		return ERR_UNCERTAIN;
	return failure->code == FAILURE_REJECTED ? ERR_INTERNAL : ERR_UNAVAILABLE;
}

bool failure_means_fallback(const struct failure *failure)
{
	return codes[failure->code].means_fallback;
}

enum error_kind failure_outcome_of_two(enum error_kind first, enum error_kind second)
{
	return first == ERR_UNCERTAIN ? ERR_UNCERTAIN : second;
}
