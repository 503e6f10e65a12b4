#include "wire/cql/cql_attempt.h"

#include <stdio.h>

#include "base/clock.h"
#include "wire/cql/cql_error.h"
#include "wire/cql/cql_message.h"

/* A host that answers UNPREPARED to what it has just prepared is not asked for ever. */
#define UNPREPARED_MAX 8

/* What to do after an attempt. */
enum next_step {
	NEXT_NONE,       /* this was the answer */
	NEXT_SAME_HOST,  /* it had forgotten a statement */
	NEXT_OTHER_HOST, /* if there is one */
};

static void release(struct cql_execution *execution, struct cql_attempt *attempt)
{
	attempt->is_active = false;
	cql_call_done(&attempt->call);
	for (size_t i = 0; i < execution->request->count; i++) {
		cql_prepared_unref(attempt->prepared[i]);
		attempt->prepared[i] = NULL;
	}
	cql_node_leave(attempt->node);
}

static void finish(struct cql_execution *execution)
{
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++) {
		struct cql_attempt *attempt = &execution->attempts[i];
		if (!attempt->is_active)
			continue;
		cql_call_abandon(&attempt->call);
		execution->failure.may_have_been_sent |= attempt->call.sent;
		release(execution, attempt);
	}
	execution->is_over = true;
	/* What the last host refused, an earlier one may have carried out. */
	if (execution->err && execution->err->kind == ERR_UNAVAILABLE && execution->is_uncertain)
		execution->err = op_fail(execution->op, ERR_TIMEOUT,
			"%s, after an attempt whose outcome is not known", execution->err->message);
}

/* ---- sending ---- */

/* Gives the attempt every statement as the node knows it. *ret_next: whether another host may do
 * better; an error without one is final. */
static struct error *prepare_all(struct cql_execution *execution, struct cql_attempt *attempt,
	struct cql_connection *connection, enum next_step *ret_next)
{
	const struct cql_request *request = execution->request;
	for (size_t i = 0; i < request->count; i++) {
		struct cql_statement *statement = request->statements[i].statement;
		if (!statement)
			continue;
		attempt->prepared[i] = cql_prepared_find(statement, attempt->node);
		if (attempt->prepared[i])
			continue;
		struct error *err = cql_prepare(execution->op, statement, attempt->node, connection,
			attempt->deadline_ns, &attempt->prepared[i], &execution->failure);
		if (!err)
			continue;
		bool elsewhere = cql_error_is_of_host(execution->failure.code);
		*ret_next = elsewhere ? NEXT_OTHER_HOST : NEXT_NONE;
		return err;
	}
	return NULL;
}

static void send_attempt(struct cql_execution *execution, struct cql_attempt *attempt, bool hold)
{
	const struct cql_request *request = execution->request;
	uint8_t version = cql_connection_version(attempt->call.connection);
	struct cql_statement_id *ids =
		ARENA_ARRAY(&execution->op->arena, struct cql_statement_id, request->count);
	for (size_t i = 0; i < request->count; i++)
		if (attempt->prepared[i])
			ids[i] = (struct cql_statement_id){
				.id = attempt->prepared[i]->id,
				.result_id = attempt->prepared[i]->result_id,
			};
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	/* Only v5 tells when the columns have changed since they were learned. */
	enum cql_opcode opcode = cql_put_request(&frame, version, request, ids, version >= 5);
	uint8_t flags = request->trace ? CQL_FRAME_TRACING : 0;
	cql_call_send(&attempt->call, &frame, flags, opcode, hold);
}

static struct error *no_connection(struct cql_execution *execution, const struct cql_node *node)
{
	execution->failure.code = CQL_NO_HOST;
	return op_fail(execution->op, ERR_UNAVAILABLE, "%s: not connected", node->address);
}

static struct error *open_attempt(struct cql_execution *execution, struct cql_attempt *attempt,
	struct cql_connection *connection, enum next_step *ret_next)
{
	TRY(prepare_all(execution, attempt, connection, ret_next));
	if (!cql_call_begin(&attempt->call, execution->waiter, connection))
		return no_connection(execution, attempt->node);
	return NULL;
}

