#include "wire/cql/cql_fake_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "wire/cql/cql_segment.h"

#define CONNECTIONS_MAX 64
#define STEPS_MAX 64
#define LATE_NS (300 * NS_PER_MS)

struct late {
	uint64_t due_ns;
	struct buf bytes;
	struct late *next;
};

struct fake_connection {
	int fd; /* -1: free */
	size_t host;
	struct buf input, frames, output;
	uint8_t version;
	bool segmented, compression, is_control, is_closing, is_stopped;
	struct late *late;
};

struct fake_server {
	struct fake_options options;
	uint16_t port;
	int listeners[FAKE_HOSTS_MAX];
	int wake[2];
	pthread_t thread;
	struct fake_connection connections[CONNECTIONS_MAX]; /* the thread's */

	struct mutex lock;
	bool is_ending, is_deaf, close_control;
	bool want_up[FAKE_HOSTS_MAX];
	struct fake_step steps[STEPS_MAX];
	size_t step_count, next_step;
	enum fake_action always;
	struct fake_counts counts;
	struct buf event;
};

struct request {
	struct fake_connection *connection;
	uint8_t version, flags;
	uint16_t stream;
	uint8_t opcode;
	struct slice body;
};

/* ---- answers ---- */

/* As it travels on this connection. */
static struct buf pack(const struct fake_connection *connection, struct buf *frame)
{
	if (!connection->segmented)
		return *frame;
	struct buf packed = buf_heap();
	cql_segment_wrap(&packed, buf_as_slice(frame), connection->compression);
	buf_done(frame);
	return packed;
}

static struct buf make_answer(
	const struct request *request, enum cql_opcode opcode, struct slice body, int stream_shift)
{
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	buf_append(&frame, body);
	uint8_t version = (uint8_t)(0x80 | request->connection->version);
	cql_frame_end(&frame, version, 0, (uint16_t)(request->stream + stream_shift), opcode);
	return pack(request->connection, &frame);
}

static void answer(const struct request *request, enum cql_opcode opcode, struct slice body)
{
	struct buf bytes = make_answer(request, opcode, body, 0);
	buf_append(&request->connection->output, buf_as_slice(&bytes));
	buf_done(&bytes);
}

static void answer_error(const struct request *request, uint32_t code, const char *text)
{
	struct buf body = buf_heap();
	buf_u32(&body, code);
	cql_put_string(&body, slice_from_cstr(text));
	answer(request, CQL_OP_ERROR, buf_as_slice(&body));
	buf_done(&body);
}

struct table {
	const char *const *names;
	const enum cql_type *types;
	size_t count;
};

static void put_rows_head(struct buf *body, const struct table *table, uint32_t rows)
{
	buf_u32(body, 2);
	buf_u32(body, 1);
	buf_u32(body, (uint32_t)table->count);
	cql_put_string(body, SLICE("ks"));
	cql_put_string(body, SLICE("t"));
	for (size_t i = 0; i < table->count; i++) {
		cql_put_string(body, slice_from_cstr(table->names[i]));
		buf_u16(body, (uint16_t)table->types[i]);
		if (table->types[i] == CQL_TYPE_SET)
			buf_u16(body, CQL_TYPE_VARCHAR);
	}
	buf_u32(body, rows);
}

/* A member as system.local and system.peers_v2 both can say it. */
static void put_member(struct buf *body, const struct fake_server *server, size_t host)
{
	const char *datacenter = server->options.datacenter ? server->options.datacenter : "here";
	const uint8_t address[4] = {127, 0, 0, (uint8_t)(host + 1)};
	cql_put_bytes(body, slice_of(address, 4));
	buf_u32(body, 4);
	buf_u32(body, server->port);
	cql_put_bytes(body, slice_from_cstr(datacenter));
	cql_put_bytes(body, SLICE("rack"));
	cql_put_bytes(body, SLICE("5.0-fake"));
	cql_put_bytes(body, SLICE("0123456789abcdef"));
	char token[24];
	int length = snprintf(token, sizeof(token), "%zu", host * 1000);
	buf_u32(body, (uint32_t)(8 + length));
	buf_u32(body, 1);
	cql_put_bytes(body, slice_of(token, (size_t)length));
}

