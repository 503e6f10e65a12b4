#pragma once

/* How a C struct becomes the bytes of a stored row, from one declaration of its columns. The
 * encoding is the number of columns and then each of them, so that columns may be added at the end:
 * a row written before them reads as if they were zero. Pure, any thread. */

#include "base/buf.h"
#include "base/op.h"

enum column_type {
	COLUMN_U8,
	COLUMN_U16,
	COLUMN_U32,
	COLUMN_U64,
	COLUMN_UUID,  /* struct uuid, or one of the id types */
	COLUMN_BYTES, /* struct slice */
	COLUMN_TEXT,  /* struct slice, UTF-8 */
};

struct column {
	const char *name;
	enum column_type type;
	uint16_t offset;
};

struct row_type {
	const char *name;
	size_t size;
	const struct column *columns;
	size_t column_count;
};

#define COLUMN(struct_tag, member, column_type)               \
	{                                                     \
		.name = #member, .type = (column_type),       \
		.offset = offsetof(struct struct_tag, member) \
	}
#define ROW_TYPE(struct_tag, column_array)                                                         \
	{                                                                                          \
		.name = #struct_tag, .size = sizeof(struct struct_tag), .columns = (column_array), \
		.column_count = ARRAY_SIZE(column_array)                                           \
	}

/* A stored encoding may stand behind a seal (engine/seal.h), which what reads one passes over. The
 * mark is no number of columns, and no one bit makes it one. */
#define ROW_SEAL_MARK 0xe6
#define ROW_SEAL_SIZE 5
#define ROW_MOST_COLUMNS 63

static inline bool row_is_sealed(struct slice stored)
{
	return stored.len && (uint8_t)stored.ptr[0] == ROW_SEAL_MARK;
}

static inline bool row_may_be_unsealed(struct slice stored)
{
	return stored.len && (uint8_t)stored.ptr[0] <= ROW_MOST_COLUMNS;
}

/* Appends the encoding of *row. */
void row_encode(const struct row_type *type, const void *row, struct buf *out);
struct slice row_encode_in(struct arena *arena, const struct row_type *type, const void *row);

/* Fills *ret_row; slices in it borrow from `bytes`. ERR_CORRUPT when the bytes break the encoding.
 */
MUST_CHECK struct error *row_decode(
	struct op *op, const struct row_type *type, struct slice bytes, void *ret_row);

/* True when the first `count` columns of two encodings hold the same values. Undecodable: false. */
bool row_columns_equal(const struct row_type *type, size_t count, struct slice a, struct slice b);
