#include "engine/cassandra/cassandra_private.h"

#include "base/buf.h"
#include "base/secret_file.h"

/* A host that is back is noticed within so long. */
#define RECONNECT_MIN_MS 20
#define RECONNECT_MAX_MS 2000

static struct {
	const char *contact_points;
	const char *keyspace;
	const char *replication;
	const char *user;
	const char *password_file;
	const char *tls_ca, *tls_certificate, *tls_key;
	const char *address_map;
	bool tls;
	bool tls_verify_host;
	bool compression;
	bool remote_datacenters;
	uint64_t port;
	uint64_t protocol;
	uint64_t connections;
	uint64_t requests;
	uint64_t connect_timeout_ms;
	uint64_t request_timeout_ms;
	uint64_t heartbeat_ms;
	uint64_t speculative_delay_ms;
} config;

/* clang-format off */
const struct setting cassandra_settings[] = {
	{"cassandra.contact_points", SETTING_TEXT, &config.contact_points, "127.0.0.1", 0, 0, NULL, false,
		"Hosts to ask first, separated by commas, each with :port where it is not cassandra.port."},
	{"cassandra.port", SETTING_NUMBER, &config.port, "9042", 1, 65535, NULL, false,
		"Port of Cassandra's native protocol."},
	{"cassandra.keyspace", SETTING_TEXT, &config.keyspace, "holdfast", 0, 0, NULL, false,
		"Keyspace that holds the tables."},
	{"cassandra.replication", SETTING_TEXT, &config.replication, "dc1=3", 0, 0, NULL, false,
		"Replicas in each data centre, as `holdfastctl schema create` makes the keyspace."},
	{"cassandra.user", SETTING_TEXT, &config.user, "", 0, 0, NULL, false,
		"Name to log in with; empty: no log-in."},
	{"cassandra.password_file", SETTING_TEXT, &config.password_file, "", 0, 0, NULL, false,
		"File whose first line is the password."},
	{"cassandra.tls", SETTING_BOOL, &config.tls, "no", 0, 0, NULL, false,
		"Connect with TLS."},
	{"cassandra.tls_ca", SETTING_TEXT, &config.tls_ca, "", 0, 0, NULL, false,
		"Certificates that sign the hosts'; empty: the system's."},
	{"cassandra.tls_certificate", SETTING_TEXT, &config.tls_certificate, "", 0, 0, NULL, false,
		"Certificate to show to the hosts; empty: none."},
	{"cassandra.tls_key", SETTING_TEXT, &config.tls_key, "", 0, 0, NULL, false,
		"Its key."},
	{"cassandra.tls_verify_host", SETTING_BOOL, &config.tls_verify_host, "yes", 0, 0, NULL, false,
		"A host's certificate must be for the address that it is reached at."},
	{"cassandra.protocol", SETTING_NUMBER, &config.protocol, "5", 4, 5, NULL, false,
		"Highest version of the native protocol to offer."},
	{"cassandra.compression", SETTING_BOOL, &config.compression, "no", 0, 0, NULL, false,
		"Compress what travels, with LZ4: for links that are slower than the processors."},
	{"cassandra.remote_data_centers", SETTING_BOOL, &config.remote_datacenters, "no", 0, 0, NULL, false,
		"Ask hosts of other data centres when no host of this one can be asked."},
	{"cassandra.address_map", SETTING_TEXT, &config.address_map, "", 0, 0, NULL, false,
		"Where hosts are reached that are behind translated addresses: host=address:port, separated by commas."},
	{"cassandra.connections", SETTING_NUMBER, &config.connections, "2", 1, 64, NULL, false,
		"Connections to each host."},
	{"cassandra.requests", SETTING_NUMBER, &config.requests, "2048", 1, 32768, NULL, false,
		"Requests on their way to one host at most; further ones are refused at once."},
	{"cassandra.connect_timeout", SETTING_DURATION, &config.connect_timeout_ms, "2 s", 50, 60000, NULL, false,
		"How long a connection may take."},
	{"cassandra.request_timeout", SETTING_DURATION, &config.request_timeout_ms, "1 s", 50, 600000, NULL, false,
		"How long one attempt of a request may take, whatever time its operation has."},
	{"cassandra.heartbeat", SETTING_DURATION, &config.heartbeat_ms, "10 s", 100, 600000, NULL, false,
		"How often a quiet connection is asked whether it lives."},
	{"cassandra.speculative_delay", SETTING_DURATION, &config.speculative_delay_ms, "0 ms", 0, 60000, NULL, false,
		"After so long without an answer a read, or a write that may be repeated, is sent to another host too; 0: never."},
};
const size_t cassandra_setting_count = ARRAY_SIZE(cassandra_settings);
/* clang-format on */

