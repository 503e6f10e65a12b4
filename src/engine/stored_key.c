#include "engine/stored_key.h"

struct slice stored_key(
	struct arena *arena, const struct table *table, struct slice partition, struct slice key)
{
	struct buf stored = buf_in(arena);
	buf_u8(&stored, table->id);
	buf_u16(&stored, (uint16_t)partition.len);
	buf_append(&stored, partition);
	buf_append(&stored, key);
	return buf_as_slice(&stored);
}

size_t stored_key_prefix_length(struct slice partition)
{
	return 3 + partition.len;
}

struct slice stored_key_after(
	struct arena *arena, const struct table *table, struct slice partition)
{
	struct slice key = stored_key(arena, table, partition, SLICE_NONE);
	char *bytes = (char *)(uintptr_t)key.ptr;
	size_t last = key.len;
	while (last && (unsigned char)bytes[last - 1] == 0xff)
		last--;
	bytes[last - 1]++; /* the table's id is never 0xff */
	return slice_of(bytes, last);
}

struct slice stored_key_after_table(struct arena *arena, const struct table *table)
{
	struct buf stored = buf_in(arena);
	buf_u8(&stored, (uint8_t)(table->id + 1));
	return buf_as_slice(&stored);
}

void stored_key_read(struct slice stored, uint8_t *ret_table_id, struct slice *ret_partition)
{
	struct reader reader = reader_of(stored);
	*ret_table_id = reader_u8(&reader);
	*ret_partition = reader_bytes(&reader, reader_u16(&reader));
}
