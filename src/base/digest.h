#pragma once

/* SHA-256 (FIPS 180-4) through OpenSSL; the algorithm is fetched once. Any thread. */

#include "base/slice.h"

#define SHA256_SIZE 32

struct sha256;

struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *state, struct slice bytes);

/* Writes the digest and frees the state. */
void sha256_end(struct sha256 *state, uint8_t ret_digest[static SHA256_SIZE]);

void sha256_of(struct slice bytes, uint8_t ret_digest[static SHA256_SIZE]);

/* In lower case, and a NUL. */
#define SHA256_HEX_SIZE 64
void sha256_hex(const uint8_t digest[static SHA256_SIZE], char ret_hex[static SHA256_HEX_SIZE + 1]);
