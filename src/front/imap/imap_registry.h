#pragma once

/* The commands there are: what a name means, when it may be said, on which lane it runs. The
 * framer, the dispatcher and CAPABILITY all read this table. */

#include "session/lane.h"

struct imap_session;
struct imap_args;

enum imap_state {
	IMAP_NOT_AUTHED = 1 << 0,
	IMAP_AUTHED = 1 << 1,
	IMAP_SELECTED = 1 << 2,
};
#define IMAP_ANY (IMAP_NOT_AUTHED | IMAP_AUTHED | IMAP_SELECTED)
#define IMAP_SIGNED_IN (IMAP_AUTHED | IMAP_SELECTED)

enum imap_command_flag {
	IMAP_ENDS_PIPELINE = 1 << 0,
	IMAP_SPOOLS_LITERAL = 1 << 1, /* its literals behind the first argument are messages */
	IMAP_KEEPS_SEQUENCE = 1 << 2, /* no EXPUNGE while it runs (RFC 9051 7.5.1) */
	IMAP_HAS_UID_FORM = 1 << 3,   /* UID may stand before it */
	IMAP_TRIES_SIGN_IN = 1 << 4,
	IMAP_NO_UPDATE = 1 << 5, /* no news behind it: it leaves the mailbox, or reads nothing */
	IMAP_ENDS_BY_ITSELF = 1 << 6, /* the handler writes the tagged answer */
	IMAP_ONLY_SHOWS = 1 << 7,     /* nothing is decided by what it reads */
};

typedef struct error *(*imap_handler)(
	struct op *op, struct imap_session *session, struct imap_args *args);

struct imap_command {
	struct slice name;
	imap_handler handler;
	unsigned states;
	enum lane lane;
	unsigned flags;
};

/* In any case; NULL if there is none. */
const struct imap_command *imap_command_find(struct slice name);
