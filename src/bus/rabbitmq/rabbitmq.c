#include "bus/rabbitmq/rabbitmq_private.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"

/* The thread pings itself every second. */
#define LIVE_NS (3 * NS_PER_S)
/* How long the thread may take to end before its connection is cut. */
#define END_NS (2 * NS_PER_S)

static struct rabbitmq *rabbitmq_of(struct bus *bus)
{
	return (struct rabbitmq *)bus;
}

static void rabbitmq_start(struct bus *bus)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	rabbitmq->is_started = true;
	thread_start(&rabbitmq->thread, "bus", rabbitmq_run, rabbitmq);
}

static void rabbitmq_publish(struct bus *bus, const struct bus_hint *hint)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	const struct outbox_entry entry = {.hint = *hint};
	if (outbox_put(&rabbitmq->outbox, &entry))
		rabbitmq_wake(rabbitmq);
}

static void remember_fresh(struct rabbitmq *rabbitmq, struct account_id account)
{
	if (rabbitmq->fresh_count == rabbitmq->fresh_capacity) {
		rabbitmq->fresh_capacity = rabbitmq->fresh_capacity * 2 + 16;
		rabbitmq->fresh = heap_realloc(
			rabbitmq->fresh, rabbitmq->fresh_capacity * sizeof(*rabbitmq->fresh));
	}
	rabbitmq->fresh[rabbitmq->fresh_count++] = account;
}

/* Without a connection nothing is remembered: with the next one comes `missed`. */
static void rabbitmq_watch(struct bus *bus, struct account_id account, bool is_watched)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	mutex_lock(&rabbitmq->lock);
	slots_watch(&rabbitmq->slots, account, is_watched);
	if (!slots_is_watched(&rabbitmq->slots, account))
		rabbitmq->slot_empty_ns[slot_of(account)] = clock_monotonic_ns();
	bool is_fresh =
		is_watched && rabbitmq->is_connected && !rabbitmq->is_bound[slot_of(account)];
	if (is_fresh)
		remember_fresh(rabbitmq, account);
	mutex_unlock(&rabbitmq->lock);
	if (is_fresh)
		rabbitmq_wake(rabbitmq);
}

static void rabbitmq_done(struct bus *bus, struct bus_work work)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	mutex_lock(&rabbitmq->lock);
	if (rabbitmq->done_count == rabbitmq->done_capacity) {
		rabbitmq->done_capacity = rabbitmq->done_capacity * 2 + 16;
		rabbitmq->done = heap_realloc(
			rabbitmq->done, rabbitmq->done_capacity * sizeof(*rabbitmq->done));
	}
	rabbitmq->done[rabbitmq->done_count++] = work;
	mutex_unlock(&rabbitmq->lock);
	rabbitmq_wake(rabbitmq);
}

static bool rabbitmq_is_live(struct bus *bus)
{
	uint64_t pong_ns = rabbitmq_of(bus)->pong_ns;
	uint64_t waiting_ns = rabbitmq_of(bus)->waiting_ns;
	uint64_t now_ns = clock_monotonic_ns();
	/* Either may be from after `now`. */
	bool answers = pong_ns && now_ns < pong_ns + LIVE_NS;
	bool confirms = !waiting_ns || now_ns < waiting_ns + LIVE_NS;
	return answers && confirms;
}

static void rabbitmq_status(struct bus *bus, struct arena *arena, struct bus_status *ret_status)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	ret_status->is_live = rabbitmq_is_live(bus);
	ret_status->waiting = outbox_count(&rabbitmq->outbox);
	AUTO_LOCK(&rabbitmq->lock);
	ret_status->is_connected = rabbitmq->is_connected;
	ret_status->for_ms = (clock_monotonic_ns() - rabbitmq->since_ns) / NS_PER_MS;
	ret_status->unconfirmed = rabbitmq->unconfirmed;
	if (rabbitmq->host)
		ret_status->where = arena_printf(
			arena, "%s:%u", rabbitmq->host->name, (unsigned)rabbitmq->host->port);
	if (rabbitmq->trouble[0])
		ret_status->trouble = arena_cstr(arena, slice_from_cstr(rabbitmq->trouble));
}

