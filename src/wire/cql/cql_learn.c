#include "wire/cql/cql_learn.h"

#include <stdio.h>
#include <stdlib.h>

#include "wire/cql/cql_error.h"
#include "wire/cql/cql_message.h"

/* No real node has more. */
#define TOKENS_MAX 65536

struct error *cql_learn_rows(struct op *op, struct cql_connection *connection, const char *text,
	uint64_t deadline_ns, struct cql_result *ret_result)
{
	uint8_t version = cql_connection_version(connection), opcode;
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	cql_put_plain_query(&frame, version, text);
	struct reader body;
	TRY(cql_connection_ask(op, connection, &frame, CQL_OP_QUERY, deadline_ns, &opcode, &body));
	if (opcode == CQL_OP_ERROR) {
		struct cql_failure failure = {.may_have_been_sent = true};
		struct cql_server_error error;
		cql_error_decode(&body, version, &failure, &error);
		return op_fail(op, cql_error_kind(&failure), "%s: %s: " SLICE_FMT,
			cql_connection_address(connection), cql_error_name(failure.code),
			SLICE_ARG(error.message));
	}
	struct cql_decoded decoded = {0};
	if (opcode != CQL_OP_RESULT)
		return op_fail(op, ERR_INTERNAL, "a query is answered by opcode %u", opcode);
	TRY(cql_result_decode(op, &body, version, NULL, &decoded));
	*ret_result = (struct cql_result){
		.column_count = decoded.metadata.column_count,
		.columns = decoded.metadata.columns,
		.row_count = decoded.row_count,
		.values = decoded.values,
	};
	return NULL;
}

static struct cql_value field(const struct cql_result *rows, size_t row, const char *name)
{
	size_t column = cql_find_column(rows, name);
	const struct cql_value null = {.length = CQL_NULL};
	return column == SIZE_MAX ? null : cql_at(rows, row, column);
}

static const char *text_field(
	struct op *op, const struct cql_result *rows, size_t row, const char *name)
{
	return arena_cstr(&op->arena, cql_to_bytes(field(rows, row, name)));
}

/* Decimal, signed, 64 bits. */
static bool parse_token(struct slice text, int64_t *ret_token)
{
	bool negative = text.len && text.ptr[0] == '-';
	uint64_t number;
	if (!slice_parse_u64(slice_from(text, negative ? 1 : 0), &number))
		return false;
	if (number > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*ret_token = (int64_t)(negative ? -number : number);
	return true;
}

/* A set<text>. Tokens that are no numbers of Murmur3 are of another partitioner: none then. */
static void read_tokens(struct op *op, struct cql_value set, struct cql_member *member)
{
	struct reader in = reader_of(cql_to_bytes(set));
	uint32_t count = reader_u32(&in);
	if (in.failed || count > TOKENS_MAX || count > in.rest.len / 4)
		return;
	int64_t *tokens = ARENA_ARRAY(&op->arena, int64_t, count);
	for (uint32_t i = 0; i < count; i++)
		if (!parse_token(cql_get_bytes(&in), &tokens[i]))
			return;
	member->tokens = tokens;
	member->token_count = count;
}

/* A row still being written, while a node joins, has no address or no data centre yet: false. */
static bool read_member(struct op *op, const struct cql_result *rows, size_t row,
	const char *address_name, const char *port_name, int32_t default_port,
	struct cql_member *member)
{
	int32_t port = 0;
	if (!cql_to_int(field(rows, row, port_name), &port) || port <= 0 || port > UINT16_MAX)
		port = default_port;
	member->datacenter = text_field(op, rows, row, "data_center");
	member->rack = text_field(op, rows, row, "rack");
	member->release_version = text_field(op, rows, row, "release_version");
	cql_to_uuid(field(rows, row, "schema_version"), &member->schema_version);
	read_tokens(op, field(rows, row, "tokens"), member);
	return cql_address_of_inet(field(rows, row, address_name), port, member->address) &&
	       *member->datacenter;
}

static struct error *ask_peers(struct op *op, struct cql_connection *connection,
	uint64_t deadline_ns, struct cql_result *rows, bool *ret_old)
{
	*ret_old = false;
	struct error *err =
		cql_learn_rows(op, connection, "SELECT * FROM system.peers_v2", deadline_ns, rows);
	if (!err || err->kind != ERR_INVALID)
		return err;
	*ret_old = true; /* Cassandra 3 */
	return cql_learn_rows(op, connection, "SELECT * FROM system.peers", deadline_ns, rows);
}

struct error *cql_learn_members(struct op *op, struct cql_connection *connection,
	uint16_t default_port, const char *fallback_address, uint64_t deadline_ns,
	struct cql_member **ret_members, size_t *ret_count)
{
	struct cql_result local, peers;
	bool old;
	TRY(cql_learn_rows(op, connection, "SELECT * FROM system.local WHERE key = 'local'",
		deadline_ns, &local));
	if (local.row_count != 1)
		return op_fail(op, ERR_UNAVAILABLE, "system.local has %zu rows", local.row_count);
	TRY(ask_peers(op, connection, deadline_ns, &peers, &old));

	struct cql_member *members =
		ARENA_ARRAY(&op->arena, struct cql_member, peers.row_count + 1);
	if (!read_member(op, &local, 0, "rpc_address", "rpc_port", default_port, &members[0]))
		snprintf(members[0].address, sizeof(members[0].address), "%s", fallback_address);
	size_t count = 1;
	for (size_t row = 0; row < peers.row_count; row++) {
		struct cql_member *member = &members[count];
		*member = (struct cql_member){0};
		if (read_member(op, &peers, row, old ? "rpc_address" : "native_address",
			    old ? "" : "native_port", default_port, member))
			count++;
	}
	*ret_members = members;
	*ret_count = count;
	return NULL;
}

/* A map<text, text> with the strategy's class in it. */
static void read_replication(
	struct op *op, struct cql_value map, struct cql_ring_keyspace *keyspace)
{
	struct reader in = reader_of(cql_to_bytes(map));
	uint32_t count = reader_u32(&in);
	if (in.failed || count > in.rest.len / 8)
		return;
	struct cql_ring_option *options = ARENA_ARRAY(&op->arena, struct cql_ring_option, count);
	for (uint32_t i = 0; i < count; i++) {
		options[i].name = cql_get_bytes(&in);
		options[i].value = cql_get_bytes(&in);
		if (slice_equal(options[i].name, SLICE("class")))
			keyspace->strategy = options[i].value;
	}
	keyspace->options = options;
	keyspace->option_count = count;
}

struct error *cql_learn_keyspaces(struct op *op, struct cql_connection *connection,
	uint64_t deadline_ns, struct cql_ring_keyspace **ret_keyspaces, size_t *ret_count)
{
	struct cql_result rows;
	*ret_count = 0;
	struct error *err = cql_learn_rows(op, connection,
		"SELECT keyspace_name, replication FROM system_schema.keyspaces", deadline_ns,
		&rows);
	if (err && err->kind == ERR_INVALID)
		return NULL;
	if (err)
		return err;
	struct cql_ring_keyspace *keyspaces =
		ARENA_ARRAY(&op->arena, struct cql_ring_keyspace, rows.row_count);
	for (size_t row = 0; row < rows.row_count; row++) {
		keyspaces[row].name = cql_to_bytes(field(&rows, row, "keyspace_name"));
		read_replication(op, field(&rows, row, "replication"), &keyspaces[row]);
	}
	*ret_keyspaces = keyspaces;
	*ret_count = rows.row_count;
	return NULL;
}
