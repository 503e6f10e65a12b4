#pragma once

/* DEFLATE both ways over one connection (RFC 4978, RFC 1951). What a client sends is unpacked by
 * the piece, as it is asked for, so that a few bytes never become many megabytes of memory. Not
 * thread-safe: the connection's reactor thread. */

#include <event2/buffer.h>

#include "base/slice.h"

struct compression;

/* At most so many bytes come of one call of compression_unpack. */
#define COMPRESSION_PIECE_BYTES KIB(16)

/* Some 75 KiB of memory. */
struct compression *compression_new(void);
void compression_free(struct compression *compression);

/* Appends the bytes, packed and flushed: the client can read them all. */
void compression_pack(struct compression *compression, struct slice bytes, struct evbuffer *packed);

enum unpacked {
	UNPACKED_SOME,
	UNPACKED_NOTHING, /* more must be received first */
	UNPACKED_BROKEN,  /* that was no DEFLATE stream, or the stream has ended */
};

/* Takes from `packed` what a piece of `plain` needs. */
enum unpacked compression_unpack(
	struct compression *compression, struct evbuffer *packed, struct evbuffer *plain);
