#pragma once

#include "base/op.h"

/* `holdfastctl vault VERB ACCOUNT …`: deleted mail, over the admin interface. `arguments` begin
 * with the verb. Returns the exit code; prints what it found or did. */
int ctl_vault(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments);

/* For the usage text: one line a verb, NULL at the end. */
extern const char *const ctl_vault_usage[];
/* What the commands ask for; as `holdfastctl requests` prints it. */
extern const char *const ctl_vault_requests[];
