/* A connection from its opening to its end. */

#include "wire/cql/cql_connection.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "wire/cql/cql_connection_private.h"

/* How long a host may take to a heart-beat when a request was not answered in time. */
#define SUSPECT_MS 1000u

void cql_connection_break(
	struct cql_connection *connection, enum cql_closing closing, const char *format, ...)
{
	if (connection->is_broken || connection->phase == CQL_PHASE_CLOSED)
		return;
	connection->is_broken = true;
	connection->closing = closing;
	va_list args;
	va_start(args, format);
	vsnprintf(connection->why, sizeof(connection->why), format, args);
	va_end(args);
	cql_connection_attend(connection);
}

void cql_connection_attend(struct cql_connection *connection)
{
	if (connection->is_attending || connection->phase == CQL_PHASE_CLOSED)
		return;
	connection->is_attending = true;
	cql_connection_ref(connection);
	reactor_post(connection->config.link->reactor, &connection->attend);
}

static void drop_references(struct cql_connection *connection, uint32_t count)
{
	if (__atomic_fetch_sub(&connection->references, count, __ATOMIC_ACQ_REL) != count)
		return;
	free(connection->address);
	free(connection->keyspace);
	free(connection->server_name);
	free(connection->streams);
	free(connection->free_streams);
	buf_done(&connection->input);
	buf_done(&connection->frames);
	mutex_done(&connection->lock);
	free(connection);
}

static void remove_events(struct cql_connection *connection)
{
	struct event *const events[] = {
		connection->readable, connection->writable, connection->timer};
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (events[i])
			event_free(events[i]);
	connection->readable = connection->writable = connection->timer = NULL;
}

/* The end. Reactor thread, no lock held. False: it had ended before, or whoever sends just now has
 * it attended to afterwards; else the reactor's reference is to be dropped. */
static bool close_now(struct cql_connection *connection)
{
	mutex_lock(&connection->lock);
	bool again = connection->phase == CQL_PHASE_CLOSED || connection->is_sending;
	if (!again)
		connection->phase = CQL_PHASE_CLOSED;
	if (!again) {
		cql_call_lose_all(connection);
		cql_output_free_all(connection);
	}
	mutex_unlock(&connection->lock);
	if (again)
		return false;
	remove_events(connection);
	SSL_free(connection->ssl);
	connection->ssl = NULL;
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	connection->config.events->closed(connection, connection->config.owner);
	return true;
}

static void tell_ready(struct cql_connection *connection)
{
	mutex_lock(&connection->lock);
	bool ready = connection->phase == CQL_PHASE_READY && !connection->is_broken;
	mutex_unlock(&connection->lock);
	if (!ready || connection->told_ready)
		return;
	connection->told_ready = true;
	connection->config.events->ready(connection, connection->config.owner);
}

/* Under lock. */
static void continue_handshake(struct cql_connection *connection)
{
	ERR_clear_error();
	int done = SSL_do_handshake(connection->ssl);
	if (done == 1) {
		connection->phase = CQL_PHASE_STARTING;
		cql_start_begin(connection);
		return;
	}
	int reason = SSL_get_error(connection->ssl, done);
	if (reason == SSL_ERROR_WANT_READ)
		return;
	if (reason == SSL_ERROR_WANT_WRITE) {
		event_add(connection->writable, NULL);
		return;
	}
	char text[160];
	cql_connection_break(connection, CQL_CLOSING_REFUSED, "TLS handshake: %s",
		cql_tls_reason(connection->ssl, text, sizeof(text)));
}

/* Under lock: the socket has connected, or has failed to. */
static void finish_connecting(struct cql_connection *connection)
{
	int problem = 0;
	socklen_t size = sizeof(problem);
	if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
		problem = errno;
	if (problem) {
		cql_connection_break(
			connection, CQL_CLOSING_LOST, "connect: %s", strerror(problem));
		return;
	}
	event_add(connection->readable, NULL);
	struct cql_tls *tls = connection->config.link->tls;
	if (!tls) {
		connection->phase = CQL_PHASE_STARTING;
		cql_start_begin(connection);
		return;
	}
	connection->ssl = cql_tls_connect(tls, connection->fd, connection->server_name);
	if (!connection->ssl) {
		cql_connection_break(connection, CQL_CLOSING_REFUSED, "TLS cannot be set up");
		return;
	}
	connection->phase = CQL_PHASE_HANDSHAKE;
	continue_handshake(connection);
}

/* Ends the callback of an event: the last that may touch the connection. */
static void end_round(struct cql_connection *connection)
{
	mutex_lock(&connection->lock);
	bool broken = connection->is_broken;
	mutex_unlock(&connection->lock);
	if (!broken)
		tell_ready(connection);
	bool ended = broken && close_now(connection);
	drop_references(connection, ended ? 2 : 1);
}

static void on_writable(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct cql_connection *connection = cql_connection_ref(argument);
	mutex_lock(&connection->lock);
	if (connection->phase == CQL_PHASE_CONNECTING)
		finish_connecting(connection);
	else if (connection->phase == CQL_PHASE_HANDSHAKE)
		continue_handshake(connection);
	else
		cql_output_flush(connection);
	mutex_unlock(&connection->lock);
	end_round(connection);
}

static void on_readable(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct cql_connection *connection = cql_connection_ref(argument);
	mutex_lock(&connection->lock);
	if (connection->phase == CQL_PHASE_HANDSHAKE)
		continue_handshake(connection);
	bool read = connection->phase != CQL_PHASE_HANDSHAKE;
	mutex_unlock(&connection->lock);
	if (read)
		cql_input_read(connection);
	end_round(connection);
}

