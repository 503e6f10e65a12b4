#pragma once

/* Randomness from the kernel; from the seed in a simulation. Any thread. */

#include "base/macros.h"

void random_bytes(void *bytes, size_t len);
uint64_t random_u64(void);

/* Uniform in [0, bound); bound > 0. */
uint64_t random_below(uint64_t bound);

/* The next number of a sequence that its state, any number at first, decides (splitmix64): for what
 * is to run alike again. */
uint64_t random_seeded(uint64_t *state);
