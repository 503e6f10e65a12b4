#include "wire/cql/cql_error.h"

/* What follows code and message, as a program of one letter for each field. */
struct error_row {
	enum cql_error_code code;
	const char *name;
	enum error_kind kind;
	/* l: level, r: received, q: required, d: data present, f: failures (v4) or the map of
	 * reasons (v5), w: write type, c: contentions (v5, write type CAS), i: statement id */
	const char *fields;
	bool of_host; /* another host may well say something else */
};

static const struct error_row error_rows[] = {
	{CQL_SERVER_ERROR, "server error", ERR_TIMEOUT, "", true},
	{CQL_PROTOCOL_ERROR, "protocol error", ERR_INTERNAL, "", false},
	{CQL_BAD_CREDENTIALS, "bad credentials", ERR_UNAVAILABLE, "", true},
	{CQL_UNAVAILABLE, "unavailable", ERR_UNAVAILABLE, "lqr", true},
	{CQL_OVERLOADED, "overloaded", ERR_UNAVAILABLE, "", true},
	{CQL_BOOTSTRAPPING, "bootstrapping", ERR_UNAVAILABLE, "", true},
	{CQL_TRUNCATE_ERROR, "truncate error", ERR_TIMEOUT, "", false},
	{CQL_WRITE_TIMEOUT, "write timeout", ERR_TIMEOUT, "lrqwc", false},
	{CQL_READ_TIMEOUT, "read timeout", ERR_TIMEOUT, "lrqd", false},
	{CQL_READ_FAILURE, "read failure", ERR_TIMEOUT, "lrqfd", false},
	{CQL_FUNCTION_FAILURE, "function failure", ERR_INVALID, "", false},
	{CQL_WRITE_FAILURE, "write failure", ERR_TIMEOUT, "lrqfw", false},
	{CQL_CDC_WRITE_FAILURE, "CDC write failure", ERR_TIMEOUT, "", false},
	{CQL_CAS_WRITE_UNKNOWN, "CAS write unknown", ERR_TIMEOUT, "lrq", false},
	{CQL_SYNTAX_ERROR, "syntax error", ERR_INVALID, "", false},
	{CQL_UNAUTHORIZED, "unauthorized", ERR_INVALID, "", false},
	{CQL_INVALID, "invalid", ERR_INVALID, "", false},
	{CQL_CONFIG_ERROR, "config error", ERR_INVALID, "", false},
	{CQL_ALREADY_EXISTS, "already exists", ERR_INVALID, "", false},
	{CQL_UNPREPARED, "unprepared", ERR_UNAVAILABLE, "i", false},
	{CQL_CLIENT_TIMEOUT, "no answer in time", ERR_TIMEOUT, "", true},
	{CQL_CONNECTION_LOST, "connection lost", ERR_TIMEOUT, "", true},
	{CQL_NO_HOST, "no host can be asked", ERR_UNAVAILABLE, "", false},
	{CQL_CLIENT_BUSY, "too many requests in flight", ERR_UNAVAILABLE, "", false},
};

/* A code we do not know is of a server newer than this client: nothing is certain. */
static const struct error_row unknown_row = {0, "unknown error", ERR_TIMEOUT, "", false};

static const struct error_row *row_of(enum cql_error_code code)
{
	for (size_t i = 0; i < ARRAY_SIZE(error_rows); i++)
		if (error_rows[i].code == code)
			return &error_rows[i];
	return &unknown_row;
}

static const struct {
	struct slice word;
	enum cql_write_type type;
} write_types[] = {
	{SLICE_INIT("SIMPLE"), CQL_WRITE_SIMPLE},
	{SLICE_INIT("BATCH"), CQL_WRITE_BATCH},
	{SLICE_INIT("UNLOGGED_BATCH"), CQL_WRITE_UNLOGGED_BATCH},
	{SLICE_INIT("COUNTER"), CQL_WRITE_COUNTER},
	{SLICE_INIT("BATCH_LOG"), CQL_WRITE_BATCH_LOG},
	{SLICE_INIT("CAS"), CQL_WRITE_CAS},
	{SLICE_INIT("VIEW"), CQL_WRITE_VIEW},
	{SLICE_INIT("CDC"), CQL_WRITE_CDC},
};

