#pragma once

/* What every blob store must do: one suite, run against each. Test code only. */

#include "blob/blob.h"

/* `open` gives a new, empty store each time, which is closed by its own operation. Returns the
 * number of failed tests. */
int blob_contract_run(const char *name, struct blob_store *(*open)(struct op *op));
