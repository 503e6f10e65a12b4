#pragma once

/* Files that hold a password or a key, so that the settings need not. */

#include "base/op.h"

/* The first line, without its end, in the operation's arena. ERR_INVALID: the file cannot be read,
 * or the line is empty or longer than 1,023 bytes. */
MUST_CHECK struct error *secret_file_read(struct op *op, const char *path, const char **ret_secret);
