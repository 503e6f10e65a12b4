#pragma once

/* One client's connection. Everything here is called on the connection's reactor thread only. */

#include "net/net.h"
#include "net/peer.h"
#include "net/reactor.h"

struct connection;

/* tls-exporter (RFC 9266). */
#define CHANNEL_BINDING_SIZE 32

void connection_set_user(struct connection *connection, void *user);
void *connection_user(const struct connection *connection);
struct reactor *connection_reactor(const struct connection *connection);
struct net *connection_net(const struct connection *connection);
const struct peer_address *connection_peer(const struct connection *connection);
const struct peer_address *connection_local(const struct connection *connection);

/* What has been read and not taken, as one run of bytes. */
struct slice connection_input(struct connection *connection);

/* Something was sent to us and not taken, here or in the kernel. */
bool connection_has_input(const struct connection *connection);
void connection_take(struct connection *connection, size_t len);

/* Stops and resumes reading from the socket. A connection begins without reading. Input has no
 * limit of its own: whoever cannot take what `readable` told stops reading. */
void connection_read(struct connection *connection, bool on);

/* Acknowledges what has come at once: a client that wrote a command in pieces may hold back the
 * next one until then (RFC 896), and the kernel would wait 40 ms for an answer to go along with it.
 */
void connection_acknowledge(struct connection *connection);

/* Makes more of what has arrived part of the input; false when all of it is. Only of a compressed
 * connection is there any. */
bool connection_unpack(struct connection *connection);

/* What arrived cannot be unpacked: no more input will come. */
bool connection_is_broken(const struct connection *connection);

/* From here on both sides' bytes are compressed, with TLS or without; what was received and not
 * taken is taken for such already. */
void connection_compress(struct connection *connection);
bool connection_is_compressed(const struct connection *connection);

/* Takes bytes allocated with malloc. */
void connection_write(struct connection *connection, char *bytes, size_t len);
void connection_write_static(struct connection *connection, struct slice bytes);
size_t connection_unsent(const struct connection *connection);

/* Sends what is unsent, drops the input that was not yet taken (it came before the handshake and
 * may be anybody's), then shakes hands. False without a certificate. */
MUST_CHECK bool connection_start_tls(struct connection *connection);

/* Sends what is unsent, then closes in good order. */
void connection_finish(struct connection *connection);

/* `closed` is called before this returns. */
void connection_close(struct connection *connection);
bool connection_is_closed(const struct connection *connection);

/* After `secured`; NULL without TLS. */
const char *connection_tls_version(const struct connection *connection);
const char *connection_tls_cipher(const struct connection *connection);

/* Empty when the handshake gives none that is safe. */
struct slice connection_channel_binding(const struct connection *connection);
