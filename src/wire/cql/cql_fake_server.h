#pragma once

/* A server of CQL that follows a script, for tests: on 127.0.0.1 and up, one port, one thread. It
 * knows how to start a connection, says who is in its cluster, and prepares anything; what it does
 * with every other request, in the order in which they come, is told. */

#include "base/buf.h"
#include "base/sync.h"

#define FAKE_HOSTS_MAX 3

enum fake_action {
	FAKE_VOID,         /* the answer without rows; also past the script's end */
	FAKE_ECHO,         /* a row with the request's first value, or its text */
	FAKE_ERROR,        /* the body told */
	FAKE_UNPREPARED,   /* the statement is not known any more */
	FAKE_SILENCE,      /* no answer, ever */
	FAKE_LATE,         /* the echo, after 300 ms */
	FAKE_CLOSE,        /* instead of an answer */
	FAKE_HALF_FRAME,   /* then it closes */
	FAKE_WRONG_STREAM, /* an answer that nobody waits for */
	FAKE_GARBAGE,      /* bytes that are no frame */
	FAKE_LYING_ROWS,   /* a result that breaks the protocol */
	FAKE_STOP_READING, /* neither this one nor anything after it */
};

struct fake_step {
	enum fake_action action;
	struct slice body; /* of FAKE_ERROR */
};

struct fake_options {
	size_t hosts;
	uint8_t version; /* highest; 0: 5 */
	bool compression;
	const char *user, *password; /* NULL: no authentication */
	const char *datacenter;      /* NULL: "here" */
	bool refuse_keyspace;
};

struct fake_counts {
	unsigned connections, prepares, requests, learned; /* system.local was read */
	unsigned by_host[FAKE_HOSTS_MAX];                  /* requests */
	unsigned open;                                     /* connections */
};

struct fake_server;

struct fake_server *fake_server_start(const struct fake_options *options);
void fake_server_stop(struct fake_server *server);
uint16_t fake_server_port(const struct fake_server *server);

/* What is done with the next requests. Replaces the script before. */
void fake_server_script(struct fake_server *server, const struct fake_step *steps, size_t count);

/* What is done when the script is over. */
void fake_server_always(struct fake_server *server, enum fake_action action);

/* Closes the listener and all connections of a host; or listens again. */
void fake_server_set_host(struct fake_server *server, size_t host, bool up);

/* Answers nothing at all any more, heart-beats neither. */
void fake_server_set_deaf(struct fake_server *server, bool deaf);

/* Closes those connections that registered for events. */
void fake_server_close_control(struct fake_server *server);

/* To all who registered. */
void fake_server_send_event(struct fake_server *server, struct slice body);

struct fake_counts fake_server_counts(struct fake_server *server);
