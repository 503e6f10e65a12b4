#include "wire/cql/cql_message.h"

enum parameter_flag {
	PARAMETER_VALUES = 0x01,
	PARAMETER_SKIP_METADATA = 0x02,
	PARAMETER_PAGE_SIZE = 0x04,
	PARAMETER_PAGING_STATE = 0x08,
	PARAMETER_SERIAL_LEVEL = 0x10,
	PARAMETER_TIMESTAMP = 0x20,
};

static void put_pair(struct buf *out, const char *name, const char *value)
{
	cql_put_string(out, slice_from_cstr(name));
	cql_put_string(out, slice_from_cstr(value));
}

void cql_put_startup(struct buf *out, bool compression)
{
	buf_u16(out, compression ? 4 : 3);
	put_pair(out, "CQL_VERSION", "3.0.0");
	put_pair(out, "DRIVER_NAME", "Holdfast");
	put_pair(out, "DRIVER_VERSION", HOLDFAST_VERSION);
	if (compression)
		put_pair(out, "COMPRESSION", "lz4");
}

void cql_put_plain_token(struct buf *out, const char *user, const char *password)
{
	struct slice name = slice_from_cstr(user), secret = slice_from_cstr(password);
	buf_u32(out, (uint32_t)(name.len + secret.len + 2));
	buf_u8(out, 0);
	buf_append(out, name);
	buf_u8(out, 0);
	buf_append(out, secret);
}

void cql_put_register(struct buf *out)
{
	buf_u16(out, 3);
	cql_put_string(out, SLICE("TOPOLOGY_CHANGE"));
	cql_put_string(out, SLICE("STATUS_CHANGE"));
	cql_put_string(out, SLICE("SCHEMA_CHANGE"));
}

static void put_flags(struct buf *out, uint8_t version, uint32_t flags)
{
	if (version >= 5)
		buf_u32(out, flags);
	else
		buf_u8(out, (uint8_t)flags);
}

void cql_put_prepare(struct buf *out, uint8_t version, const char *text)
{
	cql_put_long_string(out, slice_from_cstr(text));
	if (version >= 5)
		buf_u32(out, 0);
}

void cql_put_plain_query(struct buf *out, uint8_t version, const char *text)
{
	cql_put_long_string(out, slice_from_cstr(text));
	buf_u16(out, CQL_ONE);
	put_flags(out, version, 0);
}

static void put_values(struct buf *out, const struct cql_bound *bound)
{
	buf_u16(out, (uint16_t)bound->value_count);
	for (size_t i = 0; i < bound->value_count; i++)
		cql_put_value(out, bound->values[i]);
}

static bool has_serial_level(const struct cql_request *request)
{
	return request->serial_level == CQL_SERIAL || request->serial_level == CQL_LOCAL_SERIAL;
}

/* What a batch and a single statement both may have, in this order. */
static uint32_t common_flags(const struct cql_request *request)
{
	return (has_serial_level(request) ? PARAMETER_SERIAL_LEVEL : 0) |
	       (request->has_timestamp ? PARAMETER_TIMESTAMP : 0);
}

static void put_common(struct buf *out, const struct cql_request *request)
{
	if (has_serial_level(request))
		buf_u16(out, (uint16_t)request->serial_level);
	if (request->has_timestamp)
		buf_u64(out, (uint64_t)request->timestamp_us);
}

static void put_parameters(
	struct buf *out, uint8_t version, const struct cql_request *request, bool skip_columns)
{
	const struct cql_bound *bound = &request->statements[0];
	uint32_t flags = common_flags(request);
	flags |= bound->statement && bound->value_count ? PARAMETER_VALUES : 0;
	flags |= skip_columns ? PARAMETER_SKIP_METADATA : 0;
	flags |= request->page_rows ? PARAMETER_PAGE_SIZE : 0;
	flags |= request->paging_state.len ? PARAMETER_PAGING_STATE : 0;
	buf_u16(out, (uint16_t)request->level);
	put_flags(out, version, flags);
	if (flags & PARAMETER_VALUES)
		put_values(out, bound);
	if (flags & PARAMETER_PAGE_SIZE)
		buf_u32(out, request->page_rows);
	if (flags & PARAMETER_PAGING_STATE)
		cql_put_bytes(out, request->paging_state);
	put_common(out, request);
}

static void put_batch(struct buf *out, uint8_t version, const struct cql_request *request,
	const struct cql_statement_id *ids)
{
	buf_u8(out, request->batch == CQL_BATCH_UNLOGGED ? 1 : 0);
	buf_u16(out, (uint16_t)request->count);
	for (size_t i = 0; i < request->count; i++) {
		const struct cql_bound *bound = &request->statements[i];
		buf_u8(out, bound->statement ? 1 : 0);
		if (bound->statement) {
			cql_put_short_bytes(out, ids[i].id);
			put_values(out, bound);
		} else {
			cql_put_long_string(out, slice_from_cstr(bound->text));
			buf_u16(out, 0);
		}
	}
	buf_u16(out, (uint16_t)request->level);
	put_flags(out, version, common_flags(request));
	put_common(out, request);
}

enum cql_opcode cql_put_request(struct buf *out, uint8_t version, const struct cql_request *request,
	const struct cql_statement_id *ids, bool skip_columns)
{
	if (request->batch != CQL_NO_BATCH) {
		put_batch(out, version, request, ids);
		return CQL_OP_BATCH;
	}
	if (!request->statements[0].statement) {
		cql_put_long_string(out, slice_from_cstr(request->statements[0].text));
		put_parameters(out, version, request, false);
		return CQL_OP_QUERY;
	}
	cql_put_short_bytes(out, ids[0].id);
	if (version >= 5)
		cql_put_short_bytes(out, ids[0].result_id);
	put_parameters(out, version, request, skip_columns);
	return CQL_OP_EXECUTE;
}
