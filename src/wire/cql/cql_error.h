#pragma once

/* The body of an ERROR response (section 9), and what each code means to a caller. Pure. */

#include "wire/cql/cql_wire.h"

struct cql_server_error {
	struct slice message;    /* borrows */
	struct slice unprepared; /* the id the server does not know; UNPREPARED only */
};

/* Fills code, level, counts and write type of *failure; the rest is left as it is. False when the
 * body ends too early: what came before that is filled in, a missing code as CQL_PROTOCOL_ERROR. */
bool cql_error_decode(struct reader *body, uint8_t version, struct cql_failure *failure,
	struct cql_server_error *ret_error);

/* "write timeout"; never NULL. */
const char *cql_error_name(enum cql_error_code code);

/* The kind that cql_execute promises; not sent is always ERR_UNAVAILABLE. */
enum error_kind cql_error_kind(const struct cql_failure *failure);

/* May an idempotent request be sent to another host after this answer? */
bool cql_error_is_of_host(enum cql_error_code code);