static void answer_members(struct fake_server *server, const struct request *request, bool local)
{
	const char *const names[] = {local ? "rpc_address" : "native_address",
		local ? "rpc_port" : "native_port", "data_center", "rack", "release_version",
		"schema_version", "tokens"};
	static const enum cql_type types[] = {CQL_TYPE_INET, CQL_TYPE_INT, CQL_TYPE_VARCHAR,
		CQL_TYPE_VARCHAR, CQL_TYPE_VARCHAR, CQL_TYPE_UUID, CQL_TYPE_SET};
	const struct table table = {names, types, ARRAY_SIZE(types)};
	struct buf body = buf_heap();
	size_t own = request->connection->host;
	put_rows_head(&body, &table, local ? 1 : (uint32_t)server->options.hosts - 1);
	for (size_t host = 0; host < server->options.hosts; host++)
		if ((host == own) == local)
			put_member(&body, server, host);
	answer(request, CQL_OP_RESULT, buf_as_slice(&body));
	buf_done(&body);
}

static void answer_keyspaces(const struct request *request)
{
	static const char *const names[] = {"keyspace_name"};
	static const enum cql_type types[] = {CQL_TYPE_VARCHAR};
	struct buf body = buf_heap();
	put_rows_head(&body, &(struct table){names, types, 1}, 0);
	answer(request, CQL_OP_RESULT, buf_as_slice(&body));
	buf_done(&body);
}

static void answer_schema_version(const struct request *request)
{
	static const char *const names[] = {"schema_version"};
	static const enum cql_type types[] = {CQL_TYPE_UUID};
	struct buf body = buf_heap();
	put_rows_head(&body, &(struct table){names, types, 1}, 1);
	cql_put_bytes(&body, SLICE("0123456789abcdef"));
	answer(request, CQL_OP_RESULT, buf_as_slice(&body));
	buf_done(&body);
}

/* The statement's id is its text. */
static void answer_prepare(const struct request *request)
{
	struct reader in = reader_of(request->body);
	struct slice text = cql_get_bytes(&in);
	struct buf body = buf_heap();
	buf_u32(&body, 4);
	cql_put_short_bytes(&body, text);
	if (request->connection->version >= 5)
		cql_put_short_bytes(&body, SLICE("shape"));
	buf_append(&body, SLICE("\0\0\0\4\0\0\0\0\0\0\0\0")); /* no marks told */
	buf_append(&body, SLICE("\0\0\0\4\0\0\0\0"));         /* nor columns */
	answer(request, CQL_OP_RESULT, buf_as_slice(&body));
	buf_done(&body);
}

/* EXECUTE: its first value; QUERY: its text. */
static struct buf make_echo(const struct request *request)
{
	struct reader in = reader_of(request->body);
	struct slice value;
	if (request->opcode == CQL_OP_EXECUTE) {
		cql_get_short_bytes(&in);
		if (request->connection->version >= 5)
			cql_get_short_bytes(&in);
		reader_u16(&in);
		reader_bytes(&in, request->connection->version >= 5 ? 4 : 1);
		reader_u16(&in);
		value = cql_get_bytes(&in);
	} else {
		value = cql_get_bytes(&in);
	}
	static const char *const names[] = {"echo"};
	static const enum cql_type types[] = {CQL_TYPE_BLOB};
	struct buf body = buf_heap();
	put_rows_head(&body, &(struct table){names, types, 1}, 1);
	cql_put_bytes(&body, value);
	struct buf bytes = make_answer(request, CQL_OP_RESULT, buf_as_slice(&body), 0);
	buf_done(&body);
	return bytes;
}

static void answer_echo(const struct request *request, bool late)
{
	struct buf bytes = make_echo(request);
	struct fake_connection *connection = request->connection;
	if (late) {
		struct late *entry = HEAP_NEW(struct late);
		*entry = (struct late){.due_ns = clock_monotonic_ns() + LATE_NS, .bytes = bytes};
		entry->next = connection->late;
		connection->late = entry;
		return;
	}
	buf_append(&connection->output, buf_as_slice(&bytes));
	buf_done(&bytes);
}