/* Sends to one node. On an error nothing is active and nothing was sent. */
static struct error *begin_attempt(struct cql_execution *execution, struct cql_attempt *attempt,
	struct cql_node *node, bool hold, enum next_step *ret_next)
{
	struct op *op = execution->op;
	const struct cql_options *options = &execution->cluster->options;
	*ret_next = NEXT_OTHER_HOST;
	struct cql_connection *connection = cql_pool_pick(node);
	if (!connection)
		return no_connection(execution, node);
	if (!cql_node_enter(node)) {
		cql_connection_unref(connection);
		execution->met_bound = true;
		return op_fail(op, ERR_UNAVAILABLE, "%s: %u requests are in flight", node->address,
			options->max_requests_per_host);
	}
	attempt->node = node;
	attempt->call = (struct cql_call){0};
	attempt->deadline_ns = clock_monotonic_ns() + options->request_timeout_ms * NS_PER_MS;
	if (op->deadline_ns)
		attempt->deadline_ns = MIN_OF(attempt->deadline_ns, op->deadline_ns);
	struct error *err = open_attempt(execution, attempt, connection, ret_next);
	cql_connection_unref(connection);
	if (err) {
		release(execution, attempt);
		return err;
	}
	attempt->is_active = true;
	execution->failure.attempts++;
	snprintf(execution->failure.host, sizeof(execution->failure.host), "%s", node->address);
	send_attempt(execution, attempt, hold);
	return NULL;
}

static bool time_is_over(const struct cql_execution *execution)
{
	return op_time_left_ns(execution->op) == 0;
}

static bool try_nodes(struct cql_execution *execution, struct cql_attempt *attempt, bool hold)
{
	while (execution->next < execution->planned && !time_is_over(execution)) {
		struct cql_node *node = execution->plan[execution->next++];
		if (!cql_node_is_up(node))
			continue;
		enum next_step next;
		struct error *err = begin_attempt(execution, attempt, node, hold, &next);
		if (!err)
			return true;
		execution->err = err;
		if (next == NEXT_NONE)
			return false;
	}
	return false;
}

/* Sends to the next node of the plan that can be sent to. False: there is none, or what was met on
 * the way is final. How an earlier attempt failed says more than that no other could be made. */
static bool begin_next(struct cql_execution *execution, struct cql_attempt *attempt, bool hold)
{
	struct cql_failure failure = execution->failure;
	struct error *err = execution->err;
	if (try_nodes(execution, attempt, hold))
		return true;
	if (failure.attempts) {
		execution->failure = failure;
		execution->err = err;
	}
	return false;
}

/* Why nothing at all could be sent. */
static void fail_unsent(struct cql_execution *execution)
{
	struct cql_failure *failure = &execution->failure;
	if (time_is_over(execution)) {
		failure->code = CQL_CLIENT_TIMEOUT;
		execution->err = op_fail(execution->op, ERR_UNAVAILABLE,
			"cassandra: the time was over before anything was sent");
		return;
	}
	if (execution->err && !execution->met_bound)
		return;
	failure->code = execution->met_bound ? CQL_CLIENT_BUSY : CQL_NO_HOST;
	execution->err = op_fail(
		execution->op, ERR_UNAVAILABLE, "cassandra: %s", cql_error_name(failure->code));
}

static bool any_active(const struct cql_execution *execution)
{
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++)
		if (execution->attempts[i].is_active)
			return true;
	return false;
}

/* ---- answers ---- */

static void take_columns(
	struct arena *arena, const struct cql_metadata *metadata, struct cql_result *result)
{
	struct cql_column *columns = ARENA_ARRAY(arena, struct cql_column, metadata->column_count);
	for (size_t i = 0; i < metadata->column_count; i++)
		columns[i] =
			(struct cql_column){.name = arena_dup(arena, metadata->columns[i].name),
				.type = metadata->columns[i].type};
	result->columns = columns;
}

static struct error *take_result(struct cql_execution *execution, struct cql_attempt *attempt,
	struct reader *body, const struct cql_prelude *prelude)
{
	struct op *op = execution->op;
	const struct cql_request *request = execution->request;
	struct cql_prepared *prepared =
		request->batch == CQL_NO_BATCH ? attempt->prepared[0] : NULL;
	const struct cql_metadata *known = prepared ? &prepared->columns : NULL;
	struct cql_decoded decoded = {0};
	TRY(cql_result_decode(
		op, body, cql_connection_version(attempt->call.connection), known, &decoded));
	struct cql_result result = {
		.column_count = decoded.metadata.column_count,
		.columns = decoded.metadata.columns,
		.row_count = decoded.row_count,
		.values = decoded.values,
		.paging_state = decoded.metadata.paging_state,
		.warnings = prelude->warnings,
		.warning_count = prelude->warning_count,
		.has_tracing_id = prelude->has_tracing_id,
		.tracing_id = prelude->tracing_id,
	};
	if (known && result.columns && result.columns == known->columns)
		take_columns(&op->arena, &decoded.metadata, &result);
	if (prepared && decoded.metadata.new_id.len)
		cql_prepared_reshape(request->statements[0].statement, attempt->node, prepared,
			&decoded.metadata);
	memcpy(result.host, attempt->node->address, sizeof(result.host));
	*execution->result = result;
	return NULL;
}

