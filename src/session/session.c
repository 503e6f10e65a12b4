#include "session/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "session/session_private.h"

/* Of a name that is wrong; an address is shorter. */
#define LOGGED_NAME_MAX 320
/* Of one session, before others have their turn. */
#define TURN_COMMANDS_MOST 64
#define TURN_OUTPUT_MOST KIB(16)

METRIC_GAUGE(sessions_open, "sessions", "Sessions of all protocols");
METRIC_COUNTER(steps_run, "session_steps_total", "Steps run by workers");
METRIC_COUNTER(failed_logins, "auth_failures_total", "Wrong passwords");
METRIC_HISTOGRAM(step_time, "session_step_seconds", "How long steps ran");

enum work { WORK_NONE, WORK_CLOSED, WORK_MORE, WORK_GREET, WORK_WOKEN, WORK_COMMAND };

void queued_free(struct queued *queued)
{
	if (!queued)
		return;
	for (size_t i = 0; i < queued->command.body_count; i++)
		spool_free(queued->command.bodies[i].spool);
	free(queued->command.bodies);
	if (queued->begun)
		op_done(&queued->op);
	buf_done(&queued->line);
	free(queued);
}

void session_ref(struct session *session)
{
	__atomic_fetch_add(&session->references, 1, __ATOMIC_RELAXED);
}

static void free_chunks(struct session *session)
{
	while (session->chunks) {
		struct chunk *chunk = session->chunks;
		session->chunks = chunk->next;
		free(chunk->bytes);
		free(chunk);
	}
}

