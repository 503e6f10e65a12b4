#include "net/relay.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "net/connection.h"

/* More than this unsent in one direction: nothing more is read from the other side. */
#define HIGH_WATER KIB(64)
#define LOW_WATER KIB(16)

struct relayed {
	struct connection *connection;
	struct bufferevent *inner; /* our end of the pair */
	bool client_ended;
};

static size_t unsent_inside(const struct relayed *relayed)
{
	return evbuffer_get_length(bufferevent_get_output(relayed->inner));
}

static void end_inside(struct relayed *relayed)
{
	if (relayed->client_ended && !unsent_inside(relayed))
		shutdown(bufferevent_getfd(relayed->inner), SHUT_WR);
}

/* ---- from the inside to the client ---- */

static void on_inner_read(struct bufferevent *inner, void *argument)
{
	struct relayed *relayed = argument;
	struct evbuffer *input = bufferevent_get_input(inner);
	size_t len = evbuffer_get_length(input);
	char *bytes = heap_realloc(NULL, len ? len : 1);
	evbuffer_remove(input, bytes, len);
	connection_write(relayed->connection, bytes, len);
	if (connection_unsent(relayed->connection) > HIGH_WATER)
		bufferevent_disable(inner, EV_READ);
}

static void on_inner_write(struct bufferevent *inner, void *argument)
{
	struct relayed *relayed = argument;
	(void)inner;
	if (!relayed->client_ended)
		connection_read(relayed->connection, true);
	end_inside(relayed);
}

static void on_inner_event(struct bufferevent *inner, short what, void *argument)
{
	struct relayed *relayed = argument;
	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	bufferevent_disable(inner, EV_READ | EV_WRITE);
	connection_finish(relayed->connection);
}

/* ---- from the client to the inside ---- */

static bool open_inside(struct relayed *relayed, const struct relay *relay)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return false;
	struct event_base *base = reactor_base(connection_reactor(relayed->connection));
	relayed->inner = bufferevent_socket_new(base, ends[0], BEV_OPT_CLOSE_ON_FREE);
	if (!relayed->inner) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	if (relay->take(relay->context, ends[1], connection_peer(relayed->connection)))
		return true;
	close(ends[1]);
	return false;
}

static void on_opened(struct connection *connection, void *argument)
{
	struct relayed *relayed = HEAP_NEW(struct relayed);
	*relayed = (struct relayed){.connection = connection};
	connection_set_user(connection, relayed);
	if (!open_inside(relayed, argument)) {
		connection_close(connection);
		return;
	}
	bufferevent_setwatermark(relayed->inner, EV_WRITE, LOW_WATER, 0);
	bufferevent_setcb(relayed->inner, on_inner_read, on_inner_write, on_inner_event, relayed);
	bufferevent_enable(relayed->inner, EV_READ | EV_WRITE);
	connection_read(connection, true);
}

static void on_readable(struct connection *connection)
{
	struct relayed *relayed = connection_user(connection);
	struct slice input = connection_input(connection);
	bufferevent_write(relayed->inner, input.ptr, input.len);
	connection_take(connection, input.len);
	if (unsent_inside(relayed) > HIGH_WATER)
		connection_read(connection, false);
}

static void on_written(struct connection *connection)
{
	struct relayed *relayed = connection_user(connection);
	bufferevent_enable(relayed->inner, EV_READ);
}

static void on_ended(struct connection *connection)
{
	struct relayed *relayed = connection_user(connection);
	relayed->client_ended = true;
	end_inside(relayed);
}

/* Whoever reads inside keeps the time. */
static void on_tick(struct connection *connection, uint64_t now_ns)
{
	(void)connection;
	(void)now_ns;
}

static void on_secured(struct connection *connection)
{
	(void)connection;
}

static void on_closed(struct connection *connection)
{
	struct relayed *relayed = connection_user(connection);
	if (relayed->inner)
		bufferevent_free(relayed->inner);
	free(relayed);
}

static const struct net_events events = {.opened = on_opened,
	.secured = on_secured,
	.readable = on_readable,
	.written = on_written,
	.ended = on_ended,
	.tick = on_tick,
	.closed = on_closed};

struct error *relay_listen(struct op *op, struct net *net, const char *addresses, bool implicit_tls,
	struct relay *relay)
{
	return net_listen(op, net, addresses, implicit_tls, &events, relay);
}
