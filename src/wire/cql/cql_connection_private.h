#pragma once

/* Within cql_connection.c, cql_output.c, cql_input.c, cql_start.c and cql_call.c only. */

#include <event2/event.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "wire/cql/cql_connection.h"
#include "wire/cql/cql_tls.h"

enum cql_phase {
	CQL_PHASE_CONNECTING,
	CQL_PHASE_HANDSHAKE, /* TLS */
	CQL_PHASE_STARTING,  /* what cql_start.c does */
	CQL_PHASE_READY,
	CQL_PHASE_CLOSED,
};

/* The bytes of one request on their way out, owned by the connection's queue. */
struct cql_output {
	struct cql_output *next;
	struct cql_call *call; /* NULL: ours, or nobody waits any more */
	struct buf bytes;      /* heap */
	size_t taken;          /* by the kernel */
	bool begun;            /* not to be taken back any more */
};

enum cql_stream_state { CQL_STREAM_FREE, CQL_STREAM_BUSY, CQL_STREAM_ORPHAN };

struct cql_stream {
	struct cql_call *call; /* of a busy one */
	enum cql_stream_state state;
};

struct cql_connection {
	struct cql_connection_config config; /* its strings and address are owned */
	uint32_t references;
	char *address, *keyspace, *server_name;
	struct sockaddr_storage socket_address;

	/* The reactor's thread only. */
	struct event *readable, *writable, *timer;
	struct buf input;   /* heap: as read */
	size_t input_taken; /* of its front */
	struct buf frames;  /* heap: out of segments */
	size_t frames_taken;
	bool segmented;
	bool received;        /* since the last heart-beat */
	bool heartbeat_waits; /* for its answer */
	unsigned start_step;  /* of cql_start.c */
	unsigned auth_rounds;
	bool compression; /* agreed */
	bool told_ready;
	struct reactor_task attend;

	struct mutex lock;
	/* Under lock. */
	enum cql_phase phase;
	bool is_broken;    /* to be closed by the reactor's thread */
	bool is_attending; /* the task is posted */
	bool is_sending;   /* the lock is let go of for a system call on the queue's front */
	bool is_suspect;   /* a request has had no answer: is anybody there? */
	int fd;
	SSL *ssl;
	struct cql_output *first_output, **last_output;
	struct cql_stream *streams; /* [0] is for heart-beats and the start */
	uint16_t *free_streams;     /* a stack */
	size_t free_count, stream_count, orphan_count;
	uint32_t in_flight; /* also read without the lock */
	enum cql_closing closing;
	char why[200];
};

/* Marks it for closing; the first reason stands. Under lock. */
void cql_connection_break(struct cql_connection *connection, enum cql_closing closing,
	const char *format, ...) PRINTF_LIKE(3, 4);

/* Has the reactor's thread look at what it must do: close, or wait for room. Under lock. */
void cql_connection_attend(struct cql_connection *connection);

/* cql_output.c; under lock. */
void cql_output_add(struct cql_connection *connection, struct cql_call *call, struct buf *bytes);
/* Hands to the kernel what it takes now, if nobody does already; breaks the connection on an error.
 * The lock is let go of meanwhile. */
void cql_output_flush(struct cql_connection *connection);
/* Takes a request back that has not begun; false when it has. */
bool cql_output_take_back(struct cql_connection *connection, struct cql_output *output);
void cql_output_free_all(struct cql_connection *connection);

/* cql_input.c: reads and hands out what there is; the reactor's thread, no lock held. */
void cql_input_read(struct cql_connection *connection);

/* cql_start.c; the reactor's thread, under lock. */
void cql_start_begin(struct cql_connection *connection);
void cql_start_answer(struct cql_connection *connection, const struct cql_frame *frame);

/* cql_call.c */
void cql_stream_table_init(struct cql_connection *connection);
/* Under lock: the answer to a stream; false when nothing waits on it. */
bool cql_call_answer(struct cql_connection *connection, const struct cql_frame *frame);
/* Under lock: everything that waits is lost. */
void cql_call_lose_all(struct cql_connection *connection);

/* Sends a frame of our own on stream 0; takes it. Under lock. */
void cql_connection_send_own(
	struct cql_connection *connection, struct buf *frame, enum cql_opcode opcode);
