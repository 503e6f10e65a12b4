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

static void begin(struct cql_execution *execution, bool hold)
{
	const char *fault = find_fault(execution->request);
	if (fault)
		refuse(execution, CQL_INVALID, ERR_INVALID, fault);
	else
		cql_execution_begin(execution, hold);
}

/* Requests of one caller, of which not all need be under way at once. */
struct crowd {
	struct cql_execution *executions;
	size_t count, begun, first; /* all before the first are over */
	size_t active, limit;
};

/* As many as may be under way together, sent in as few pieces as the kernel takes. */
static void begin_more(struct crowd *crowd)
{
	size_t first = crowd->begun;
	bool hold = crowd->count - crowd->begun > 1;
	for (; crowd->begun < crowd->count && crowd->active < crowd->limit; crowd->begun++) {
		struct cql_execution *execution = &crowd->executions[crowd->begun];
		begin(execution, hold);
		crowd->active += !execution->is_over;
	}
	for (size_t i = first; hold && i < crowd->begun; i++)
		cql_execution_flush(&crowd->executions[i]);
}

/* Returns when it wants to be called again at the latest. */
static uint64_t advance(struct crowd *crowd)
{
	uint64_t now = clock_monotonic_ns(), wake = UINT64_MAX;
	for (size_t i = crowd->first; i < crowd->begun; i++) {
		struct cql_execution *execution = &crowd->executions[i];
		if (!execution->is_over) {
			uint64_t own = cql_execution_advance(execution, now);
			wake = MIN_OF(wake, own);
			crowd->active -= execution->is_over;
		}
		if (execution->is_over && i == crowd->first)
			crowd->first++;
	}
	return wake;
}

static void execute(struct cql_cluster *cluster, struct cql_execution *executions, size_t count)
{
	struct cql_waiter waiter;
	cql_waiter_init(&waiter);
	for (size_t i = 0; i < count; i++)
		executions[i].waiter = &waiter;
	/* One caller alone does not meet the bound of requests in flight. */
	struct crowd crowd = {.executions = executions,
		.count = count,
		.limit = MAX_OF(cluster->options.max_requests_per_host / 2, 1u)};
	for (;;) {
		begin_more(&crowd);
		uint64_t wake = advance(&crowd);
		if (crowd.first == count)
			break;
		if (crowd.begun == count || crowd.active == crowd.limit)
			cql_waiter_wait(&waiter, wake);
	}
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
