#include "net/connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "net/compression.h"
#include "net/net_private.h"

METRIC_GAUGE(connections_open, "connections_open", "Client connections that are open");
METRIC_COUNTER(handshakes_failed, "tls_handshakes_failed_total", "TLS handshakes that failed");
METRIC_GAUGE(compressed, "connections_compressed", "Client connections that are compressed");
METRIC_COUNTER(slow_readers, "slow_readers_closed_total",
	"Connections closed because the client did not read");

/* How long a client may take to close after we did, so that our last words reach it. */
#define LINGER_NS (2 * NS_PER_S)

/* `written` is told when no more than this is unsent. */
#define LOW_WATER KIB(32)

enum connection_phase {
	PHASE_OPEN,
	PHASE_BEFORE_TLS, /* sending the last plain bytes */
	PHASE_HANDSHAKE,
	PHASE_FINISHING, /* sending the last bytes */
	PHASE_LINGERING, /* closed by us, not yet by the client */
	PHASE_CLOSED,
};

struct connection {
	struct connection_list *list;
	struct connection *next, **link;
	struct connection_origin origin;
	struct peer_address local;
	struct reactor_task task; /* begin, then release */
	struct bufferevent *bev;
	SSL *ssl; /* freed after bev, which is told not to */
	struct tls *tls;
	struct compression *compression; /* NULL: none */
	struct evbuffer *unpacked;
	bool is_broken;
	void *user;
	enum connection_phase phase;
	bool opened; /* `opened` was called */
	bool reading;
	uint64_t phase_began_ns;
	uint64_t progress_ns; /* when the output was last empty, or became shorter */
	const char *tls_version, *tls_cipher;
	uint8_t binding[CHANNEL_BINDING_SIZE];
	bool has_binding;
};

struct connection_list {
	struct reactor *reactor;
	struct connection *first;
	struct event *tick;
};

static void enter_phase(struct connection *connection, enum connection_phase phase)
{
	connection->phase = phase;
	connection->phase_began_ns = clock_monotonic_ns();
}

static void connection_release(struct reactor_task *task)
{
	struct connection *connection =
		(struct connection *)((char *)task - offsetof(struct connection, task));
	if (connection->bev)
		bufferevent_free(connection->bev);
	SSL_free(connection->ssl);
	if (connection->origin.fd >= 0)
		close(connection->origin.fd);
	tls_unref(connection->tls);
	if (connection->compression) {
		compression_free(connection->compression);
		evbuffer_free(connection->unpacked);
		metric_add(&compressed, -1);
	}
	net_connection_gone(connection->origin.net, &connection->origin.peer);
	metric_add(&connections_open, -1);
	free(connection);
}

