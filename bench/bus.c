/* How long a hint takes from one node to the others, over a real RabbitMQ:
 *     bus HOST[:PORT] [EVENTS_PER_SECOND [SECONDS [LISTENERS]]]
 * One node publishes at an even rate, others watch every account; all are in one work group, too.
 * User and password guest. Prints a line of JSON for what watchers heard and one for the group. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/sync.h"

#include "bus/rabbitmq/rabbitmq.h"
#include "bus/slots.h"
#include "latencies.h"

#define LISTENERS_MOST 8
#define SAMPLES_MOST 4000000

struct samples {
	struct mutex lock;
	uint32_t *us;
	size_t count;
};

static struct samples heard, taken;
static struct bus *nodes[1 + LISTENERS_MOST];

/* The hint's MODSEQ is the time of its publication. */
static void note(struct samples *samples, const struct bus_hint *hint)
{
	uint64_t us = (clock_monotonic_ns() - hint->modseq) / 1000;
	AUTO_LOCK(&samples->lock);
	if (hint->modseq && samples->count < SAMPLES_MOST)
		samples->us[samples->count++] = (uint32_t)MIN_OF(us, (uint64_t)UINT32_MAX);
}

static void on_changed(void *context, const struct bus_hint *hint)
{
	(void)context;
	note(&heard, hint);
}

static void on_missed(void *context)
{
	(void)context;
}

static void on_take(void *context, const struct bus_hint *hint, struct bus_work work)
{
	note(&taken, hint);
	bus_done(*(struct bus **)context, work);
}

static void samples_init(struct samples *samples)
{
	mutex_init(&samples->lock);
	samples->us = heap_alloc(SAMPLES_MOST * sizeof(*samples->us));
}

static struct account_id account_of(unsigned number)
{
	struct account_id account = {0};
	memcpy(account.uuid.bytes, &number, sizeof(number));
	account.uuid.bytes[15] = (uint8_t)number;
	return account;
}

static void open_node(size_t i, const char *where, const char *prefix)
{
	char host[128];
	size_t len = strcspn(where, ":");
	snprintf(host, sizeof(host), "%.*s", (int)len, where);
	const struct rabbitmq_host hosts[] = {
		{host, where[len] ? (uint16_t)strtoul(where + len + 1, NULL, 10) : 5672}};
	const struct rabbitmq_options options = {.hosts = hosts,
		.host_count = 1,
		.user = "guest",
		.password = "guest",
		.vhost = "/",
		.prefix = prefix,
		.waiting = 10000,
		.prefetch = 100,
		.timeout_ms = 10000,
		.heartbeat_ms = 10000,
		.reconnect_max_ms = 1000};
	nodes[i] = bus_rabbitmq_new(&options);
	if (i) {
		bus_set_watcher(nodes[i], (struct bus_watcher){on_changed, on_missed, NULL});
		bus_join(nodes[i], (struct bus_worker){"bench", on_take, on_missed, &nodes[i]});
		for (unsigned slot = 0; slot < SLOT_COUNT; slot++)
			bus_watch(nodes[i], account_of(slot));
	}
	bus_start(nodes[i]);
	while (!bus_is_live(nodes[i]))
		clock_sleep_ns(NS_PER_MS);
}

static uint64_t publish_evenly(unsigned rate, unsigned count)
{
	uint64_t begun_ns = clock_monotonic_ns();
	for (unsigned n = 0; n < count; n++) {
		uint64_t due_ns = begun_ns + n * NS_PER_S / rate;
		uint64_t now_ns = clock_monotonic_ns();
		if (now_ns < due_ns)
			clock_sleep_ns(due_ns - now_ns);
		const struct bus_hint hint = {account_of(n), clock_monotonic_ns()};
		bus_publish(nodes[0], &hint);
	}
	return clock_monotonic_ns() - begun_ns;
}

int main(int argc, char **argv)
{
	char prefix[64];
	unsigned rate = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1000;
	unsigned seconds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 20;
	unsigned listeners = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 2;
	if (argc < 2 || !rate || !seconds || !listeners || listeners > LISTENERS_MOST) {
		fputs("bus HOST[:PORT] [EVENTS_PER_SECOND [SECONDS [LISTENERS]]]\n", stderr);
		return EXIT_FAILURE;
	}
	snprintf(prefix, sizeof(prefix), "bench-%016" PRIx64, random_u64());
	samples_init(&heard);
	samples_init(&taken);
	for (size_t i = 0; i <= listeners; i++)
		open_node(i, argv[1], prefix);
	uint64_t took_ns = publish_evenly(rate, rate * seconds);
	clock_sleep_ns(2 * NS_PER_S);
	for (size_t i = 0; i <= listeners; i++)
		bus_close(nodes[i]);
	size_t expected = (size_t)rate * seconds;
	double took = (double)took_ns / NS_PER_S;
	latencies_report(heard.us, heard.count,
		expected * listeners - MIN_OF(heard.count, expected * listeners), took);
	latencies_report(taken.us, taken.count, expected - MIN_OF(taken.count, expected), took);
	free(heard.us);
	free(taken.us);
	return EXIT_SUCCESS;
}
