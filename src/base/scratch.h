#pragma once

/* A folder for one run of a test program. Test code only; one thread. */

#include "base/arena.h"

/* Made by the first call. */
const char *scratch_folder(void);

/* A path in it that was not given out before; nothing is there. */
const char *scratch_path(struct arena *arena);

/* Removes all of it: 0, or 1 when something is left. At the end of main. */
int scratch_remove(void);
