#pragma once

/* One connection to one host: its socket, its start, its streams. Callers on any thread send
 * requests and wait; the reactor's thread reads, ends what breaks, and closes. Nothing of the
 * owner's is called with the connection's lock held. */

#include <semaphore.h>
#include <sys/socket.h>

#include "base/sync.h"
#include "net/reactor.h"
#include "wire/cql/cql_frame.h"

struct cql_connection;
struct cql_tls;

/* What all connections of a cluster share. Fixed before the first one opens, but for the version,
 * which is settled by the first that starts. */
struct cql_link {
	struct reactor *reactor;
	struct cql_tls *tls; /* NULL: plain */
	const char *user, *password;
	bool compression;
	uint32_t max_requests;
	uint32_t connect_timeout_ms, heartbeat_ms;
};

enum cql_connection_role {
	CQL_ROLE_REQUESTS,
	CQL_ROLE_CONTROL, /* registers for events */
};

/* On the reactor's thread, without a lock held. */
struct cql_connection_events {
	/* It is ready, or has ended; each at most once, in this order. */
	void (*ready)(struct cql_connection *connection, void *owner);
	void (*closed)(struct cql_connection *connection, void *owner);
	void (*event)(struct cql_connection *connection, void *owner, struct slice body);
};

struct cql_connection_config {
	const struct cql_link *link;
	const struct cql_connection_events *events;
	void *owner; /* outlives the reactor's thread */
	enum cql_connection_role role;
	uint8_t version;
	const char *keyspace;    /* NULL: none */
	const char *server_name; /* for TLS: what the certificate must name; NULL: not checked */
	const char *address;     /* "127.0.0.1:9042", for words and results */
	const struct sockaddr *socket_address;
	socklen_t socket_address_size;
};

/* Begins to connect; never blocks. One reference is the caller's. Any thread. */
struct cql_connection *cql_connection_open(const struct cql_connection_config *config);
struct cql_connection *cql_connection_ref(struct cql_connection *connection);
void cql_connection_unref(struct cql_connection *connection);

/* Ends it soon, on the reactor's thread; what is under way ends as lost. Any thread. */
void cql_connection_close(struct cql_connection *connection);

bool cql_connection_is_ready(struct cql_connection *connection);
uint32_t cql_connection_in_flight(const struct cql_connection *connection);
uint8_t cql_connection_version(const struct cql_connection *connection);
const char *cql_connection_address(const struct cql_connection *connection);

/* Why it ended. After `closed`. */
enum cql_closing {
	CQL_CLOSING_LOST,    /* by the network or the other side */
	CQL_CLOSING_VERSION, /* the host does not speak the version */
	CQL_CLOSING_REFUSED, /* the host does not take us as we are: credentials, keyspace, TLS */
};
enum cql_closing cql_connection_closing(const struct cql_connection *connection);
const char *cql_connection_why(const struct cql_connection *connection);

/* ---- requests ---- */

/* Whom the answers of some calls wake: the thread that begins the calls, alone. Nothing of it is
 * locked: who is woken would at once wait for whoever woke him. */
struct cql_waiter {
	sem_t ended;
	size_t due; /* calls begun, neither abandoned nor seen to end: so often it is posted yet */
};

void cql_waiter_init(struct cql_waiter *waiter);
/* Waits for the posts that are on their way; calls that have not ended must be abandoned before. */
void cql_waiter_done(struct cql_waiter *waiter);

/* Returns when calls have ended since the last time, or at the deadline (monotonic). */
void cql_waiter_wait(struct cql_waiter *waiter, uint64_t deadline_ns);

struct cql_output;

/* One request on one connection. It lies with the caller, who does not leave before it has ended
 * or was abandoned. */
struct cql_call {
	struct cql_waiter *waiter;
	struct cql_connection *connection; /* counted */
	struct cql_output *output;         /* unsent, or partly; under the connection's lock */
	uint16_t stream;
	/* Below: settled when it has ended. */
	bool sent;     /* a byte of it was handed to the kernel */
	bool answered; /* else lost */
	uint8_t flags, opcode;
	struct slice body; /* owned, from malloc; NULL when empty */
	bool ended;        /* atomic: nobody but the caller touches it any more */
};

/* Takes a stream. False: the connection is not ready, or has no stream left. */
MUST_CHECK bool cql_call_begin(
	struct cql_call *call, struct cql_waiter *waiter, struct cql_connection *connection);

/* Sends a body that was begun with cql_frame_begin on a buf of the heap, which it takes. `hold`:
 * it may wait for a cql_connection_flush. */
void cql_call_send(
	struct cql_call *call, struct buf *frame, uint8_t flags, enum cql_opcode opcode, bool hold);
void cql_connection_flush(struct cql_connection *connection);

bool cql_call_has_ended(const struct cql_call *call);

/* Stops waiting: the call ends now, `sent` is exact, and what was not begun is never sent. False:
 * it had ended by itself. */
bool cql_call_abandon(struct cql_call *call);

/* Frees what an ended call holds. */
void cql_call_done(struct cql_call *call);

/* Sends, waits and moves the answer into the operation's arena, not compressed any more. An ERROR
 * answer is an answer. ERR_UNAVAILABLE or ERR_TIMEOUT without one. */
MUST_CHECK struct error *cql_connection_ask(struct op *op, struct cql_connection *connection,
	struct buf *frame, enum cql_opcode opcode, uint64_t deadline_ns, uint8_t *ret_opcode,
	struct reader *ret_body);

/* The answer of an ended, answered call: its body in the arena, behind its prelude. */
MUST_CHECK struct error *cql_call_take_answer(struct op *op, struct cql_call *call,
	struct cql_prelude *ret_prelude, struct reader *ret_body);
