#pragma once

/* A growing run of bytes in an arena, with the big-endian and varint writers that stored rows use,
 * and the reader for them. A buf made by buf_heap() lives on the heap and is freed with buf_done().
 */

#include "base/arena.h"

struct buf {
	char *ptr;
	size_t len;
	size_t capacity;
	struct arena *arena; /* NULL: heap */
};

static inline struct buf buf_in(struct arena *arena)
{
	return (struct buf){.arena = arena};
}

static inline struct buf buf_heap(void)
{
	return (struct buf){0};
}

/* Heap buffers only. */
void buf_done(struct buf *buf);

/* Makes room for `more` bytes and returns where they go; the caller adds to len. */
char *buf_reserve(struct buf *buf, size_t more);

void buf_append(struct buf *buf, struct slice bytes);
void buf_append_char(struct buf *buf, char c);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* As "%llu", without what printf costs where thousands are written. */
void buf_decimal(struct buf *buf, uint64_t value);

/* Big-endian, so that encoded numbers sort as bytes. */
void buf_u8(struct buf *buf, uint8_t value);
void buf_u16(struct buf *buf, uint16_t value);
void buf_u32(struct buf *buf, uint32_t value);
void buf_u64(struct buf *buf, uint64_t value);

/* LEB128, 1 to 10 bytes. */
void buf_varint(struct buf *buf, uint64_t value);

/* Varint length, then the bytes. */
void buf_slice(struct buf *buf, struct slice bytes);

static inline struct slice buf_as_slice(const struct buf *buf)
{
	return slice_of(buf->ptr, buf->len);
}

/* Reads what the writers above wrote. A read past the end sets `failed` and yields zeros, so a
 * decoder checks once at its end. */
struct reader {
	struct slice rest;
	bool failed;
};

static inline struct reader reader_of(struct slice bytes)
{
	return (struct reader){.rest = bytes};
}

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
uint64_t reader_varint(struct reader *reader);

/* Borrows from the bytes read. */
struct slice reader_bytes(struct reader *reader, size_t len);
struct slice reader_slice(struct reader *reader);

/* True when everything was read and nothing was missing. */
static inline bool reader_is_complete(const struct reader *reader)
{
	return !reader->failed && reader->rest.len == 0;
}
