#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/world.h"

void random_bytes(void *bytes, size_t len)
{
	if (world_hooks) {
		world_hooks->random_bytes(bytes, len);
		return;
	}
	char *at = bytes;
	while (len) {
		ssize_t got = getrandom(at, len, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			perror("holdfast: getrandom");
			abort();
		}
		at += got;
		len -= (size_t)got;
	}
}

uint64_t random_u64(void)
{
	uint64_t value;
	random_bytes(&value, sizeof(value));
	return value;
}

uint64_t random_below(uint64_t bound)
{
	uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
	uint64_t value;
	do {
		value = random_u64();
	} while (value >= limit);
	return value % bound;
}
