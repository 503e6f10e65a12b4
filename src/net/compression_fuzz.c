#include <assert.h>
#include <stdlib.h>

#include "base/arena.h"
#include "net/compression.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define PLAIN_MOST MIB(1) /* looked at, of what an input makes */

static void check_unpacked(enum unpacked unpacked, size_t len)
{
	assert(len <= COMPRESSION_PIECE_BYTES);
	assert(unpacked == UNPACKED_SOME || len == 0 || unpacked == UNPACKED_BROKEN);
}

/* All that comes of the bytes when they arrive by so many at a time. */
static struct evbuffer *unpack_all(struct slice bytes, size_t at_a_time)
{
	struct compression *compression = compression_new();
	struct evbuffer *packed = evbuffer_new();
	struct evbuffer *plain = evbuffer_new();
	enum unpacked unpacked = UNPACKED_NOTHING;
	while (bytes.len && unpacked != UNPACKED_BROKEN &&
		evbuffer_get_length(plain) < PLAIN_MOST) {
		struct slice some = slice_range(bytes, 0, at_a_time);
		evbuffer_add(packed, some.ptr, some.len);
		bytes = slice_from(bytes, some.len);
		do {
			size_t before = evbuffer_get_length(plain);
			unpacked = compression_unpack(compression, packed, plain);
			check_unpacked(unpacked, evbuffer_get_length(plain) - before);
		} while (unpacked == UNPACKED_SOME && evbuffer_get_length(plain) < PLAIN_MOST);
	}
	compression_free(compression);
	evbuffer_free(packed);
	return plain;
}

static void check_same(struct evbuffer *one, struct evbuffer *other)
{
	size_t len = MIN_OF(evbuffer_get_length(one), evbuffer_get_length(other));
	assert(len >= PLAIN_MOST || evbuffer_get_length(one) == evbuffer_get_length(other));
	assert(!len || !memcmp(evbuffer_pullup(one, (ssize_t)len),
			       evbuffer_pullup(other, (ssize_t)len), len));
}

static void check_there_and_back(struct slice bytes)
{
	struct compression *compression = compression_new();
	struct evbuffer *packed = evbuffer_new();
	compression_pack(compression, bytes, packed);
	size_t len = evbuffer_get_length(packed);
	struct slice stream = slice_of(evbuffer_pullup(packed, -1), len);
	struct evbuffer *plain = unpack_all(stream, MAX_OF(len, 1));
	assert(evbuffer_get_length(plain) == bytes.len);
	assert(!bytes.len || !memcmp(evbuffer_pullup(plain, -1), bytes.ptr, bytes.len));
	evbuffer_free(plain);
	evbuffer_free(packed);
	compression_free(compression);
}

/* The first byte says in what pieces the rest arrives. How it is cut changes nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 2)
		return 0;
	struct slice stream = slice_of(bytes + 1, size - 1);
	struct evbuffer *in_pieces = unpack_all(stream, 1 + bytes[0]);
	struct evbuffer *at_once = unpack_all(stream, stream.len);
	check_same(in_pieces, at_once);
	evbuffer_free(in_pieces);
	evbuffer_free(at_once);
	check_there_and_back(stream);
	return 0;
}