static void answer_unprepared(const struct request *request)
{
	struct reader in = reader_of(request->body);
	struct slice id = cql_get_short_bytes(&in);
	struct buf body = buf_heap();
	buf_u32(&body, CQL_UNPREPARED);
	cql_put_string(&body, SLICE("unknown"));
	cql_put_short_bytes(&body, id);
	answer(request, CQL_OP_ERROR, buf_as_slice(&body));
	buf_done(&body);
}

/* ---- the script ---- */

static void put_half_frame(const struct request *request)
{
	struct buf bytes = make_echo(request);
	buf_append(
		&request->connection->output, slice_range(buf_as_slice(&bytes), 0, bytes.len / 2));
	buf_done(&bytes);
}

static void put_on_wrong_stream(const struct request *request)
{
	struct buf bytes = make_answer(request, CQL_OP_RESULT, SLICE("\0\0\0\1"), 1);
	buf_append(&request->connection->output, buf_as_slice(&bytes));
	buf_done(&bytes);
}

static void act(const struct request *request, const struct fake_step *step)
{
	struct fake_connection *connection = request->connection;
	switch (step->action) {
	case FAKE_VOID:
		answer(request, CQL_OP_RESULT, SLICE("\0\0\0\1"));
		break;
	case FAKE_ECHO:
	case FAKE_LATE:
		answer_echo(request, step->action == FAKE_LATE);
		break;
	case FAKE_ERROR:
		answer(request, CQL_OP_ERROR, step->body);
		break;
	case FAKE_UNPREPARED:
		answer_unprepared(request);
		break;
	case FAKE_SILENCE:
		break;
	case FAKE_CLOSE:
		connection->is_closing = true;
		break;
	case FAKE_HALF_FRAME:
		put_half_frame(request);
		connection->is_closing = true;
		break;
	case FAKE_WRONG_STREAM:
		put_on_wrong_stream(request);
		break;
	case FAKE_GARBAGE:
		buf_append(&connection->output, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n"));
		break;
	case FAKE_LYING_ROWS:
		answer(request, CQL_OP_RESULT,
			SLICE("\0\0\0\2\0\0\0\1\0\0\0\1\0\1k\0\1t\0\1a\0\x09\x7f\xff\xff\xff"));
		break;
	case FAKE_STOP_READING:
		connection->is_stopped = true;
		break;
	}
}

static void take_request(struct fake_server *server, const struct request *request)
{
	AUTO_LOCK(&server->lock);
	server->counts.requests++;
	server->counts.by_host[request->connection->host]++;
	struct fake_step step = {.action = server->always};
	if (server->next_step < server->step_count)
		step = server->steps[server->next_step++];
	act(request, &step);
}

/* ---- starting, and the questions every client asks ---- */

static void take_startup(struct fake_server *server, const struct request *request)
{
	struct fake_connection *connection = request->connection;
	connection->compression = slice_find(request->body, SLICE("lz4")) < request->body.len;
	if (server->options.user)
		answer(request, CQL_OP_AUTHENTICATE, SLICE("\0\x08Password"));
	else
		answer(request, CQL_OP_READY, SLICE(""));
	connection->segmented = connection->version >= 5;
}

static void take_token(struct fake_server *server, const struct request *request)
{
	struct buf wanted = buf_heap();
	struct slice user = slice_from_cstr(server->options.user);
	struct slice password = slice_from_cstr(server->options.password);
	buf_u32(&wanted, (uint32_t)(user.len + password.len + 2));
	buf_u8(&wanted, 0);
	buf_append(&wanted, user);
	buf_u8(&wanted, 0);
	buf_append(&wanted, password);
	if (slice_equal(request->body, buf_as_slice(&wanted)))
		answer(request, CQL_OP_AUTH_SUCCESS, SLICE("\xff\xff\xff\xff"));
	else
		answer_error(request, CQL_BAD_CREDENTIALS, "wrong password");
	buf_done(&wanted);
}

static bool take_known_query(struct fake_server *server, const struct request *request)
{
	struct reader in = reader_of(request->body);
	struct slice text = cql_get_bytes(&in);
	if (slice_starts_with(text, SLICE("SELECT * FROM system.local"))) {
		mutex_lock(&server->lock);
		server->counts.learned++;
		mutex_unlock(&server->lock);
		answer_members(server, request, true);
	} else if (slice_starts_with(text, SLICE("SELECT * FROM system.peers_v2"))) {
		answer_members(server, request, false);
	} else if (slice_starts_with(text, SLICE("SELECT schema_version FROM system.local"))) {
		answer_schema_version(request);
	} else if (slice_find(text, SLICE("system_schema.keyspaces")) < text.len) {
		answer_keyspaces(request);
	} else if (slice_starts_with(text, SLICE("USE "))) {
		if (server->options.refuse_keyspace)
			answer_error(request, CQL_INVALID, "no such keyspace");
		else
			answer(request, CQL_OP_RESULT, SLICE("\0\0\0\3\0\2ks"));
	} else {
		return false;
	}
	return true;
}

static void take_frame(struct fake_server *server, const struct request *request)
{
	uint8_t highest = server->options.version ? server->options.version : 5;
	if (request->version > highest) {
		request->connection->version = highest;
		answer_error(
			request, CQL_PROTOCOL_ERROR, "Invalid or unsupported protocol version");
		request->connection->is_closing = true;
		return;
	}
	request->connection->version = request->version;
	switch (request->opcode) {
	case CQL_OP_OPTIONS:
		answer(request, CQL_OP_SUPPORTED,
			server->options.compression ? SLICE("\0\1\0\x0b"
							    "COMPRESSION\0\1\0\3lz4")
						    : SLICE("\0\0"));
		break;
	case CQL_OP_STARTUP:
		take_startup(server, request);
		break;
	case CQL_OP_AUTH_RESPONSE:
		take_token(server, request);
		break;
	case CQL_OP_REGISTER:
		request->connection->is_control = true;
		answer(request, CQL_OP_READY, SLICE(""));
		break;
	case CQL_OP_PREPARE:
		mutex_lock(&server->lock);
		server->counts.prepares++;
		mutex_unlock(&server->lock);
		answer_prepare(request);
		break;
	default:
		if (request->opcode != CQL_OP_QUERY || !take_known_query(server, request))
			take_request(server, request);
	}
}

/* ---- bytes ---- */

/* How long the whole frame at the front is; 0: not whole. */
static size_t whole_frame(struct slice bytes, struct request *request)
{
	struct reader in = reader_of(bytes);
	request->version = reader_u8(&in);
	request->flags = reader_u8(&in);
	request->stream = reader_u16(&in);
	request->opcode = reader_u8(&in);
	uint32_t length = reader_u32(&in);
	request->body = reader_bytes(&in, length);
	return in.failed ? 0 : CQL_FRAME_HEADER_SIZE + (size_t)length;
}

static void drop_front(struct buf *bytes, size_t count)
{
	memmove(bytes->ptr, bytes->ptr + count, bytes->len - count);
	bytes->len -= count;
}

static void take_frames(
	struct fake_server *server, struct fake_connection *connection, struct buf *bytes)
{
	struct request request = {.connection = connection};
	size_t length;
	while (!connection->is_closing && !connection->is_stopped &&
		(length = whole_frame(buf_as_slice(bytes), &request)) > 0) {
		struct op op;
		op_init(&op, "fake");
		if (request.flags & CQL_FRAME_COMPRESSED) {
			struct error *err = cql_frame_decompress(&op, request.body, &request.body);
			assert(!err);
		}
		bool was_segmented = connection->segmented;
		take_frame(server, &request);
		op_done(&op);
		drop_front(bytes, length);
		if (connection->segmented != was_segmented)
			return;
	}
}

static void take_input(struct fake_server *server, struct fake_connection *connection)
{
	if (!connection->segmented)
		take_frames(server, connection, &connection->input);
	bool self_contained;
	size_t length;
	while (connection->segmented && !connection->is_closing && !connection->is_stopped) {
		enum cql_scan scan = cql_segment_scan(buf_as_slice(&connection->input),
			connection->compression, &connection->frames, &self_contained, &length);
		assert(scan != CQL_SCAN_BROKEN);
		if (scan == CQL_SCAN_PARTIAL)
			return;
		drop_front(&connection->input, length);
		take_frames(server, connection, &connection->frames);
	}
}

static void close_connection(struct fake_connection *connection)
{
	close(connection->fd);
	while (connection->late) {
		struct late *entry = connection->late;
		connection->late = entry->next;
		buf_done(&entry->bytes);
		free(entry);
	}
	buf_done(&connection->input);
	buf_done(&connection->frames);
	buf_done(&connection->output);
	*connection = (struct fake_connection){.fd = -1};
}

static void read_some(struct fake_server *server, struct fake_connection *connection)
{
	char *at = buf_reserve(&connection->input, 65536);
	ssize_t count = recv(connection->fd, at, 65536, MSG_DONTWAIT);
	if (count < 0 && errno == EAGAIN)
		return;
	if (count <= 0) {
		close_connection(connection);
		return;
	}
	connection->input.len += (size_t)count;
	mutex_lock(&server->lock);
	bool deaf = server->is_deaf;
	mutex_unlock(&server->lock);
	if (!deaf)
		take_input(server, connection);
}

static void write_some(struct fake_connection *connection)
{
	if (connection->output.len) {
		ssize_t count = send(connection->fd, connection->output.ptr, connection->output.len,
			MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count > 0)
			drop_front(&connection->output, (size_t)count);
		else if (count < 0 && errno != EAGAIN)
			connection->is_closing = true;
	}
	if (connection->is_closing)
		close_connection(connection);
}

static void release_late(struct fake_connection *connection, uint64_t now_ns)
{
	struct late **link = &connection->late;
	while (*link) {
		struct late *entry = *link;
		if (entry->due_ns > now_ns) {
			link = &entry->next;
			continue;
		}
		*link = entry->next;
		buf_append(&connection->output, buf_as_slice(&entry->bytes));
		buf_done(&entry->bytes);
		free(entry);
	}
}

/* ---- the thread ---- */

static int listen_on(size_t host, uint16_t port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* Small, so that a test can fill it. */
	int size = 16384;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)host)};
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void accept_one(struct fake_server *server, size_t host)
{
	int fd = accept4(server->listeners[host], NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i].fd < 0) {
			server->connections[i] = (struct fake_connection){.fd = fd, .host = host};
			AUTO_LOCK(&server->lock);
			server->counts.connections++;
			return;
		}
	close(fd);
}

