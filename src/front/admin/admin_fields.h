#pragma once

/* What JSON objects hold, said once: requests are checked by it, and the description of the
 * interface (JSON Schema, as OpenAPI 3.1 has it) is printed from it. */

#include <jansson.h>

#include "base/op.h"

enum admin_type {
	ADMIN_TEXT,
	ADMIN_NUMBER, /* a whole one, 0 or more */
	ADMIN_BOOL,
	ADMIN_TIME, /* microseconds since 1970 */
	ADMIN_UUID,
	ADMIN_REAL,
	ADMIN_OBJECT, /* of `fields` */
	ADMIN_COUNTS, /* an object of any names, with whole numbers */
	ADMIN_TEXTS,  /* a list of texts; min and max are of the texts */
	ADMIN_LIST,   /* of objects of `fields` */
	ADMIN_REALS,  /* a list of numbers, null where there is none */
	ADMIN_ANY,    /* any object */
	ADMIN_BASE64, /* bytes (RFC 4648 4); the size of a request is their limit */
};

enum admin_field_flag {
	ADMIN_OPTIONAL = 1,
	ADMIN_NULLABLE = 2,  /* answers only */
	ADMIN_NOT_EMPTY = 4, /* lists */
};

/* A table of these ends with one without a name. */
struct admin_field {
	const char *name;
	enum admin_type type;
	const char *help;
	unsigned flags;
	uint64_t min,
		max; /* of a number; of a text's length in characters; max 0: none of its own */
	const char *const *choices; /* texts; NULL-ended */
	const struct admin_field *fields;
};

#define ADMIN_TEXT_MOST 1000
#define ADMIN_LIST_MOST 1000

/* ERR_INVALID says which field and what it must be. */
MUST_CHECK struct error *admin_check_object(
	struct op *op, const struct admin_field *fields, const json_t *object);

/* A whole number, also where it is written as 7.0, which JSON does not set apart. */
bool admin_whole_number(const json_t *value, uint64_t *ret_number);

/* One text that came in a path or behind '?', as the field has it. */
MUST_CHECK struct error *admin_check_text(
	struct op *op, const struct admin_field *field, struct slice text);

/* JSON Schema of one field, and of an object of such fields. What comes in a request has limits and
 * no other fields; answers may get more. The caller owns it. */
json_t *admin_field_schema(const struct admin_field *field, bool is_request);
json_t *admin_object_schema(const struct admin_field *fields, bool is_request);
