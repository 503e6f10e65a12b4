#pragma once

/* holdfastctl import imap, and the manifest of what came from other servers. */

#include "base/op.h"

extern const char *const ctl_import_imap_usage[];    /* NULL-ended */
extern const char *const ctl_import_imap_requests[]; /* NULL-ended */

/* The exit code; `arguments` from "imap" or "manifest" on. */
int ctl_import_imap(struct op *op, const char *socket_path, bool wants_json, int argument_count,
	char **arguments);
int ctl_import_manifest(
	struct op *op, const char *socket_path, int argument_count, char **arguments);
