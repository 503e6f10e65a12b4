#pragma once

/* A connection to another IMAP server, signed in. One thread at a time. */

#include "base/op.h"
#include "wire/imap/response.h"

enum imap_security {
	IMAP_TLS,      /* from the first byte */
	IMAP_STARTTLS, /* nothing is said before it */
	IMAP_CLEAR,    /* the password goes over the network as it is */
};

struct imap_client_config {
	const char *host;
	uint16_t port;
	enum imap_security security;
	const char *ca_pem; /* certificates to trust; NULL: the system's */
	const char *user;
	const char *act_as; /* whose mail, if not the user's own (RFC 4616); NULL: the user's */
	const char *password;
	uint64_t connect_ms;  /* until it is signed in */
	uint64_t idle_ms;     /* without a byte coming */
	size_t literal_bytes; /* the largest that is taken */
	/* Asked several times a second while it waits; false: give up, with ERR_CANCELLED. */
	bool (*goes_on)(void *context);
	void *context;
};

struct imap_client;

/* Borrows the configuration for as long as it lives. ERR_UNAVAILABLE: it cannot be reached now.
 * ERR_DENIED: not this password, not this certificate, no TLS. ERR_INVALID: it is no IMAP server.
 */
MUST_CHECK struct error *imap_client_open(
	struct op *op, const struct imap_client_config *config, struct imap_client **ret_client);

/* NULL is fine. */
void imap_client_close(struct imap_client *client);

/* Is given each piece of data that comes before a command's end; what it borrows lives as long as
 * the call. An error ends the connection. */
typedef struct error *(*imap_visitor)(
	struct op *op, void *context, const struct imap_response *response);

/* Sends one command, without tag and line end, and reads to its end. ERR_NOT_FOUND: the server said
 * NO or BAD, and the connection goes on. After any other error it is of no use: ERR_UNAVAILABLE: it
 * was cut or silent; ERR_INVALID: what came is no IMAP; ERR_LIMIT: a message is larger than what is
 * taken. */
MUST_CHECK struct error *imap_client_command(struct op *op, struct imap_client *client,
	struct slice command, imap_visitor visit, void *context);