static void set_listener(struct fake_server *server, size_t host, bool up)
{
	if (up == (server->listeners[host] >= 0))
		return;
	if (up) {
		server->listeners[host] = listen_on(host, server->port);
		return;
	}
	close(server->listeners[host]);
	server->listeners[host] = -1;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i].fd >= 0 && server->connections[i].host == host)
			close_connection(&server->connections[i]);
}

static void put_event(struct fake_connection *connection, struct slice body)
{
	const struct request nobody = {.connection = connection, .stream = 0xffff};
	answer(&nobody, CQL_OP_EVENT, body);
}

/* What the test asked for since the last round; false: the end. */
static bool follow_orders(struct fake_server *server)
{
	AUTO_LOCK(&server->lock);
	for (size_t host = 0; host < server->options.hosts; host++)
		set_listener(server, host, server->want_up[host]);
	server->counts.open = 0;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct fake_connection *connection = &server->connections[i];
		if (connection->fd < 0)
			continue;
		if (connection->is_control && server->event.len)
			put_event(connection, buf_as_slice(&server->event));
		if (connection->is_control && server->close_control)
			connection->is_closing = true;
		server->counts.open++;
	}
	server->event.len = 0;
	server->close_control = false;
	return !server->is_ending;
}

static void wait_for_some(struct fake_server *server, struct pollfd *polls)
{
	polls[0] = (struct pollfd){.fd = server->wake[0], .events = POLLIN};
	for (size_t i = 0; i < FAKE_HOSTS_MAX; i++)
		polls[1 + i] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct fake_connection *connection = &server->connections[i];
		short events = connection->is_stopped ? 0 : POLLIN;
		polls[1 + FAKE_HOSTS_MAX + i] = (struct pollfd){.fd = connection->fd,
			.events = (short)(events | (connection->output.len ? POLLOUT : 0))};
	}
	poll(polls, 1 + FAKE_HOSTS_MAX + CONNECTIONS_MAX, 20);
	char drain[64];
	if (polls[0].revents && read(server->wake[0], drain, sizeof(drain)) < 0)
		abort();
}