void connection_close(struct connection *connection)
{
	if (connection->phase == PHASE_CLOSED)
		return;
	enter_phase(connection, PHASE_CLOSED);
	if (connection->bev) {
		bufferevent_setcb(connection->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(connection->bev, EV_READ | EV_WRITE);
	}
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	if (connection->opened)
		connection->origin.events->closed(connection);
	/* Later, since this may be deep within its own callbacks. */
	connection->task.run = connection_release;
	reactor_post(connection->origin.reactor, &connection->task);
}

static void drain_input(struct connection *connection)
{
	struct evbuffer *input = bufferevent_get_input(connection->bev);
	evbuffer_drain(input, evbuffer_get_length(input));
}

/* The end of our side: the client sees all we sent and then the end, not a reset. */
static void connection_linger(struct connection *connection)
{
	if (connection->ssl)
		SSL_shutdown(connection->ssl);
	shutdown(connection->origin.fd, SHUT_WR);
	enter_phase(connection, PHASE_LINGERING);
	drain_input(connection);
	bufferevent_enable(connection->bev, EV_READ);
}

static void on_read(struct bufferevent *bev, void *argument);
static void on_write(struct bufferevent *bev, void *argument);
static void on_event(struct bufferevent *bev, short what, void *argument);

static void output_changed(
	struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *argument)
{
	(void)buffer;
	struct connection *connection = argument;
	if (info->n_deleted || !info->orig_size)
		connection->progress_ns = clock_monotonic_ns();
}

static void adopt(struct connection *connection, struct bufferevent *bev)
{
	connection->bev = bev;
	evbuffer_add_cb(bufferevent_get_output(bev), output_changed, connection);
	bufferevent_setwatermark(bev, EV_WRITE, LOW_WATER, 0);
	bufferevent_setcb(bev, on_read, on_write, on_event, connection);
	bufferevent_enable(bev, EV_WRITE);
}

static bool shake_hands(struct connection *connection)
{
	connection->tls = net_tls(connection->origin.net);
	SSL *ssl = connection->tls ? tls_accept(connection->tls) : NULL;
	if (!ssl)
		return false;
	struct bufferevent *bev =
		bufferevent_openssl_socket_new(reactor_base(connection->origin.reactor),
			connection->origin.fd, ssl, BUFFEREVENT_SSL_ACCEPTING, 0);
	if (!bev) {
		SSL_free(ssl);
		return false;
	}
	bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	connection->ssl = ssl;
	enter_phase(connection, PHASE_HANDSHAKE);
	adopt(connection, bev);
	bufferevent_enable(bev, EV_READ);
	return true;
}

static void switch_to_tls(struct connection *connection)
{
	struct bufferevent *plain = connection->bev;
	drain_input(connection);
	bufferevent_setcb(plain, NULL, NULL, NULL, NULL);
	bufferevent_disable(plain, EV_READ | EV_WRITE);
	connection->bev = NULL;
	bufferevent_free(plain); /* leaves the descriptor open */
	if (!shake_hands(connection))
		connection_close(connection);
}

bool connection_start_tls(struct connection *connection)
{
	if (connection->phase == PHASE_BEFORE_TLS || connection->phase == PHASE_HANDSHAKE)
		return true;
	if (connection->ssl || connection->phase != PHASE_OPEN ||
		!net_has_certificate(connection->origin.net))
		return false;
	enter_phase(connection, PHASE_BEFORE_TLS);
	bufferevent_disable(connection->bev, EV_READ);
	if (!connection_unsent(connection))
		switch_to_tls(connection);
	return true;
}

/* RFC 9266 4.2: before TLS 1.3 the exporter binds only with the extended master secret. */
static void export_binding(struct connection *connection)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	SSL *ssl = connection->ssl;
	if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_extms_support(ssl) != 1)
		return;
	connection->has_binding =
		SSL_export_keying_material(ssl, connection->binding, sizeof(connection->binding),
			label, sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1;
}

static void open_up(struct connection *connection)
{
	if (connection->opened)
		return;
	connection->opened = true;
	connection->origin.events->opened(connection, connection->origin.argument);
}

static void handshake_done(struct connection *connection)
{
	connection->tls_version = SSL_get_version(connection->ssl);
	connection->tls_cipher = SSL_get_cipher_name(connection->ssl);
	export_binding(connection);
	enter_phase(connection, PHASE_OPEN);
	if (!connection->reading)
		bufferevent_disable(connection->bev, EV_READ);
	open_up(connection);
	if (connection->phase == PHASE_OPEN)
		connection->origin.events->secured(connection);
}

static void on_read(struct bufferevent *bev, void *argument)
{
	(void)bev;
	struct connection *connection = argument;
	if (connection->phase == PHASE_OPEN && connection->opened)
		connection->origin.events->readable(connection);
	else if (connection->phase >= PHASE_FINISHING)
		drain_input(connection);
}

static void on_write(struct bufferevent *bev, void *argument)
{
	(void)bev;
	struct connection *connection = argument;
	switch (connection->phase) {
	case PHASE_OPEN:
		if (connection->opened)
			connection->origin.events->written(connection);
		break;
	case PHASE_BEFORE_TLS:
		if (!connection_unsent(connection))
			switch_to_tls(connection);
		break;
	case PHASE_FINISHING:
		if (!connection_unsent(connection))
			connection_linger(connection);
		break;
	case PHASE_HANDSHAKE:
	case PHASE_LINGERING:
	case PHASE_CLOSED:
		break;
	}
}

/* TLS that ends without a word (RFC 8446 6.1): the client was killed, or reset the connection. It
 * is told as an end of input, but nothing can be said to it any more, and what it sent last is not
 * to be done behind its back: it may be back already, and look for what was. */
static bool is_cut_off(const struct connection *connection)
{
	return connection->ssl && !(SSL_get_shutdown(connection->ssl) & SSL_RECEIVED_SHUTDOWN);
}