void session_unref(struct session *session)
{
	if (__atomic_fetch_sub(&session->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	registry_remove(session);
	metric_add(&sessions_open, -1);
	while (session->first) {
		struct queued *queued = session->first;
		session->first = queued->next;
		queued_free(queued);
	}
	queued_free(session->current);
	queued_free(session->framing);
	free_chunks(session);
	buf_done(&session->output);
	free(session->framer);
	free(session->state);
	mutex_done(&session->lock);
	free(session);
}

/* ---- What may run next; with the lock held ---- */

static enum work next_work(const struct session *session, enum lane *ret_lane)
{
	*ret_lane = LANE_QUICK;
	if (session->closed || session->busy)
		return WORK_NONE;
	if (session->closing)
		return WORK_CLOSED;
	if (session->held || session->securing || session->compressing)
		return WORK_NONE;
	if (session->current) {
		*ret_lane = session->current->command.lane;
		return session->unsent <= session_config.output_high_bytes / 2 ? WORK_MORE
									       : WORK_NONE;
	}
	if (!session->greeted) {
		*ret_lane = session->protocol->greet_lane;
		return WORK_GREET;
	}
	if (session->woken && session->protocol->woken) {
		*ret_lane = session->protocol->woken_lane;
		return WORK_WOKEN;
	}
	if (!session->first)
		return WORK_NONE;
	*ret_lane = session->expected ? session->expected_lane : session->first->command.lane;
	return WORK_COMMAND;
}

static void say_last_words(struct session *session, struct slice words)
{
	session->last_words = words;
	session->closing = true;
	session_attend(session);
}

static struct slice words_at_end(const struct session *session)
{
	const struct protocol *protocol = session->protocol;
	return session->disconnected && protocol->say_disconnected.len ? protocol->say_disconnected
								       : protocol->say_shutdown;
}

void session_schedule(struct session *session)
{
	if (session->draining && !session->busy && !session->current && !session->closing)
		say_last_words(session, words_at_end(session));
	enum lane lane;
	if (next_work(session, &lane) == WORK_NONE)
		return;
	session->busy = true;
	session_ref(session);
	lane_submit(lane, &session->step);
}

void session_attend(struct session *session)
{
	if (session->attention_posted || session->gone)
		return;
	session->attention_posted = true;
	session_ref(session);
	reactor_post(session->reactor, &session->attention);
}

void session_wake(struct session *session)
{
	AUTO_LOCK(&session->lock);
	if (session->closing || session->woken)
		return;
	session->woken = true;
	session_schedule(session);
}

void session_drain(struct session *session, bool by_administrator)
{
	AUTO_LOCK(&session->lock);
	session->draining = true;
	session->disconnected |= by_administrator;
	session_schedule(session);
}

/* ---- Steps; on a worker's thread ---- */

void session_flush(struct session *session)
{
	if (!session->output.len)
		return;
	struct chunk *chunk = HEAP_NEW(struct chunk);
	*chunk = (struct chunk){.bytes = session->output.ptr, .len = session->output.len};
	session->output = buf_heap();

	AUTO_LOCK(&session->lock);
	if (session->gone) {
		free(chunk->bytes);
		free(chunk);
		return;
	}
	*session->chunks_last = chunk;
	session->chunks_last = &chunk->next;
	session->unsent += chunk->len;
	session_attend(session);
}

static enum step run_command(struct session *session, struct queued *queued)
{
	struct op *op = &queued->op;
	if (!queued->begun) {
		op_init(op, session->protocol->name);
		queued->begun = true;
	}
	op->deadline_ns = clock_monotonic_ns() + session_config.command_deadline_ms * NS_PER_MS;
	return queued->handler(op, session, &queued->command);
}

static enum step run_plain(
	struct session *session, enum step (*handler)(struct op *, struct session *))
{
	AUTO_OP(op, session->protocol->name);
	op.deadline_ns = clock_monotonic_ns() + session_config.command_deadline_ms * NS_PER_MS;
	return handler(&op, session);
}

static void run_closed(struct session *session)
{
	session_unwatch_all(session);
	if (session->protocol->closed) {
		AUTO_OP(op, session->protocol->name);
		session->protocol->closed(&op, session);
	}
	if (session->signed_in)
		registry_sign_out(session->account);
}

/* With the lock held. */
static void take_command(struct session *session)
{
	struct queued *queued = session->first;
	session->first = queued->next;
	if (!session->first)
		session->last = &session->first;
	session->queued_count--;
	session->queued_bytes -= queued->bytes;
	queued->next = NULL;
	session->current = queued;
	queued->handler = session->protocol->execute;
	if (session->expected) {
		queued->handler = session->expected;
		queued->command.lane = session->expected_lane;
		session->expected = NULL;
		session->mode = 0;
	}
}

/* Takes what is next off the queue; the session is ours from here to finish_step. */
static enum work begin_step(struct session *session)
{
	AUTO_LOCK(&session->lock);
	enum lane lane;
	session->busy = false;
	enum work work = next_work(session, &lane);
	session->busy = true;
	if (work == WORK_WOKEN)
		session->woken = false;
	if (work == WORK_COMMAND)
		take_command(session);
	return work;
}

static enum step run_work(struct session *session, enum work work)
{
	metric_add(&steps_run, 1);
	uint64_t began_ns = clock_monotonic_ns();
	enum step step = STEP_DONE;
	switch (work) {
	case WORK_CLOSED:
		run_closed(session);
		break;
	case WORK_GREET:
		step = run_plain(session, session->protocol->greet);
		break;
	case WORK_WOKEN:
		step = run_plain(session, session->protocol->woken);
		break;
	case WORK_MORE:
	case WORK_COMMAND:
		step = run_command(session, session->current);
		break;
	case WORK_NONE:
		break;
	}
	metric_observe_ns(&step_time, clock_monotonic_ns() - began_ns);
	return step;
}

/* With the lock held. Returns the command that has ended, or NULL. */
static struct queued *settle(struct session *session, enum work work, enum step step)
{
	session->busy = false;
	session->closed |= work == WORK_CLOSED;
	session->greeted |= work == WORK_GREET;
	session->closing |= step == STEP_CLOSE;
	session->securing |= step == STEP_START_TLS;
	session->compressing |= step == STEP_COMPRESS;
	session->is_compressed |= step == STEP_COMPRESS;
	session->idle_is_known = session->signed_in;
	if ((work != WORK_COMMAND && work != WORK_MORE) || step == STEP_MORE)
		return NULL;
	struct queued *ended = session->current;
	session->current = NULL;
	if (ended->command.flags & COMMAND_ENDS_PIPELINE || ended->command.mode)
		session->pipeline_ended = false;
	return ended;
}

static void hold_answer(struct session *session)
{
	if (!session->hold_ms)
		return;
	AUTO_LOCK(&session->lock);
	session->held = !session->gone;
	session->held_ms = session->hold_ms;
	session->hold_ms = 0;
}

static void finish_step(struct session *session, enum work work, enum step step)
{
	hold_answer(session);
	session_flush(session);
	struct queued *ended;
	{
		AUTO_LOCK(&session->lock);
		ended = settle(session, work, step);
		session_schedule(session);
		session_attend(session);
	}
	queued_free(ended);
}

/* With the lock held: after a quick command comes another that is here already. */
static bool goes_on(const struct session *session, enum work work, enum step step)
{
	return work == WORK_COMMAND && step == STEP_DONE && !session->hold_ms &&
	       session->output.len < TURN_OUTPUT_MOST && !session->closing && !session->draining &&
	       !session->woken && !session->expected && session->first &&
	       session->first->command.lane == LANE_QUICK &&
	       session->current->command.lane == LANE_QUICK;
}

/* Without a turn of its own for each pipelined NOOP: their answers go out together. False: the step
 * is to be finished. */
static bool take_next(struct session *session, enum work work, enum step step)
{
	struct queued *ended;
	{
		AUTO_LOCK(&session->lock);
		if (!goes_on(session, work, step))
			return false;
		ended = settle(session, work, step);
		session->busy = true;
		take_command(session);
	}
	queued_free(ended);
	return true;
}

static void session_run(struct lane_task *task)
{
	struct session *session = (struct session *)((char *)task - offsetof(struct session, step));
	enum work work = begin_step(session);
	enum step step = run_work(session, work);
	for (unsigned i = 1; i < TURN_COMMANDS_MOST && take_next(session, work, step); i++)
		step = run_work(session, work);
	finish_step(session, work, step);
	session_unref(session);
}

struct session *session_new(
	struct connection *connection, const struct protocol *protocol, void *context)
{
	struct session *session = HEAP_NEW(struct session);
	*session = (struct session){.protocol = protocol,
		.context = context,
		.connection = connection,
		.reactor = connection_reactor(connection),
		.net = connection_net(connection),
		.peer = *connection_peer(connection),
		.local = *connection_local(connection),
		.references = 1,
		.begun_us = clock_realtime_us(),
		.step.run = session_run,
		.attention.run = session_attended};
	mutex_init(&session->lock);
	session->last = &session->first;
	session->chunks_last = &session->chunks;
	session->framer = calloc(1, protocol->framer_size + 1);
	session->state = calloc(1, protocol->state_size + 1);
	assert(session->framer && session->state);
	metric_add(&sessions_open, 1);
	registry_add(session);
	return session;
}

/* ---- For handlers ---- */

void *session_state(struct session *session)
{
	return session->state;
}

void *session_context(const struct session *session)
{
	return session->context;
}

const struct protocol *session_protocol(const struct session *session)
{
	return session->protocol;
}

struct buf *session_output(struct session *session)
{
	return &session->output;
}

bool session_output_is_full(struct session *session)
{
	AUTO_LOCK(&session->lock);
	return session->unsent + session->output.len > session_config.output_high_bytes;
}

void session_expect(struct session *session, unsigned mode, enum lane lane, step_handler handler)
{
	AUTO_LOCK(&session->lock);
	assert(mode > 0 && session->pipeline_ended);
	session->mode = mode;
	session->expected = handler;
	session->expected_lane = lane;
}

bool session_is_gone(struct session *session)
{
	AUTO_LOCK(&session->lock);
	return session->closing || session->draining;
}

const char *session_server_name(void)
{
	return net_server_name();
}

const char *session_peer(const struct session *session)
{
	return session->peer.text;
}

const char *session_local_address(const struct session *session)
{
	return session->local.text;
}

bool session_is_loopback(const struct session *session)
{
	return session->peer.is_loopback;
}

bool session_is_tls(const struct session *session)
{
	return session->tls_version != NULL;
}

bool session_is_compressed(const struct session *session)
{
	return session->is_compressed;
}

bool session_can_start_tls(const struct session *session)
{
	return !session->tls_version && !session->is_compressed &&
	       net_has_certificate(session->net);
}

const char *session_tls_version(const struct session *session)
{
	return session->tls_version;
}

const char *session_tls_cipher(const struct session *session)
{
	return session->tls_cipher;
}

struct slice session_channel_binding(const struct session *session)
{
	return slice_of(session->binding, session->binding_size);
}

static void log_sign_in(const struct session *session, struct slice mechanism)
{
	if (!log_is_on(LOG_LEVEL_INFO))
		return;
	char account[UUID_TEXT_LENGTH + 1];
	uuid_format(&session->account, account);
	log_info(NULL, "signed-in", FIELD_TEXT("protocol", session->protocol->name),
		FIELD_TEXT("peer", session->peer.text), FIELD_TEXT("account", account),
		FIELD_SLICE("mechanism", mechanism));
}

bool session_sign_in(struct session *session, struct uuid account, struct slice mechanism)
{
	assert(!session->signed_in);
	if (!registry_sign_in(account))
		return false;
	session->signed_in = true;
	session->account = account;
	log_sign_in(session, mechanism);
	return true;
}

void session_sign_out(struct session *session)
{
	assert(session->signed_in);
	registry_sign_out(session->account);
	session->signed_in = false;
}

bool session_is_signed_in(const struct session *session)
{
	return session->signed_in;
}

struct uuid session_account(const struct session *session)
{
	return session->account;
}

bool session_auth_failed(struct session *session, struct slice user_name)
{
	metric_add(&failed_logins, 1);
	log_info(NULL, "login-failed", FIELD_TEXT("protocol", session->protocol->name),
		FIELD_TEXT("peer", session->peer.text),
		FIELD_SLICE("user", slice_range(user_name, 0, LOGGED_NAME_MAX)));
	uint64_t of_peer = peer_failed(&session->peer);
	session->auth_failures++;
	uint64_t failures = MAX_OF(session->auth_failures, of_peer);
	uint64_t delay_ms = session_config.auth_delay_ms << MIN_OF(failures - 1, 16);
	session->hold_ms = MIN_OF(delay_ms, session_config.auth_delay_max_ms);
	return session->auth_failures < session_config.auth_failures;
}

void session_auth_succeeded(struct session *session)
{
	session->auth_failures = 0;
}
