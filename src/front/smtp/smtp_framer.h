#pragma once

/* Cuts an SMTP client's bytes into commands. Pure.
 *
 * The end of the mail behind DATA is CRLF "." CRLF and nothing else: another server may have
 * taken LF "." LF or CR "." CR for an end and passed on what follows as commands of its own
 * (SMTP smuggling), so mail with a lone CR or LF in it is refused as a whole. */

#include "front/smtp/smtp_verb.h"
#include "session/line_framer.h"
#include "session/session.h"

struct smtp_config {
	uint64_t max_recipients, max_line, max_message_bytes;
	uint64_t max_header_fields, max_header_bytes, max_hops, max_errors;
	uint64_t idle_timeout_ms;
};
extern struct smtp_config smtp_config;

enum smtp_mode {
	SMTP_MODE_COMMAND = 0,
	SMTP_MODE_LINE, /* an answer in AUTH */
	SMTP_MODE_DATA,
};

enum smtp_frame_flag {
	SMTP_BAD_LINE_END = COMMAND_FLAG_FIRST_FREE, /* a lone CR or LF */
	SMTP_TAKES_CHUNK = COMMAND_FLAG_FIRST_FREE << 1,
	SMTP_BAD_CHUNK_SIZE = COMMAND_FLAG_FIRST_FREE << 2, /* where it ends is not known */
};

enum smtp_data_state {
	DATA_LINE_START,
	DATA_AFTER_DOT,
	DATA_AFTER_DOT_CR,
	DATA_IN_LINE,
	DATA_AFTER_CR,
};

struct smtp_framer {
	struct line_framer line;
	bool has_chunk; /* within BDAT's bytes */
	uint64_t chunk_left;
	enum smtp_data_state data_state;
	uint64_t size;                /* of this mail or chunk so far */
	unsigned flags;               /* found so far */
	const struct smtp_verb *verb; /* BDAT's */
};

struct frame smtp_feed(void *state, unsigned mode, struct slice input);

/* No line may be longer. */
#define SMTP_LINE_MAX KIB(64)

/* "BDAT 1000 LAST" (RFC 3030 2); arguments only. */
bool smtp_parse_bdat(struct slice arguments, uint64_t *ret_size, bool *ret_is_last);
