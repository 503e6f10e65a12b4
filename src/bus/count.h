#pragma once

/* What all kinds of bus count. For them only. */

#include "bus/bus.h"

enum bus_event {
	BUS_PUBLISHED, /* given to the broker */
	BUS_CONFIRMED,
	BUS_REFUSED,  /* by the broker */
	BUS_RETURNED, /* nobody listens */
	BUS_DROPPED,  /* there was no room */
	BUS_RECEIVED,
	BUS_MALFORMED,
	BUS_CONNECTED,
	BUS_DISCONNECTED,
};

void bus_count(enum bus_event event, size_t count);