/* A broker that hangs must not hold up the end of the server: its socket is cut. */
static void end_thread(struct rabbitmq *rabbitmq)
{
	uint64_t until_ns = clock_monotonic_ns() + END_NS;
	mutex_lock(&rabbitmq->lock);
	rabbitmq->is_stopping = true;
	condition_broadcast(&rabbitmq->changed);
	mutex_unlock(&rabbitmq->lock);
	rabbitmq_wake(rabbitmq);
	mutex_lock(&rabbitmq->lock);
	while (!rabbitmq->has_ended &&
		condition_wait_until(&rabbitmq->changed, &rabbitmq->lock, until_ns))
		;
	if (!rabbitmq->has_ended && rabbitmq->socket >= 0)
		shutdown(rabbitmq->socket, SHUT_RDWR);
	mutex_unlock(&rabbitmq->lock);
	thread_join(rabbitmq->thread);
}

static void rabbitmq_stop(struct bus *bus)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	if (rabbitmq->is_started)
		end_thread(rabbitmq);
}

static void rabbitmq_free(struct bus *bus)
{
	struct rabbitmq *rabbitmq = rabbitmq_of(bus);
	outbox_done(&rabbitmq->outbox);
	close(rabbitmq->event_fd);
	free(rabbitmq->fresh);
	free(rabbitmq->done);
	mutex_done(&rabbitmq->lock);
	condition_done(&rabbitmq->changed);
	op_done(&rabbitmq->op);
	free(rabbitmq);
}

static const struct bus_ops ops = {
	.name = "rabbitmq",
	.start = rabbitmq_start,
	.publish = rabbitmq_publish,
	.watch = rabbitmq_watch,
	.done = rabbitmq_done,
	.is_live = rabbitmq_is_live,
	.status = rabbitmq_status,
	.stop = rabbitmq_stop,
	.free = rabbitmq_free,
};

static const char *copy(struct arena *arena, const char *text)
{
	return text ? arena_cstr(arena, slice_from_cstr(text)) : NULL;
}

static void copy_options(struct rabbitmq *rabbitmq, const struct rabbitmq_options *options)
{
	struct arena *arena = &rabbitmq->op.arena;
	struct rabbitmq_options *own = &rabbitmq->options;
	struct rabbitmq_host *hosts = ARENA_ARRAY(arena, struct rabbitmq_host, options->host_count);
	for (size_t i = 0; i < options->host_count; i++)
		hosts[i] = (struct rabbitmq_host){
			copy(arena, options->hosts[i].name), options->hosts[i].port};
	*own = *options;
	own->hosts = hosts;
	own->user = copy(arena, options->user);
	own->password = copy(arena, options->password);
	own->vhost = copy(arena, options->vhost);
	own->prefix = copy(arena, options->prefix);
	own->tls_ca = copy(arena, options->tls_ca);
	own->tls_certificate = copy(arena, options->tls_certificate);
	own->tls_key = copy(arena, options->tls_key);
}

struct bus *bus_rabbitmq_new(const struct rabbitmq_options *options)
{
	struct rabbitmq *rabbitmq = HEAP_NEW(struct rabbitmq);
	rabbitmq->bus.ops = &ops;
	rabbitmq->bus.reaches_others = true;
	op_init(&rabbitmq->op, "bus");
	copy_options(rabbitmq, options);
	rabbitmq->origin = random_u64();
	rabbitmq->since_ns = clock_monotonic_ns();
	rabbitmq->socket = -1;
	outbox_init(&rabbitmq->outbox, options->waiting);
	mutex_init(&rabbitmq->lock);
	condition_init(&rabbitmq->changed);
	rabbitmq->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rabbitmq->event_fd < 0)
		abort();
	return &rabbitmq->bus;
}
