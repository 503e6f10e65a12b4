#pragma once

/* The body of a RESULT response (section 4.2.5). Pure; what is decoded borrows from the body. */

#include "wire/cql/cql_wire.h"

enum cql_result_kind {
	CQL_RESULT_VOID = 1,
	CQL_RESULT_ROWS = 2,
	CQL_RESULT_SET_KEYSPACE = 3,
	CQL_RESULT_PREPARED = 4,
	CQL_RESULT_SCHEMA_CHANGE = 5,
};

/* What is known of the columns of a result, or of the marks of a statement. */
struct cql_metadata {
	size_t column_count;
	const struct cql_column *columns; /* NULL: not told */
	struct slice keyspace;            /* of the first column; empty: not told */
	struct slice table;
	struct slice paging_state;
	struct slice new_id; /* v5: the result's shape has changed and has this id now */
};

struct cql_prepared_result {
	struct slice id;
	struct slice result_id; /* v5 */
	struct cql_metadata marks;
	struct cql_metadata columns;
};

struct cql_decoded {
	enum cql_result_kind kind;
	struct cql_metadata metadata;         /* of rows */
	size_t row_count;                     /* of rows */
	const struct cql_value *values;       /* of rows */
	struct cql_prepared_result *prepared; /* of a prepared statement */
};

/* `known`: the columns learned when the statement was prepared, for a result that does not repeat
 * them; may be NULL. ERR_INTERNAL when the body breaks the protocol. */
MUST_CHECK struct error *cql_result_decode(struct op *op, struct reader *body, uint8_t version,
	const struct cql_metadata *known, struct cql_decoded *ret_decoded);
