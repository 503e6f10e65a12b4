#pragma once

/* Why a replicated engine did not do what it was asked, and what is known for certain after it.
 * One table, for every such engine and for every kind of request. Pure. */

#include "base/error.h"
#include "engine/level.h"

enum failure_code {
	FAILURE_NONE,
	/* Found before or by the first coordinator: the request was not executed. */
	FAILURE_NO_HOST,     /* nobody to ask, or refused before a byte was sent */
	FAILURE_BUSY,        /* our own bound on requests in flight */
	FAILURE_UNAVAILABLE, /* too few replicas alive for the level that the error names */
	FAILURE_OVERLOADED,
	FAILURE_BOOTSTRAPPING,
	/* Found on the way: it may have been executed. */
	FAILURE_READ_TIMEOUT,
	FAILURE_READ_FAILURE,
	FAILURE_WRITE_TIMEOUT,
	FAILURE_WRITE_FAILURE,
	FAILURE_CAS_UNKNOWN, /* CAS_WRITE_UNKNOWN */
	FAILURE_SERVER_ERROR,
	FAILURE_CLIENT_TIMEOUT,  /* sent, no answer in time */
	FAILURE_CONNECTION_LOST, /* sent, no answer will come */
	/* A mistake of ours, not a state of the cluster: no other level helps. */
	FAILURE_REJECTED,
	FAILURE_CODE_COUNT,
};

enum failure_write {
	FAILURE_WRITE_NONE, /* the error names no write type */
	FAILURE_WRITE_SIMPLE,
	FAILURE_WRITE_BATCH,
	FAILURE_WRITE_UNLOGGED_BATCH,
	FAILURE_WRITE_COUNTER,
	FAILURE_WRITE_BATCH_LOG,
	FAILURE_WRITE_CAS,
	FAILURE_WRITE_VIEW,
	FAILURE_WRITE_CDC,
	FAILURE_WRITE_UNKNOWN,
	FAILURE_WRITE_COUNT,
};

enum failure_request { FAILURE_OF_READ, FAILURE_OF_WRITE, FAILURE_OF_CAS, FAILURE_REQUEST_COUNT };

struct failure {
	enum failure_code code;
	enum failure_write write;
	enum level level; /* the level that an UNAVAILABLE names */
	/* An earlier attempt of the same request may have been executed. */
	bool tried_before;
};

const char *failure_code_name(enum failure_code code);

/* The outcome (base/error.h) of a request that failed so: ERR_UNAVAILABLE, ERR_TIMEOUT (reads
 * only), ERR_UNCERTAIN or ERR_INTERNAL. A CAS is refused only if that is certain: an UNAVAILABLE
 * must name a serial level, since one that names the commit level comes after the decision. */
enum error_kind failure_outcome(enum failure_request request, const struct failure *failure);

/* Can the same request succeed at another level? True when replicas are missing or slow. */
bool failure_means_fallback(const struct failure *failure);

/* The outcome of one request tried twice: as uncertain as its least certain try. */
enum error_kind failure_outcome_of_two(enum error_kind first, enum error_kind second);
