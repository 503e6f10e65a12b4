#pragma once

/* What every index must do: one suite, run against each. Test code only. */

#include "index/index.h"

/* `open` gives a new, empty index each time, which is closed by its own operation. Returns the
 * number of failed tests. */
int index_contract_run(const char *name, struct index *(*open)(struct op *op));
