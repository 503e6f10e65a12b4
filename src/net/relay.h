#pragma once

/* Clients for those who want a descriptor instead of events: a library that reads and writes by
 * itself. TLS and the limits of connections are here; behind the descriptor are plain bytes. */

#include "net/net.h"
#include "net/peer.h"

struct relay {
	/* Takes one end of a stream to a client; false: not wanted, the client is closed. Called
	 * on a reactor's thread. */
	bool (*take)(void *context, int fd, const struct peer_address *peer);
	void *context;
};

/* As net_listen; `relay` outlives the net. */
MUST_CHECK struct error *relay_listen(struct op *op, struct net *net, const char *addresses,
	bool implicit_tls, struct relay *relay);
