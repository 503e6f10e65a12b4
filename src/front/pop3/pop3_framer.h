#pragma once

/* Every command is a line. Pure. */

#include "session/line_framer.h"
#include "session/session.h"

enum { POP3_MODE_LINE = 1 }; /* an answer in AUTH */

struct pop3_config {
	uint64_t max_line;
	uint64_t idle_timeout_ms;
};
extern struct pop3_config pop3_config;

#define POP3_LINE_MAX KIB(64)

enum pop3_verb_id {
	POP3_VERB_UNKNOWN,
	POP3_VERB_CAPA,
	POP3_VERB_USER,
	POP3_VERB_PASS,
	POP3_VERB_AUTH,
	POP3_VERB_STLS,
	POP3_VERB_STAT,
	POP3_VERB_LIST,
	POP3_VERB_UIDL,
	POP3_VERB_RETR,
	POP3_VERB_TOP,
	POP3_VERB_DELE,
	POP3_VERB_NOOP,
	POP3_VERB_RSET,
	POP3_VERB_QUIT,
	POP3_VERB_COUNT,
};

enum pop3_when { POP3_ANY, POP3_BEFORE, POP3_AFTER }; /* signing in */

struct pop3_verb {
	enum pop3_verb_id id;
	struct slice name;
	enum lane lane;
	unsigned flags;
	enum pop3_when when;
};

/* The row for this line's first word; the row for unknown commands if there is none. Arguments are
 * all behind the first space: passwords may have spaces. */
const struct pop3_verb *pop3_verb_find(struct slice line, struct slice *ret_arguments);

struct frame pop3_feed(void *state, unsigned mode, struct slice input);
