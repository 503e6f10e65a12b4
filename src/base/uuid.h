#pragma once

/* UUIDs (RFC 9562), version 7: time-ordered, made without coordination. Any thread. */

#include "base/arena.h"

struct uuid {
	uint8_t bytes[16];
};

#define UUID_TEXT_LENGTH 36

/* Strictly ascending within a process. */
struct uuid uuid_v7(void);

/* Made as version 7 is, but of version 8 (RFC 9562 5.8): what sets it apart is its maker's affair.
 * Ascends among its own kind. */
struct uuid uuid_v8(void);

static inline unsigned uuid_version(struct uuid uuid)
{
	return uuid.bytes[6] >> 4;
}

/* 128 random bits: operation ids. */
struct uuid uuid_random(void);

/* Writes 36 characters and a NUL. */
void uuid_format(const struct uuid *uuid, char ret_text[static UUID_TEXT_LENGTH + 1]);
const char *uuid_text(struct arena *arena, struct uuid uuid);
bool uuid_parse(struct slice text, struct uuid *ret_uuid);

/* The 16 raw bytes; false unless exactly that long. */
bool uuid_from_slice(struct slice bytes, struct uuid *ret_uuid);

static inline struct slice uuid_as_slice(const struct uuid *uuid)
{
	return slice_of(uuid->bytes, sizeof(uuid->bytes));
}

static inline bool uuid_equal(struct uuid a, struct uuid b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes)) == 0;
}

static inline int uuid_compare(struct uuid a, struct uuid b)
{
	return memcmp(a.bytes, b.bytes, sizeof(a.bytes));
}

static inline bool uuid_is_nil(struct uuid uuid)
{
	return uuid_equal(uuid, (struct uuid){0});
}
