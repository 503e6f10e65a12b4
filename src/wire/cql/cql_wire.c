#include "wire/cql/cql_wire.h"

void cql_put_string(struct buf *out, struct slice text)
{
	text = slice_range(text, 0, UINT16_MAX);
	buf_u16(out, (uint16_t)text.len);
	buf_append(out, text);
}

void cql_put_long_string(struct buf *out, struct slice text)
{
	text = slice_range(text, 0, INT32_MAX);
	buf_u32(out, (uint32_t)text.len);
	buf_append(out, text);
}

void cql_put_bytes(struct buf *out, struct slice bytes)
{
	cql_put_long_string(out, bytes);
}

void cql_put_short_bytes(struct buf *out, struct slice bytes)
{
	cql_put_string(out, bytes);
}

void cql_put_value(struct buf *out, struct cql_value value)
{
	buf_u32(out, (uint32_t)value.length);
	if (value.length > 0)
		buf_append(out, slice_of(value.ptr, (size_t)value.length));
}

struct slice cql_get_string(struct reader *in)
{
	uint16_t len = reader_u16(in);
	return reader_bytes(in, len);
}

struct slice cql_get_short_bytes(struct reader *in)
{
	return cql_get_string(in);
}

struct slice cql_get_bytes(struct reader *in)
{
	int32_t len = (int32_t)reader_u32(in);
	if (len < 0)
		return SLICE_NONE;
	return reader_bytes(in, (size_t)len);
}

struct cql_value cql_get_value(struct reader *in)
{
	int32_t len = (int32_t)reader_u32(in);
	if (len < 0 || in->failed)
		return (struct cql_value){.length = CQL_NULL};
	struct slice bytes = reader_bytes(in, (size_t)len);
	return (struct cql_value){.ptr = (const uint8_t *)bytes.ptr, .length = (int32_t)bytes.len};
}