static void on_event(struct bufferevent *bev, short what, void *argument)
{
	(void)bev;
	struct connection *connection = argument;
	if (what & BEV_EVENT_CONNECTED) {
		handshake_done(connection);
		return;
	}
	if (connection->phase == PHASE_HANDSHAKE)
		metric_add(&handshakes_failed, 1);
	bool is_end =
		(what & BEV_EVENT_EOF) && !(what & BEV_EVENT_ERROR) && !is_cut_off(connection);
	if (is_end && connection->phase == PHASE_OPEN && connection->opened)
		connection->origin.events->ended(connection);
	else if (!is_end || connection->phase != PHASE_FINISHING)
		connection_close(connection);
}

static void connection_start(struct reactor_task *task)
{
	struct connection *connection =
		(struct connection *)((char *)task - offsetof(struct connection, task));
	struct connection_list *list =
		net_connections(connection->origin.net, connection->origin.reactor);
	connection->list = list;
	connection->next = list->first;
	if (list->first)
		list->first->link = &connection->next;
	connection->link = &list->first;
	list->first = connection;

	enter_phase(connection, PHASE_OPEN);
	connection->progress_ns = connection->phase_began_ns;
	if (connection->origin.implicit_tls) {
		if (!shake_hands(connection))
			connection_close(connection);
		return;
	}
	struct bufferevent *bev = bufferevent_socket_new(
		reactor_base(connection->origin.reactor), connection->origin.fd, 0);
	if (!bev) {
		connection_close(connection);
		return;
	}
	adopt(connection, bev);
	open_up(connection);
}

