#pragma once

/* The bodies of requests (section 4.1). Pure; each appends to `out`. */

#include "wire/cql/cql_wire.h"

/* What a host knows a statement by. */
struct cql_statement_id {
	struct slice id;
	struct slice result_id; /* v5: of the result's shape as we know it */
};

void cql_put_startup(struct buf *out, bool compression);

/* SASL PLAIN (RFC 4616) as the token of an AUTH_RESPONSE. */
void cql_put_plain_token(struct buf *out, const char *user, const char *password);

/* Asks for the events of topology, status and schema. */
void cql_put_register(struct buf *out);

void cql_put_prepare(struct buf *out, uint8_t version, const char *text);

/* A text without values and without paging, at level ONE: the client's own questions. */
void cql_put_plain_query(struct buf *out, uint8_t version, const char *text);

/* QUERY, EXECUTE or BATCH, as the request needs; returns which. `ids`: one for each statement;
 * not looked at where it is only a text. `skip_columns`: the result need not repeat them. */
enum cql_opcode cql_put_request(struct buf *out, uint8_t version, const struct cql_request *request,
	const struct cql_statement_id *ids, bool skip_columns);
