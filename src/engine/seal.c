#include "engine/seal.h"

#include <xxhash.h>

/* Each step takes the last one's sum as its seed, so bytes cannot move from one part to the next.
 */
static uint32_t checksum(const struct table *table, struct slice partition, struct slice key,
	uint64_t version, struct slice value)
{
	const uint64_t place[] = {table->id, version};
	uint64_t sum = XXH3_64bits(place, sizeof(place));
	sum = XXH3_64bits_withSeed(partition.ptr, partition.len, sum);
	sum = XXH3_64bits_withSeed(key.ptr, key.len, sum);
	sum = XXH3_64bits_withSeed(value.ptr, value.len, sum);
	return (uint32_t)(sum ^ sum >> 32);
}

struct slice row_seal(struct arena *arena, const struct table *table, struct slice partition,
	struct slice key, uint64_t version, struct slice value)
{
	struct buf out = buf_in(arena);
	if (table->large_values)
		return value;
	buf_reserve(&out, ROW_SEAL_SIZE + value.len);
	buf_u8(&out, ROW_SEAL_MARK);
	buf_u32(&out, checksum(table, partition, key, version, value));
	buf_append(&out, value);
	return buf_as_slice(&out);
}

bool row_unseal(const struct table *table, struct slice partition, struct slice key,
	uint64_t version, struct slice stored, struct slice *ret_value)
{
	struct reader reader = reader_of(stored);
	if (table->large_values || !row_is_sealed(stored)) {
		*ret_value = stored;
		return table->large_values || row_may_be_unsealed(stored);
	}
	reader_u8(&reader);
	uint32_t sum = reader_u32(&reader);
	*ret_value = reader.rest;
	return !reader.failed && sum == checksum(table, partition, key, version, reader.rest);
}