void connection_begin(const struct connection_origin *origin)
{
	struct connection *connection = HEAP_NEW(struct connection);
	*connection = (struct connection){.origin = *origin};
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	if (getsockname(origin->fd, (struct sockaddr *)&address, &len) == 0)
		peer_address_from((const struct sockaddr *)&address, &connection->local);
	int on = 1;
	setsockopt(origin->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(origin->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	metric_add(&connections_open, 1);
	connection->task.run = connection_start;
	reactor_post(origin->reactor, &connection->task);
}

static bool ran_out_of_time(const struct connection *connection, uint64_t now_ns)
{
	uint64_t in_phase_ns = now_ns - connection->phase_began_ns;
	uint64_t stuck_ns = now_ns - connection->progress_ns;
	switch (connection->phase) {
	case PHASE_HANDSHAKE:
		return in_phase_ns > net_config.handshake_timeout_ms * NS_PER_MS;
	case PHASE_LINGERING:
		return in_phase_ns > LINGER_NS;
	case PHASE_OPEN:
	case PHASE_BEFORE_TLS:
	case PHASE_FINISHING:
		if (!connection_unsent(connection) ||
			stuck_ns <= net_config.slow_reader_timeout_ms * NS_PER_MS)
			return false;
		metric_add(&slow_readers, 1);
		return true;
	case PHASE_CLOSED:
		break;
	}
	return false;
}

static void on_tick(evutil_socket_t fd, short what, void *argument)
{
	(void)fd;
	(void)what;
	struct connection_list *list = argument;
	uint64_t now_ns = clock_monotonic_ns();
	struct connection *next;
	for (struct connection *connection = list->first; connection; connection = next) {
		next = connection->next; /* closing one closes no other */
		if (ran_out_of_time(connection, now_ns))
			connection_close(connection);
		else if (connection->phase == PHASE_OPEN && connection->opened)
			connection->origin.events->tick(connection, now_ns);
	}
}

struct connection_list *connection_list_new(struct reactor *reactor)
{
	struct connection_list *list = HEAP_NEW(struct connection_list);
	*list = (struct connection_list){.reactor = reactor};
	list->tick = event_new(reactor_base(reactor), -1, EV_PERSIST, on_tick, list);
	const struct timeval second = {.tv_sec = 1};
	event_add(list->tick, &second);
	return list;
}

void connection_list_free(struct connection_list *list)
{
	if (!list)
		return;
	event_free(list->tick);
	free(list);
}

void connection_list_close_all(struct connection_list *list)
{
	while (list->first)
		connection_close(list->first);
}

void connection_set_user(struct connection *connection, void *user)
{
	connection->user = user;
}

void *connection_user(const struct connection *connection)
{
	return connection->user;
}

struct reactor *connection_reactor(const struct connection *connection)
{
	return connection->origin.reactor;
}

struct net *connection_net(const struct connection *connection)
{
	return connection->origin.net;
}

const struct peer_address *connection_peer(const struct connection *connection)
{
	return &connection->origin.peer;
}

const struct peer_address *connection_local(const struct connection *connection)
{
	return &connection->local;
}

static struct evbuffer *input_of(const struct connection *connection)
{
	return connection->compression ? connection->unpacked
				       : bufferevent_get_input(connection->bev);
}

bool connection_unpack(struct connection *connection)
{
	if (!connection->compression || connection->is_broken)
		return false;
	enum unpacked unpacked = compression_unpack(connection->compression,
		bufferevent_get_input(connection->bev), connection->unpacked);
	connection->is_broken = unpacked == UNPACKED_BROKEN;
	return unpacked == UNPACKED_SOME;
}

bool connection_is_broken(const struct connection *connection)
{
	return connection->is_broken;
}

void connection_compress(struct connection *connection)
{
	if (connection->compression)
		return;
	connection->compression = compression_new();
	connection->unpacked = evbuffer_new();
	metric_add(&compressed, 1);
}

bool connection_is_compressed(const struct connection *connection)
{
	return connection->compression != NULL;
}

struct slice connection_input(struct connection *connection)
{
	struct evbuffer *input = input_of(connection);
	size_t len = evbuffer_get_length(input);
	return len ? slice_of(evbuffer_pullup(input, -1), len) : SLICE_NONE;
}

bool connection_has_input(const struct connection *connection)
{
	int pending = 0;
	if (!connection->bev)
		return false;
	return evbuffer_get_length(input_of(connection)) ||
	       evbuffer_get_length(bufferevent_get_input(connection->bev)) ||
	       (ioctl(connection->origin.fd, FIONREAD, &pending) == 0 && pending > 0);
}

void connection_take(struct connection *connection, size_t len)
{
	evbuffer_drain(input_of(connection), len);
}

void connection_acknowledge(struct connection *connection)
{
	int on = 1;
	setsockopt(connection->origin.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void connection_read(struct connection *connection, bool on)
{
	connection->reading = on;
	if (connection->phase != PHASE_OPEN)
		return;
	if (on)
		bufferevent_enable(connection->bev, EV_READ);
	else
		bufferevent_disable(connection->bev, EV_READ);
}

static void free_bytes(const void *bytes, size_t len, void *argument)
{
	(void)len;
	(void)argument;
	free((void *)(uintptr_t)bytes);
}

void connection_write(struct connection *connection, char *bytes, size_t len)
{
	if (connection->phase == PHASE_OPEN && connection->compression) {
		connection_write_static(connection, slice_of(bytes, len));
		free(bytes);
		return;
	}
	if (connection->phase != PHASE_OPEN ||
		evbuffer_add_reference(
			bufferevent_get_output(connection->bev), bytes, len, free_bytes, NULL) != 0)
		free(bytes);
}

void connection_write_static(struct connection *connection, struct slice bytes)
{
	struct evbuffer *output = bufferevent_get_output(connection->bev);
	if (connection->phase != PHASE_OPEN)
		return;
	if (connection->compression)
		compression_pack(connection->compression, bytes, output);
	else
		evbuffer_add(output, bytes.ptr, bytes.len);
}

size_t connection_unsent(const struct connection *connection)
{
	return connection->bev ? evbuffer_get_length(bufferevent_get_output(connection->bev)) : 0;
}

void connection_finish(struct connection *connection)
{
	if (connection->phase == PHASE_BEFORE_TLS || connection->phase == PHASE_HANDSHAKE)
		connection_close(connection); /* nothing can be said now */
	if (connection->phase != PHASE_OPEN)
		return;
	enter_phase(connection, PHASE_FINISHING);
	bufferevent_disable(connection->bev, EV_READ);
	if (!connection_unsent(connection))
		connection_linger(connection);
}

bool connection_is_closed(const struct connection *connection)
{
	return connection->phase == PHASE_CLOSED;
}

const char *connection_tls_version(const struct connection *connection)
{
	return connection->tls_version;
}

const char *connection_tls_cipher(const struct connection *connection)
{
	return connection->tls_cipher;
}

struct slice connection_channel_binding(const struct connection *connection)
{
	return connection->has_binding ? slice_of(connection->binding, CHANNEL_BINDING_SIZE)
				       : SLICE_NONE;
}
