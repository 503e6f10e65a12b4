#pragma once

/* Cuts a client's bytes into commands (RFC 9051 2.2.1): lines, and the literals within them. Short
 * literals stay in the command's text behind their `{n}`; the message of an APPEND goes to a body.
 * Pure; on the reactor's thread. */

#include "front/imap/imap_registry.h"
#include "session/session.h"

enum imap_mode {
	IMAP_MODE_COMMAND,
	IMAP_MODE_LINE, /* DONE, or an answer in a SASL exchange */
};

/* The command was sent as UID FETCH, UID STORE, … */
#define IMAP_COMMAND_IS_UID COMMAND_FLAG_FIRST_FREE
/* With COMMAND_TOO_BIG: it was the message of an APPEND. */
#define IMAP_COMMAND_MESSAGE_TOO_BIG (COMMAND_FLAG_FIRST_FREE << 1)

struct imap_limits {
	uint64_t line_bytes;    /* one line, and the text of a whole command */
	uint64_t message_bytes; /* an APPEND's literal */
	uint64_t append_bytes;  /* all literals of an APPEND */
};
extern struct imap_limits imap_limits;

/* Literals of an APPEND: messages, and parts of messages. */
#define IMAP_BODIES_MAX 200

struct imap_framer {
	enum {
		IMAP_FRAMER_LINE,
		IMAP_FRAMER_SAY,     /* a "+" is due */
		IMAP_FRAMER_LITERAL, /* into the text */
		IMAP_FRAMER_BODY,    /* into a body */
	} state;
	bool is_continued; /* the line began before a literal */
	bool is_too_big;
	bool message_is_too_big;
	bool has_arguments; /* something but space stands behind the command's name */
	bool may_append;    /* a sign-in was tried */
	bool into_body;
	uint64_t text_bytes;   /* of this command so far */
	uint64_t literal_left; /* bytes */
	uint64_t body_bytes;   /* of this command's bodies so far */
	unsigned body_count;
	const struct imap_command *row;
	unsigned flags;
};

struct frame imap_framer_feed(void *state, unsigned mode, struct slice input);
