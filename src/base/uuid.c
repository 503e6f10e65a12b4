#include "base/uuid.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/world.h"

/* The last 60 bits of time handed out: milliseconds in the upper 48, a 12-bit sequence below. */
static uint64_t last_stamp;

static uint64_t next_stamp(void)
{
	uint64_t now = clock_realtime_us() / 1000 << 12;
	uint64_t last = __atomic_load_n(&last_stamp, __ATOMIC_RELAXED);
	uint64_t stamp;
	do {
		stamp = now > last ? now : last + 1;
	} while (!__atomic_compare_exchange_n(
		&last_stamp, &last, stamp, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return stamp;
}

/* A small pool per thread, so that an id does not cost a system call. */
static void cheap_random(void *bytes, size_t len)
{
	static _Thread_local uint8_t pool[512];
	static _Thread_local size_t left;
	if (world_hooks) {
		random_bytes(bytes, len);
		return;
	}
	if (left < len) {
		random_bytes(pool, sizeof(pool));
		left = sizeof(pool);
	}
	memcpy(bytes, pool + sizeof(pool) - left, len);
	left -= len;
}

static struct uuid time_ordered(unsigned version)
{
	struct uuid uuid = uuid_random();
	uint64_t stamp = next_stamp();
	uint64_t millis = stamp >> 12;
	for (int i = 0; i < 6; i++)
		uuid.bytes[i] = (uint8_t)(millis >> (8 * (5 - i)));
	uuid.bytes[6] = (uint8_t)(version << 4 | (stamp >> 8 & 0x0f));
	uuid.bytes[7] = (uint8_t)stamp;
	uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
	return uuid;
}

struct uuid uuid_v7(void)
{
	return time_ordered(7);
}

struct uuid uuid_v8(void)
{
	return time_ordered(8);
}

struct uuid uuid_random(void)
{
	struct uuid uuid = {0};
	cheap_random(uuid.bytes, sizeof(uuid.bytes));
	return uuid;
}

void uuid_format(const struct uuid *uuid, char ret_text[static UUID_TEXT_LENGTH + 1])
{
	static const char digits[] = "0123456789abcdef";
	char *at = ret_text;
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[uuid->bytes[i] >> 4];
		*at++ = digits[uuid->bytes[i] & 0x0f];
	}
	*at = '\0';
}

const char *uuid_text(struct arena *arena, struct uuid uuid)
{
	char *text = arena_alloc_raw(arena, UUID_TEXT_LENGTH + 1);
	uuid_format(&uuid, text);
	return text;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(struct slice text, struct uuid *ret_uuid)
{
	if (text.len != UUID_TEXT_LENGTH)
		return false;
	struct uuid uuid;
	size_t at = 0;
	for (int i = 0; i < 16; i++) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && text.ptr[at++] != '-')
			return false;
		int high = hex_value(text.ptr[at]);
		int low = hex_value(text.ptr[at + 1]);
		if (high < 0 || low < 0)
			return false;
		uuid.bytes[i] = (uint8_t)(high << 4 | low);
		at += 2;
	}
	*ret_uuid = uuid;
	return true;
}

bool uuid_from_slice(struct slice bytes, struct uuid *ret_uuid)
{
	if (bytes.len != sizeof(ret_uuid->bytes))
		return false;
	memcpy(ret_uuid->bytes, bytes.ptr, sizeof(ret_uuid->bytes));
	return true;
}
