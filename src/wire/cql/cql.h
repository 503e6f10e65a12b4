#pragma once

/* A client of Apache Cassandra's native protocol (v4 and v5). It hides nothing that decides an
 * outcome: every failed request says whether it had left, to whom, and every field of the server's
 * error. It retries nothing by itself but what a statement says is idempotent. Any thread may call;
 * a call blocks until the answer or the operation's deadline. */

#include "base/op.h"
#include "base/slice.h"

enum cql_level {
	CQL_ANY = 0x0000,
	CQL_ONE = 0x0001,
	CQL_TWO = 0x0002,
	CQL_THREE = 0x0003,
	CQL_QUORUM = 0x0004,
	CQL_ALL = 0x0005,
	CQL_LOCAL_QUORUM = 0x0006,
	CQL_EACH_QUORUM = 0x0007,
	CQL_SERIAL = 0x0008,
	CQL_LOCAL_SERIAL = 0x0009,
	CQL_LOCAL_ONE = 0x000A,
};

/* The name as Cassandra writes it ("LOCAL_QUORUM"); NULL for a number that is none. */
const char *cql_level_name(enum cql_level level);

enum cql_error_code {
	CQL_SERVER_ERROR = 0x0000,
	CQL_PROTOCOL_ERROR = 0x000A,
	CQL_BAD_CREDENTIALS = 0x0100,
	CQL_UNAVAILABLE = 0x1000,
	CQL_OVERLOADED = 0x1001,
	CQL_BOOTSTRAPPING = 0x1002,
	CQL_TRUNCATE_ERROR = 0x1003,
	CQL_WRITE_TIMEOUT = 0x1100,
	CQL_READ_TIMEOUT = 0x1200,
	CQL_READ_FAILURE = 0x1300,
	CQL_FUNCTION_FAILURE = 0x1400,
	CQL_WRITE_FAILURE = 0x1500,
	CQL_CDC_WRITE_FAILURE = 0x1600,
	CQL_CAS_WRITE_UNKNOWN = 0x1700,
	CQL_SYNTAX_ERROR = 0x2000,
	CQL_UNAUTHORIZED = 0x2100,
	CQL_INVALID = 0x2200,
	CQL_CONFIG_ERROR = 0x2300,
	CQL_ALREADY_EXISTS = 0x2400,
	CQL_UNPREPARED = 0x2500,
	/* Found by the client, not by a server. */
	CQL_CLIENT_TIMEOUT = 0x10000, /* no answer before the deadline */
	CQL_CONNECTION_LOST,          /* broke with the request on it */
	CQL_NO_HOST,                  /* no host could be asked */
	CQL_CLIENT_BUSY,              /* the bound on requests in flight was reached */
};

enum cql_write_type {
	CQL_WRITE_NONE, /* the error has none */
	CQL_WRITE_SIMPLE,
	CQL_WRITE_BATCH,
	CQL_WRITE_UNLOGGED_BATCH,
	CQL_WRITE_COUNTER,
	CQL_WRITE_BATCH_LOG,
	CQL_WRITE_CAS,
	CQL_WRITE_VIEW,
	CQL_WRITE_CDC,
	CQL_WRITE_UNKNOWN, /* a word this client does not know */
};

/* Why a request failed: everything that is known. With several attempts (idempotent statements
 * only) it is the last one, but `may_have_been_sent` is true if any attempt had left. */
struct cql_failure {
	enum cql_error_code code;
	bool may_have_been_sent;    /* a byte of it may have reached a server */
	enum cql_level level;       /* that the server names, where it names one */
	int32_t received, required; /* unavailable: alive, required; timeouts and failures */
	int32_t failures;           /* read and write failures: replicas that said no */
	bool data_present;          /* read timeouts and failures */
	enum cql_write_type write_type;
	int32_t contentions; /* v5, write timeouts of a CAS; else 0 */
	uint32_t attempts;
	char host[64]; /* "127.0.0.1:9042": whom it was sent to last; empty: nobody */
};