static void forget_statements(
	struct cql_execution *execution, struct cql_attempt *attempt, struct slice id)
{
	const struct cql_request *request = execution->request;
	for (size_t i = 0; i < request->count; i++)
		if (attempt->prepared[i] && slice_equal(attempt->prepared[i]->id, id))
			cql_prepared_forget(request->statements[i].statement, attempt->node,
				attempt->prepared[i]);
}

/* The server's refusal: certainly nothing was done. */
static bool is_refusal(enum cql_error_code code)
{
	return code == CQL_UNAVAILABLE || code == CQL_OVERLOADED || code == CQL_BOOTSTRAPPING;
}

static enum next_step after_server_error(
	struct cql_execution *execution, struct cql_attempt *attempt, struct slice unprepared)
{
	enum cql_error_code code = execution->failure.code;
	if (code == CQL_UNPREPARED) {
		forget_statements(execution, attempt, unprepared);
		return ++execution->unprepared <= UNPREPARED_MAX ? NEXT_SAME_HOST : NEXT_NONE;
	}
	execution->failure.may_have_been_sent = true;
	execution->is_uncertain |= !is_refusal(code);
	/* Another coordinator may see more replicas, but hardly more than one will. */
	if (code == CQL_UNAVAILABLE && execution->unavailable++)
		return NEXT_NONE;
	bool again = execution->is_idempotent && cql_error_is_of_host(code);
	return again ? NEXT_OTHER_HOST : NEXT_NONE;
}

static struct error *take_server_error(struct cql_execution *execution, struct cql_attempt *attempt,
	struct reader *body, enum next_step *ret_next)
{
	struct cql_failure *failure = &execution->failure;
	struct cql_server_error error;
	cql_error_decode(body, cql_connection_version(attempt->call.connection), failure, &error);
	*ret_next = after_server_error(execution, attempt, error.unprepared);
	return op_fail(execution->op, cql_error_kind(failure), "%s: %s: " SLICE_FMT,
		attempt->node->address, cql_error_name(failure->code), SLICE_ARG(error.message));
}

static struct error *take_answer(
	struct cql_execution *execution, struct cql_attempt *attempt, enum next_step *ret_next)
{
	struct reader body;
	struct cql_prelude prelude;
	TRY(cql_call_take_answer(execution->op, &attempt->call, &prelude, &body));
	if (attempt->call.opcode == CQL_OP_RESULT)
		return take_result(execution, attempt, &body, &prelude);
	if (attempt->call.opcode != CQL_OP_ERROR)
		return op_fail(execution->op, ERR_INTERNAL, "%s: an answer of opcode %u",
			attempt->node->address, attempt->call.opcode);
	return take_server_error(execution, attempt, &body, ret_next);
}

/* No answer: the connection is lost, or the attempt's time is over. */
static struct error *take_silence(struct cql_execution *execution, struct cql_attempt *attempt,
	enum cql_error_code code, enum next_step *ret_next)
{
	struct cql_failure *failure = &execution->failure;
	bool sent = attempt->call.sent;
	*failure = (struct cql_failure){
		.code = code,
		.may_have_been_sent = failure->may_have_been_sent || sent,
		.attempts = failure->attempts,
	};
	snprintf(failure->host, sizeof(failure->host), "%s", attempt->node->address);
	execution->is_uncertain |= sent;
	*ret_next = !sent || execution->is_idempotent ? NEXT_OTHER_HOST : NEXT_NONE;
	return op_fail(execution->op, execution->is_uncertain ? ERR_TIMEOUT : ERR_UNAVAILABLE,
		"%s: %s%s%s", attempt->node->address, cql_error_name(code),
		code == CQL_CONNECTION_LOST ? ": " : "",
		code == CQL_CONNECTION_LOST ? cql_connection_why(attempt->call.connection) : "");
}

static struct error *take_outcome(
	struct cql_execution *execution, struct cql_attempt *attempt, enum next_step *ret_next)
{
	*ret_next = NEXT_NONE;
	bool late = cql_call_abandon(&attempt->call);
	if (!attempt->call.answered)
		return take_silence(execution, attempt,
			late ? CQL_CLIENT_TIMEOUT : CQL_CONNECTION_LOST, ret_next);
	struct error *err = take_answer(execution, attempt, ret_next);
	if (err && err->kind == ERR_INTERNAL) {
		execution->failure.code = CQL_PROTOCOL_ERROR;
		execution->failure.may_have_been_sent = true;
		execution->is_uncertain = true;
	}
	return err;
}

