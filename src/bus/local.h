#pragma once

/* A bus within one process: for a node that has no others, and for tests of several. */

#include "bus/bus.h"

/* What the nodes of one process share; the last of them that closes frees it. At most `most` hints
 * wait. */
struct local_hub;
struct local_hub *local_hub_new(size_t most);

/* One more node of the hub. */
struct bus *bus_local_new(struct local_hub *hub);
