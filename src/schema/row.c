#include "schema/row.h"

#include <assert.h>

static void encode_column(const struct column *column, const void *row, struct buf *out)
{
	const char *at = (const char *)row + column->offset;
	switch (column->type) {
	case COLUMN_U8:
		buf_u8(out, *(const uint8_t *)at);
		return;
	case COLUMN_U16:
		buf_varint(out, *(const uint16_t *)(const void *)at);
		return;
	case COLUMN_U32:
		buf_varint(out, *(const uint32_t *)(const void *)at);
		return;
	case COLUMN_U64:
		buf_varint(out, *(const uint64_t *)(const void *)at);
		return;
	case COLUMN_UUID:
		buf_append(out, slice_of(at, sizeof(struct uuid)));
		return;
	case COLUMN_BYTES:
	case COLUMN_TEXT:
		buf_slice(out, *(const struct slice *)(const void *)at);
		return;
	}
	assert(!"a column type without an encoding");
}

void row_encode(const struct row_type *type, const void *row, struct buf *out)
{
	assert(type->column_count <= ROW_MOST_COLUMNS);
	buf_varint(out, type->column_count);
	for (size_t i = 0; i < type->column_count; i++)
		encode_column(&type->columns[i], row, out);
}

struct slice row_encode_in(struct arena *arena, const struct row_type *type, const void *row)
{
	struct buf out = buf_in(arena);
	row_encode(type, row, &out);
	return buf_as_slice(&out);
}

/* A number that does not fit its column is damage, not a value to truncate. */
static uint64_t read_number(struct reader *reader, uint64_t most)
{
	uint64_t number = reader_varint(reader);
	if (number > most)
		reader->failed = true;
	return number;
}

static void decode_column(struct reader *reader, const struct column *column, void *row)
{
	char *at = (char *)row + column->offset;
	struct slice bytes;
	switch (column->type) {
	case COLUMN_U8:
		*(uint8_t *)at = reader_u8(reader);
		return;
	case COLUMN_U16:
		*(uint16_t *)(void *)at = (uint16_t)read_number(reader, UINT16_MAX);
		return;
	case COLUMN_U32:
		*(uint32_t *)(void *)at = (uint32_t)read_number(reader, UINT32_MAX);
		return;
	case COLUMN_U64:
		*(uint64_t *)(void *)at = reader_varint(reader);
		return;
	case COLUMN_UUID:
		bytes = reader_bytes(reader, sizeof(struct uuid));
		if (bytes.len)
			memcpy(at, bytes.ptr, bytes.len);
		return;
	case COLUMN_BYTES:
	case COLUMN_TEXT:
		*(struct slice *)(void *)at = reader_slice(reader);
		return;
	}
	assert(!"a column type without a decoding");
}

static struct reader read_encoding(struct slice bytes)
{
	return reader_of(slice_from(bytes, row_is_sealed(bytes) ? ROW_SEAL_SIZE : 0));
}

struct error *row_decode(
	struct op *op, const struct row_type *type, struct slice bytes, void *ret_row)
{
	memset(ret_row, 0, type->size);
	struct reader reader = read_encoding(bytes);
	uint64_t stored = reader_varint(&reader);
	size_t known = stored < type->column_count ? (size_t)stored : type->column_count;
	for (size_t i = 0; i < known; i++)
		decode_column(&reader, &type->columns[i], ret_row);
	if (reader.failed)
		return op_fail(op, ERR_CORRUPT, "a row of %s cannot be decoded", type->name);
	if (stored == type->column_count && reader.rest.len)
		return op_fail(op, ERR_CORRUPT, "a row of %s has bytes left over", type->name);
	return NULL;
}

static struct slice column_bytes(struct reader *reader, const struct column *column)
{
	const char *from = reader->rest.ptr;
	char scratch[sizeof(struct slice)] __attribute__((aligned(16)));
	struct column in_place = {.type = column->type};
	decode_column(reader, &in_place, scratch);
	return slice_of(from, (size_t)(reader->rest.ptr - from));
}

bool row_columns_equal(const struct row_type *type, size_t count, struct slice a, struct slice b)
{
	struct reader left = read_encoding(a);
	struct reader right = read_encoding(b);
	if (reader_varint(&left) < count || reader_varint(&right) < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		struct slice from_left = column_bytes(&left, &type->columns[i]);
		struct slice from_right = column_bytes(&right, &type->columns[i]);
		if (left.failed || right.failed || !slice_equal(from_left, from_right))
			return false;
	}
	return true;
}
