#pragma once

#include "base/op.h"

/* `holdfastctl export …`: an account's mail into a Maildir or an mbox on the administrator's side.
 * `arguments` begin with the kind. Returns the exit code. */
int ctl_export(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments);

/* For the usage text: one line a verb, NULL at the end. */
extern const char *const ctl_export_usage[];
/* What the commands ask for; as `holdfastctl requests` prints it. */
extern const char *const ctl_export_requests[];