static void *server_run(void *argument)
{
	struct fake_server *server = argument;
	while (follow_orders(server)) {
		struct pollfd polls[1 + FAKE_HOSTS_MAX + CONNECTIONS_MAX];
		wait_for_some(server, polls);
		for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
			struct fake_connection *connection = &server->connections[i];
			if (connection->fd < 0)
				continue;
			short events = polls[1 + FAKE_HOSTS_MAX + i].revents;
			if (events & (POLLIN | POLLHUP | POLLERR) && !connection->is_stopped)
				read_some(server, connection);
			if (connection->fd < 0)
				continue;
			release_late(connection, clock_monotonic_ns());
			write_some(connection);
		}
		for (size_t host = 0; host < FAKE_HOSTS_MAX; host++)
			if (polls[1 + host].revents & POLLIN)
				accept_one(server, host);
	}
	return NULL;
}

/* ---- orders ---- */

static void wake(struct fake_server *server)
{
	if (write(server->wake[1], "", 1) < 0)
		abort();
}

struct fake_server *fake_server_start(const struct fake_options *options)
{
	struct fake_server *server = HEAP_NEW(struct fake_server);
	server->options = *options;
	mutex_init(&server->lock);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		server->connections[i].fd = -1;
	for (size_t i = 0; i < FAKE_HOSTS_MAX; i++)
		server->listeners[i] = -1;
	/* A port that is free on all the addresses; below those that the kernel hands out. */
	bool bound = false;
	while (!bound) {
		server->port = (uint16_t)(10000 + random_below(20000));
		bound = true;
		for (size_t i = 0; i < options->hosts; i++) {
			server->listeners[i] = listen_on(i, server->port);
			server->want_up[i] = true;
			bound &= server->listeners[i] >= 0;
		}
		for (size_t i = 0; i < options->hosts && !bound; i++)
			if (server->listeners[i] >= 0)
				close(server->listeners[i]);
	}
	if (pipe(server->wake) != 0)
		abort();
	thread_start(&server->thread, "fake server", server_run, server);
	return server;
}

