#pragma once

/* TLS towards servers: one context for a cluster. Any thread. */

#include <openssl/ssl.h>

#include "base/op.h"
#include "wire/cql/cql.h"

struct cql_tls;

/* Reads the files that the options name. ERR_INVALID when they cannot be used. */
MUST_CHECK struct error *cql_tls_open(
	struct op *op, const struct cql_options *options, struct cql_tls **ret_tls);
void cql_tls_free(struct cql_tls *tls);

/* A client's side on a connected socket. `server_name`: a name or an address that the certificate
 * must have; NULL: only its chain is checked. NULL when that cannot be set up. */
SSL *cql_tls_connect(struct cql_tls *tls, int fd, const char *server_name);

/* Why the last call on this thread failed, in the buffer. */
const char *cql_tls_reason(SSL *ssl, char *ret_text, size_t size);
