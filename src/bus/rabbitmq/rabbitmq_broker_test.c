/* The contract over a real broker. HOLDFAST_RABBITMQ: host:port of one, user and password guest. */

#include "base/random.h"
#include "base/test.h"
#include "bus/contract.h"
#include "bus/rabbitmq/rabbitmq.h"

#define PREFETCH 50

static char prefix[64];

static void renew(void)
{
	snprintf(prefix, sizeof(prefix), "contract-%016llx", (unsigned long long)random_u64());
}

static struct bus *open_node(void)
{
	char host[128];
	const char *where = getenv("HOLDFAST_RABBITMQ");
	if (!where)
		where = "127.0.0.1:5672";
	size_t len = strcspn(where, ":");
	snprintf(host, sizeof(host), "%.*s", (int)len, where);
	const struct rabbitmq_host hosts[] = {{host, (uint16_t)strtoul(where + len + 1, NULL, 10)}};
	const struct rabbitmq_options options = {.hosts = hosts,
		.host_count = 1,
		.user = "guest",
		.password = "guest",
		.vhost = "/",
		.prefix = prefix,
		.waiting = 10000,
		.prefetch = PREFETCH,
		.timeout_ms = 10000,
		.heartbeat_ms = 10000,
		.reconnect_max_ms = 1000};
	return bus_rabbitmq_new(&options);
}

int main(void)
{
	return bus_contract_run("bus/rabbitmq", renew, open_node, PREFETCH);
}
