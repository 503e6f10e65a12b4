#pragma once

/* The notations of the native protocol (section 3) on top of struct buf and struct reader, and the
 * numbers of its frames. Pure, any thread. */

#include "base/buf.h"
#include "wire/cql/cql.h"

#define CQL_FRAME_HEADER_SIZE 9
#define CQL_FRAME_BODY_MAX MIB(256)

enum cql_opcode {
	CQL_OP_ERROR = 0x00,
	CQL_OP_STARTUP = 0x01,
	CQL_OP_READY = 0x02,
	CQL_OP_AUTHENTICATE = 0x03,
	CQL_OP_OPTIONS = 0x05,
	CQL_OP_SUPPORTED = 0x06,
	CQL_OP_QUERY = 0x07,
	CQL_OP_RESULT = 0x08,
	CQL_OP_PREPARE = 0x09,
	CQL_OP_EXECUTE = 0x0A,
	CQL_OP_REGISTER = 0x0B,
	CQL_OP_EVENT = 0x0C,
	CQL_OP_BATCH = 0x0D,
	CQL_OP_AUTH_CHALLENGE = 0x0E,
	CQL_OP_AUTH_RESPONSE = 0x0F,
	CQL_OP_AUTH_SUCCESS = 0x10,
};

enum cql_frame_flag {
	CQL_FRAME_COMPRESSED = 0x01,
	CQL_FRAME_TRACING = 0x02,
	CQL_FRAME_CUSTOM_PAYLOAD = 0x04,
	CQL_FRAME_WARNING = 0x08,
};

/* The lengths are cut to what the notation can hold; callers keep within it. */
void cql_put_string(struct buf *out, struct slice text);
void cql_put_long_string(struct buf *out, struct slice text);
void cql_put_bytes(struct buf *out, struct slice bytes);
void cql_put_short_bytes(struct buf *out, struct slice bytes);
void cql_put_value(struct buf *out, struct cql_value value);

/* Borrow from the bytes read; past the end they set `failed`, as the readers of base do. */
struct slice cql_get_string(struct reader *in);
struct slice cql_get_short_bytes(struct reader *in);
/* A negative length is null: ptr NULL. */
struct slice cql_get_bytes(struct reader *in);
struct cql_value cql_get_value(struct reader *in);
