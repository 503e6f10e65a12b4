#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_done(struct buf *buf)
{
	if (!buf->arena)
		free(buf->ptr);
	*buf = (struct buf){.arena = buf->arena};
}

char *buf_reserve(struct buf *buf, size_t more)
{
	if (buf->capacity - buf->len >= more && buf->ptr)
		return buf->ptr + buf->len;
	size_t wanted = MAX_OF(buf->len + more, MAX_OF(buf->capacity * 2, (size_t)64));
	if (buf->arena)
		buf->ptr = arena_grow(buf->arena, buf->ptr, buf->capacity, wanted);
	else
		buf->ptr = heap_realloc(buf->ptr, wanted);
	buf->capacity = wanted;
	return buf->ptr + buf->len;
}

void buf_append(struct buf *buf, struct slice bytes)
{
	if (!bytes.len)
		return;
	memcpy(buf_reserve(buf, bytes.len), bytes.ptr, bytes.len);
	buf->len += bytes.len;
}

void buf_append_char(struct buf *buf, char c)
{
	*buf_reserve(buf, 1) = c;
	buf->len++;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	char *at = buf_reserve(buf, 1);
	size_t room = buf->capacity - buf->len;
	va_start(args, format);
	int length = vsnprintf(at, room, format, args);
	va_end(args);
	if (length < 0)
		abort();
	if ((size_t)length >= room) {
		at = buf_reserve(buf, (size_t)length + 1);
		va_start(args, format);
		vsnprintf(at, (size_t)length + 1, format, args);
		va_end(args);
	}
	buf->len += (size_t)length;
}

void buf_decimal(struct buf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	buf_append(buf, slice_of(digits + at, sizeof(digits) - at));
}

static void append_big_endian(struct buf *buf, uint64_t value, size_t size)
{
	char *at = buf_reserve(buf, size);
	for (size_t i = 0; i < size; i++)
		at[i] = (char)(value >> (8 * (size - 1 - i)));
	buf->len += size;
}

void buf_u8(struct buf *buf, uint8_t value)
{
	buf_append_char(buf, (char)value);
}

void buf_u16(struct buf *buf, uint16_t value)
{
	append_big_endian(buf, value, 2);
}

void buf_u32(struct buf *buf, uint32_t value)
{
	append_big_endian(buf, value, 4);
}

void buf_u64(struct buf *buf, uint64_t value)
{
	append_big_endian(buf, value, 8);
}

void buf_varint(struct buf *buf, uint64_t value)
{
	while (value >= 0x80) {
		buf_u8(buf, (uint8_t)(value | 0x80));
		value >>= 7;
	}
	buf_u8(buf, (uint8_t)value);
}

void buf_slice(struct buf *buf, struct slice bytes)
{
	buf_varint(buf, bytes.len);
	buf_append(buf, bytes);
}

struct slice reader_bytes(struct reader *reader, size_t len)
{
	if (reader->failed || reader->rest.len < len) {
		reader->failed = true;
		return SLICE_NONE;
	}
	struct slice bytes = slice_range(reader->rest, 0, len);
	reader->rest = slice_from(reader->rest, len);
	return bytes;
}

static uint64_t read_big_endian(struct reader *reader, size_t size)
{
	struct slice bytes = reader_bytes(reader, size);
	uint64_t value = 0;
	for (size_t i = 0; i < bytes.len; i++)
		value = value << 8 | (uint8_t)bytes.ptr[i];
	return value;
}

uint8_t reader_u8(struct reader *reader)
{
	return (uint8_t)read_big_endian(reader, 1);
}

uint16_t reader_u16(struct reader *reader)
{
	return (uint16_t)read_big_endian(reader, 2);
}

uint32_t reader_u32(struct reader *reader)
{
	return (uint32_t)read_big_endian(reader, 4);
}

uint64_t reader_u64(struct reader *reader)
{
	return read_big_endian(reader, 8);
}

uint64_t reader_varint(struct reader *reader)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(reader);
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	reader->failed = true;
	return 0;
}

struct slice reader_slice(struct reader *reader)
{
	uint64_t len = reader_varint(reader);
	if (len > reader->rest.len)
		reader->failed = true;
	return reader_bytes(reader, (size_t)len);
}
