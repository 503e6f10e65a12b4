#include "wire/cql/cql_result.h"

/* Types within types, deeper than any schema of ours by far. */
#define TYPE_DEPTH_MAX 32

enum metadata_flag {
	METADATA_GLOBAL_TABLE = 0x0001,
	METADATA_HAS_MORE_PAGES = 0x0002,
	METADATA_NONE = 0x0004,
	METADATA_CHANGED = 0x0008,
};

static struct error *broken(struct op *op, const char *what)
{
	return op_fail(op, ERR_INTERNAL, "a result breaks the protocol: %s", what);
}

static void skip_type(struct reader *in, enum cql_type type, unsigned depth);

static void skip_whole_type(struct reader *in, unsigned depth)
{
	skip_type(in, reader_u16(in), depth);
}

static void skip_fields(struct reader *in, bool named, unsigned depth)
{
	uint16_t count = reader_u16(in);
	for (uint16_t i = 0; i < count && !in->failed; i++) {
		if (named)
			cql_get_string(in);
		skip_whole_type(in, depth);
	}
}

/* Moves past what an [option] of a type carries behind its number. */
static void skip_type(struct reader *in, enum cql_type type, unsigned depth)
{
	if (depth > TYPE_DEPTH_MAX)
		in->failed = true;
	if (in->failed)
		return;
	if (type == CQL_TYPE_CUSTOM) {
		cql_get_string(in);
	} else if (type == CQL_TYPE_LIST || type == CQL_TYPE_SET) {
		skip_whole_type(in, depth + 1);
	} else if (type == CQL_TYPE_MAP) {
		skip_whole_type(in, depth + 1);
		skip_whole_type(in, depth + 1);
	} else if (type == CQL_TYPE_UDT) {
		cql_get_string(in);
		cql_get_string(in);
		skip_fields(in, true, depth + 1);
	} else if (type == CQL_TYPE_TUPLE) {
		skip_fields(in, false, depth + 1);
	}
}

static struct error *read_columns(
	struct op *op, struct reader *in, bool global_table, struct cql_metadata *metadata)
{
	if (global_table) {
		metadata->keyspace = cql_get_string(in);
		metadata->table = cql_get_string(in);
	}
	/* A column takes four bytes at least: a count beyond that wants our memory. */
	if (metadata->column_count > in->rest.len / 4)
		return broken(op, "more columns than bytes");
	struct cql_column *columns =
		ARENA_ARRAY(&op->arena, struct cql_column, metadata->column_count);
	for (size_t i = 0; i < metadata->column_count; i++) {
		if (!global_table) {
			struct slice keyspace = cql_get_string(in), table = cql_get_string(in);
			metadata->keyspace = i ? metadata->keyspace : keyspace;
			metadata->table = i ? metadata->table : table;
		}
		columns[i].name = cql_get_string(in);
		columns[i].type = reader_u16(in);
		skip_type(in, columns[i].type, 0);
	}
	metadata->columns = columns;
	return NULL;
}

/* `marks`: the metadata of a statement's marks, which name the partition key's columns too. */
static struct error *read_metadata(
	struct op *op, struct reader *in, bool marks, struct cql_metadata *ret_metadata)
{
	struct cql_metadata metadata = {0};
	uint32_t flags = reader_u32(in);
	int32_t count = (int32_t)reader_u32(in);
	if (in->failed || count < 0)
		return broken(op, "metadata without a count");
	metadata.column_count = (size_t)count;
	if (marks) {
		uint32_t key_columns = reader_u32(in);
		if (key_columns > in->rest.len / 2)
			return broken(op, "more key columns than bytes");
		reader_bytes(in, (size_t)key_columns * 2);
	}
	if (flags & METADATA_HAS_MORE_PAGES)
		metadata.paging_state = cql_get_bytes(in);
	if (flags & METADATA_CHANGED)
		metadata.new_id = cql_get_short_bytes(in);
	if (!(flags & METADATA_NONE))
		TRY(read_columns(op, in, flags & METADATA_GLOBAL_TABLE, &metadata));
	if (in->failed)
		return broken(op, "metadata ends too early");
	*ret_metadata = metadata;
	return NULL;
}

static struct error *read_rows(struct op *op, struct reader *in, const struct cql_metadata *known,
	struct cql_decoded *decoded)
{
	struct cql_metadata *metadata = &decoded->metadata;
	TRY(read_metadata(op, in, false, metadata));
	if (!metadata->columns && metadata->column_count) {
		if (!known || known->column_count != metadata->column_count)
			return broken(op, "columns that nobody has told");
		metadata->columns = known->columns;
		metadata->keyspace = known->keyspace;
		metadata->table = known->table;
	}
	int32_t rows = (int32_t)reader_u32(in);
	size_t columns = metadata->column_count;
	/* A value takes four bytes at least. */
	if (in->failed || rows < 0 || (rows && !columns) ||
		(columns && (size_t)rows > in->rest.len / 4 / columns))
		return broken(op, "more rows than bytes");
	size_t count = (size_t)rows * columns;
	struct cql_value *values = arena_alloc_raw(&op->arena, count * sizeof(struct cql_value));
	for (size_t i = 0; i < count; i++)
		values[i] = cql_get_value(in);
	if (in->failed)
		return broken(op, "rows end too early");
	decoded->row_count = (size_t)rows;
	decoded->values = values;
	return NULL;
}

static struct error *read_prepared(
	struct op *op, struct reader *in, uint8_t version, struct cql_decoded *decoded)
{
	struct cql_prepared_result *prepared = ARENA_NEW(&op->arena, struct cql_prepared_result);
	prepared->id = cql_get_short_bytes(in);
	if (version >= 5)
		prepared->result_id = cql_get_short_bytes(in);
	TRY(read_metadata(op, in, true, &prepared->marks));
	TRY(read_metadata(op, in, false, &prepared->columns));
	decoded->prepared = prepared;
	return NULL;
}

struct error *cql_result_decode(struct op *op, struct reader *body, uint8_t version,
	const struct cql_metadata *known, struct cql_decoded *ret_decoded)
{
	struct cql_decoded decoded = {.kind = reader_u32(body)};
	switch (decoded.kind) {
	case CQL_RESULT_VOID:
	case CQL_RESULT_SET_KEYSPACE:
	case CQL_RESULT_SCHEMA_CHANGE:
		break;
	case CQL_RESULT_ROWS:
		TRY(read_rows(op, body, known, &decoded));
		break;
	case CQL_RESULT_PREPARED:
		TRY(read_prepared(op, body, version, &decoded));
		break;
	default:
		return broken(op, "an unknown kind");
	}
	if (body->failed)
		return broken(op, "it ends too early");
	*ret_decoded = decoded;
	return NULL;
}

size_t cql_find_column(const struct cql_result *result, const char *name)
{
	struct slice wanted = slice_from_cstr(name);
	for (size_t i = 0; i < result->column_count; i++)
		if (slice_equal(result->columns[i].name, wanted))
			return i;
	return SIZE_MAX;
}
