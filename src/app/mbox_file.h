#pragma once

/* Writing messages for other programs. */

#include <stdio.h>

#include "base/slice.h"

/* One message as "mboxrd" has it: lines end in LF, and one that begins with any number of '>'
 * before "From " gets one more. `received`: seconds since 1970. Errors show in the stream. */
void mbox_file_write(FILE *out, struct slice content, int64_t received);
