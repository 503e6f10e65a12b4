#include "net/net.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/sync.h"
#include "net/net_private.h"

METRIC_COUNTER(accepted, "connections_accepted_total", "Client connections accepted");
METRIC_COUNTER(kept_out, "connections_kept_out_total", "Client connections refused at a limit");
METRIC_COUNTER(accept_failures, "accept_failures_total", "Accepting failed: no descriptors left");

#define REACTORS_MAX 64
#define BACKLOG 1024

/* With no descriptor left, accepting again at once would spin. */
#define ACCEPT_PAUSE_NS (100 * NS_PER_MS)

struct net_config net_config;

/* clang-format off */
static const char *const tls_versions[] = {"1.2", "1.3", NULL};

const struct setting net_settings[] = {
	{"server.name", SETTING_TEXT, &net_config.server_name, "", 0, 0, NULL, false,
		"The name this server goes by in greetings and trace headers; the host's name if empty."},
	{"net.reactors", SETTING_NUMBER, &net_config.reactors, "2", 1, REACTORS_MAX, NULL, false,
		"Threads that move client bytes."},
	{"net.max_connections", SETTING_NUMBER, &net_config.max_connections, "20000", 1, 10000000, NULL, true,
		"Client connections open at the same time, all protocols together."},
	{"net.max_connections_per_address", SETTING_NUMBER, &net_config.max_connections_per_address, "200", 1, 10000000, NULL, true,
		"Client connections from one address (IPv6: one /64) at the same time."},
	{"net.handshake_timeout", SETTING_DURATION, &net_config.handshake_timeout_ms, "30 s", 100, 600000, NULL, true,
		"How long a TLS handshake may take."},
	{"net.slow_reader_timeout", SETTING_DURATION, &net_config.slow_reader_timeout_ms, "2 min", 100, 3600000, NULL, true,
		"A client that takes none of the bytes waiting for it for so long is disconnected."},
	{"tls.certificate", SETTING_TEXT, &net_config.tls_certificate, "", 0, 0, NULL, true,
		"File with the certificate and its chain (PEM); no TLS if empty."},
	{"tls.key", SETTING_TEXT, &net_config.tls_key, "", 0, 0, NULL, true,
		"File with the certificate's key (PEM)."},
	{"tls.more_certificates", SETTING_TEXT, &net_config.tls_more_certificates, "", 0, 0, NULL, true,
		"Further certificate:key files, commas between; chosen by the name that the client asks for."},
	{"tls.self_sign", SETTING_BOOL, &net_config.tls_self_sign, "no", 0, 0, NULL, false,
		"Make a certificate that nobody vouches for if the file is missing."},
	{"tls.min_version", SETTING_CHOICE, &net_config.tls_min_version, "1.2", 0, 0, tls_versions, true,
		"The oldest version of TLS that is spoken."},
};
const size_t net_setting_count = ARRAY_SIZE(net_settings);
/* clang-format on */

struct listener {
	struct net *net;
	struct listener *next;
	struct evconnlistener *native;
	struct reactor_task again;
	const struct net_events *events;
	void *argument;
	bool implicit_tls;
};

struct net {
	struct reactor *reactors[REACTORS_MAX];
	struct connection_list *connections[REACTORS_MAX];
	size_t reactor_count;
	size_t next_reactor;        /* reactor 0's thread */
	struct listener *listeners; /* reactor 0's thread, once started */
	int64_t open;
	bool started;

	struct mutex lock;
	struct tls *tls; /* under lock */
};

const char *net_server_name(void)
{
	static char host[256];
	static struct mutex lock = MUTEX_INIT;
	if (net_config.server_name)
		return net_config.server_name;
	AUTO_LOCK(&lock);
	if (!host[0] && (gethostname(host, sizeof(host) - 1) != 0 || !host[0]))
		strcpy(host, "localhost");
	return host;
}

struct error *net_new(struct op *op, struct net **ret_net)
{
	struct tls *tls;
	TRY(tls_open(op, &tls));
	struct net *net = HEAP_NEW(struct net);
	*net = (struct net){.tls = tls};
	mutex_init(&net->lock);
	net->reactor_count = net_config.reactors ? (size_t)net_config.reactors : 1;
	for (size_t i = 0; i < net->reactor_count; i++) {
		net->reactors[i] = reactor_new((unsigned)i);
		net->connections[i] = connection_list_new(net->reactors[i]);
	}
	*ret_net = net;
	return NULL;
}

struct tls *net_tls(struct net *net)
{
	AUTO_LOCK(&net->lock);
	return tls_ref(net->tls);
}

bool net_has_certificate(struct net *net)
{
	AUTO_LOCK(&net->lock);
	return net->tls != NULL;
}

