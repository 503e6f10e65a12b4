#include "base/clock.h"
#include "wire/cql/cql_attempt.h"

/* What the notation of a request can hold. */
static const char *find_fault(const struct cql_request *request)
{
	if (!request->count || request->count > UINT16_MAX)
		return "it has no statement, or too many";
	if (request->batch == CQL_NO_BATCH && request->count != 1)
		return "several statements are a batch";
	for (size_t i = 0; i < request->count; i++) {
		const struct cql_bound *bound = &request->statements[i];
		if (!bound->statement && !bound->text)
			return "a statement without a text";
		if (bound->value_count > UINT16_MAX)
			return "a statement with too many values";
	}
	return NULL;
}

static void refuse(struct cql_execution *execution, enum cql_error_code code, enum error_kind kind,
	const char *why)
{
	execution->failure.code = code;
	execution->err = op_fail(execution->op, kind, "cassandra: %s", why);
	execution->is_over = true;
}

static void begin_all(struct cql_execution *executions, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *fault = find_fault(executions[i].request);
		if (fault)
			refuse(&executions[i], CQL_INVALID, ERR_INVALID, fault);
		else
			cql_execution_begin(&executions[i], count > 1);
	}
	for (size_t i = 0; count > 1 && i < count; i++)
		cql_execution_flush(&executions[i]);
}

static void carry_out(struct cql_execution *executions, size_t count, struct cql_waiter *waiter)
{
	uint64_t seen = 0;
	for (;;) {
		uint64_t now = clock_monotonic_ns(), wake = UINT64_MAX;
		bool is_over = true;
		for (size_t i = 0; i < count; i++) {
			if (executions[i].is_over)
				continue;
			uint64_t own = cql_execution_advance(&executions[i], now);
			wake = MIN_OF(wake, own);
			is_over &= executions[i].is_over;
		}
		if (is_over)
			return;
		seen = cql_waiter_wait(waiter, seen, wake);
	}
}

static void execute(struct cql_cluster *cluster, struct cql_execution *executions, size_t count)
{
	struct cql_waiter waiter;
	cql_waiter_init(&waiter);
	for (size_t i = 0; i < count; i++)
		executions[i].waiter = &waiter;
	begin_all(executions, count);
	carry_out(executions, count, &waiter);
	cql_waiter_done(&waiter);
}

void cql_execute_many(struct op *op, struct cql_cluster *cluster,
	const struct cql_request *requests, size_t count, struct cql_result *ret_results,
	struct cql_failure *ret_failures, struct error **ret_errors)
{
	struct cql_execution *executions = ARENA_ARRAY(&op->arena, struct cql_execution, count);
	for (size_t i = 0; i < count; i++)
		executions[i] = (struct cql_execution){
			.op = op,
			.cluster = cluster,
			.request = &requests[i],
			.result = &ret_results[i],
		};
	if (cql_cluster_enter(cluster)) {
		execute(cluster, executions, count);
		cql_cluster_leave(cluster);
	} else {
		for (size_t i = 0; i < count; i++)
			refuse(&executions[i], CQL_NO_HOST, ERR_UNAVAILABLE, "the client closes");
	}
	for (size_t i = 0; i < count; i++) {
		ret_failures[i] = executions[i].failure;
		ret_errors[i] = executions[i].err;
	}
}

struct error *cql_execute(struct op *op, struct cql_cluster *cluster,
	const struct cql_request *request, struct cql_result *ret_result,
	struct cql_failure *ret_failure)
{
	struct error *err;
	cql_execute_many(op, cluster, request, 1, ret_result, ret_failure, &err);
	return err;
}
