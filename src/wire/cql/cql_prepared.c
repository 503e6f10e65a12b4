/* Statements and what each node has prepared of them. */

#include <stdlib.h>

#include "wire/cql/cql_cluster.h"
#include "wire/cql/cql_error.h"
#include "wire/cql/cql_message.h"

struct cql_statement *cql_statement(struct cql_cluster *cluster, const char *text, bool idempotent)
{
	AUTO_LOCK(&cluster->lock);
	/* The flag is part of the key: the same words may be said with and without a time of their
	 * own. */
	char mark[2] = {idempotent ? '1' : '0', '\0'};
	AUTO_OP(op, "cql statement");
	struct slice key = slice_from_cstr(arena_printf(&op.arena, "%s%s", mark, text));
	struct cql_statement *statement = hash_map_find(&cluster->statements, key);
	if (statement)
		return statement;
	statement = HEAP_NEW(struct cql_statement);
	statement->cluster = cluster;
	statement->text = heap_cstr(slice_from_cstr(text));
	statement->idempotent = idempotent;
	mutex_init(&statement->lock);
	hash_map_put(&cluster->statements, key, statement);
	return statement;
}

void cql_statement_free(struct cql_statement *statement)
{
	for (size_t i = 0; i < statement->node_count; i++)
		cql_prepared_unref(statement->by_node[i]);
	free(statement->by_node);
	free(statement->keyspace);
	free(statement->text);
	mutex_done(&statement->lock);
	free(statement);
}

