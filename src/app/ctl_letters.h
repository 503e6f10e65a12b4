#pragma once

/* holdfastctl dead-letter: what was given up on. */

#include "base/op.h"

/* Usage lines, and the requests that it makes; each ends with NULL. */
extern const char *const ctl_letters_usage[];
extern const char *const ctl_letters_requests[];

/* The arguments behind "dead-letter". Returns the exit code. */
int ctl_letters(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments);
