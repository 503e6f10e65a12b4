#pragma once

/* Time. CLOCK_REALTIME serves MODSEQ and dates only; every deadline is on the monotonic clock. A
 * simulation replaces both through base/world.h. Any thread. */

#include "base/macros.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define US_PER_S UINT64_C(1000000)

uint64_t clock_monotonic_ns(void);

/* Counts the time the machine slept (CLOCK_BOOTTIME): for "not later than an hour after". */
uint64_t clock_boottime_ns(void);

/* Microseconds since 1970. */
uint64_t clock_realtime_us(void);

/* For tests of clocks that differ: from now on the realtime clock is off by this and jumps. */
void clock_set_skew_us(int64_t skew_us);

/* Sleeps; in a simulation, yields until the virtual clock has passed. */
void clock_sleep_ns(uint64_t duration_ns);
