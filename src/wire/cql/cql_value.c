/* Values to and from their encodings (section 6), and the form of a partition key. */

#include "wire/cql/cql_wire.h"

static struct cql_value big_endian(struct arena *arena, uint64_t number, int32_t size)
{
	uint8_t *bytes = arena_alloc_raw(arena, (size_t)size);
	for (int32_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
	return (struct cql_value){.ptr = bytes, .length = size};
}

struct cql_value cql_from_bytes(struct slice bytes)
{
	return (struct cql_value){.ptr = (const uint8_t *)bytes.ptr, .length = (int32_t)bytes.len};
}

struct cql_value cql_from_bigint(struct arena *arena, int64_t number)
{
	return big_endian(arena, (uint64_t)number, 8);
}

struct cql_value cql_from_int(struct arena *arena, int32_t number)
{
	return big_endian(arena, (uint32_t)number, 4);
}

struct cql_value cql_from_smallint(struct arena *arena, int16_t number)
{
	return big_endian(arena, (uint16_t)number, 2);
}

struct cql_value cql_from_tinyint(struct arena *arena, int8_t number)
{
	return big_endian(arena, (uint8_t)number, 1);
}

struct cql_value cql_from_boolean(bool flag)
{
	static const uint8_t flags[2] = {0, 1};
	return (struct cql_value){.ptr = &flags[flag], .length = 1};
}

struct cql_value cql_from_uuid(const struct uuid *uuid)
{
	return (struct cql_value){.ptr = uuid->bytes, .length = sizeof(uuid->bytes)};
}

static bool read_number(struct cql_value value, int32_t size, uint64_t *ret_number)
{
	if (value.length != size)
		return false;
	uint64_t number = 0;
	for (int32_t i = 0; i < size; i++)
		number = number << 8 | value.ptr[i];
	*ret_number = number;
	return true;
}

bool cql_to_bigint(struct cql_value value, int64_t *ret_number)
{
	uint64_t number;
	if (!read_number(value, 8, &number))
		return false;
	*ret_number = (int64_t)number;
	return true;
}

bool cql_to_int(struct cql_value value, int32_t *ret_number)
{
	uint64_t number;
	if (!read_number(value, 4, &number))
		return false;
	*ret_number = (int32_t)(uint32_t)number;
	return true;
}

bool cql_to_smallint(struct cql_value value, int16_t *ret_number)
{
	uint64_t number;
	if (!read_number(value, 2, &number))
		return false;
	*ret_number = (int16_t)(uint16_t)number;
	return true;
}

bool cql_to_tinyint(struct cql_value value, int8_t *ret_number)
{
	uint64_t number;
	if (!read_number(value, 1, &number))
		return false;
	*ret_number = (int8_t)(uint8_t)number;
	return true;
}

bool cql_to_boolean(struct cql_value value, bool *ret_flag)
{
	uint64_t number;
	if (!read_number(value, 1, &number))
		return false;
	*ret_flag = number != 0;
	return true;
}

bool cql_to_uuid(struct cql_value value, struct uuid *ret_uuid)
{
	if (value.length != (int32_t)sizeof(ret_uuid->bytes))
		return false;
	memcpy(ret_uuid->bytes, value.ptr, sizeof(ret_uuid->bytes));
	return true;
}

struct slice cql_to_bytes(struct cql_value value)
{
	if (value.length < 0)
		return SLICE_NONE;
	return slice_of(value.length ? (const void *)value.ptr : "", (size_t)value.length);
}

/* As Cassandra's CompositeType: each part with its 16-bit length before and a zero after. */
struct slice cql_routing_key(struct arena *arena, const struct cql_value *columns, size_t count)
{
	if (count == 1)
		return cql_to_bytes(columns[0]);
	struct buf key = buf_in(arena);
	for (size_t i = 0; i < count; i++) {
		cql_put_short_bytes(&key, cql_to_bytes(columns[i]));
		buf_u8(&key, 0);
	}
	return buf_as_slice(&key);
}
