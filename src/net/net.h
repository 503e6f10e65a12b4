#pragma once

/* Client bytes: listeners, reactors, TLS, and the limits on who may connect. What is done with the
 * bytes is told by events that the layer above hands down. */

#include "base/op.h"
#include "base/setting.h"

struct net;
struct connection;

/* All on the connection's reactor thread. After `closed` the connection is not to be used. */
struct net_events {
	void (*opened)(struct connection *connection, void *argument);
	void (*secured)(struct connection *connection);  /* a handshake is complete */
	void (*readable)(struct connection *connection); /* more input stands in the buffer */
	void (*written)(struct connection *connection);  /* some output was taken by the client */
	void (*ended)(struct connection *connection);    /* no more input will come */
	void (*tick)(struct connection *connection, uint64_t now_ns); /* about once a second */
	void (*closed)(struct connection *connection);
	struct slice say_busy; /* sent to whom a limit keeps out, on plain connections */
};

extern const struct setting net_settings[];
extern const size_t net_setting_count;

/* The name this server goes by in greetings and trace headers. */
const char *net_server_name(void);

/* Reads certificates; binds nothing and starts nothing yet. */
MUST_CHECK struct error *net_new(struct op *op, struct net **ret_net);

/* Can the certificates that the settings name be served? Makes none. ERR_INVALID otherwise. */
MUST_CHECK struct error *net_check_certificates(struct op *op);

/* Binds "127.0.0.1:2525, [::1]:2525". NULL or empty binds nothing. Before net_start. `events` and
 * `argument` outlive the net. */
MUST_CHECK struct error *net_listen(struct op *op, struct net *net, const char *addresses,
	bool implicit_tls, const struct net_events *events, void *argument);

/* Would net_listen understand them? Binds nothing. ERR_INVALID otherwise. */
MUST_CHECK struct error *net_check_addresses(struct op *op, const char *addresses);

/* The port of the listener bound last: for those who asked for port 0. */
uint16_t net_last_port(const struct net *net);

/* Starts the reactors; from here on connections come. */
void net_start(struct net *net);

/* Reads the certificates again; on failure the old ones stay. Any thread. */
MUST_CHECK struct error *net_reload_certificates(struct op *op, struct net *net);
bool net_has_certificate(struct net *net);

/* No new connections; returns when none can come any more. */
void net_stop_accepting(struct net *net);

/* Closes what is left and joins the reactors. */
void net_stop(struct net *net);
void net_free(struct net *net);