static void set_timer(struct cql_connection *connection, uint32_t delay_ms)
{
	struct timeval delay = {.tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000};
	event_add(connection->timer, &delay);
}

/* Under lock. */
static void send_heartbeat(struct cql_connection *connection)
{
	struct buf frame = buf_heap();
	cql_frame_begin(&frame);
	cql_connection_send_own(connection, &frame, CQL_OP_OPTIONS);
	connection->heartbeat_waits = true;
}

/* Under lock: does not wait for the next heart-beat, since a dead host would cost every request
 * that goes to it until then. */
static void suspect(struct cql_connection *connection)
{
	connection->is_suspect = false;
	if (connection->heartbeat_waits || connection->phase != CQL_PHASE_READY)
		return;
	connection->received = false;
	send_heartbeat(connection);
	set_timer(connection, MIN_OF(SUSPECT_MS, connection->config.link->heartbeat_ms));
}

/* First the limit on connecting and starting, then the rhythm of the heart-beats. */
static void on_timer(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct cql_connection *connection = cql_connection_ref(argument);
	mutex_lock(&connection->lock);
	if (connection->phase != CQL_PHASE_READY)
		cql_connection_break(connection, CQL_CLOSING_LOST, "not connected in time");
	else if (!connection->received && connection->heartbeat_waits)
		cql_connection_break(connection, CQL_CLOSING_LOST, "no answer to a heart-beat");
	else if (!connection->received)
		send_heartbeat(connection);
	connection->received = false;
	mutex_unlock(&connection->lock);
	set_timer(connection, connection->config.link->heartbeat_ms);
	end_round(connection);
}

/* Under lock. */
static bool make_socket(struct cql_connection *connection)
{
	const struct sockaddr *address = (const struct sockaddr *)&connection->socket_address;
	connection->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0) {
		cql_connection_break(connection, CQL_CLOSING_LOST, "socket: %s", strerror(errno));
		return false;
	}
	int on = 1;
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(connection->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(connection->fd, address, connection->config.socket_address_size) == 0 ||
		errno == EINPROGRESS)
		return true;
	cql_connection_break(connection, CQL_CLOSING_LOST, "connect: %s", strerror(errno));
	return false;
}

static void begin_connecting(struct cql_connection *connection)
{
	if (!make_socket(connection))
		return;
	struct event_base *base = reactor_base(connection->config.link->reactor);
	connection->readable =
		event_new(base, connection->fd, EV_READ | EV_PERSIST, on_readable, connection);
	connection->writable = event_new(base, connection->fd, EV_WRITE, on_writable, connection);
	connection->timer = evtimer_new(base, on_timer, connection);
	assert(connection->readable && connection->writable && connection->timer);
	event_add(connection->writable, NULL);
	set_timer(connection, connection->config.link->connect_timeout_ms);
}

static void attend(struct reactor_task *task)
{
	struct cql_connection *connection =
		(struct cql_connection *)((char *)task - offsetof(struct cql_connection, attend));
	mutex_lock(&connection->lock);
	connection->is_attending = false;
	bool open = connection->phase != CQL_PHASE_CLOSED && !connection->is_broken;
	if (open && connection->fd < 0)
		begin_connecting(connection);
	else if (open && connection->first_output)
		event_add(connection->writable, NULL);
	if (open && connection->is_suspect)
		suspect(connection);
	mutex_unlock(&connection->lock);
	end_round(connection);
}

static char *copy_or_null(const char *text)
{
	return text ? heap_cstr(slice_from_cstr(text)) : NULL;
}

struct cql_connection *cql_connection_open(const struct cql_connection_config *config)
{
	struct cql_connection *connection = HEAP_NEW(struct cql_connection);
	connection->config = *config;
	connection->references = 2; /* the caller's and the reactor's */
	connection->address = copy_or_null(config->address);
	connection->keyspace = copy_or_null(config->keyspace);
	connection->server_name = copy_or_null(config->server_name);
	memcpy(&connection->socket_address, config->socket_address, config->socket_address_size);
	mutex_init(&connection->lock);
	connection->fd = -1;
	connection->last_output = &connection->first_output;
	connection->attend.run = attend;
	cql_stream_table_init(connection);

	mutex_lock(&connection->lock);
	cql_connection_attend(connection);
	mutex_unlock(&connection->lock);
	return connection;
}

struct cql_connection *cql_connection_ref(struct cql_connection *connection)
{
	__atomic_fetch_add(&connection->references, 1, __ATOMIC_RELAXED);
	return connection;
}

void cql_connection_unref(struct cql_connection *connection)
{
	if (connection)
		drop_references(connection, 1);
}

void cql_connection_close(struct cql_connection *connection)
{
	AUTO_LOCK(&connection->lock);
	cql_connection_break(connection, CQL_CLOSING_LOST, "closed by this client");
}

bool cql_connection_is_ready(struct cql_connection *connection)
{
	AUTO_LOCK(&connection->lock);
	return connection->phase == CQL_PHASE_READY && !connection->is_broken;
}

uint32_t cql_connection_in_flight(const struct cql_connection *connection)
{
	return __atomic_load_n(&connection->in_flight, __ATOMIC_RELAXED);
}

uint8_t cql_connection_version(const struct cql_connection *connection)
{
	return connection->config.version;
}

const char *cql_connection_address(const struct cql_connection *connection)
{
	return connection->address;
}

enum cql_closing cql_connection_closing(const struct cql_connection *connection)
{
	return connection->closing;
}

const char *cql_connection_why(const struct cql_connection *connection)
{
	return connection->why;
}
