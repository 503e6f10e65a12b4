#pragma once

/* What a run tells in the end: how many, how fast, how long each took. */

#include <stddef.h>
#include <stdint.h>

/* Prints one line of JSON. Sorts the latencies, in microseconds. */
void latencies_report(uint32_t *latencies, size_t count, uint64_t errors, double seconds);
