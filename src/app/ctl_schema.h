#pragma once

#include "base/op.h"

/* `holdfastctl schema create|check|upgrade`: works on the cluster itself, by the server's
 * configuration file, since a server does not start before its tables are there. Returns the exit
 * code; prints what it found or did. */
int ctl_schema(struct op *op, const char *config_path, const char *verb);
