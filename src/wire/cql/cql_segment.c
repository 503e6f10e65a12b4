#include "wire/cql/cql_segment.h"

#include <lz4.h>
#include <zlib.h>

#define CRC24_START 0x875060u
#define CRC24_POLYNOMIAL 0x1974F0Bu
#define CRC24_SIZE 3
#define CRC32_SIZE 4

/* The header's number: lengths of 17 bits each, the flag of self-containment after them. */
#define LENGTH_BITS 17
#define LENGTH_MASK ((UINT64_C(1) << LENGTH_BITS) - 1)

struct layout {
	size_t number_size; /* bytes of the header before its checksum */
	unsigned flag_bit;
};

static struct layout layout_of(bool compression)
{
	return compression ? (struct layout){5, 2 * LENGTH_BITS} : (struct layout){3, LENGTH_BITS};
}

static uint32_t crc24(uint64_t number, size_t size)
{
	uint32_t crc = CRC24_START;
	for (size_t i = 0; i < size; i++) {
		crc ^= (uint32_t)(number >> (8 * i) & 0xff) << 16;
		for (int bit = 0; bit < 8; bit++) {
			crc <<= 1;
			if (crc & 0x1000000)
				crc ^= CRC24_POLYNOMIAL;
		}
	}
	return crc & 0xffffff;
}

/* The payload's checksum begins with four bytes of its own, so that zeros do not sum to zero. */
static uint32_t payload_crc32(struct slice payload)
{
	static const Bytef prime[] = {0xFA, 0x2D, 0x55, 0xCA};
	uLong crc = crc32(0, prime, sizeof(prime));
	return (uint32_t)crc32(crc, (const Bytef *)payload.ptr, (uInt)payload.len);
}

static void put_little_endian(struct buf *out, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		buf_u8(out, (uint8_t)(value >> (8 * i)));
}

static uint64_t get_little_endian(struct slice bytes)
{
	uint64_t value = 0;
	for (size_t i = 0; i < bytes.len; i++)
		value |= (uint64_t)(uint8_t)bytes.ptr[i] << (8 * i);
	return value;
}

static void put_segment(struct buf *out, uint64_t number, bool compression, struct slice payload)
{
	size_t size = layout_of(compression).number_size;
	put_little_endian(out, number, size);
	put_little_endian(out, crc24(number, size), CRC24_SIZE);
	buf_append(out, payload);
	put_little_endian(out, payload_crc32(payload), CRC32_SIZE);
}

/* An original length of zero says that the payload is stored as it is. */
static void wrap_compressed(struct buf *out, struct slice part, uint64_t flag)
{
	char packed[LZ4_COMPRESSBOUND(CQL_SEGMENT_PAYLOAD_MAX)];
	int length = LZ4_compress_default(part.ptr, packed, (int)part.len, sizeof(packed));
	if (length <= 0 || (size_t)length >= part.len) {
		put_segment(out, part.len | flag, true, part);
		return;
	}
	uint64_t number = (uint64_t)length | (uint64_t)part.len << LENGTH_BITS | flag;
	put_segment(out, number, true, slice_of(packed, (size_t)length));
}

void cql_segment_wrap(struct buf *out, struct slice frame, bool compression)
{
	bool whole = frame.len <= CQL_SEGMENT_PAYLOAD_MAX;
	uint64_t flag = whole ? UINT64_C(1) << layout_of(compression).flag_bit : 0;
	while (frame.len) {
		struct slice part = slice_range(frame, 0, CQL_SEGMENT_PAYLOAD_MAX);
		frame = slice_from(frame, part.len);
		if (compression)
			wrap_compressed(out, part, flag);
		else
			put_segment(out, part.len | flag, false, part);
	}
}

static bool append_payload(struct buf *frames, struct slice payload, size_t original)
{
	if (!original) {
		buf_append(frames, payload);
		return true;
	}
	char *at = buf_reserve(frames, original);
	int made = LZ4_decompress_safe(payload.ptr, at, (int)payload.len, (int)original);
	if (made < 0 || (size_t)made != original)
		return false;
	frames->len += original;
	return true;
}

enum cql_scan cql_segment_scan(struct slice input, bool compression, struct buf *frames,
	bool *ret_self_contained, size_t *ret_length)
{
	struct layout layout = layout_of(compression);
	size_t header = layout.number_size + CRC24_SIZE;
	*ret_length = header;
	if (input.len < header)
		return CQL_SCAN_PARTIAL;
	uint64_t number = get_little_endian(slice_range(input, 0, layout.number_size));
	if (crc24(number, layout.number_size) !=
		get_little_endian(slice_range(input, layout.number_size, header)))
		return CQL_SCAN_BROKEN;
	size_t length = number & LENGTH_MASK;
	size_t original = compression ? number >> LENGTH_BITS & LENGTH_MASK : 0;
	*ret_length = header + length + CRC32_SIZE;
	if (input.len < *ret_length)
		return CQL_SCAN_PARTIAL;
	struct slice payload = slice_range(input, header, header + length);
	struct slice sum = slice_range(input, header + length, *ret_length);
	if (payload_crc32(payload) != get_little_endian(sum) ||
		!append_payload(frames, payload, original))
		return CQL_SCAN_BROKEN;
	*ret_self_contained = number >> layout.flag_bit & 1;
	return CQL_SCAN_WHOLE;
}