void cql_prepared_unref(struct cql_prepared *prepared)
{
	if (!prepared || __atomic_fetch_sub(&prepared->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	arena_done(&prepared->memory);
	free(prepared);
}

static void copy_metadata(
	struct arena *arena, const struct cql_metadata *metadata, struct cql_metadata *copy)
{
	*copy = (struct cql_metadata){.column_count = metadata->column_count};
	copy->keyspace = arena_dup(arena, metadata->keyspace);
	copy->table = arena_dup(arena, metadata->table);
	if (!metadata->columns)
		return;
	struct cql_column *columns = ARENA_ARRAY(arena, struct cql_column, metadata->column_count);
	for (size_t i = 0; i < metadata->column_count; i++)
		columns[i] =
			(struct cql_column){.name = arena_dup(arena, metadata->columns[i].name),
				.type = metadata->columns[i].type};
	copy->columns = columns;
}

static struct cql_prepared *prepared_new(struct slice id, struct slice result_id,
	struct slice keyspace, const struct cql_metadata *columns)
{
	struct cql_prepared *prepared = HEAP_NEW(struct cql_prepared);
	prepared->references = 1;
	arena_init(&prepared->memory);
	prepared->id = arena_dup(&prepared->memory, id);
	prepared->result_id = arena_dup(&prepared->memory, result_id);
	prepared->keyspace = arena_dup(&prepared->memory, keyspace);
	copy_metadata(&prepared->memory, columns, &prepared->columns);
	return prepared;
}

struct cql_prepared *cql_prepared_find(struct cql_statement *statement, const struct cql_node *node)
{
	AUTO_LOCK(&statement->lock);
	struct cql_prepared *prepared =
		node->index < statement->node_count ? statement->by_node[node->index] : NULL;
	if (prepared)
		__atomic_fetch_add(&prepared->references, 1, __ATOMIC_RELAXED);
	return prepared;
}

/* Under the statement's lock: takes the reference. */
static void set_prepared(
	struct cql_statement *statement, const struct cql_node *node, struct cql_prepared *prepared)
{
	if (node->index >= statement->node_count) {
		size_t count = node->index + 8;
		statement->by_node =
			heap_realloc(statement->by_node, count * sizeof(struct cql_prepared *));
		for (size_t i = statement->node_count; i < count; i++)
			statement->by_node[i] = NULL;
		statement->node_count = count;
	}
	cql_prepared_unref(statement->by_node[node->index]);
	statement->by_node[node->index] = prepared;
}

static bool is_current(const struct cql_statement *statement, const struct cql_node *node,
	const struct cql_prepared *prepared)
{
	return node->index < statement->node_count && statement->by_node[node->index] == prepared;
}

void cql_prepared_forget(struct cql_statement *statement, const struct cql_node *node,
	const struct cql_prepared *prepared)
{
	AUTO_LOCK(&statement->lock);
	if (is_current(statement, node, prepared))
		set_prepared(statement, node, NULL);
}

void cql_prepared_reshape(struct cql_statement *statement, const struct cql_node *node,
	const struct cql_prepared *prepared, const struct cql_metadata *metadata)
{
	struct cql_prepared *reshaped =
		prepared_new(prepared->id, metadata->new_id, prepared->keyspace, metadata);
	AUTO_LOCK(&statement->lock);
	if (is_current(statement, node, prepared))
		set_prepared(statement, node, reshaped);
	else
		cql_prepared_unref(reshaped);
}

static struct error *take_prepared(struct op *op, struct cql_statement *statement,
	struct cql_node *node, const struct cql_decoded *decoded,
	struct cql_prepared **ret_prepared)
{
	const struct cql_prepared_result *result = decoded->prepared;
	if (!result)
		return op_fail(op, ERR_INTERNAL, "%s: no answer to PREPARE", node->address);
	struct cql_prepared *prepared = prepared_new(
		result->id, result->result_id, result->marks.keyspace, &result->columns);
	AUTO_LOCK(&statement->lock);
	prepared->references++;
	set_prepared(statement, node, prepared);
	if (!statement->keyspace && prepared->keyspace.len)
		__atomic_store_n(
			&statement->keyspace, heap_cstr(prepared->keyspace), __ATOMIC_RELEASE);
	*ret_prepared = prepared;
	return NULL;
}

static struct error *ask_to_prepare(struct op *op, struct cql_statement *statement,
	struct cql_node *node, struct cql_connection *connection, uint64_t deadline_ns,
	struct cql_prepared **ret_prepared, struct cql_failure *failure)
{
	uint8_t version = cql_connection_version(connection), opcode;
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	cql_put_prepare(&frame, version, statement->text);
	struct reader body;
	struct error *err = cql_connection_ask(
		op, connection, &frame, CQL_OP_PREPARE, deadline_ns, &opcode, &body);
	if (err) {
		failure->code = err->kind == ERR_INTERNAL             ? CQL_PROTOCOL_ERROR
				: cql_connection_is_ready(connection) ? CQL_CLIENT_TIMEOUT
								      : CQL_CONNECTION_LOST;
		return op_wrap(op, err, "prepare \"%s\"", statement->text);
	}
	if (opcode == CQL_OP_ERROR) {
		struct cql_server_error error;
		cql_error_decode(&body, version, failure, &error);
		return op_fail(op, cql_error_kind(failure), "%s: prepare \"%s\": %s: " SLICE_FMT,
			node->address, statement->text, cql_error_name(failure->code),
			SLICE_ARG(error.message));
	}
	struct cql_decoded decoded = {0};
	failure->code = CQL_PROTOCOL_ERROR;
	if (opcode != CQL_OP_RESULT)
		return op_fail(op, ERR_INTERNAL, "%s: PREPARE is answered by opcode %u",
			node->address, opcode);
	TRY(cql_result_decode(op, &body, version, NULL, &decoded));
	return take_prepared(op, statement, node, &decoded, ret_prepared);
}

static struct error *await_turn(
	struct op *op, struct cql_node *node, uint64_t deadline_ns, struct cql_failure *failure)
{
	AUTO_LOCK(&node->lock);
	while (node->is_preparing)
		if (!condition_wait_until(&node->prepare_ended, &node->lock, deadline_ns)) {
			failure->code = CQL_CLIENT_TIMEOUT;
			return op_fail(op, ERR_TIMEOUT, "%s: waited for another PREPARE too long",
				node->address);
		}
	node->is_preparing = true;
	return NULL;
}

static void end_turn(struct cql_node *node)
{
	AUTO_LOCK(&node->lock);
	node->is_preparing = false;
	condition_signal(&node->prepare_ended);
}

struct error *cql_prepare(struct op *op, struct cql_statement *statement, struct cql_node *node,
	struct cql_connection *connection, uint64_t deadline_ns, struct cql_prepared **ret_prepared,
	struct cql_failure *failure)
{
	TRY(await_turn(op, node, deadline_ns, failure));
	struct error *err = NULL;
	*ret_prepared = cql_prepared_find(statement, node);
	if (!*ret_prepared)
		err = ask_to_prepare(
			op, statement, node, connection, deadline_ns, ret_prepared, failure);
	end_turn(node);
	return err;
}

const char *cql_statement_keyspace(const struct cql_statement *statement)
{
	return __atomic_load_n(&statement->keyspace, __ATOMIC_ACQUIRE);
}
