#pragma once

/* A request being carried out: the hosts it goes to, one after the other or, speculatively, two at
 * a time, and what came of it. One thread's. */

#include "wire/cql/cql_cluster.h"

/* With speculation a second host is asked while the first one still thinks. */
#define CQL_ATTEMPTS_AT_ONCE 2

struct cql_attempt {
	bool is_active;
	struct cql_node *node;
	struct cql_call call;
	struct cql_prepared **prepared; /* one for each statement, counted; NULL for mere text */
	uint64_t deadline_ns;
};

struct cql_execution {
	struct op *op;
	struct cql_cluster *cluster;
	struct cql_waiter *waiter;
	const struct cql_request *request;
	struct cql_result *result;
	struct cql_failure failure;
	struct error *err; /* of the last attempt that failed */
	bool is_over;

	struct cql_node *plan[CQL_PLAN_MAX];
	size_t planned, next;
	struct cql_attempt attempts[CQL_ATTEMPTS_AT_ONCE];
	uint64_t speculate_at_ns; /* UINT64_MAX: not any more */
	bool is_idempotent;
	bool is_uncertain;   /* an attempt left, and nothing proves that it was not carried out */
	bool met_bound;      /* a host had its fill of requests */
	unsigned unprepared; /* how often that was the answer */
	unsigned unavailable;
};

/* Plans and sends the first attempt. `hold`: the caller flushes. */
void cql_execution_begin(struct cql_execution *execution, bool hold);

/* Looks at what has come and at the time; returns when it wants to be looked at again at the
 * latest. */
uint64_t cql_execution_advance(struct cql_execution *execution, uint64_t now_ns);

/* Out with what was held. */
void cql_execution_flush(struct cql_execution *execution);