/* An attempt has ended, or its time has. */
static void settle(struct cql_execution *execution, struct cql_attempt *attempt)
{
	enum next_step next;
	struct error *err = take_outcome(execution, attempt, &next);
	struct cql_node *node = attempt->node;
	release(execution, attempt);
	if (!err) {
		execution->err = NULL;
		finish(execution);
		return;
	}
	execution->err = err;
	if (next == NEXT_SAME_HOST) {
		err = begin_attempt(execution, attempt, node, false, &next);
		if (!err)
			return;
		execution->err = err;
	}
	if (next == NEXT_OTHER_HOST && begin_next(execution, attempt, false))
		return;
	if (!any_active(execution))
		finish(execution);
}

static void speculate(struct cql_execution *execution)
{
	execution->speculate_at_ns = UINT64_MAX;
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++)
		if (!execution->attempts[i].is_active) {
			if (begin_next(execution, &execution->attempts[i], false))
				return;
			break;
		}
}

/* ---- the whole ---- */

static bool is_idempotent(const struct cql_request *request)
{
	if (request->idempotent)
		return true;
	for (size_t i = 0; i < request->count; i++)
		if (!request->statements[i].statement ||
			!request->statements[i].statement->idempotent)
			return false;
	return true;
}

/* Two proposals for one partition hinder each other less from one place. */
static bool is_conditional(const struct cql_request *request)
{
	return request->serial_level == CQL_SERIAL || request->serial_level == CQL_LOCAL_SERIAL ||
	       request->level == CQL_SERIAL || request->level == CQL_LOCAL_SERIAL;
}

static void keep_only(struct cql_execution *execution, const char *host)
{
	size_t kept = 0;
	for (size_t i = 0; i < execution->planned; i++)
		if (strcmp(execution->plan[i]->address, host) == 0)
			execution->plan[kept++] = execution->plan[i];
	execution->planned = kept;
}

static void make_plan(struct cql_execution *execution)
{
	struct cql_cluster *cluster = execution->cluster;
	const struct cql_request *request = execution->request;
	const char *keyspace = request->statements[0].statement
				       ? cql_statement_keyspace(request->statements[0].statement)
				       : NULL;
	struct cql_ring_query query = {
		.keyspace = slice_from_cstr(keyspace ? keyspace : cluster->options.keyspace),
		.routing_key = request->routing_key,
		.remote = cluster->options.remote_datacenters,
		.in_ring_order = is_conditional(request),
		.turn = __atomic_fetch_add(&cluster->next_start, 1, __ATOMIC_RELAXED),
	};
	struct cql_ring *ring = cql_cluster_ring(cluster);
	execution->planned = cql_ring_plan(ring, &query, execution->plan);
	cql_ring_unref(ring);
	if (request->host)
		keep_only(execution, request->host);
}

void cql_execution_begin(struct cql_execution *execution, bool hold)
{
	const struct cql_options *options = &execution->cluster->options;
	execution->is_idempotent = is_idempotent(execution->request);
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++)
		execution->attempts[i].prepared = ARENA_ARRAY(
			&execution->op->arena, struct cql_prepared *, execution->request->count);
	execution->speculate_at_ns = UINT64_MAX;
	if (execution->is_idempotent && options->speculative_delay_ms)
		execution->speculate_at_ns =
			clock_monotonic_ns() + options->speculative_delay_ms * NS_PER_MS;
	make_plan(execution);
	if (begin_next(execution, &execution->attempts[0], hold))
		return;
	fail_unsent(execution);
	finish(execution);
}

uint64_t cql_execution_advance(struct cql_execution *execution, uint64_t now_ns)
{
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++) {
		struct cql_attempt *attempt = &execution->attempts[i];
		if (attempt->is_active &&
			(cql_call_has_ended(&attempt->call) || now_ns >= attempt->deadline_ns))
			settle(execution, attempt);
	}
	if (!execution->is_over && now_ns >= execution->speculate_at_ns)
		speculate(execution);
	uint64_t wake = execution->is_over ? UINT64_MAX : execution->speculate_at_ns;
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++)
		if (execution->attempts[i].is_active)
			wake = MIN_OF(wake, execution->attempts[i].deadline_ns);
	return wake;
}

void cql_execution_flush(struct cql_execution *execution)
{
	for (size_t i = 0; i < CQL_ATTEMPTS_AT_ONCE; i++)
		if (execution->attempts[i].is_active)
			cql_connection_flush(execution->attempts[i].call.connection);
}
