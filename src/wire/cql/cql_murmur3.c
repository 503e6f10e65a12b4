/* MurmurHash3 x64 128, its first half. Cassandra differs from the original in one thing: the bytes
 * of the tail are signed, so one of 0x80 and up sets all bits above it. */

#include "wire/cql/cql_murmur3.h"

#define BLOCK_SIZE 16

static const uint64_t c1 = UINT64_C(0x87c37b91114253d5), c2 = UINT64_C(0x4cf5ad432745937f);

static uint64_t rotate(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

static uint64_t mix(uint64_t value, uint64_t before, unsigned bits, uint64_t after)
{
	return rotate(value * before, bits) * after;
}

static uint64_t finish(uint64_t value)
{
	value = (value ^ value >> 33) * UINT64_C(0xff51afd7ed558ccd);
	value = (value ^ value >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return value ^ value >> 33;
}

static uint64_t little_endian(const char *bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < 8; i++)
		value |= (uint64_t)(uint8_t)bytes[i] << (8 * i);
	return value;
}

static uint64_t signed_tail(struct slice tail)
{
	uint64_t value = 0;
	for (size_t i = 0; i < tail.len; i++)
		value ^= (uint64_t)(int64_t)(int8_t)tail.ptr[i] << (8 * i);
	return value;
}

int64_t cql_murmur3_token(struct slice key)
{
	uint64_t h1 = 0, h2 = 0;
	struct slice rest = key;
	for (; rest.len >= BLOCK_SIZE; rest = slice_from(rest, BLOCK_SIZE)) {
		h1 ^= mix(little_endian(rest.ptr), c1, 31, c2);
		h1 = (rotate(h1, 27) + h2) * 5 + 0x52dce729;
		h2 ^= mix(little_endian(rest.ptr + 8), c2, 33, c1);
		h2 = (rotate(h2, 31) + h1) * 5 + 0x38495ab5;
	}
	h2 ^= mix(signed_tail(slice_from(rest, 8)), c2, 33, c1);
	h1 ^= mix(signed_tail(slice_range(rest, 0, 8)), c1, 31, c2);
	h1 ^= key.len;
	h2 ^= key.len;
	h1 += h2;
	h2 += h1;
	int64_t token = (int64_t)(finish(h1) + finish(h2));
	/* The lowest number stands for the ring's beginning: no key has it. */
	return token == INT64_MIN ? INT64_MAX : token;
}
