#include "latencies.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int by_number(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return (left > right) - (left < right);
}

static uint32_t percentile(const uint32_t *sorted, size_t count, size_t percent)
{
	return count ? sorted[(count - 1) * percent / 100] : 0;
}

void latencies_report(uint32_t *latencies, size_t count, uint64_t errors, double seconds)
{
	qsort(latencies, count, sizeof(*latencies), by_number);
	printf("{\"count\": %zu, \"errors\": %" PRIu64 ", \"seconds\": %.3f, \"per_second\": %.1f, "
	       "\"p50_us\": %u, \"p99_us\": %u}\n",
		count, errors, seconds, (double)count / seconds, percentile(latencies, count, 50),
		percentile(latencies, count, 99));
}
