#pragma once

/* Where reactors and workers meet. A protocol gives a framer, which cuts bytes into commands on the
 * reactor's thread, and handlers, which run a complete command on a worker's thread with blocking
 * calls. A session has at most one step running at any time, in the order of its commands; so a
 * handler needs no lock for its session's state.
 *
 * Commands that a client pipelines wait in a bounded queue; beyond it nothing more is read. What a
 * handler writes is sent in order; a handler that writes a lot asks session_output_is_full between
 * two items and returns STEP_MORE, and is called again with the same command and op when the client
 * has read enough. */

#include "base/op.h"
#include "session/lane.h"
#include "session/spool.h"

struct session;
struct net;

/* ---- Framers: pure, on the reactor's thread ---- */

enum frame_kind {
	FRAME_MORE, /* nothing to be done with these bytes yet; called again with more behind them
		     */
	FRAME_TEXT, /* `bytes` belong to the command's line */
	FRAME_BODY, /* `bytes` belong to the command's open body (the first one opens it) */
	FRAME_END_BODY, /* the open body is whole (opens an empty one if none is open) */
	FRAME_SAY, /* send `say` once all earlier commands are answered, then go on: "+ OK\r\n" */
	FRAME_COMMAND, /* `bytes` end the line; the command is complete and goes to a worker */
};

enum command_flag {
	/* Nothing behind it is framed before it has been answered: STARTTLS, AUTH, IDLE, DATA. */
	COMMAND_ENDS_PIPELINE = 1 << 0,
	/* Past a limit: the line or body was cut, the framer has skipped or will skip the rest, and
	 * the handler gives the protocol's answer. */
	COMMAND_TOO_BIG = 1 << 1,
	/* From here on the protocol's own, handed through to the handler. */
	COMMAND_FLAG_FIRST_FREE = 1 << 8,
};

struct frame {
	enum frame_kind kind;
	size_t taken;       /* bytes of the input that are used up */
	struct slice bytes; /* within the input, or static: what is kept of them */
	struct slice say;   /* FRAME_SAY: static text */
	/* FRAME_COMMAND only: */
	enum lane lane;
	unsigned flags;
	const void *row; /* the command's row, handed through to the handler */
};

/* ---- Commands ---- */

struct command_body {
	size_t line_offset; /* length of the line when this body began: where its literal stands */
	struct spool *spool;
};

struct command {
	struct slice line; /* what the framer kept as text */
	struct command_body *bodies;
	size_t body_count;
	enum lane lane;
	unsigned flags;
	unsigned mode; /* that it was framed in */
	const void *row;
	/* The answers to all earlier commands had gone out before a byte of this one was here: the
	 * client has seen them, unless its bytes and ours crossed on the line. */
	bool follows_answers;
	void *cursor; /* the handler's own, for STEP_MORE; NULL at first; in op->arena */
};

enum step {
	STEP_DONE, /* answered; the next command may run */
	/* The output is full: call again when it has drained. If the client goes away meanwhile the
	 * handler is not called again; what the cursor holds beyond the arena is for `closed`. */
	STEP_MORE,
	STEP_CLOSE,     /* answered; send what was written, then close */
	STEP_COMPRESS,  /* send what was written, then compress both ways */
	STEP_START_TLS, /* send what was written, forget what was read, then shake hands */
};

typedef enum step (*step_handler)(struct op *op, struct session *session, struct command *command);

/* ---- Protocols ---- */

struct protocol {
	const char *name; /* "imap": in logs and metrics */

	/* Zeroed memory for the framer's state and for the session's own state. */
	size_t framer_size;
	size_t state_size;

	/* Looks at the start of `input` and says what to do with it. `mode` is 0 for commands, or
	 * what session_expect asked for. Must take or want more: a frame of FRAME_TEXT, FRAME_BODY
	 * and FRAME_COMMAND takes at least a byte; FRAME_END_BODY and FRAME_SAY may take none but
	 * must change the framer's state. The input may be empty. FRAME_MORE with `max_input` bytes
	 * unread closes. */
	struct frame (*feed)(void *framer, unsigned mode, struct slice input);
	size_t max_input; /* the longest input that may stand unread: the longest line, and a bit */

	/* First step of a session, before anything is framed: the greeting. */
	enum step (*greet)(struct op *op, struct session *session);
	enum lane greet_lane;

	/* One complete command. */
	step_handler execute;

	/* A watched key was woken (session/watch.h); NULL if the protocol does not watch. */
	enum step (*woken)(struct op *op, struct session *session);
	enum lane woken_lane;