struct error *net_reload_certificates(struct op *op, struct net *net)
{
	struct tls *fresh;
	TRY(tls_open(op, &fresh));
	mutex_lock(&net->lock);
	struct tls *old = net->tls;
	net->tls = fresh;
	mutex_unlock(&net->lock);
	tls_unref(old);
	return NULL;
}

struct connection_list *net_connections(struct net *net, struct reactor *reactor)
{
	for (size_t i = 0; i < net->reactor_count; i++)
		if (net->reactors[i] == reactor)
			return net->connections[i];
	return NULL;
}

void net_connection_gone(struct net *net, const struct peer_address *peer)
{
	__atomic_fetch_sub(&net->open, 1, __ATOMIC_RELAXED);
	peer_disconnect(peer);
}

static bool has_room(struct net *net, const struct peer_address *peer)
{
	if (__atomic_add_fetch(&net->open, 1, __ATOMIC_RELAXED) >
		(int64_t)net_config.max_connections) {
		__atomic_fetch_sub(&net->open, 1, __ATOMIC_RELAXED);
		return false;
	}
	if (peer_connect(peer, net_config.max_connections_per_address))
		return true;
	__atomic_fetch_sub(&net->open, 1, __ATOMIC_RELAXED);
	return false;
}

static void keep_out(const struct listener *listener, int fd)
{
	metric_add(&kept_out, 1);
	struct slice say = listener->events->say_busy;
	if (!listener->implicit_tls && say.len)
		(void)!send(fd, say.ptr, say.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

static void on_accept(struct evconnlistener *native, evutil_socket_t fd, struct sockaddr *address,
	int address_len, void *argument)
{
	(void)native;
	(void)address_len;
	struct listener *listener = argument;
	struct net *net = listener->net;
	struct connection_origin origin = {.net = net,
		.events = listener->events,
		.argument = listener->argument,
		.implicit_tls = listener->implicit_tls,
		.fd = fd};
	peer_address_from(address, &origin.peer);
	if (!has_room(net, &origin.peer)) {
		keep_out(listener, fd);
		return;
	}
	metric_add(&accepted, 1);
	origin.reactor = net->reactors[net->next_reactor++ % net->reactor_count];
	connection_begin(&origin);
}

static void accept_again(struct reactor_task *task)
{
	struct listener *listener =
		(struct listener *)((char *)task - offsetof(struct listener, again));
	if (listener->native)
		evconnlistener_enable(listener->native);
}

static void on_accept_error(struct evconnlistener *native, void *argument)
{
	struct listener *listener = argument;
	metric_add(&accept_failures, 1);
	log_warn(NULL, "accept-failed", FIELD_TEXT("reason", strerror(errno)));
	evconnlistener_disable(native);
	listener->again.run = accept_again;
	reactor_post_later(listener->net->reactors[0], &listener->again, ACCEPT_PAUSE_NS);
}

static struct error *listen_on(
	struct op *op, struct listener listener, const struct addrinfo *info, const char *name)
{
	struct net *net = listener.net;
	struct listener *added = HEAP_NEW(struct listener);
	*added = listener;
	added->native = evconnlistener_new_bind(reactor_base(net->reactors[0]), on_accept, added,
		LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
			LEV_OPT_DISABLED |
			(info->ai_family == AF_INET6 ? LEV_OPT_BIND_IPV6ONLY : 0),
		BACKLOG, info->ai_addr, (int)info->ai_addrlen);
	if (!added->native) {
		int reason = errno;
		free(added);
		return op_fail(op, ERR_UNAVAILABLE, "listen on %s: %s", name, strerror(reason));
	}
	evconnlistener_set_error_cb(added->native, on_accept_error);
	added->next = net->listeners;
	net->listeners = added;
	return NULL;
}

/* The port is looked at first: getaddrinfo takes any number and keeps its low 16 bits. */
static struct error *resolve(struct op *op, struct slice text, struct addrinfo **ret_found)
{
	size_t colon = text.len;
	uint32_t port;
	while (colon && text.ptr[colon - 1] != ':')
		colon--;
	if (!colon || !slice_parse_u32(slice_from(text, colon), &port) || port > UINT16_MAX)
		return op_fail(op, ERR_INVALID,
			"\"" SLICE_FMT "\" is not address:port with a port up to 65535",
			SLICE_ARG(text));
	struct slice host = slice_range(text, 0, colon - 1);
	if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_range(host, 1, host.len - 1);
	const struct addrinfo hints = {
		.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int failed = getaddrinfo(
		host.len && !slice_equal(host, SLICE("*")) ? arena_cstr(&op->arena, host) : NULL,
		arena_cstr(&op->arena, slice_from(text, colon)), &hints, ret_found);
	if (failed)
		return op_fail(op, ERR_INVALID, "listen on " SLICE_FMT ": %s", SLICE_ARG(text),
			gai_strerror(failed));
	return NULL;
}

static struct error *listen_one(struct op *op, struct listener listener, struct slice text)
{
	struct addrinfo *found;
	TRY(resolve(op, text, &found));
	struct error *err = NULL;
	for (const struct addrinfo *info = found; info && !err; info = info->ai_next)
		err = listen_on(op, listener, info, arena_cstr(&op->arena, text));
	freeaddrinfo(found);
	return err;
}

struct error *net_check_certificates(struct op *op)
{
	struct tls *tls;
	TRY(tls_open(op, &tls));
	tls_unref(tls);
	return NULL;
}

struct error *net_check_addresses(struct op *op, const char *addresses)
{
	struct slice rest = slice_from_cstr(addresses), address;
	while (slice_split(&rest, ',', &address)) {
		struct addrinfo *found;
		address = slice_trim(address);
		if (!address.len)
			continue;
		TRY(resolve(op, address, &found));
		freeaddrinfo(found);
	}
	return NULL;
}

struct error *net_listen(struct op *op, struct net *net, const char *addresses, bool implicit_tls,
	const struct net_events *events, void *argument)
{
	struct listener listener = {
		.net = net, .events = events, .argument = argument, .implicit_tls = implicit_tls};
	struct slice rest = slice_from_cstr(addresses), address;
	while (slice_split(&rest, ',', &address)) {
		address = slice_trim(address);
		if (!address.len)
			continue;
		if (implicit_tls && !net->tls)
			return op_fail(op, ERR_INVALID,
				"listen on " SLICE_FMT " with TLS: tls.certificate is not set",
				SLICE_ARG(address));
		TRY(listen_one(op, listener, address));
	}
	return NULL;
}

uint16_t net_last_port(const struct net *net)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	struct peer_address local = {0};
	if (net->listeners && getsockname(evconnlistener_get_fd(net->listeners->native),
				      (struct sockaddr *)&address, &len) == 0)
		peer_address_from((const struct sockaddr *)&address, &local);
	return local.port;
}

void net_start(struct net *net)
{
	for (struct listener *listener = net->listeners; listener; listener = listener->next)
		evconnlistener_enable(listener->native);
	for (size_t i = 0; i < net->reactor_count; i++)
		reactor_start(net->reactors[i]);
	net->started = true;
}

/* Runs `what` on a reactor's thread and waits for it. */
struct errand {
	struct reactor_task task;
	void (*what)(struct net *net, size_t reactor);
	struct net *net;
	size_t reactor;
	struct mutex lock;
	struct condition done;
	bool is_done;
};

static void run_errand(struct reactor_task *task)
{
	struct errand *errand = (struct errand *)((char *)task - offsetof(struct errand, task));
	errand->what(errand->net, errand->reactor);
	AUTO_LOCK(&errand->lock);
	errand->is_done = true;
	condition_signal(&errand->done);
}

static void run_there(struct net *net, size_t reactor, void (*what)(struct net *, size_t))
{
	struct errand errand = {
		.task.run = run_errand, .what = what, .net = net, .reactor = reactor};
	mutex_init(&errand.lock);
	condition_init(&errand.done);
	reactor_post(net->reactors[reactor], &errand.task);
	mutex_lock(&errand.lock);
	while (!errand.is_done)
		condition_wait(&errand.done, &errand.lock);
	mutex_unlock(&errand.lock);
	condition_done(&errand.done);
	mutex_done(&errand.lock);
}

static void close_listeners(struct net *net, size_t reactor)
{
	(void)reactor;
	for (struct listener *listener = net->listeners; listener; listener = listener->next) {
		if (listener->native)
			evconnlistener_free(listener->native);
		listener->native = NULL;
	}
}

/* Connections accepted a moment ago are in the reactors' queues: a round through each lets them
 * be seen before this returns. */
static void nothing(struct net *net, size_t reactor)
{
	(void)net;
	(void)reactor;
}

void net_stop_accepting(struct net *net)
{
	if (!net->started)
		return;
	run_there(net, 0, close_listeners);
	for (size_t i = 0; i < net->reactor_count; i++)
		run_there(net, i, nothing);
}

static void close_all(struct net *net, size_t reactor)
{
	connection_list_close_all(net->connections[reactor]);
}

void net_stop(struct net *net)
{
	if (!net->started)
		return;
	net_stop_accepting(net);
	for (size_t i = 0; i < net->reactor_count; i++) {
		run_there(net, i, close_all);
		reactor_stop(net->reactors[i]);
	}
	net->started = false;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	assert(!net->started);
	close_listeners(net, 0);
	while (net->listeners) {
		struct listener *listener = net->listeners;
		net->listeners = listener->next;
		free(listener);
	}
	for (size_t i = 0; i < net->reactor_count; i++) {
		connection_list_free(net->connections[i]);
		reactor_free(net->reactors[i]);
	}
	tls_unref(net->tls);
	mutex_done(&net->lock);
	free(net);
}
