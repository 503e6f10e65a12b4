#pragma once

/* Who is it? SASL (RFC 4422) for all front ends: PLAIN, LOGIN, SCRAM-SHA-256 and
 * SCRAM-SHA-256-PLUS (RFC 5802, 7677, 9266). An exchange takes several commands; each of its steps
 * may look up a user and hash a password, so they run in LANE_AUTH. */

#include "account/account.h"
#include "account/password.h"

struct sasl_exchange;

/* How this connection may sign in. */
struct sasl_terms {
	/* account_find_login, and what it takes. */
	struct error *(*find_login)(struct op *op, struct accounts *accounts,
		struct slice user_name, struct login *ret_login);
	struct accounts *accounts;
	bool is_private;              /* TLS or loopback: passwords may be sent as they are */
	struct slice channel_binding; /* tls-exporter, or empty */
};

enum sasl_outcome {
	SASL_CONTINUE,  /* send the output, wait for the next input */
	SASL_SIGNED_IN, /* sasl_account tells who */
	SASL_WRONG,     /* no such user, or not the password: count it as a failure */
	SASL_CANCELLED, /* the client sent "*" */
	SASL_MALFORMED, /* not what the mechanism says */
};

/* "PLAIN", … allowed under these terms, in the order of preference; NULL-ended, static. */
const char *const *sasl_mechanisms(const struct sasl_terms *terms);

/* ERR_INVALID: not a mechanism, or not one that these terms allow. */
MUST_CHECK struct error *sasl_begin(struct op *op, const struct sasl_terms *terms,
	struct slice mechanism, struct sasl_exchange **ret_exchange);
void sasl_free(struct sasl_exchange *exchange);

/* Input and output in base64, as the protocols carry them. An initial response of "=" is an empty
 * one; an empty first input asks for the first challenge. An error means that the store could not
 * be asked; the exchange is over then, as after any outcome but SASL_CONTINUE. */
MUST_CHECK struct error *sasl_step(struct op *op, struct sasl_exchange *exchange,
	struct slice input, struct slice *ret_output, enum sasl_outcome *ret_outcome);

/* After SASL_SIGNED_IN. */
struct account_id sasl_account(const struct sasl_exchange *exchange);

/* For the log, until sasl_free. The name as the client gave it; empty while it has given none. */
struct slice sasl_mechanism(const struct sasl_exchange *exchange);
struct slice sasl_user_name(const struct sasl_exchange *exchange);

/* Name and password by themselves (POP3 USER and PASS, IMAP LOGIN): SASL_SIGNED_IN or SASL_WRONG.
 */
MUST_CHECK struct error *sasl_login(struct op *op, const struct sasl_terms *terms,
	struct slice user_name, struct slice password, struct account_id *ret_account,
	enum sasl_outcome *ret_outcome);
