#include "bus/rabbitmq/rabbitmq_private.h"

#include "base/clock.h"

#define PING_INTERVAL_NS NS_PER_S
#define GAP_INTERVAL_NS (5 * NS_PER_S)
#define BATCH 64

static struct error *send_message(struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel,
	const char *exchange, const char *key, const struct hint_message *message)
{
	char bytes[HINT_BYTES];
	hint_format(message, bytes);
	bool is_mandatory = channel == CHANNEL_PUBLISH;
	return rabbitmq_check_status(op,
		amqp_basic_publish(rabbitmq->link.connection, channel, amqp_cstring_bytes(exchange),
			amqp_cstring_bytes(key), is_mandatory, 0, NULL,
			(amqp_bytes_t){.len = sizeof(bytes), .bytes = bytes}),
		"publishing");
}

static size_t unconfirmed(const struct rabbitmq_link *link)
{
	return (size_t)(link->next_tag - link->first_tag);
}

static void show_unconfirmed(struct rabbitmq *rabbitmq)
{
	AUTO_LOCK(&rabbitmq->lock);
	rabbitmq->unconfirmed = unconfirmed(&rabbitmq->link);
}

static struct error *publish(
	struct op *op, struct rabbitmq *rabbitmq, const struct published *published)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	const struct hint_message message = {
		.kind = published->kind, .origin = rabbitmq->origin, .hint = published->entry.hint};
	struct arena_mark mark = arena_mark(&op->arena);
	const char *exchange = rabbitmq_exchange(op, rabbitmq);
	const char *key = published->kind == HINT_GAP
				  ? "gap"
				  : rabbitmq_slot_key(op, slot_of(published->entry.hint.account));
	/* Noted first: a send that fails half-way may have arrived, or be repeated. */
	if (!unconfirmed(link))
		rabbitmq->waiting_ns = clock_monotonic_ns();
	link->window[link->next_tag++ % WINDOW] = *published;
	TRY(send_message(op, rabbitmq, CHANNEL_PUBLISH, exchange, key, &message));
	arena_release(&op->arena, mark);
	bus_count(BUS_PUBLISHED, 1);
	return NULL;
}

static struct error *publish_unsent(struct op *op, struct rabbitmq *rabbitmq)
{
	while (rabbitmq->unsent_count && unconfirmed(&rabbitmq->link) < WINDOW)
		TRY(publish(op, rabbitmq, &rabbitmq->unsent[--rabbitmq->unsent_count]));
	return NULL;
}

struct error *rabbitmq_publish_waiting(struct op *op, struct rabbitmq *rabbitmq)
{
	struct outbox_entry entries[BATCH];
	size_t count;
	TRY(publish_unsent(op, rabbitmq));
	do {
		size_t room = WINDOW - unconfirmed(&rabbitmq->link);
		count = outbox_take(&rabbitmq->outbox, entries, MIN_OF(room, (size_t)BATCH));
		for (size_t i = 0; i < count; i++) {
			const struct published published = {
				.entry = entries[i], .kind = HINT_CHANGED};
			struct error *err = publish(op, rabbitmq, &published);
			if (!err)
				continue;
			/* That one is noted; those behind it wait again. */
			while (++i < count)
				outbox_put(&rabbitmq->outbox, &entries[i]);
			return err;
		}
	} while (count == BATCH);
	/* Each has every node look at all that it watches. */
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns >= rabbitmq->gap_ns && unconfirmed(&rabbitmq->link) < WINDOW &&
		outbox_take_gap(&rabbitmq->outbox)) {
		rabbitmq->gap_ns = now_ns + GAP_INTERVAL_NS;
		const struct published gap = {.kind = HINT_GAP};
		TRY(publish(op, rabbitmq, &gap));
	}
	show_unconfirmed(rabbitmq);
	return NULL;
}

/* On a channel without confirmations, to this node's own queue by its name. */
struct error *rabbitmq_ping(struct op *op, struct rabbitmq *rabbitmq)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns < link->ping_ns)
		return NULL;
	const struct hint_message message = {.kind = HINT_PING, .origin = rabbitmq->origin};
	link->ping_ns = now_ns + PING_INTERVAL_NS;
	return send_message(op, rabbitmq, CHANNEL_WATCH, "", link->queue, &message);
}

static size_t take_done(struct rabbitmq *rabbitmq, struct bus_work *ret_work, size_t most)
{
	AUTO_LOCK(&rabbitmq->lock);
	size_t count = 0;
	while (count < most && rabbitmq->done_count)
		ret_work[count++] = rabbitmq->done[--rabbitmq->done_count];
	return count;
}

struct error *rabbitmq_acknowledge(struct op *op, struct rabbitmq *rabbitmq)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	struct bus_work work[BATCH];
	size_t count;
	if (link->watch_tag)
		TRY(rabbitmq_check_status(op,
			amqp_basic_ack(link->connection, CHANNEL_WATCH, link->watch_tag, 1),
			"acknowledging"));
	link->watch_tag = 0;
	link->watch_unacknowledged = 0;
	while ((count = take_done(rabbitmq, work, BATCH)) > 0)
		for (size_t i = 0; i < count; i++) {
			/* A tag of an earlier connection means nothing: the hint comes again. */
			if (work[i].generation != rabbitmq->generation)
				continue;
			TRY(rabbitmq_check_status(op,
				amqp_basic_ack(link->connection,
					(amqp_channel_t)(CHANNEL_WORK + work[i].group), work[i].tag,
					0),
				"acknowledging"));
		}
	return NULL;
}

void rabbitmq_confirm(struct rabbitmq *rabbitmq, uint64_t tag, bool is_multiple, bool is_taken)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	size_t count = 0;
	if (tag >= link->next_tag)
		return;
	for (uint64_t at = is_multiple ? link->first_tag : tag; at <= tag; at++) {
		struct published *published = &link->window[at % WINDOW];
		if (at < link->first_tag || published->is_confirmed)
			continue;
		published->is_confirmed = true;
		count++;
	}
	while (link->first_tag < link->next_tag &&
		link->window[link->first_tag % WINDOW].is_confirmed)
		link->first_tag++;
	if (count)
		rabbitmq->waiting_ns = unconfirmed(link) ? clock_monotonic_ns() : 0;
	bus_count(is_taken ? BUS_CONFIRMED : BUS_REFUSED, count);
	if (!is_taken && count)
		outbox_note_gap(&rabbitmq->outbox);
}

void rabbitmq_keep_unconfirmed(struct rabbitmq *rabbitmq)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	/* The oldest last, since they are taken from the end. */
	for (uint64_t tag = link->next_tag; tag > link->first_tag; tag--) {
		const struct published *published = &link->window[(tag - 1) % WINDOW];
		if (published->is_confirmed)
			continue;
		if (rabbitmq->unsent_count < WINDOW)
			rabbitmq->unsent[rabbitmq->unsent_count++] = *published;
		else
			bus_count(BUS_DROPPED, 1);
	}
	link->first_tag = link->next_tag = 1;
	rabbitmq->waiting_ns = 0;
}
