#include <assert.h>

#include "wire/cql/cql_error.h"
#include "wire/cql/cql_result.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_columns(const struct cql_metadata *metadata, size_t size)
{
	for (size_t i = 0; metadata->columns && i < metadata->column_count; i++)
		assert(metadata->columns[i].name.len <= size);
}

/* The body of a RESULT or an ERROR: the first byte says which, and in which version. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (!size)
		return 0;
	uint8_t version = bytes[0] & 1 ? 5 : 4;
	struct reader body = reader_of(slice_of(bytes + 1, size - 1));
	if (bytes[0] & 2) {
		struct cql_failure failure = {0};
		struct cql_server_error error;
		cql_error_decode(&body, version, &failure, &error);
		assert(cql_error_name(failure.code));
		assert(error.message.len < size);
		return 0;
	}
	struct op op;
	op_init(&op, "fuzz");
	static const struct cql_column column = {SLICE_INIT("known"), CQL_TYPE_INT};
	const struct cql_metadata known = {.column_count = 1, .columns = &column};
	struct cql_decoded decoded;
	if (!cql_result_decode(&op, &body, version, bytes[0] & 4 ? &known : NULL, &decoded)) {
		check_columns(&decoded.metadata, size);
		size_t sum = 0;
		for (size_t i = 0; i < decoded.row_count * decoded.metadata.column_count; i++)
			sum += cql_to_bytes(decoded.values[i]).len;
		assert(sum < size);
	}
	op_done(&op);
	return 0;
}
