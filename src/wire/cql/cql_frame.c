#include "wire/cql/cql_frame.h"

#include <lz4.h>

#define RESPONSE_BIT 0x80

/* Below this, a block saves less than it costs. */
#define COMPRESS_FROM 512

enum cql_scan cql_frame_scan(struct slice input, struct cql_frame *ret_frame, size_t *ret_length)
{
	*ret_length = CQL_FRAME_HEADER_SIZE;
	if (input.len && !((uint8_t)input.ptr[0] & RESPONSE_BIT))
		return CQL_SCAN_BROKEN;
	if (input.len < CQL_FRAME_HEADER_SIZE)
		return CQL_SCAN_PARTIAL;
	struct reader header = reader_of(input);
	struct cql_frame frame = {.version = (uint8_t)(reader_u8(&header) & ~RESPONSE_BIT)};
	frame.flags = reader_u8(&header);
	frame.stream = (int16_t)reader_u16(&header);
	frame.opcode = reader_u8(&header);
	uint32_t length = reader_u32(&header);
	if (length > CQL_FRAME_BODY_MAX)
		return CQL_SCAN_BROKEN;
	*ret_length = CQL_FRAME_HEADER_SIZE + (size_t)length;
	if (input.len < *ret_length)
		return CQL_SCAN_PARTIAL;
	frame.body = slice_range(input, CQL_FRAME_HEADER_SIZE, *ret_length);
	*ret_frame = frame;
	return CQL_SCAN_WHOLE;
}

void cql_frame_begin(struct buf *out)
{
	memset(buf_reserve(out, CQL_FRAME_HEADER_SIZE), 0, CQL_FRAME_HEADER_SIZE);
	out->len += CQL_FRAME_HEADER_SIZE;
}

static void put_u32_at(char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (char)(value >> (8 * (3 - i)));
}

void cql_frame_end(
	struct buf *out, uint8_t version, uint8_t flags, uint16_t stream, enum cql_opcode opcode)
{
	out->ptr[0] = (char)version;
	out->ptr[1] = (char)flags;
	out->ptr[2] = (char)(stream >> 8);
	out->ptr[3] = (char)stream;
	out->ptr[4] = (char)opcode;
	put_u32_at(out->ptr + 5, (uint32_t)(out->len - CQL_FRAME_HEADER_SIZE));
}

void cql_frame_compress(struct buf *out)
{
	size_t plain = out->len - CQL_FRAME_HEADER_SIZE;
	if (plain < COMPRESS_FROM || plain > LZ4_MAX_INPUT_SIZE)
		return;
	int bound = LZ4_compressBound((int)plain);
	struct buf packed = buf_heap();
	buf_append(&packed, slice_of(out->ptr, CQL_FRAME_HEADER_SIZE));
	buf_u32(&packed, (uint32_t)plain);
	char *at = buf_reserve(&packed, (size_t)bound);
	int length = LZ4_compress_default(out->ptr + CQL_FRAME_HEADER_SIZE, at, (int)plain, bound);
	if (length <= 0 || (size_t)length + 4 >= plain) {
		buf_done(&packed);
		return;
	}
	packed.len += (size_t)length;
	packed.ptr[1] = (char)(packed.ptr[1] | CQL_FRAME_COMPRESSED);
	put_u32_at(packed.ptr + 5, (uint32_t)(packed.len - CQL_FRAME_HEADER_SIZE));
	buf_done(out);
	*out = packed;
}

struct error *cql_frame_decompress(struct op *op, struct slice body, struct slice *ret_plain)
{
	struct reader in = reader_of(body);
	uint32_t length = reader_u32(&in);
	/* A block cannot grow by more than 255 for 1: who claims more wants our memory. */
	if (in.failed || length > CQL_FRAME_BODY_MAX || length / 255 > in.rest.len)
		return op_fail(op, ERR_INTERNAL, "a compressed frame claims %u bytes", length);
	char *plain = arena_alloc_raw(&op->arena, length);
	int made =
		length ? LZ4_decompress_safe(in.rest.ptr, plain, (int)in.rest.len, (int)length) : 0;
	if (made < 0 || (uint32_t)made != length)
		return op_fail(op, ERR_INTERNAL, "a compressed frame does not decompress");
	*ret_plain = slice_of(plain, length);
	return NULL;
}

static void read_warnings(struct op *op, struct reader *body, struct cql_prelude *prelude)
{
	uint16_t count = reader_u16(body);
	if (count > body->rest.len / 2) {
		body->failed = true;
		return;
	}
	struct slice *warnings = ARENA_ARRAY(&op->arena, struct slice, count);
	for (uint16_t i = 0; i < count; i++)
		warnings[i] = cql_get_string(body);
	prelude->warnings = warnings;
	prelude->warning_count = count;
}

static void skip_custom_payload(struct reader *body)
{
	uint16_t count = reader_u16(body);
	for (uint16_t i = 0; i < count && !body->failed; i++) {
		cql_get_string(body);
		cql_get_bytes(body);
	}
}

struct error *cql_frame_prelude(
	struct op *op, uint8_t flags, struct reader *body, struct cql_prelude *ret_prelude)
{
	struct cql_prelude prelude = {0};
	if (flags & CQL_FRAME_TRACING)
		prelude.has_tracing_id =
			uuid_from_slice(reader_bytes(body, 16), &prelude.tracing_id);
	if (flags & CQL_FRAME_WARNING)
		read_warnings(op, body, &prelude);
	if (flags & CQL_FRAME_CUSTOM_PAYLOAD)
		skip_custom_payload(body);
	if (body->failed)
		return op_fail(op, ERR_INTERNAL, "a response ends within what its flags announce");
	*ret_prelude = prelude;
	return NULL;
}
