#pragma once

/* Arguments of MAIL and RCPT (RFC 5321 4.1.2) with their parameters (RFC 1870, 6152, 6531, 3030,
 * 3461, 4954). Pure; slices borrow from the line. */

#include "base/op.h"

struct smtp_path {
	struct slice address;    /* without <>, without a source route; empty for <> */
	struct slice parameters; /* all of them, as given */
	bool is_ascii;
};

/* `keyword` is "FROM" or "TO". ERR_INVALID says what is wrong with it. */
MUST_CHECK struct error *smtp_parse_path(
	struct op *op, struct slice arguments, struct slice keyword, struct smtp_path *ret_path);

struct smtp_parameter {
	struct slice name;
	struct slice value; /* ptr NULL: no "=" */
};

/* Takes the next parameter off *rest; false at the end. */
bool smtp_next_parameter(struct slice *rest, struct smtp_parameter *ret_parameter);

/* Text with +XX for what is not printable (RFC 3461 4). */
bool smtp_is_xtext(struct slice text);

/* "NEVER", or a list of SUCCESS, FAILURE and DELAY. */
bool smtp_is_notify(struct slice text);