void fake_server_stop(struct fake_server *server)
{
	mutex_lock(&server->lock);
	server->is_ending = true;
	mutex_unlock(&server->lock);
	wake(server);
	thread_join(server->thread);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (server->connections[i].fd >= 0)
			close_connection(&server->connections[i]);
	for (size_t i = 0; i < FAKE_HOSTS_MAX; i++)
		if (server->listeners[i] >= 0)
			close(server->listeners[i]);
	close(server->wake[0]);
	close(server->wake[1]);
	buf_done(&server->event);
	mutex_done(&server->lock);
	free(server);
}

uint16_t fake_server_port(const struct fake_server *server)
{
	return server->port;
}

void fake_server_script(struct fake_server *server, const struct fake_step *steps, size_t count)
{
	AUTO_LOCK(&server->lock);
	assert(count <= STEPS_MAX);
	memcpy(server->steps, steps, count * sizeof(*steps));
	server->step_count = count;
	server->next_step = 0;
}

void fake_server_always(struct fake_server *server, enum fake_action action)
{
	AUTO_LOCK(&server->lock);
	server->always = action;
}

void fake_server_set_host(struct fake_server *server, size_t host, bool up)
{
	mutex_lock(&server->lock);
	server->want_up[host] = up;
	mutex_unlock(&server->lock);
	wake(server);
}

void fake_server_set_deaf(struct fake_server *server, bool deaf)
{
	AUTO_LOCK(&server->lock);
	server->is_deaf = deaf;
}

void fake_server_close_control(struct fake_server *server)
{
	mutex_lock(&server->lock);
	server->close_control = true;
	mutex_unlock(&server->lock);
	wake(server);
}

void fake_server_send_event(struct fake_server *server, struct slice body)
{
	mutex_lock(&server->lock);
	buf_append(&server->event, body);
	mutex_unlock(&server->lock);
	wake(server);
}

struct fake_counts fake_server_counts(struct fake_server *server)
{
	AUTO_LOCK(&server->lock);
	return server->counts;
}
