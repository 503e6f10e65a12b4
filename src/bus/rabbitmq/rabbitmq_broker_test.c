/* Over a real broker: the contract, and what others may do to exchange and queues.
 * HOLDFAST_RABBITMQ: host:port of one, user and password guest. */

#include "base/test.h"

#include <sys/time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

#include "base/clock.h"
#include "base/random.h"
#include "bus/contract.h"
#include "bus/rabbitmq/rabbitmq.h"

#define PREFETCH 50
#define PATIENCE_NS (30 * NS_PER_S)
#define SLOT 7

static char prefix[64];

static void renew(void)
{
	snprintf(prefix, sizeof(prefix), "contract-%016llx", (unsigned long long)random_u64());
}

static struct rabbitmq_host broker(void)
{
	static char name[128];
	const char *where = getenv("HOLDFAST_RABBITMQ");
	if (!where)
		where = "127.0.0.1:5781";
	size_t len = strcspn(where, ":");
	snprintf(name, sizeof(name), "%.*s", (int)len, where);
	return (struct rabbitmq_host){name, (uint16_t)strtoul(where + len + 1, NULL, 10)};
}

static struct bus *open_node(void)
{
	const struct rabbitmq_host host = broker();
	const struct rabbitmq_options options = {.hosts = &host,
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

/* ---- Somebody else at the broker ---- */

struct world {
	amqp_connection_state_t stranger;
	struct bus *bus, *speaker;
	_Atomic size_t changed, taken, missed;
};

static void on_changed(void *context, const struct bus_hint *hint)
{
	struct world *w = context;
	(void)hint;
	w->changed++;
}

static void on_missed(void *context)
{
	struct world *w = context;
	w->missed++;
}

static void on_take(void *context, const struct bus_hint *hint, struct bus_work work)
{
	struct world *w = context;
	(void)hint;
	w->taken++;
	bus_done(w->bus, work);
}

static const struct bus_hint hint = {.account = {.uuid.bytes = {1, [15] = SLOT}}, .modseq = 1};

static bool comes_to(_Atomic size_t *count, size_t wanted)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (*count < wanted && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	return *count == wanted;
}

static void await_live(struct bus *bus)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (!bus_is_live(bus) && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	assert_true(bus_is_live(bus));
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	const struct rabbitmq_host host = broker();
	renew();
	w->bus = open_node();
	bus_set_watcher(w->bus, (struct bus_watcher){on_changed, on_missed, w});
	bus_join(w->bus, (struct bus_worker){"index", on_take, on_missed, w});
	bus_watch(w->bus, hint.account);
	bus_start(w->bus);
	w->speaker = open_node();
	bus_start(w->speaker);
	await_live(w->bus);
	await_live(w->speaker);
	w->stranger = amqp_new_connection();
	amqp_socket_t *socket = amqp_tcp_socket_new(w->stranger);
	assert_int_equal(amqp_socket_open(socket, host.name, host.port), 0);
	assert_int_equal(
		amqp_login(w->stranger, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest")
			.reply_type,
		AMQP_RESPONSE_NORMAL);
	amqp_channel_open(w->stranger, 1);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	bus_close(w->speaker);
	bus_close(w->bus);
	amqp_destroy_connection(w->stranger);
	free(w);
	return 0;
}

static void publish_bytes(struct world *w, const char *bytes, size_t len)
{
	char exchange[128], key[32];
	snprintf(exchange, sizeof(exchange), "%s.hints", prefix);
	snprintf(key, sizeof(key), "slot.%d", SLOT);
	assert_int_equal(amqp_basic_publish(w->stranger, 1, amqp_cstring_bytes(exchange),
				 amqp_cstring_bytes(key), 0, 0, NULL,
				 (amqp_bytes_t){.len = len, .bytes = (void *)(uintptr_t)bytes}),
		AMQP_STATUS_OK);
}

static void what_is_no_hint_is_passed_over(void **state)
{
	struct world *w = *state;
	char *large = heap_alloc(KIB(300)); /* some frames */
	publish_bytes(w, "", 0);
	publish_bytes(w, "nonsense", 8);
	publish_bytes(w, "0123456789012345678901234567890123", 34);
	publish_bytes(w, large, KIB(300));
	free(large);
	bus_publish(w->speaker, &hint);
	assert_true(comes_to(&w->changed, 1));
	assert_true(comes_to(&w->taken, 1));
	/* The connection is the first one. */
	assert_int_equal(w->missed, 2);
}

/* An administrator deletes it, or a broker loses it: it is made again, and what may have been in it
 * is looked for. */
static void a_queue_that_is_taken_away_is_declared_again(void **state)
{
	struct world *w = *state;
	char queue[128];
	assert_true(comes_to(&w->missed, 2));
	snprintf(queue, sizeof(queue), "%s.index", prefix);
	amqp_queue_delete(w->stranger, 1, amqp_cstring_bytes(queue), 0, 0);
	assert_true(comes_to(&w->missed, 4));
	await_live(w->bus);
	bus_publish(w->speaker, &hint);
	assert_true(comes_to(&w->changed, 1));
	assert_true(comes_to(&w->taken, 1));
}

/* It cannot be declared as it should be: that is told, and nothing else happens. */
static void an_exchange_of_another_kind_is_a_trouble_and_no_more(void **state)
{
	struct world *w = *state;
	struct bus_status status;
	struct arena arena;
	char exchange[128];
	renew();
	snprintf(exchange, sizeof(exchange), "%s.hints", prefix);
	amqp_exchange_declare(w->stranger, 1, amqp_cstring_bytes(exchange),
		amqp_cstring_bytes("direct"), 0, 0, 1, 0, amqp_empty_table);
	struct bus *bus = open_node();
	arena_init(&arena);
	bus_start(bus);
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	do {
		bus_publish(bus, &hint);
		clock_sleep_ns(NS_PER_MS);
		bus_get_status(bus, &arena, &status);
	} while (!status.trouble && clock_monotonic_ns() < until_ns);
	assert_true(status.trouble && strstr(status.trouble, "declaring the exchange"));
	assert_false(status.is_connected);
	bus_close(bus);
	arena_done(&arena);
	amqp_exchange_delete(w->stranger, 1, amqp_cstring_bytes(exchange), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_no_hint_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_queue_that_is_taken_away_is_declared_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_exchange_of_another_kind_is_a_trouble_and_no_more, set_up, tear_down),
	};
	int failed = cmocka_run_group_tests_name("strangers at the broker", tests, NULL, NULL);
	return failed + bus_contract_run("bus/rabbitmq", renew, open_node, PREFETCH);
}
