#pragma once

/* The embedded engine as tests of other folders want it: new, empty and small. Test code only. */

#include "engine/engine.h"

/* In a folder of its own of base/scratch.h, which goes with that. */
struct engine *rocksdb_scratch_new(void);