/* The parts between commas, without the spaces around them, as C strings. */
static const char **split(struct op *op, const char *text, size_t *ret_count)
{
	struct slice rest = slice_from_cstr(text);
	const char **parts = ARENA_ARRAY(&op->arena, const char *, rest.len + 1);
	size_t count = 0;
	while (rest.len) {
		const char *comma = memchr(rest.ptr, ',', rest.len);
		struct slice part =
			slice_of(rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len);
		rest = comma ? slice_from(rest, part.len + 1) : SLICE_NONE;
		while (part.len && part.ptr[0] == ' ')
			part = slice_from(part, 1);
		while (part.len && part.ptr[part.len - 1] == ' ')
			part.len--;
		if (part.len)
			parts[count++] = arena_cstr(&op->arena, part);
	}
	*ret_count = count;
	return parts;
}

static struct error *read_address_map(struct op *op, struct cql_options *options)
{
	size_t count;
	const char **parts = split(op, config.address_map, &count);
	struct cql_address *map = ARENA_ARRAY(&op->arena, struct cql_address, count + 1);
	for (size_t i = 0; i < count; i++) {
		const char *equals = strchr(parts[i], '=');
		size_t len = equals ? (size_t)(equals - parts[i]) : 0;
		if (!len || len >= sizeof(map[i].host) || strlen(equals + 1) >= sizeof(map[i].via))
			return op_fail(op, ERR_INVALID,
				"cassandra.address_map: \"%s\" is not host=address:port", parts[i]);
		memcpy(map[i].host, parts[i], len);
		strcpy(map[i].via, equals + 1);
	}
	options->address_map = map;
	options->address_map_count = count;
	return NULL;
}

static bool is_keyspace_name(const char *name)
{
	size_t len = name ? strlen(name) : 0;
	if (!len || len > 48 || !(name[0] >= 'a' && name[0] <= 'z'))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

struct error *cassandra_read_settings(
	struct op *op, const char *datacenter, struct cassandra_options *ret_options)
{
	struct cql_options cql = cql_default_options();
	if (!is_keyspace_name(config.keyspace))
		return op_fail(op, ERR_INVALID,
			"cassandra.keyspace: small letters, digits and _, 48 at most, a letter "
			"first");
	if (config.user && !config.password_file)
		return op_fail(op, ERR_INVALID, "cassandra.user needs cassandra.password_file");
	cql.contact_points = split(op, config.contact_points, &cql.contact_point_count);
	if (!cql.contact_point_count)
		return op_fail(op, ERR_INVALID, "cassandra.contact_points names no host");
	TRY(read_address_map(op, &cql));
	if (config.user)
		TRY(secret_file_read(op, config.password_file, &cql.password));
	cql.user = config.user;
	cql.port = (uint16_t)config.port;
	cql.datacenter = datacenter;
	cql.tls = config.tls;
	cql.tls_ca_file = config.tls_ca;
	cql.tls_certificate_file = config.tls_certificate;
	cql.tls_key_file = config.tls_key;
	cql.tls_verify_host = config.tls_verify_host;
	cql.protocol_version = (uint8_t)config.protocol;
	cql.compression = config.compression;
	cql.remote_datacenters = config.remote_datacenters;
	cql.connections_per_host = (uint32_t)config.connections;
	cql.max_requests_per_host = (uint32_t)config.requests;
	cql.connect_timeout_ms = (uint32_t)config.connect_timeout_ms;
	cql.request_timeout_ms = (uint32_t)config.request_timeout_ms;
	cql.reconnect_min_ms = RECONNECT_MIN_MS;
	cql.reconnect_max_ms = RECONNECT_MAX_MS;
	cql.heartbeat_ms = (uint32_t)config.heartbeat_ms;
	cql.speculative_delay_ms = (uint32_t)config.speculative_delay_ms;
	*ret_options = (struct cassandra_options){.cql = cql,
		.keyspace = config.keyspace,
		.replication = config.replication ? config.replication : ""};
	return NULL;
}