enum cql_type {
	CQL_TYPE_CUSTOM = 0x00,
	CQL_TYPE_ASCII = 0x01,
	CQL_TYPE_BIGINT = 0x02,
	CQL_TYPE_BLOB = 0x03,
	CQL_TYPE_BOOLEAN = 0x04,
	CQL_TYPE_COUNTER = 0x05,
	CQL_TYPE_DECIMAL = 0x06,
	CQL_TYPE_DOUBLE = 0x07,
	CQL_TYPE_FLOAT = 0x08,
	CQL_TYPE_INT = 0x09,
	CQL_TYPE_TIMESTAMP = 0x0B,
	CQL_TYPE_UUID = 0x0C,
	CQL_TYPE_VARCHAR = 0x0D,
	CQL_TYPE_VARINT = 0x0E,
	CQL_TYPE_TIMEUUID = 0x0F,
	CQL_TYPE_INET = 0x10,
	CQL_TYPE_DATE = 0x11,
	CQL_TYPE_TIME = 0x12,
	CQL_TYPE_SMALLINT = 0x13,
	CQL_TYPE_TINYINT = 0x14,
	CQL_TYPE_DURATION = 0x15,
	CQL_TYPE_LIST = 0x20,
	CQL_TYPE_MAP = 0x21,
	CQL_TYPE_SET = 0x22,
	CQL_TYPE_UDT = 0x30,
	CQL_TYPE_TUPLE = 0x31,
};

/* One value as it travels: bytes in the column's encoding, big-endian. */
struct cql_value {
	const uint8_t *ptr;
	int32_t length; /* CQL_NULL: null; CQL_UNSET: not bound */
};

#define CQL_NULL (-1)
#define CQL_UNSET (-2)

/* Values, allocated in the arena where they need bytes of their own. */
struct cql_value cql_from_bytes(struct slice bytes); /* borrows; text too */
struct cql_value cql_from_bigint(struct arena *arena, int64_t number);
struct cql_value cql_from_int(struct arena *arena, int32_t number);
struct cql_value cql_from_smallint(struct arena *arena, int16_t number);
struct cql_value cql_from_tinyint(struct arena *arena, int8_t number);
struct cql_value cql_from_boolean(bool flag);
struct cql_value cql_from_uuid(const struct uuid *uuid); /* borrows */

/* What a value holds; false when it is null or its length is not that of the type. */
bool cql_to_bigint(struct cql_value value, int64_t *ret_number);
bool cql_to_int(struct cql_value value, int32_t *ret_number);
bool cql_to_smallint(struct cql_value value, int16_t *ret_number);
bool cql_to_tinyint(struct cql_value value, int8_t *ret_number);
bool cql_to_boolean(struct cql_value value, bool *ret_flag);
bool cql_to_uuid(struct cql_value value, struct uuid *ret_uuid);
struct slice cql_to_bytes(struct cql_value value); /* null: the empty slice with ptr NULL */

/* ---- the cluster ---- */

struct cql_address {
	char host[64]; /* as the servers name themselves */
	char via[64];  /* where to connect instead: "address:port" */
};

struct cql_options {
	const char *const *contact_points; /* "host" or "host:port" */
	size_t contact_point_count;
	uint16_t port; /* where a contact point names none, and of every peer */
	const char
		*datacenter;  /* the local one; contact points that contradict it stop the start */
	const char *keyspace; /* NULL: none; statements name theirs or use this one */
	const char *user, *password; /* NULL: no authentication */
	bool tls;
	const char *tls_ca_file;                         /* NULL: the system's */
	const char *tls_certificate_file, *tls_key_file; /* NULL: none */
	bool tls_verify_host;
	uint8_t protocol_version; /* highest to offer: 5 or 4 */
	bool compression;         /* LZ4 */
	bool remote_datacenters;  /* may hosts elsewhere be asked when no local one can? */
	uint32_t connections_per_host;
	uint32_t max_requests_per_host; /* in flight; past it CQL_CLIENT_BUSY */
	uint32_t connect_timeout_ms;
	uint32_t request_timeout_ms; /* of one attempt, within the operation's deadline */
	uint32_t heartbeat_ms;
	uint32_t reconnect_min_ms, reconnect_max_ms;
	uint32_t speculative_delay_ms;         /* 0: never; only statements marked idempotent */
	const struct cql_address *address_map; /* for clusters behind translated addresses */
	size_t address_map_count;
};

/* Every member as Holdfast wants it by default, for a cluster on 127.0.0.1. */
struct cql_options cql_default_options(void);

struct cql_cluster;

/* Connects to a contact point, learns the ring, checks the data centre. Options are copied.
 * ERR_UNAVAILABLE when no contact point answers, ERR_INVALID when they contradict the options. */
