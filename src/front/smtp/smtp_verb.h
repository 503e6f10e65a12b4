#pragma once

/* The commands there are. Pure: the framer needs to know them too. */

#include "session/session.h"

enum smtp_kind {
	SMTP_MX = 1 << 0,
	SMTP_SUBMISSION = 1 << 1,
	SMTP_LMTP = 1 << 2,
};

enum smtp_verb_id {
	SMTP_VERB_UNKNOWN,
	SMTP_VERB_EHLO,
	SMTP_VERB_HELO,
	SMTP_VERB_LHLO,
	SMTP_VERB_MAIL,
	SMTP_VERB_RCPT,
	SMTP_VERB_DATA,
	SMTP_VERB_BDAT,
	SMTP_VERB_RSET,
	SMTP_VERB_NOOP,
	SMTP_VERB_VRFY,
	SMTP_VERB_HELP,
	SMTP_VERB_STARTTLS,
	SMTP_VERB_AUTH,
	SMTP_VERB_QUIT,
	SMTP_VERB_COUNT,
};

struct smtp_verb {
	enum smtp_verb_id id;
	struct slice name;
	enum lane lane;
	unsigned flags; /* enum command_flag, enum smtp_frame_flag */
	unsigned kinds; /* enum smtp_kind: who knows it */
};

/* The row for this line's first word; the row for unknown commands if there is none. */
const struct smtp_verb *smtp_verb_find(struct slice line, struct slice *ret_arguments);
