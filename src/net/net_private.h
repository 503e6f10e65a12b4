#pragma once

/* Within net only. */

#include "net/connection.h"
#include "net/net.h"
#include "net/peer.h"
#include "net/reactor.h"
#include "net/tls.h"

struct net_config {
	const char *server_name;
	uint64_t reactors;
	uint64_t max_connections, max_connections_per_address;
	uint64_t handshake_timeout_ms, slow_reader_timeout_ms;

	const char *tls_certificate, *tls_key, *tls_more_certificates;
	bool tls_self_sign;
	int tls_min_version; /* 0: 1.2, 1: 1.3 */
};
extern struct net_config net_config;

/* The current certificates, counted for the caller; NULL without. */
struct tls *net_tls(struct net *net);

/* A connection's end: gives its place back. Reactor threads. */
void net_connection_gone(struct net *net, const struct peer_address *peer);

struct connection_origin {
	struct net *net;
	struct reactor *reactor;
	const struct net_events *events;
	void *argument;
	bool implicit_tls;
	int fd;
	struct peer_address peer;
};

/* Takes the descriptor; the first event comes on the reactor's thread. */
void connection_begin(const struct connection_origin *origin);

/* Per reactor: its connections, ticked once a second. */
struct connection_list;
struct connection_list *connection_list_new(struct reactor *reactor);
void connection_list_free(struct connection_list *list);

/* Closes every connection at once; on the reactor's thread. */
void connection_list_close_all(struct connection_list *list);
struct connection_list *net_connections(struct net *net, struct reactor *reactor);
