/* The reactor's half of a session: cuts input into commands, writes output, keeps time. */

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "session/session_private.h"

METRIC_COUNTER(commands_framed, "commands_total", "Commands received");
METRIC_COUNTER(throttled, "commands_throttled_total",
	"Times a session waited since it sent too many commands in a second");
METRIC_COUNTER(idle_closed, "sessions_idle_closed_total", "Sessions closed for silence");

/* ---- From input to commands ---- */

struct framing {
	bool may_frame;
	bool all_answered;
	unsigned mode;
};

static struct framing framing_now(struct session *session)
{
	AUTO_LOCK(&session->lock);
	return (struct framing){
		.may_frame = session->greeted && !session->closing && !session->pipeline_ended &&
			     !session->held && !session->securing && !session->compressing &&
			     !session->draining &&
			     session->queued_count < session_config.pipeline_commands &&
			     session->queued_bytes < session_config.pipeline_bytes &&
			     session->commands_this_second < session_config.commands_per_second,
		.all_answered =
			!session->busy && !session->current && !session->first && !session->chunks,
		.mode = session->mode,
	};
}

static struct queued *framing_get(struct session *session)
{
	if (!session->framing) {
		session->framing = HEAP_NEW(struct queued);
		*session->framing = (struct queued){.line = buf_heap()};
	}
	return session->framing;
}

static struct spool *body_get(struct session *session)
{
	struct queued *queued = framing_get(session);
	if (queued->open_body)
		return queued->open_body;
	struct command *command = &queued->command;
	if (command->body_count == queued->body_capacity) {
		queued->body_capacity = queued->body_capacity ? queued->body_capacity * 2 : 2;
		command->bodies = heap_realloc(
			command->bodies, queued->body_capacity * sizeof(*command->bodies));
	}
	queued->open_body = spool_new();
	command->bodies[command->body_count++] =
		(struct command_body){.line_offset = queued->line.len, .spool = queued->open_body};
	return queued->open_body;
}

static size_t weight(const struct queued *queued)
{
	size_t bytes = sizeof(*queued) + queued->line.capacity;
	for (size_t i = 0; i < queued->command.body_count; i++)
		bytes += (size_t)MIN_OF(spool_size(queued->command.bodies[i].spool), KIB(64));
	return bytes;
}

static void queue_command(
	struct session *session, const struct frame *frame, const struct framing *now)
{
	struct queued *queued = framing_get(session);
	session->framing = NULL;
	buf_append(&queued->line, frame->bytes);
	queued->open_body = NULL;
	queued->command.line = buf_as_slice(&queued->line);
	queued->command.lane = frame->lane;
	queued->command.flags = frame->flags;
	queued->command.row = frame->row;
	queued->command.mode = now->mode;
	queued->command.follows_answers = now->all_answered && !session->early;
	queued->bytes = weight(queued);
	session->commands_this_second++;
	metric_add(&commands_framed, 1);
	if (session->commands_this_second == session_config.commands_per_second)
		metric_add(&throttled, 1);

	AUTO_LOCK(&session->lock);
	*session->last = queued;
	session->last = &queued->next;
	session->queued_count++;
	session->queued_bytes += queued->bytes;
	/* What comes behind a dialog's line is cut in a mode that its handler chooses. */
	if (frame->flags & COMMAND_ENDS_PIPELINE || now->mode)
		session->pipeline_ended = true;
	session_schedule(session);
}

static void end_with(struct session *session, struct slice words)
{
	AUTO_LOCK(&session->lock);
	if (session->closing)
		return;
	session->last_words = words;
	session->closing = true;
	session_schedule(session);
	session_attend(session);
}

/* False: nothing more can be done with the input now. */
static bool frame_once(struct session *session)
{
	struct framing now = framing_now(session);
	if (!session->connection || !now.may_frame)
		return false;
	if (session->say.len) {
		if (!now.all_answered)
			return false;
		connection_write_static(session->connection, session->say);
		session->say = SLICE_NONE;
	}
	struct slice input = connection_input(session->connection);
	struct frame frame = session->protocol->feed(session->framer, now.mode, input);
	switch (frame.kind) {
	case FRAME_MORE:
		if (input.len >= session->protocol->max_input)
			end_with(session, session->protocol->say_too_big);
		return connection_unpack(session->connection);
	case FRAME_SAY:
		session->say = frame.say;
		break;
	case FRAME_TEXT:
		buf_append(&framing_get(session)->line, frame.bytes);
		break;
	case FRAME_BODY:
		spool_append(body_get(session), frame.bytes);
		break;
	case FRAME_END_BODY:
		body_get(session);
		session->framing->open_body = NULL;
		break;
	case FRAME_COMMAND:
		queue_command(session, &frame, &now);
		break;
	}
	connection_take(session->connection, frame.taken);
	return true;
}