MUST_CHECK struct error *cql_cluster_open(
	struct op *op, const struct cql_options *options, struct cql_cluster **ret_cluster);
/* Waits for no answer: requests under way end as CQL_CONNECTION_LOST. */
void cql_cluster_close(struct cql_cluster *cluster);

struct cql_host {
	char address[64];
	char datacenter[64];
	char rack[64];
	char release_version[32];
	bool is_up; /* a connection to it is open */
	bool is_local;
};

/* The hosts known now, in the arena. */
void cql_cluster_hosts(struct cql_cluster *cluster, struct arena *arena,
	struct cql_host **ret_hosts, size_t *ret_count);

/* True when all hosts that are up name one schema version; waits for it until the deadline. */
MUST_CHECK struct error *cql_await_schema_agreement(
	struct op *op, struct cql_cluster *cluster, bool *ret_agreed);

/* ---- statements and requests ---- */

struct cql_statement;

/* A text with `?` marks, prepared on each host when it is first sent there and again whenever the
 * host has forgotten it. Owned by the cluster and freed with it. The same text gives the same
 * statement. */
struct cql_statement *cql_statement(struct cql_cluster *cluster, const char *text, bool idempotent);

/* A statement with its values. */
struct cql_bound {
	struct cql_statement *statement; /* NULL: `text` is sent as it is, without values */
	const char *text;
	const struct cql_value *values;
	size_t value_count;
};

enum cql_batch {
	CQL_NO_BATCH, /* one statement */
	CQL_BATCH_LOGGED,
	CQL_BATCH_UNLOGGED,
};

struct cql_request {
	const struct cql_bound *statements;
	size_t count;
	enum cql_batch batch;
	enum cql_level level;
	enum cql_level serial_level; /* SERIAL or LOCAL_SERIAL: of a conditional statement */
	bool has_timestamp;          /* else the server gives one */
	int64_t timestamp_us;        /* default timestamp of the request's writes */
	uint32_t page_rows;          /* 0: all rows at once */
	struct slice paging_state;   /* of the page before; empty: the first */
	/* The partition key as it travels in a token: one key column's bytes, or the composite
	 * form (cql_routing_key). Empty: any host of the local data centre. */
	struct slice routing_key;
	bool idempotent;  /* may be sent again elsewhere after a failure, and speculatively */
	bool trace;       /* asks for a tracing id */
	const char *host; /* as cql_cluster_hosts names it: nobody else is asked; NULL: anybody */
};

/* The composite form of a partition key of several columns; of one column: its bytes. */
struct slice cql_routing_key(struct arena *arena, const struct cql_value *columns, size_t count);

struct cql_column {
	struct slice name;
	enum cql_type type;
};

/* An answer, in the operation's arena. */
struct cql_result {
	size_t column_count;
	const struct cql_column *columns;
	size_t row_count;
	const struct cql_value *values; /* row after row */
	struct slice paging_state;      /* empty: there are no more rows */
	const struct slice *warnings;
	size_t warning_count;
	bool has_tracing_id;
	struct uuid tracing_id;
	char host[64]; /* who answered */
};

/* The value at a row and a column. */
static inline struct cql_value cql_at(const struct cql_result *result, size_t row, size_t column)
{
	return result->values[row * result->column_count + column];
}

/* Index of a column by its name; SIZE_MAX: there is none. */
size_t cql_find_column(const struct cql_result *result, const char *name);

/* Sends and waits. A conditional statement that was not applied is a success whose first column,
 * "[applied]", is false. On an error *ret_failure says everything; the error's kind is only
 * ERR_UNAVAILABLE (certainly not executed: unavailable, overloaded, bootstrapping, no host, busy,
 * not sent), ERR_TIMEOUT (no answer, or a timeout of the server's), ERR_INVALID (the statement is
 * wrong) or ERR_INTERNAL; whoever writes looks at *ret_failure. */
MUST_CHECK struct error *cql_execute(struct op *op, struct cql_cluster *cluster,
	const struct cql_request *request, struct cql_result *ret_result,
	struct cql_failure *ret_failure);

/* The same for several independent requests at once. One entry per request in each array;
 * ret_errors[n] is NULL where the n-th succeeded. */
void cql_execute_many(struct op *op, struct cql_cluster *cluster,
	const struct cql_request *requests, size_t count, struct cql_result *ret_results,
	struct cql_failure *ret_failures, struct error **ret_errors);
