#include "bus/rabbitmq/rabbitmq_private.h"

#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

#define BACKOFF_FIRST_MS 100
/* Looked at so often, whatever happens: pings, heart-beats, slots to be unbound. */
#define ROUND_MS 500
/* A connection that lasts less may be one of many: the next try waits as after a failed one. */
#define LASTING_NS (10 * NS_PER_S)
#define WARN_EVERY_NS (60 * NS_PER_S)
/* What waits at the end is sent if it takes no longer. */
#define LAST_WORDS_NS (500 * NS_PER_MS)

void rabbitmq_wake(struct rabbitmq *rabbitmq)
{
	eventfd_write(rabbitmq->event_fd, 1);
}

static bool is_stopping(struct rabbitmq *rabbitmq)
{
	AUTO_LOCK(&rabbitmq->lock);
	return rabbitmq->is_stopping;
}

static void tell_all_missed(struct rabbitmq *rabbitmq)
{
	const struct bus *bus = &rabbitmq->bus;
	if (bus->watcher.missed)
		bus->watcher.missed(bus->watcher.context);
	for (size_t i = 0; i < bus->worker_count; i++)
		bus->workers[i].missed(bus->workers[i].context);
}

static void set_connected(
	struct rabbitmq *rabbitmq, const struct rabbitmq_host *host, const char *trouble)
{
	AUTO_LOCK(&rabbitmq->lock);
	if (rabbitmq->is_connected == (trouble != NULL))
		rabbitmq->since_ns = clock_monotonic_ns();
	if (!trouble)
		bus_count(BUS_CONNECTED, 1);
	else
		bus_count(BUS_DISCONNECTED, 1);
	rabbitmq->is_connected = !trouble;
	if (trouble) {
		memset(rabbitmq->is_bound, 0, sizeof(rabbitmq->is_bound));
		rabbitmq->fresh_count = 0;
		rabbitmq->pong_ns = 0;
	}
	rabbitmq->host = host;
	snprintf(rabbitmq->trouble, sizeof(rabbitmq->trouble), "%s", trouble ? trouble : "");
}

/* Frames that the library holds are not seen by poll. */
static void wait_for_news(struct rabbitmq *rabbitmq)
{
	amqp_connection_state_t connection = rabbitmq->link.connection;
	bool has_more = amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection);
	struct pollfd fds[] = {
		{.fd = amqp_get_sockfd(connection), .events = POLLIN},
		{.fd = rabbitmq->event_fd, .events = POLLIN},
	};
	eventfd_t value;
	if (poll(fds, ARRAY_SIZE(fds), has_more ? 0 : ROUND_MS) > 0 && fds[1].revents)
		eventfd_read(rabbitmq->event_fd, &value);
}

static struct error *serve_round(struct op *op, struct rabbitmq *rabbitmq)
{
	TRY(rabbitmq_receive(op, rabbitmq));
	TRY(rabbitmq_acknowledge(op, rabbitmq));
	TRY(rabbitmq_bind_slots(op, rabbitmq));
	TRY(rabbitmq_publish_waiting(op, rabbitmq));
	return rabbitmq_ping(op, rabbitmq);
}

static bool has_last_words(struct rabbitmq *rabbitmq)
{
	return outbox_count(&rabbitmq->outbox) || rabbitmq->unsent_count ||
	       rabbitmq->link.first_tag < rabbitmq->link.next_tag;
}

static struct error *serve(struct op *op, struct rabbitmq *rabbitmq)
{
	/* What was watched while the connection was made may not be bound yet. */
	TRY(rabbitmq_bind_slots(op, rabbitmq));
	tell_all_missed(rabbitmq);
	while (!is_stopping(rabbitmq)) {
		TRY(serve_round(op, rabbitmq));
		wait_for_news(rabbitmq);
	}
	uint64_t until_ns = clock_monotonic_ns() + LAST_WORDS_NS;
	do {
		TRY(serve_round(op, rabbitmq));
		clock_sleep_ns(NS_PER_MS);
	} while (has_last_words(rabbitmq) && clock_monotonic_ns() < until_ns);
	return NULL;
}

static void warn(struct op *op, struct rabbitmq *rabbitmq, const struct rabbitmq_host *host,
	const char *trouble)
{
	uint64_t now_ns = clock_monotonic_ns();
	bool is_due = !rabbitmq->warned_ns || now_ns - rabbitmq->warned_ns > WARN_EVERY_NS;
	if (!is_due) {
		log_debug(op, "bus-not-connected", FIELD_TEXT("host", host->name),
			FIELD_TEXT("error", trouble));
		return;
	}
	rabbitmq->warned_ns = now_ns;
	log_warn(op, "bus-not-connected", FIELD_TEXT("host", host->name),
		FIELD_U64("port", host->port), FIELD_TEXT("error", trouble));
}

/* One connection, from its beginning to its end; true if it lasted. */
static bool live_once(struct rabbitmq *rabbitmq)
{
	AUTO_OP(op, "bus");
	uint64_t begun_ns = clock_monotonic_ns();
	const struct rabbitmq_host *host =
		&rabbitmq->options.hosts[rabbitmq->next_host++ % rabbitmq->options.host_count];
	struct error *err = rabbitmq_connect(&op, rabbitmq, host);
	if (!err) {
		set_connected(rabbitmq, host, NULL);
		log_info(&op, "bus-connected", FIELD_TEXT("host", host->name),
			FIELD_U64("port", host->port));
		err = serve(&op, rabbitmq);
	}
	bool has_lasted = rabbitmq->link.has_ponged && clock_monotonic_ns() - begun_ns > LASTING_NS;
	rabbitmq_keep_unconfirmed(rabbitmq);
	rabbitmq_disconnect(rabbitmq, !err);
	if (err && !is_stopping(rabbitmq)) {
		const char *trouble = error_chain(&op.arena, err);
		set_connected(rabbitmq, host, trouble);
		warn(&op, rabbitmq, host, trouble);
	}
	return has_lasted;
}

static void back_off(struct rabbitmq *rabbitmq, uint64_t *inout_ms)
{
	uint64_t wait_ms = *inout_ms / 2 + random_below(*inout_ms / 2 + 1);
	uint64_t until_ns = clock_monotonic_ns() + wait_ms * NS_PER_MS;
	*inout_ms = MIN_OF(*inout_ms * 2, rabbitmq->options.reconnect_max_ms);
	AUTO_LOCK(&rabbitmq->lock);
	while (!rabbitmq->is_stopping &&
		condition_wait_until(&rabbitmq->changed, &rabbitmq->lock, until_ns))
		;
}

void *rabbitmq_run(void *argument)
{
	struct rabbitmq *rabbitmq = argument;
	uint64_t wait_ms = BACKOFF_FIRST_MS;
	/* Nodes that start together do not all go to the same broker. */
	rabbitmq->next_host = random_below(rabbitmq->options.host_count);
	while (!is_stopping(rabbitmq)) {
		if (live_once(rabbitmq))
			wait_ms = BACKOFF_FIRST_MS;
		back_off(rabbitmq, &wait_ms);
	}
	bus_count(BUS_DISCONNECTED, 1);
	AUTO_LOCK(&rabbitmq->lock);
	rabbitmq->has_ended = true;
	condition_broadcast(&rabbitmq->changed);
	return NULL;
}