/* A compressed connection may hold a thousand times what arrived: after so many frames others have
 * their turn. */
#define COMPRESSED_FRAMES_MOST 64

static void frame_all(struct session *session)
{
	unsigned count = 0;
	while (frame_once(session)) {
		if (!connection_is_compressed(session->connection) ||
			++count < COMPRESSED_FRAMES_MOST)
			continue;
		connection_read(session->connection, false);
		AUTO_LOCK(&session->lock);
		session_attend(session);
		return;
	}
	if (!session->connection)
		return;
	session->input_ended |= connection_is_broken(session->connection);
	struct framing now = framing_now(session);
	bool is_reading = now.may_frame && !session->input_ended;
	/* A literal's text is in `framing`, half a line still in the input. */
	if (is_reading && (session->framing || connection_input(session->connection).len))
		connection_acknowledge(session->connection);
	connection_read(session->connection, is_reading);
	if (session->input_ended && now.all_answered && now.may_frame)
		connection_finish(session->connection);
}

/* ---- From answers to output ---- */

struct orders {
	struct chunk *chunks;
	struct slice last_words;
	bool finish, secure, compress;
};

static struct orders take_orders(struct session *session)
{
	AUTO_LOCK(&session->lock);
	session->attention_posted = false;
	struct orders orders = {0};
	if (session->held)
		return orders;
	orders.chunks = session->chunks;
	session->chunks = NULL;
	session->chunks_last = &session->chunks;
	orders.finish = session->closed;
	orders.secure = session->securing;
	orders.compress = session->compressing;
	session->compressing = false;
	orders.last_words = session->last_words;
	session->last_words = SLICE_NONE;
	return orders;
}

static void recount_unsent(struct session *session)
{
	size_t unsent = session->connection ? connection_unsent(session->connection) : 0;
	AUTO_LOCK(&session->lock);
	for (const struct chunk *chunk = session->chunks; chunk; chunk = chunk->next)
		unsent += chunk->len;
	session->unsent = unsent;
	session_schedule(session);
}

static void write_chunks(struct session *session, struct chunk *chunks)
{
	while (chunks) {
		struct chunk *next = chunks->next;
		if (session->connection)
			connection_write(session->connection, chunks->bytes, chunks->len);
		else
			free(chunks->bytes);
		free(chunks);
		chunks = next;
	}
}

static void hold_is_over(struct reactor_task *task)
{
	struct session *session =
		(struct session *)((char *)task - offsetof(struct session, hold_over));
	{
		AUTO_LOCK(&session->lock);
		session->held = false;
		session_schedule(session);
		session_attend(session);
	}
	session_unref(session);
}

static void begin_hold(struct session *session)
{
	uint64_t hold_ms;
	{
		AUTO_LOCK(&session->lock);
		hold_ms = session->held ? session->held_ms : 0;
		session->held_ms = 0;
	}
	if (!hold_ms)
		return;
	session_ref(session);
	session->hold_over.run = hold_is_over;
	reactor_post_later(session->reactor, &session->hold_over, hold_ms * NS_PER_MS);
}

static void follow_orders(struct session *session)
{
	begin_hold(session);
	struct orders orders = take_orders(session);
	if (session->connection && orders.chunks)
		session->early = connection_has_input(session->connection);
	write_chunks(session, orders.chunks);
	if (!session->connection)
		return;
	if (orders.compress)
		connection_compress(session->connection);
	if (orders.last_words.len)
		connection_write_static(session->connection, orders.last_words);
	recount_unsent(session);
	session->last_active_ns = clock_monotonic_ns();
	if (orders.finish)
		connection_finish(session->connection);
	else if (!orders.secure)
		frame_all(session);
	else if (!connection_start_tls(session->connection))
		connection_close(session->connection);
}