	/* Last step: releases what the state owns. No output. May be NULL. */
	void (*closed)(struct op *op, struct session *session);

	/* Said by the session itself, whole lines, then it closes. */
	struct slice say_busy;         /* past a connection limit */
	struct slice say_idle;         /* the client was silent too long */
	struct slice say_shutdown;     /* the server stops */
	struct slice say_disconnected; /* an administrator ended the session; empty: say_shutdown */
	struct slice say_too_big;      /* FRAME_MORE with max_input bytes unread */

	const uint64_t *idle_timeout_ms;         /* signed in */
	const uint64_t *unknown_idle_timeout_ms; /* not signed in; NULL: same */
};

/* Binds `addresses` ("127.0.0.1:2143, [::1]:2143", commas between) for a protocol; accepting starts
 * with net_start. `context` is the front end's own and comes back by session_context. NULL or empty
 * addresses bind nothing. */
MUST_CHECK struct error *session_listen(struct op *op, struct net *net,
	const struct protocol *protocol, const char *addresses, bool implicit_tls, void *context);

/* After net_stop_accepting: asks every session to end: those that run no command say say_shutdown
 * and close, the others do after their step. Returns when all are gone or the grace time is over.
 * Then comes net_stop, whose last sessions
 * still need workers for their last steps, and only then lanes_stop. */
void sessions_stop(void);

/* ---- For the administrator. Any thread. ---- */

struct session_info {
	uint64_t number;      /* of this process, ascending */
	const char *protocol; /* static */
	const char *peer;     /* in the arena */
	uint64_t begun_us;    /* since 1970 */
	bool is_tls;
	bool is_signed_in;
	struct uuid account; /* when it is */
};

/* Sessions that are open, ascending by number; in the operation's arena. */
void session_list(struct op *op, struct session_info **ret_sessions, size_t *ret_count);

/* Asks one to end behind the command it runs. False: there is none. */
MUST_CHECK bool session_disconnect(uint64_t number);

/* ---- For handlers: the session's own steps only, unless said otherwise ---- */

void *session_state(struct session *session);
void *session_context(const struct session *session);
const struct protocol *session_protocol(const struct session *session);

/* What is appended here is sent in order; at the latest at the end of the step. */
struct buf *session_output(struct session *session);

/* Sends what was appended so far: for long steps. */
void session_flush(struct session *session);

/* More is unsent than the high-water mark allows: return STEP_MORE at the next chance. */
bool session_output_is_full(struct session *session);

/* The next frame is read in `mode` (> 0) and goes to `handler` on `lane` instead of `execute`: AUTH
 * rounds, IDLE's DONE, mail behind DATA. For one frame; ask again for another. Only from a command
 * with COMMAND_ENDS_PIPELINE or one that was itself expected. */
void session_expect(struct session *session, unsigned mode, enum lane lane, step_handler handler);

/* The client went away, or the server stops: what has not begun need not begin. Any thread. */
bool session_is_gone(struct session *session);

/* The name this server goes by. */
const char *session_server_name(void);

/* "192.0.2.1", "2001:db8::1"; NUL-terminated, lives as long as the session. */
const char *session_peer(const struct session *session);
const char *session_local_address(const struct session *session);
bool session_is_loopback(const struct session *session);
bool session_is_tls(const struct session *session);
bool session_is_compressed(const struct session *session);

/* The server has a certificate: STARTTLS can be offered. Not beneath compression. */
bool session_can_start_tls(const struct session *session);

/* "TLSv1.3", "TLS_AES_256_GCM_SHA384"; NULL without TLS. */
const char *session_tls_version(const struct session *session);
const char *session_tls_cipher(const struct session *session);

/* tls-exporter channel binding (RFC 9266): 32 bytes, or empty when there is none. */
struct slice session_channel_binding(const struct session *session);

/* Signs the session in; false (and nothing changed) when the account has too many connections. The
 * mechanism is for the log. */
MUST_CHECK bool session_sign_in(
	struct session *session, struct uuid account_id, struct slice mechanism);
/* Behind the step, the session is nobody's again and may sign in once more. */
void session_sign_out(struct session *session);
bool session_is_signed_in(const struct session *session);
struct uuid session_account(const struct session *session);

/* Password was wrong: logs whose it was said to be, and holds this step's answer back for a time
 * that grows with the failures of this session and this peer. False when it was one too many:
 * return STEP_CLOSE. */
MUST_CHECK bool session_auth_failed(struct session *session, struct slice user_name);
void session_auth_succeeded(struct session *session);
