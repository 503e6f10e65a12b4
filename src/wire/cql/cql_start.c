/* How a connection starts (section 4.1.1): OPTIONS, STARTUP, authentication, then what its role
 * needs. One question at a time, all on stream 0. The reactor's thread, under the lock. */

#include "wire/cql/cql_connection_private.h"
#include "wire/cql/cql_error.h"
#include "wire/cql/cql_message.h"
#include "wire/cql/cql_segment.h"

/* A server that challenges on and on is none of ours. */
#define AUTH_ROUNDS_MAX 4

enum start_step { START_OPTIONS, START_STARTUP, START_AUTH, START_REGISTER, START_KEYSPACE };

static void ask(struct cql_connection *connection, enum start_step step, struct buf *frame,
	enum cql_opcode opcode)
{
	connection->start_step = step;
	cql_connection_send_own(connection, frame, opcode);
}

static struct buf new_frame(void)
{
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	return frame;
}

void cql_start_begin(struct cql_connection *connection)
{
	struct buf frame = new_frame();
	ask(connection, START_OPTIONS, &frame, CQL_OP_OPTIONS);
}

/* A [string multimap]: does COMPRESSION have lz4? */
static bool offers_lz4(struct slice body)
{
	struct reader in = reader_of(body);
	uint16_t options = reader_u16(&in);
	bool found = false;
	for (uint16_t i = 0; i < options && !in.failed; i++) {
		bool is_compression = slice_equal(cql_get_string(&in), SLICE("COMPRESSION"));
		uint16_t values = reader_u16(&in);
		for (uint16_t j = 0; j < values && !in.failed; j++)
			found |= slice_equal(cql_get_string(&in), SLICE("lz4")) && is_compression;
	}
	return found && !in.failed;
}

static void send_startup(struct cql_connection *connection, struct slice options)
{
	/* The events of a v4 connection would be compressed too, for nothing. */
	bool wanted =
		connection->config.version >= 5 || connection->config.role != CQL_ROLE_CONTROL;
	connection->compression =
		wanted && connection->config.link->compression && offers_lz4(options);
	struct buf frame = new_frame();
	cql_put_startup(&frame, connection->compression);
	ask(connection, START_STARTUP, &frame, CQL_OP_STARTUP);
}

static void send_token(struct cql_connection *connection)
{
	const struct cql_link *link = connection->config.link;
	if (!link->user || !link->password) {
		cql_connection_break(connection, CQL_CLOSING_REFUSED,
			"the host wants a user and a password, and none is set");
		return;
	}
	if (++connection->auth_rounds > AUTH_ROUNDS_MAX) {
		cql_connection_break(
			connection, CQL_CLOSING_REFUSED, "the host's challenges do not end");
		return;
	}
	struct buf frame = new_frame();
	cql_put_plain_token(&frame, link->user, link->password);
	ask(connection, START_AUTH, &frame, CQL_OP_AUTH_RESPONSE);
}

/* A keyspace's name within double quotes, its own doubled. */
static void put_quoted(struct buf *out, const char *name)
{
	buf_append_char(out, '"');
	for (; *name; name++) {
		if (*name == '"')
			buf_append_char(out, '"');
		buf_append_char(out, *name);
	}
	buf_append_char(out, '"');
	buf_append_char(out, '\0');
}

static void send_keyspace(struct cql_connection *connection)
{
	struct buf text = buf_heap();
	buf_append(&text, SLICE("USE "));
	put_quoted(&text, connection->keyspace);
	struct buf frame = new_frame();
	cql_put_plain_query(&frame, connection->config.version, text.ptr);
	buf_done(&text);
	ask(connection, START_KEYSPACE, &frame, CQL_OP_QUERY);
}

static void become_ready(struct cql_connection *connection)
{
	connection->phase = CQL_PHASE_READY;
	connection->received = true;
}

static void after_register(struct cql_connection *connection)
{
	if (connection->keyspace)
		send_keyspace(connection);
	else
		become_ready(connection);
}

static void after_login(struct cql_connection *connection)
{
	if (connection->config.role != CQL_ROLE_CONTROL) {
		after_register(connection);
		return;
	}
	struct buf frame = new_frame();
	cql_put_register(&frame);
	ask(connection, START_REGISTER, &frame, CQL_OP_REGISTER);
}

static void fail_with_error(struct cql_connection *connection, const struct cql_frame *frame)
{
	AUTO_OP(op, "cql start");
	struct slice plain = frame->body;
	if (frame->flags & CQL_FRAME_COMPRESSED && !connection->segmented &&
		cql_frame_decompress(&op, frame->body, &plain))
		plain = SLICE_NONE;
	struct reader body = reader_of(plain);
	struct cql_failure failure = {0};
	struct cql_server_error error = {0};
	cql_error_decode(&body, frame->version, &failure, &error);
	bool version =
		failure.code == CQL_PROTOCOL_ERROR && connection->start_step <= START_STARTUP;
	bool passing = failure.code == CQL_OVERLOADED || failure.code == CQL_BOOTSTRAPPING ||
		       failure.code == CQL_SERVER_ERROR;
	cql_connection_break(connection,
		version   ? CQL_CLOSING_VERSION
		: passing ? CQL_CLOSING_LOST
			  : CQL_CLOSING_REFUSED,
		"%s: " SLICE_FMT, cql_error_name(failure.code), SLICE_ARG(error.message));
}

/* Which answers a step may get; AUTHENTICATE and AUTH_CHALLENGE lead to one more token. */
static bool is_expected(enum start_step step, uint8_t opcode)
{
	switch (step) {
	case START_OPTIONS:
		return opcode == CQL_OP_SUPPORTED;
	case START_STARTUP:
		return opcode == CQL_OP_READY || opcode == CQL_OP_AUTHENTICATE;
	case START_AUTH:
		return opcode == CQL_OP_AUTH_SUCCESS || opcode == CQL_OP_AUTH_CHALLENGE;
	case START_REGISTER:
		return opcode == CQL_OP_READY;
	case START_KEYSPACE:
		return opcode == CQL_OP_RESULT;
	}
	return false;
}

static void take_step(struct cql_connection *connection, const struct cql_frame *frame)
{
	switch ((enum start_step)connection->start_step) {
	case START_OPTIONS:
		send_startup(connection, frame->body);
		break;
	case START_STARTUP:
		/* From here on v5 travels in segments, both ways. */
		connection->segmented = connection->config.version >= 5;
		if (frame->opcode == CQL_OP_AUTHENTICATE)
			send_token(connection);
		else
			after_login(connection);
		break;
	case START_AUTH:
		if (frame->opcode == CQL_OP_AUTH_CHALLENGE)
			send_token(connection);
		else
			after_login(connection);
		break;
	case START_REGISTER:
		after_register(connection);
		break;
	case START_KEYSPACE:
		become_ready(connection);
		break;
	}
}

void cql_start_answer(struct cql_connection *connection, const struct cql_frame *frame)
{
	if (frame->opcode == CQL_OP_ERROR)
		fail_with_error(connection, frame);
	else if (frame->version != connection->config.version)
		cql_connection_break(connection, CQL_CLOSING_VERSION,
			"the host answers in version %u", frame->version);
	else if (frame->stream != 0 || !is_expected(connection->start_step, frame->opcode))
		cql_connection_break(connection, CQL_CLOSING_LOST,
			"an unexpected answer (opcode %u) while starting", frame->opcode);
	else
		take_step(connection, frame);
}
