#pragma once

#include "base/op.h"

/* `holdfastctl backup …` and `holdfastctl restore …`: folders of backups. The server is asked for a
 * checkpoint, and what is copied is copied by this process. `arguments` begin with "backup" or
 * "restore"; `config_path` NULL: the usual one. Returns the exit code; prints what was done. */
int ctl_backup(struct op *op, const char *socket_path, const char *config_path, bool wants_json,
	int argument_count, char **arguments);

/* For the usage text: one line a verb, NULL at the end. */
extern const char *const ctl_backup_usage[];
/* What the commands ask for; as `holdfastctl requests` prints it. */
extern const char *const ctl_backup_requests[];
