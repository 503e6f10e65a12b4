#pragma once

/* Within session only. Who owns what: the reactor's thread cuts input into commands and writes
 * output; the running step owns the state, the output buffer and the current command; the lock
 * guards what they hand each other. Order of locks: a watch's shard, a session, a lane or reactor
 * queue. */

#include "base/buf.h"
#include "base/setting.h"
#include "base/sync.h"
#include "net/connection.h"
#include "session/session.h"

struct session_config {
	uint64_t lane_threads[LANE_COUNT];
	const char *spool_directory;
	uint64_t pipeline_commands, pipeline_bytes;
	uint64_t output_high_bytes;
	uint64_t commands_per_second;
	uint64_t command_deadline_ms, shutdown_grace_ms;
	uint64_t connections_per_account;
	uint64_t auth_delay_ms, auth_delay_max_ms, auth_failures;
};
extern struct session_config session_config;

/* A command on its way: being framed, queued, or run. */
struct queued {
	struct queued *next;
	struct command command;
	struct buf line;
	size_t body_capacity;
	struct spool *open_body;
	size_t bytes; /* towards the pipeline's limit */
	step_handler handler;
	struct op op;
	bool begun; /* op is initialised */
};

struct chunk {
	struct chunk *next;
	char *bytes;
	size_t len;
};

struct watch;

struct session {
	const struct protocol *protocol;
	void *context;
	struct reactor *reactor;
	struct net *net;
	struct peer_address peer, local;
	unsigned references;
	uint64_t number;
	uint64_t begun_us;

	/* The reactor's */
	struct connection *connection; /* NULL once closed */
	void *framer;
	struct queued *framing;
	struct slice say; /* waits until all earlier commands are answered */
	bool input_ended;
	bool early; /* when answers were last sent, more input was here already */
	uint64_t last_active_ns;
	uint64_t second_began_ns;
	uint64_t commands_this_second;
	struct reactor_task hold_over;

	/* The running step's */
	void *state;
	struct buf output;
	struct watch *watches;
	uint64_t hold_ms; /* to hold this step's answer back */
	uint64_t auth_failures;
	const char *tls_version, *tls_cipher; /* set between steps */
	uint8_t binding[CHANNEL_BINDING_SIZE];
	size_t binding_size;
	bool signed_in;
	bool is_compressed;
	struct uuid account;

	struct mutex lock;
	/* Under lock */
	struct lane_task step;
	struct reactor_task attention;
	bool attention_posted;
	bool busy; /* a step is queued on a lane or runs */
	bool greeted;
	bool woken;
	bool closing; /* no more commands: the last answer is written, or nobody reads it */
	bool closed;  /* the last step is done */
	bool gone;    /* the connection is closed: the reactor has no more to do with it */
	bool draining;
	bool disconnected;   /* by an administrator */
	bool pipeline_ended; /* nothing is framed until the command that said so is answered */
	bool held;           /* output waits for hold_ms to pass */
	bool securing;       /* output goes out, then TLS begins */
	bool compressing;    /* output goes out, then what follows is compressed */
	bool idle_is_known;  /* `signed_in`, for the reactor */
	uint64_t held_ms;
	unsigned mode;
	step_handler expected;
	enum lane expected_lane;
	struct queued *first, **last;
	size_t queued_count, queued_bytes;
	struct queued *current;
	struct chunk *chunks, **chunks_last;
	size_t unsent; /* written by steps, not yet taken by the client */
	struct slice last_words;

	struct session *next, **link; /* under the registry's lock */
};

/* registry.c: all sessions, and how many each account has. */
void registry_add(struct session *session);
void registry_remove(struct session *session);
bool registry_sign_in(struct uuid account);
void registry_sign_out(struct uuid account);

void session_ref(struct session *session);
void session_unref(struct session *session);
void session_wake(struct session *session);
void session_unwatch_all(struct session *session);
void session_drain(struct session *session, bool by_administrator);
void queued_free(struct queued *queued);

/* With the lock held: gives the next step to a lane if one can run. */
void session_schedule(struct session *session);

/* With the lock held: has the reactor look at the session. */
void session_attend(struct session *session);

struct session *session_new(
	struct connection *connection, const struct protocol *protocol, void *context);

/* session_reactor.c: on the reactor's thread. */
void session_attended(struct reactor_task *task);
