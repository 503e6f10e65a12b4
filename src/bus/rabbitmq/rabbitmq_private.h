#pragma once

/* Inside bus/rabbitmq only. librabbitmq is not thread-safe: one thread, rabbitmq_thread.c, owns the
 * connection; what others want of it stands in `struct rabbitmq` under the lock. The library's
 * heart-beats are served only inside its calls, and it never connects again by itself. */

#include <sys/time.h>

#include <amqp.h>

#include "base/sync.h"
#include "bus/count.h"
#include "bus/hint_format.h"
#include "bus/outbox.h"
#include "bus/rabbitmq/rabbitmq.h"
#include "bus/slots.h"

/* Channels: what is published; what this node watches; then one for each work group. */
#define CHANNEL_PUBLISH 1
#define CHANNEL_WATCH 2
#define CHANNEL_WORK 3
#define CHANNELS (CHANNEL_WORK + BUS_WORKERS_MOST)

/* Hints that are published and not confirmed. Small, so that what is under way fits into the
 * sockets' buffers: a broker that reads no more must not stop the thread in a send. */
#define WINDOW 256

struct published {
	struct outbox_entry entry;
	enum hint_kind kind;
	bool is_confirmed;
};

/* A content that is being received: its frames come one after another on its channel. */
struct incoming {
	enum { INCOMING_NONE, INCOMING_DELIVERY, INCOMING_RETURN } kind;
	uint64_t tag;
	uint64_t size, received;
	char bytes[HINT_BYTES];
};

struct rabbitmq_link {
	amqp_connection_state_t connection;
	char queue[256]; /* the broker's name for this node's own queue */
	struct incoming incoming[CHANNELS];
	uint64_t watch_tag; /* last one received and not acknowledged; 0: none */
	size_t watch_unacknowledged;
	/* Published and not confirmed: from first_tag on, in a ring. */
	struct published window[WINDOW];
	uint64_t first_tag, next_tag;
	uint64_t ping_ns; /* when the next is due */
	bool has_ponged;
};

struct rabbitmq {
	struct bus bus;
	struct op op; /* its arena holds the options' texts */
	struct rabbitmq_options options;
	uint64_t origin;
	struct outbox outbox;
	int event_fd; /* wakes the thread */
	_Atomic uint64_t pong_ns;
	/* Since when a confirmation is due and none has come; 0: none is due. The queue of a group
	 * has no majority any more, say: the broker answers, and hints come to an end all the same.
	 */
	_Atomic uint64_t waiting_ns;

	struct mutex lock; /* of what follows */
	struct condition changed;
	bool is_started, is_stopping, has_ended;
	struct slots slots;
	uint64_t slot_empty_ns[SLOT_COUNT];
	bool is_bound[SLOT_COUNT]; /* on this connection, and the broker has said so */
	struct account_id *fresh;  /* watched while their slots were not bound */
	size_t fresh_count, fresh_capacity;
	struct bus_work *done; /* to be acknowledged */
	size_t done_count, done_capacity;
	bool is_connected;
	uint64_t since_ns;
	const struct rabbitmq_host *host;
	char trouble[256];
	int socket; /* -1: none; for close to cut it */
	uint64_t unconfirmed;

	pthread_t thread;
	/* The thread's own. */
	struct rabbitmq_link link;
	uint32_t generation;             /* of the connection; 0: there was none */
	struct published unsent[WINDOW]; /* were not confirmed when a connection was lost */
	size_t unsent_count;
	size_t next_host;
	uint64_t warned_ns;
	uint64_t gap_ns; /* when the next may be told */
};

/* ---- rabbitmq_connect.c ---- */

/* Connects to a host and declares everything. */
MUST_CHECK struct error *rabbitmq_connect(
	struct op *op, struct rabbitmq *rabbitmq, const struct rabbitmq_host *host);

/* Tells the broker goodbye if that is quick, or does not. */
void rabbitmq_disconnect(struct rabbitmq *rabbitmq, bool is_clean);

/* The names that what is bound and what is published must share. */
const char *rabbitmq_exchange(struct op *op, const struct rabbitmq *rabbitmq);
const char *rabbitmq_slot_key(struct op *op, unsigned slot);

/* What the library says of its last request. */
MUST_CHECK struct error *rabbitmq_check_reply(
	struct op *op, amqp_rpc_reply_t reply, const char *what);
MUST_CHECK struct error *rabbitmq_check_status(struct op *op, int status, const char *what);

/* What the broker says when it closes a channel or the connection. */
struct error *rabbitmq_closed(struct op *op, const amqp_method_t *method);

/* Binds this node's queue to the slots that it watches, and to those no more that it has not
 * watched for a while. */
MUST_CHECK struct error *rabbitmq_bind_slots(struct op *op, struct rabbitmq *rabbitmq);

/* ---- rabbitmq_send.c ---- */

/* Publishes what waits, as far as the window has room. */
MUST_CHECK struct error *rabbitmq_publish_waiting(struct op *op, struct rabbitmq *rabbitmq);
MUST_CHECK struct error *rabbitmq_ping(struct op *op, struct rabbitmq *rabbitmq);
MUST_CHECK struct error *rabbitmq_acknowledge(struct op *op, struct rabbitmq *rabbitmq);
void rabbitmq_confirm(struct rabbitmq *rabbitmq, uint64_t tag, bool is_multiple, bool is_taken);

/* What was not confirmed when a connection was lost goes first on the next one. */
void rabbitmq_keep_unconfirmed(struct rabbitmq *rabbitmq);

/* ---- rabbitmq_receive.c ---- */

/* Handles what has arrived; does not wait. */
MUST_CHECK struct error *rabbitmq_receive(struct op *op, struct rabbitmq *rabbitmq);

/* ---- rabbitmq_thread.c ---- */

void *rabbitmq_run(void *argument);

void rabbitmq_wake(struct rabbitmq *rabbitmq);
