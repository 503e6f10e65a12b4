#include "simulation/fibers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/random.h"
#include "base/world.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifndef HAS_ASAN
#define HAS_ASAN 0
#endif
#if HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#define STACK_SIZE (256 * 1024)
#define FIBERS_MAX 32
#define NODES_MAX 4

struct fiber {
	ucontext_t context;
	char *stack;
	void (*run)(void *argument);
	void *argument;
	int node;
	bool is_done;
	uint64_t wake_ns; /* 0: can run */
};

static struct fiber fibers[FIBERS_MAX];
static int fiber_count;
static int current = -1;
static ucontext_t scheduler;
static const void *scheduler_stack UNUSED;
static size_t scheduler_stack_size UNUSED;
static uint64_t random_state;
static uint64_t now_ns;
static int64_t skew_us[NODES_MAX];
static struct world_hooks hooks;

uint64_t sim_random(void)
{
	return random_seeded(&random_state);
}

unsigned sim_below(unsigned bound)
{
	return (unsigned)(sim_random() % bound);
}

static uint64_t virtual_monotonic(void)
{
	return now_ns;
}

static uint64_t virtual_realtime(void)
{
	return (uint64_t)((int64_t)(UINT64_C(1700000000000000) + now_ns / 1000) +
			  skew_us[fiber_node()]);
}

static void virtual_random(void *bytes, size_t len)
{
	char *at = bytes;
	for (size_t i = 0; i < len; i++)
		at[i] = (char)sim_random();
}

static void switch_to_scheduler(bool is_last UNUSED)
{
	struct fiber *fiber = &fibers[current];
#if HAS_ASAN
	void *fake = NULL;
	__sanitizer_start_switch_fiber(
		is_last ? NULL : &fake, scheduler_stack, scheduler_stack_size);
#endif
	swapcontext(&fiber->context, &scheduler);
#if HAS_ASAN
	__sanitizer_finish_switch_fiber(fake, &scheduler_stack, &scheduler_stack_size);
#endif
}

void fiber_yield(void)
{
	if (current >= 0)
		switch_to_scheduler(false);
}

static void virtual_sleep_until(uint64_t until)
{
	if (current < 0) {
		now_ns = until > now_ns ? until : now_ns;
		return;
	}
	fibers[current].wake_ns = until;
	switch_to_scheduler(false);
}

static void enter(void)
{
#if HAS_ASAN
	__sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_stack_size);
#endif
	struct fiber *fiber = &fibers[current];
	fiber->run(fiber->argument);
	fiber->is_done = true;
	switch_to_scheduler(true);
}

void fibers_init(uint64_t seed, int planted_bug)
{
	random_state = seed;
	now_ns = UINT64_C(1000000000);
	hooks = (struct world_hooks){.monotonic_ns = virtual_monotonic,
		.realtime_us = virtual_realtime,
		.random_bytes = virtual_random,
		.yield = fiber_yield,
		.sleep_until = virtual_sleep_until,
		.planted = (enum planted_bug)planted_bug};
	world_hooks = &hooks;
}

void fibers_done(void)
{
	for (int i = 0; i < fiber_count; i++)
		free(fibers[i].stack);
	fiber_count = 0;
}

int fiber_node(void)
{
	return current >= 0 ? fibers[current].node : 0;
}

void fibers_set_skew(int node, int64_t skew)
{
	skew_us[node] = skew;
}

void fiber_start(int node, void (*run)(void *argument), void *argument)
{
	assert(fiber_count < FIBERS_MAX);
	struct fiber *fiber = &fibers[fiber_count++];
	memset(fiber, 0, sizeof(*fiber));
	fiber->stack = malloc(STACK_SIZE);
	assert(fiber->stack);
	fiber->run = run;
	fiber->argument = argument;
	fiber->node = node;
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = STACK_SIZE;
	makecontext(&fiber->context, enter, 0);
}

static void resume(int index)
{
	current = index;
#if HAS_ASAN
	void *fake = NULL;
	__sanitizer_start_switch_fiber(&fake, fibers[index].stack, STACK_SIZE);
#endif
	swapcontext(&scheduler, &fibers[index].context);
#if HAS_ASAN
	__sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
	current = -1;
}

/* The fibers that can run now; if all sleep, the clock goes on to the first that wakes. */
static int runnable(int *ret_indices)
{
	uint64_t first_wake = UINT64_MAX;
	int count = 0;
	for (int i = 0; i < fiber_count; i++) {
		struct fiber *fiber = &fibers[i];
		if (fiber->is_done)
			continue;
		if (fiber->wake_ns > now_ns) {
			first_wake = fiber->wake_ns < first_wake ? fiber->wake_ns : first_wake;
			continue;
		}
		ret_indices[count++] = i;
	}
	if (count || first_wake == UINT64_MAX)
		return count;
	now_ns = first_wake;
	return runnable(ret_indices);
}

void fibers_run(void)
{
	int indices[FIBERS_MAX];
	int count;
	while ((count = runnable(indices)) > 0) {
		now_ns += 1000 + sim_random() % 200000;
		resume(indices[sim_below((unsigned)count)]);
	}
}
