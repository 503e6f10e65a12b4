#include "bus/rabbitmq/rabbitmq_private.h"

#include "base/clock.h"

/* So that sending has its turn. */
#define FRAMES_AT_ONCE 3000
#define WATCH_ACKNOWLEDGE_EVERY 100

static void take_watched(struct rabbitmq *rabbitmq, struct slice bytes)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	const struct bus_watcher *watcher = &rabbitmq->bus.watcher;
	struct hint_message message;
	if (!hint_parse(bytes, &message)) {
		bus_count(BUS_MALFORMED, 1);
		return;
	}
	bool is_own = message.origin == rabbitmq->origin;
	if (message.kind == HINT_PING && is_own) {
		rabbitmq->pong_ns = clock_monotonic_ns();
		link->has_ponged = true;
	}
	if (message.kind == HINT_PING || is_own)
		return;
	bus_count(BUS_RECEIVED, 1);
	if (message.kind == HINT_CHANGED && watcher->changed)
		watcher->changed(watcher->context, &message.hint);
	else if (message.kind == HINT_GAP && watcher->missed)
		watcher->missed(watcher->context);
}

static void take_work(struct rabbitmq *rabbitmq, size_t group, uint64_t tag, struct slice bytes)
{
	const struct bus_worker *worker = &rabbitmq->bus.workers[group];
	const struct bus_work work = {
		.tag = tag, .generation = rabbitmq->generation, .group = (uint32_t)group};
	struct hint_message message;
	bus_count(BUS_RECEIVED, 1);
	if (hint_parse(bytes, &message) && message.kind == HINT_CHANGED) {
		worker->take(worker->context, &message.hint, work);
		return;
	}
	if (hint_parse(bytes, &message) && message.kind == HINT_GAP)
		worker->missed(worker->context);
	else
		bus_count(BUS_MALFORMED, 1);
	bus_done(&rabbitmq->bus, work);
}

static struct error *content_is_whole(
	struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	struct incoming *incoming = &link->incoming[channel];
	/* One that is too long is cut off, and so is none. */
	struct slice bytes = incoming->size > HINT_BYTES
				     ? SLICE_NONE
				     : slice_of(incoming->bytes, (size_t)incoming->size);
	bool is_delivery = incoming->kind == INCOMING_DELIVERY;
	incoming->kind = INCOMING_NONE;
	if (!is_delivery) {
		bus_count(BUS_RETURNED, 1);
		return NULL;
	}
	if (channel != CHANNEL_WATCH) {
		take_work(rabbitmq, channel - CHANNEL_WORK, incoming->tag, bytes);
		return NULL;
	}
	link->watch_tag = incoming->tag;
	take_watched(rabbitmq, bytes);
	return ++link->watch_unacknowledged < WATCH_ACKNOWLEDGE_EVERY
		       ? NULL
		       : rabbitmq_acknowledge(op, rabbitmq);
}

static struct error *take_method(struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel,
	const amqp_method_t *method)
{
	struct incoming *incoming = &rabbitmq->link.incoming[channel];
	switch (method->id) {
	case AMQP_BASIC_DELIVER_METHOD:
		if (channel < CHANNEL_WATCH || channel >= CHANNEL_WORK + rabbitmq->bus.worker_count)
			return op_fail(op, ERR_UNAVAILABLE, "a delivery that was not asked for");
		*incoming = (struct incoming){.kind = INCOMING_DELIVERY,
			.tag = ((amqp_basic_deliver_t *)method->decoded)->delivery_tag};
		return NULL;
	case AMQP_BASIC_RETURN_METHOD:
		*incoming = (struct incoming){.kind = INCOMING_RETURN};
		return NULL;
	case AMQP_BASIC_ACK_METHOD: {
		const amqp_basic_ack_t *ack = method->decoded;
		rabbitmq_confirm(rabbitmq, ack->delivery_tag, ack->multiple, true);
		return NULL;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *nack = method->decoded;
		rabbitmq_confirm(rabbitmq, nack->delivery_tag, nack->multiple, false);
		return NULL;
	}
	case AMQP_BASIC_CANCEL_METHOD:
		return op_fail(op, ERR_UNAVAILABLE, "a queue was taken away by the broker");
	case AMQP_CHANNEL_CLOSE_METHOD:
	case AMQP_CONNECTION_CLOSE_METHOD:
		return rabbitmq_closed(op, method);
	default:
		return NULL;
	}
}

static void take_body(struct incoming *incoming, amqp_bytes_t fragment)
{
	size_t room = incoming->received < HINT_BYTES ? HINT_BYTES - incoming->received : 0;
	memcpy(incoming->bytes + HINT_BYTES - room, fragment.bytes, MIN_OF(room, fragment.len));
	incoming->received += fragment.len;
}

static struct error *take_frame(struct op *op, struct rabbitmq *rabbitmq, const amqp_frame_t *frame)
{
	if (frame->channel >= CHANNELS)
		return op_fail(op, ERR_UNAVAILABLE, "a frame of no channel of this node");
	struct incoming *incoming = &rabbitmq->link.incoming[frame->channel];
	if (frame->frame_type == AMQP_FRAME_METHOD)
		return take_method(op, rabbitmq, frame->channel, &frame->payload.method);
	if (incoming->kind == INCOMING_NONE)
		return NULL;
	if (frame->frame_type == AMQP_FRAME_HEADER)
		incoming->size = frame->payload.properties.body_size;
	else if (frame->frame_type == AMQP_FRAME_BODY)
		take_body(incoming, frame->payload.body_fragment);
	return incoming->received < incoming->size ? NULL
						   : content_is_whole(op, rabbitmq, frame->channel);
}

struct error *rabbitmq_receive(struct op *op, struct rabbitmq *rabbitmq)
{
	amqp_connection_state_t connection = rabbitmq->link.connection;
	for (size_t i = 0; i < FRAMES_AT_ONCE; i++) {
		amqp_frame_t frame;
		struct timeval at_once = {0};
		int status = amqp_simple_wait_frame_noblock(connection, &frame, &at_once);
		if (status == AMQP_STATUS_TIMEOUT)
			break;
		TRY(rabbitmq_check_status(op, status, "receiving"));
		TRY(take_frame(op, rabbitmq, &frame));
		amqp_maybe_release_buffers(connection);
	}
	amqp_maybe_release_buffers(connection);
	return NULL;
}