static enum cql_write_type parse_write_type(struct slice word)
{
	for (size_t i = 0; i < ARRAY_SIZE(write_types); i++)
		if (slice_equal(word, write_types[i].word))
			return write_types[i].type;
	return CQL_WRITE_UNKNOWN;
}

/* v5: <n> times an address and a reason. */
static int32_t read_reasons(struct reader *body)
{
	int32_t count = (int32_t)reader_u32(body);
	for (int32_t i = 0; i < count && !body->failed; i++) {
		uint8_t size = reader_u8(body);
		reader_bytes(body, size);
		reader_u16(body);
	}
	return count;
}

static void read_field(struct reader *body, char field, uint8_t version,
	struct cql_failure *failure, struct cql_server_error *error)
{
	switch (field) {
	case 'l':
		failure->level = reader_u16(body);
		break;
	case 'r':
		failure->received = (int32_t)reader_u32(body);
		break;
	case 'q':
		failure->required = (int32_t)reader_u32(body);
		break;
	case 'd':
		failure->data_present = reader_u8(body) != 0;
		break;
	case 'f':
		failure->failures = version >= 5 ? read_reasons(body) : (int32_t)reader_u32(body);
		break;
	case 'w':
		failure->write_type = parse_write_type(cql_get_string(body));
		break;
	case 'c':
		if (version >= 5 && failure->write_type == CQL_WRITE_CAS)
			failure->contentions = reader_u16(body);
		break;
	default:
		error->unprepared = cql_get_short_bytes(body);
		break;
	}
}

bool cql_error_decode(struct reader *body, uint8_t version, struct cql_failure *failure,
	struct cql_server_error *ret_error)
{
	uint32_t code = reader_u32(body);
	struct cql_server_error error = {.message = cql_get_string(body)};
	failure->code = body->failed ? CQL_PROTOCOL_ERROR : (enum cql_error_code)code;
	failure->level = CQL_ANY;
	failure->received = failure->required = failure->failures = failure->contentions = 0;
	failure->data_present = false;
	failure->write_type = CQL_WRITE_NONE;
	for (const char *field = row_of(failure->code)->fields; *field && !body->failed; field++)
		read_field(body, *field, version, failure, &error);
	*ret_error = error;
	return !body->failed;
}

const char *cql_error_name(enum cql_error_code code)
{
	return row_of(code)->name;
}

enum error_kind cql_error_kind(const struct cql_failure *failure)
{
	enum error_kind kind = row_of(failure->code)->kind;
	bool no_answer =
		failure->code == CQL_CLIENT_TIMEOUT || failure->code == CQL_CONNECTION_LOST;
	return no_answer && !failure->may_have_been_sent ? ERR_UNAVAILABLE : kind;
}

bool cql_error_is_of_host(enum cql_error_code code)
{
	return row_of(code)->of_host;
}

static const struct {
	enum cql_level level;
	const char *name;
} levels[] = {
	{CQL_ANY, "ANY"},
	{CQL_ONE, "ONE"},
	{CQL_TWO, "TWO"},
	{CQL_THREE, "THREE"},
	{CQL_QUORUM, "QUORUM"},
	{CQL_ALL, "ALL"},
	{CQL_LOCAL_QUORUM, "LOCAL_QUORUM"},
	{CQL_EACH_QUORUM, "EACH_QUORUM"},
	{CQL_SERIAL, "SERIAL"},
	{CQL_LOCAL_SERIAL, "LOCAL_SERIAL"},
	{CQL_LOCAL_ONE, "LOCAL_ONE"},
};

const char *cql_level_name(enum cql_level level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (levels[i].level == level)
			return levels[i].name;
	return NULL;
}
