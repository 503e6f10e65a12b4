#pragma once

#include "base/op.h"

/* `holdfastctl import …`: mail out of Maildirs and mboxes on the administrator's side, over the
 * admin interface. `arguments` begin with the kind of source. Returns the exit code. */
int ctl_import(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments);

/* For the usage text: one line a verb, NULL at the end. */
extern const char *const ctl_import_usage[];
/* What the commands ask for; as `holdfastctl requests` prints it. */
extern const char *const ctl_import_requests[];
