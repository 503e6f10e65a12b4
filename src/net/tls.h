#pragma once

/* The server's certificates as OpenSSL contexts. One set is current; a reload replaces it, and
 * connections keep the set they began with. Any thread. */

#include <openssl/ssl.h>

#include "base/op.h"

struct tls;

/* Reads the certificates that the settings name; makes one first if its file is missing and
 * tls.self_sign allows it. *ret_tls is NULL when no certificate is configured. */
MUST_CHECK struct error *tls_open(struct op *op, struct tls **ret_tls);
struct tls *tls_ref(struct tls *tls);
void tls_unref(struct tls *tls);

/* A server-side SSL object; the certificate is chosen by the name the client asks for. The caller
 * holds the tls until the SSL is freed. NULL when memory is short. */
SSL *tls_accept(struct tls *tls);

/* Writes a key and a certificate for `name` (and localhost) that nobody vouches for. */
MUST_CHECK struct error *tls_self_sign(
	struct op *op, const char *certificate_path, const char *key_path, const char *name);
