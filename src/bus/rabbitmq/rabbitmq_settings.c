#include "bus/rabbitmq/rabbitmq.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/secret_file.h"

#define PORT 5672
#define TLS_PORT 5671
#define NAME_MOST 64

static struct {
	const char *hosts;
	const char *user;
	const char *password_file;
	const char *vhost;
	const char *prefix;
	bool tls;
	const char *tls_ca, *tls_certificate, *tls_key;
	uint64_t waiting;
	uint64_t prefetch;
	uint64_t timeout_ms;
	uint64_t heartbeat_ms;
	uint64_t reconnect_max_ms;
} config;

/* clang-format off */
const struct setting rabbitmq_settings[] = {
	{"bus.hosts", SETTING_TEXT, &config.hosts, "", 0, 0, NULL, false,
		"Nodes of RabbitMQ, separated by commas, each with :port where it is not 5672 (5671 with TLS)."},
	{"bus.user", SETTING_TEXT, &config.user, "guest", 0, 0, NULL, false,
		"Name to log in to RabbitMQ with."},
	{"bus.password_file", SETTING_TEXT, &config.password_file, "", 0, 0, NULL, false,
		"File whose first line is the password; empty: the password is guest, which RabbitMQ takes from its own host only."},
	{"bus.vhost", SETTING_TEXT, &config.vhost, "/", 0, 0, NULL, false,
		"RabbitMQ's virtual host."},
	{"bus.prefix", SETTING_TEXT, &config.prefix, "holdfast", 0, 0, NULL, false,
		"What the names of exchange and queues begin with: the same on all nodes of one installation, and its own."},
	{"bus.tls", SETTING_BOOL, &config.tls, "no", 0, 0, NULL, false,
		"Connect with TLS; the broker's certificate must be for the name or address in bus.hosts."},
	{"bus.tls_ca", SETTING_TEXT, &config.tls_ca, "", 0, 0, NULL, false,
		"Certificates that sign the broker's; empty: the system's."},
	{"bus.tls_certificate", SETTING_TEXT, &config.tls_certificate, "", 0, 0, NULL, false,
		"Certificate to show to the broker; empty: none."},
	{"bus.tls_key", SETTING_TEXT, &config.tls_key, "", 0, 0, NULL, false,
		"Its key."},
	{"bus.waiting", SETTING_NUMBER, &config.waiting, "10000", 16, 10000000, NULL, false,
		"Accounts whose hint may wait for the broker; what is more is dropped, and found by polling."},
	{"bus.prefetch", SETTING_NUMBER, &config.prefetch, "100", 1, 10000, NULL, false,
		"Hints of a work group that this node has at the same time."},
	{"bus.timeout", SETTING_DURATION, &config.timeout_ms, "5 s", 100, 60000, NULL, false,
		"How long a connection to RabbitMQ may take, and each of its answers."},
	{"bus.heartbeat", SETTING_DURATION, &config.heartbeat_ms, "10 s", 1000, 600000, NULL, false,
		"A connection on which nothing comes for twice so long is given up, in whole seconds."},
	{"bus.reconnect_max", SETTING_DURATION, &config.reconnect_max_ms, "10 s", 100, 600000, NULL, false,
		"The longest wait between two tries to connect; the first is 100 ms."},
};
const size_t rabbitmq_setting_count = ARRAY_SIZE(rabbitmq_settings);
/* clang-format on */

bool rabbitmq_is_configured(void)
{
	return config.hosts != NULL;
}

/* "name", "name:port", "[address]" or "[address]:port" */
static struct error *read_host(struct op *op, struct slice text, struct rabbitmq_host *ret_host)
{
	uint32_t port = config.tls ? TLS_PORT : PORT;
	struct slice name = text;
	struct slice rest = SLICE_NONE;
	if (slice_starts_with(text, SLICE("["))) {
		size_t end = slice_find_char(text, ']');
		name = slice_range(text, 1, end);
		rest = slice_from(text, end + 1);
	} else if (slice_find_char(text, ':') < text.len) {
		name = slice_range(text, 0, slice_find_char(text, ':'));
		rest = slice_from(text, name.len);
	}
	bool is_right = name.len > 0;
	if (rest.len)
		is_right = is_right && rest.ptr[0] == ':' &&
			   slice_parse_u32(slice_from(rest, 1), &port) && port > 0 && port <= 65535;
	if (!is_right)
		return op_fail(op, ERR_INVALID, "\"" SLICE_FMT "\" is not host or host:port",
			SLICE_ARG(text));
	*ret_host = (struct rabbitmq_host){arena_cstr(&op->arena, name), (uint16_t)port};
	return NULL;
}

static struct error *read_hosts(struct op *op, struct rabbitmq_options *options)
{
	struct slice rest = slice_from_cstr(config.hosts);
	struct slice part;
	struct rabbitmq_host *hosts = ARENA_ARRAY(&op->arena, struct rabbitmq_host, rest.len + 1);
	while (rest.ptr && slice_split(&rest, ',', &part)) {
		part = slice_trim(part);
		if (part.len)
			TRY(read_host(op, part, &hosts[options->host_count++]));
	}
	options->hosts = hosts;
	return options->host_count ? NULL : op_fail(op, ERR_INVALID, "names no host");
}

static bool is_prefix(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	return len > 0 && len <= NAME_MOST &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
		       len;
}

struct error *rabbitmq_read_settings(
	struct op *op, struct rabbitmq_options *ret_options, const char **ret_setting)
{
	struct rabbitmq_options options = {.user = config.user,
		.password = "guest",
		.vhost = config.vhost,
		.prefix = config.prefix,
		.tls = config.tls,
		.tls_ca = config.tls_ca,
		.tls_certificate = config.tls_certificate,
		.tls_key = config.tls_key,
		.waiting = config.waiting,
		.prefetch = config.prefetch,
		.timeout_ms = config.timeout_ms,
		.heartbeat_ms = config.heartbeat_ms,
		.reconnect_max_ms = config.reconnect_max_ms};
	*ret_setting = "bus.hosts";
	TRY(read_hosts(op, &options));
	*ret_setting = "bus.user";
	if (!config.user)
		return op_fail(op, ERR_INVALID, "is needed");
	*ret_setting = "bus.vhost";
	if (!config.vhost)
		return op_fail(op, ERR_INVALID, "is needed");
	*ret_setting = "bus.prefix";
	if (!is_prefix(config.prefix))
		return op_fail(
			op, ERR_INVALID, "letters, digits, _, - and ., %d at most", NAME_MOST);
	*ret_setting = "bus.tls_key";
	if (!config.tls_certificate != !config.tls_key)
		return op_fail(op, ERR_INVALID, "goes with bus.tls_certificate");
	*ret_setting = "bus.password_file";
	if (config.password_file)
		TRY(secret_file_read(op, config.password_file, &options.password));
	*ret_options = options;
	return NULL;
}
