#include "net/compression.h"

#include <assert.h>
#include <stdlib.h>

#include <zlib.h>

#include "base/arena.h"

/* Raw DEFLATE (RFC 4978 4). Ours has a window of 4 KiB: what repeats in mail traffic stands near,
 * and memory counts in ten thousand sessions. Theirs may have the full one. */
#define OUR_WINDOW_BITS (-12)
#define THEIR_WINDOW_BITS (-15)
#define OUR_MEMORY_LEVEL 5

struct compression {
	z_stream out, in;
	bool is_broken;
};

struct compression *compression_new(void)
{
	struct compression *compression = HEAP_NEW(struct compression);
	*compression = (struct compression){0};
	int out = deflateInit2(&compression->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
		OUR_WINDOW_BITS, OUR_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
	int in = inflateInit2(&compression->in, THEIR_WINDOW_BITS);
	/* Only memory can be missing. */
	assert(out == Z_OK && in == Z_OK);
	return compression;
}

void compression_free(struct compression *compression)
{
	if (!compression)
		return;
	deflateEnd(&compression->out);
	inflateEnd(&compression->in);
	free(compression);
}

static void pack_piece(struct compression *compression, struct slice bytes, struct evbuffer *packed)
{
	z_stream *out = &compression->out;
	unsigned char piece[COMPRESSION_PIECE_BYTES];
	out->next_in = (unsigned char *)(uintptr_t)bytes.ptr;
	out->avail_in = (unsigned)bytes.len;
	do {
		out->next_out = piece;
		out->avail_out = sizeof(piece);
		int result = deflate(out, Z_SYNC_FLUSH);
		assert(result == Z_OK || result == Z_BUF_ERROR);
		evbuffer_add(packed, piece, sizeof(piece) - out->avail_out);
	} while (out->avail_out == 0);
}

void compression_pack(struct compression *compression, struct slice bytes, struct evbuffer *packed)
{
	while (bytes.len) {
		struct slice some = slice_range(bytes, 0, MIB(1));
		pack_piece(compression, some, packed);
		bytes = slice_from(bytes, some.len);
	}
}

/* Some input, and what an earlier call had no room for; false when that makes no more output. */
static bool unpack_some(
	struct compression *compression, struct evbuffer *packed, struct evbuffer *plain)
{
	z_stream *in = &compression->in;
	unsigned char piece[COMPRESSION_PIECE_BYTES];
	size_t len = MIN_OF(evbuffer_get_contiguous_space(packed), MIB(1));
	in->next_in = len ? evbuffer_pullup(packed, (ssize_t)len) : NULL;
	in->avail_in = (unsigned)len;
	in->next_out = piece;
	in->avail_out = sizeof(piece);
	int result = inflate(in, Z_SYNC_FLUSH);
	compression->is_broken = result != Z_OK && result != Z_BUF_ERROR;
	evbuffer_drain(packed, len - in->avail_in);
	evbuffer_add(plain, piece, sizeof(piece) - in->avail_out);
	return in->avail_out < sizeof(piece);
}

enum unpacked compression_unpack(
	struct compression *compression, struct evbuffer *packed, struct evbuffer *plain)
{
	while (!compression->is_broken) {
		size_t before = evbuffer_get_length(packed);
		if (unpack_some(compression, packed, plain))
			return UNPACKED_SOME;
		/* Bytes that make nothing by themselves: perhaps the next ones do. */
		if (evbuffer_get_length(packed) == before || !evbuffer_get_length(packed))
			break;
	}
	return compression->is_broken ? UNPACKED_BROKEN : UNPACKED_NOTHING;
}
