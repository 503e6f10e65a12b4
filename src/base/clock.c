#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/world.h"

const struct world_hooks *world_hooks;
static _Atomic int64_t realtime_skew_us;

static uint64_t read_clock(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return world_hooks ? world_hooks->monotonic_ns() : read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_boottime_ns(void)
{
	return world_hooks ? world_hooks->monotonic_ns() : read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_realtime_us(void)
{
	if (world_hooks)
		return world_hooks->realtime_us();
	return read_clock(CLOCK_REALTIME) / 1000 + (uint64_t)realtime_skew_us;
}

void clock_set_skew_us(int64_t skew_us)
{
	realtime_skew_us = skew_us;
}

void clock_sleep_ns(uint64_t duration_ns)
{
	if (world_hooks) {
		world_hooks->sleep_until(world_hooks->monotonic_ns() + duration_ns);
		return;
	}
	struct timespec left = {.tv_sec = (time_t)(duration_ns / NS_PER_S),
		.tv_nsec = (long)(duration_ns % NS_PER_S)};
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}