void session_attended(struct reactor_task *task)
{
	struct session *session =
		(struct session *)((char *)task - offsetof(struct session, attention));
	follow_orders(session);
	session_unref(session);
}

/* ---- What happens to the connection ---- */

struct session_listener {
	struct net_events events; /* first: found again by its address */
	const struct protocol *protocol;
	void *context;
	struct session_listener *next;
};

static void note_tls(struct session *session)
{
	const struct connection *connection = session->connection;
	session->tls_version = connection_tls_version(connection);
	session->tls_cipher = connection_tls_cipher(connection);
	struct slice binding = connection_channel_binding(connection);
	session->binding_size = binding.len;
	if (binding.len)
		memcpy(session->binding, binding.ptr, binding.len);
}

static void on_opened(struct connection *connection, void *argument)
{
	const struct session_listener *listener = argument;
	struct session *session = session_new(connection, listener->protocol, listener->context);
	connection_set_user(connection, session);
	session->last_active_ns = session->second_began_ns = clock_monotonic_ns();
	AUTO_LOCK(&session->lock);
	note_tls(session);
	session_schedule(session);
}

static void on_secured(struct connection *connection)
{
	struct session *session = connection_user(connection);
	if (session->tls_version)
		return; /* from the first byte */
	/* Nothing that was said before counts. */
	memset(session->framer, 0, session->protocol->framer_size);
	queued_free(session->framing);
	session->framing = NULL;
	session->say = SLICE_NONE;
	{
		AUTO_LOCK(&session->lock);
		note_tls(session);
		session->securing = false;
		session_schedule(session);
	}
	frame_all(session);
}

static void on_readable(struct connection *connection)
{
	struct session *session = connection_user(connection);
	session->last_active_ns = clock_monotonic_ns();
	frame_all(session);
}

static void on_written(struct connection *connection)
{
	recount_unsent(connection_user(connection));
}

static void on_ended(struct connection *connection)
{
	struct session *session = connection_user(connection);
	session->input_ended = true;
	frame_all(session);
}

static bool is_silent(struct session *session, uint64_t now_ns)
{
	AUTO_LOCK(&session->lock);
	if (session->busy || session->current || session->first || session->held ||
		session->closing)
		return false;
	const uint64_t *timeout_ms = session->protocol->idle_timeout_ms;
	if (!session->idle_is_known && session->protocol->unknown_idle_timeout_ms)
		timeout_ms = session->protocol->unknown_idle_timeout_ms;
	return now_ns - session->last_active_ns > *timeout_ms * NS_PER_MS;
}

static void on_tick(struct connection *connection, uint64_t now_ns)
{
	struct session *session = connection_user(connection);
	if (is_silent(session, now_ns)) {
		metric_add(&idle_closed, 1);
		end_with(session, session->protocol->say_idle);
		return;
	}
	if (now_ns - session->second_began_ns < NS_PER_S)
		return;
	bool was_throttled = session->commands_this_second >= session_config.commands_per_second;
	session->second_began_ns = now_ns;
	session->commands_this_second = 0;
	if (was_throttled)
		frame_all(session);
}

static void on_closed(struct connection *connection)
{
	struct session *session = connection_user(connection);
	session->connection = NULL;
	{
		AUTO_LOCK(&session->lock);
		session->gone = session->closing = true;
		session->held = session->securing = false;
		session_schedule(session);
	}
	session_unref(session);
}

static struct session_listener *listeners;

struct error *session_listen(struct op *op, struct net *net, const struct protocol *protocol,
	const char *addresses, bool implicit_tls, void *context)
{
	struct session_listener *listener = HEAP_NEW(struct session_listener);
	*listener = (struct session_listener){.events = {.opened = on_opened,
						      .secured = on_secured,
						      .readable = on_readable,
						      .written = on_written,
						      .ended = on_ended,
						      .tick = on_tick,
						      .closed = on_closed,
						      .say_busy = protocol->say_busy},
		.protocol = protocol,
		.context = context,
		.next = listeners};
	listeners = listener; /* kept: connections point at it to the end of the process */
	return net_listen(op, net, addresses, implicit_tls, &listener->events, listener);
}
