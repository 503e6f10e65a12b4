#include "engine/cassandra/cassandra_private.h"

/* The only place that knows both Cassandra's errors and ours (native protocol v5, section 9). */

static enum failure_code code_of(const struct cql_failure *from)
{
	switch (from->code) {
	case CQL_UNAVAILABLE:
		return FAILURE_UNAVAILABLE;
	case CQL_OVERLOADED:
		return FAILURE_OVERLOADED;
	case CQL_BOOTSTRAPPING:
		return FAILURE_BOOTSTRAPPING;
	case CQL_READ_TIMEOUT:
		return FAILURE_READ_TIMEOUT;
	case CQL_READ_FAILURE:
		return FAILURE_READ_FAILURE;
	case CQL_WRITE_TIMEOUT:
		return FAILURE_WRITE_TIMEOUT;
	case CQL_WRITE_FAILURE:
	case CQL_CDC_WRITE_FAILURE:
		return FAILURE_WRITE_FAILURE;
	case CQL_CAS_WRITE_UNKNOWN:
		return FAILURE_CAS_UNKNOWN;
	case CQL_SERVER_ERROR:
	case CQL_TRUNCATE_ERROR:
		return FAILURE_SERVER_ERROR;
	case CQL_CLIENT_TIMEOUT:
		return from->may_have_been_sent ? FAILURE_CLIENT_TIMEOUT : FAILURE_NO_HOST;
	case CQL_CONNECTION_LOST:
	case CQL_NO_HOST:
		return from->may_have_been_sent ? FAILURE_CONNECTION_LOST : FAILURE_NO_HOST;
	case CQL_CLIENT_BUSY:
		return FAILURE_BUSY;
	case CQL_PROTOCOL_ERROR:
	case CQL_BAD_CREDENTIALS:
	case CQL_FUNCTION_FAILURE:
	case CQL_SYNTAX_ERROR:
	case CQL_UNAUTHORIZED:
	case CQL_INVALID:
	case CQL_CONFIG_ERROR:
	case CQL_ALREADY_EXISTS:
	case CQL_UNPREPARED:
		return FAILURE_REJECTED;
	}
	/* A code of a newer server: what it means for the write is not known. */
	return FAILURE_SERVER_ERROR;
}

static enum failure_write write_of(enum cql_write_type type)
{
	switch (type) {
	case CQL_WRITE_NONE:
		return FAILURE_WRITE_NONE;
	case CQL_WRITE_SIMPLE:
		return FAILURE_WRITE_SIMPLE;
	case CQL_WRITE_BATCH:
		return FAILURE_WRITE_BATCH;
	case CQL_WRITE_UNLOGGED_BATCH:
		return FAILURE_WRITE_UNLOGGED_BATCH;
	case CQL_WRITE_COUNTER:
		return FAILURE_WRITE_COUNTER;
	case CQL_WRITE_BATCH_LOG:
		return FAILURE_WRITE_BATCH_LOG;
	case CQL_WRITE_CAS:
		return FAILURE_WRITE_CAS;
	case CQL_WRITE_VIEW:
		return FAILURE_WRITE_VIEW;
	case CQL_WRITE_CDC:
		return FAILURE_WRITE_CDC;
	case CQL_WRITE_UNKNOWN:
		return FAILURE_WRITE_UNKNOWN;
	}
	return FAILURE_WRITE_UNKNOWN;
}

static const enum cql_level wire_levels[LEVEL_COUNT] = {
	[LEVEL_ANY] = CQL_ANY,
	[LEVEL_ONE] = CQL_ONE,
	[LEVEL_TWO] = CQL_TWO,
	[LEVEL_THREE] = CQL_THREE,
	[LEVEL_QUORUM] = CQL_QUORUM,
	[LEVEL_ALL] = CQL_ALL,
	[LEVEL_LOCAL_QUORUM] = CQL_LOCAL_QUORUM,
	[LEVEL_EACH_QUORUM] = CQL_EACH_QUORUM,
	[LEVEL_SERIAL] = CQL_SERIAL,
	[LEVEL_LOCAL_SERIAL] = CQL_LOCAL_SERIAL,
	[LEVEL_LOCAL_ONE] = CQL_LOCAL_ONE,
};

enum cql_level cassandra_level(enum level level)
{
	return wire_levels[level];
}

static enum level level_of(enum cql_level wire)
{
	for (enum level level = LEVEL_ANY; level < LEVEL_COUNT; level++)
		if (wire_levels[level] == wire)
			return level;
	return LEVEL_NONE;
}

struct failure cassandra_failure(const struct cql_failure *from)
{
	struct failure failure = {.code = code_of(from), .write = write_of(from->write_type)};
	if (from->code == CQL_UNAVAILABLE)
		failure.level = level_of(from->level);
	/* An answer of the last server says nothing of the ones asked before it. */
	failure.tried_before = from->attempts > 1 && from->may_have_been_sent;
	return failure;
}

struct error *cassandra_fail(struct op *op, enum failure_request request,
	const struct cql_failure *why, struct error *err, const struct table *table,
	struct failure *ret_failure)
{
	*ret_failure = cassandra_failure(why);
	err->kind = failure_outcome(request, ret_failure);
	return op_wrap(op, err, "Cassandra, table %s, host %s", table->name,
		why->host[0] ? why->host : "none");
}
