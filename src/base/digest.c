#include "base/digest.h"

#include <assert.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>

static EVP_MD *algorithm;
static pthread_once_t fetched = PTHREAD_ONCE_INIT;

static void fetch(void)
{
	algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	assert(algorithm);
}

struct sha256 *sha256_new(void)
{
	pthread_once(&fetched, fetch);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	assert(context);
	int started = EVP_DigestInit_ex2(context, algorithm, NULL);
	assert(started);
	(void)started;
	return (struct sha256 *)context;
}

void sha256_add(struct sha256 *state, struct slice bytes)
{
	if (bytes.len)
		EVP_DigestUpdate((EVP_MD_CTX *)state, bytes.ptr, bytes.len);
}

void sha256_end(struct sha256 *state, uint8_t ret_digest[static SHA256_SIZE])
{
	unsigned len = SHA256_SIZE;
	EVP_DigestFinal_ex((EVP_MD_CTX *)state, ret_digest, &len);
	EVP_MD_CTX_free((EVP_MD_CTX *)state);
}

void sha256_of(struct slice bytes, uint8_t ret_digest[static SHA256_SIZE])
{
	struct sha256 *state = sha256_new();
	sha256_add(state, bytes);
	sha256_end(state, ret_digest);
}

void sha256_hex(const uint8_t digest[static SHA256_SIZE], char ret_hex[static SHA256_HEX_SIZE + 1])
{
	for (size_t i = 0; i < SHA256_SIZE; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}
