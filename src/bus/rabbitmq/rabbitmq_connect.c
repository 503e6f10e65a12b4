#include "bus/rabbitmq/rabbitmq_private.h"

#include <stdlib.h>

#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/ssl.h>

#include "base/clock.h"

/* What a node that does not take its hints any more leaves on the broker, at the most. */
#define WATCH_LENGTH_MOST 10000
#define WORK_LENGTH_MOST 100000
/* A work group that no node is in any more is forgotten by then. */
#define WORK_EXPIRES_MS (7 * 24 * 3600 * 1000)
#define WATCH_PREFETCH 500
/* Sessions come and go: a slot stays bound so long without any. */
#define UNBIND_AFTER_NS (60 * NS_PER_S)
#define UNBIND_AT_ONCE 16
#define GOODBYE_MS 500

static struct timeval timeval_of(uint64_t ms)
{
	return (struct timeval){
		.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

struct error *rabbitmq_check_status(struct op *op, int status, const char *what)
{
	if (status >= 0)
		return NULL;
	return op_fail(op, ERR_UNAVAILABLE, "%s: %s", what, amqp_error_string2(status));
}

struct error *rabbitmq_closed(struct op *op, const amqp_method_t *method)
{
	amqp_bytes_t text = amqp_cstring_bytes("for no reason");
	if (method->id == AMQP_CHANNEL_CLOSE_METHOD)
		text = ((amqp_channel_close_t *)method->decoded)->reply_text;
	else if (method->id == AMQP_CONNECTION_CLOSE_METHOD)
		text = ((amqp_connection_close_t *)method->decoded)->reply_text;
	return op_fail(op, ERR_UNAVAILABLE, "closed by the broker: %.*s",
		(int)MIN_OF(text.len, (size_t)200), (const char *)text.bytes);
}

struct error *rabbitmq_check_reply(struct op *op, amqp_rpc_reply_t reply, const char *what)
{
	switch (reply.reply_type) {
	case AMQP_RESPONSE_NORMAL:
		return NULL;
	case AMQP_RESPONSE_SERVER_EXCEPTION:
		return op_wrap(op, rabbitmq_closed(op, &reply.reply), "%s", what);
	case AMQP_RESPONSE_LIBRARY_EXCEPTION:
		return op_fail(op, ERR_UNAVAILABLE, "%s: %s", what,
			amqp_error_string2(reply.library_error));
	case AMQP_RESPONSE_NONE:
	default:
		return op_fail(op, ERR_UNAVAILABLE, "%s: no answer", what);
	}
}

static amqp_bytes_t bytes_of(const char *text)
{
	return amqp_cstring_bytes(text);
}

/* ---- The socket ---- */

/* OpenSSL's own check knows addresses too; the library's knows names only. */
static bool expect_host(amqp_socket_t *socket, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(amqp_ssl_socket_get_context(socket));
	bool is_address = X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
	amqp_ssl_socket_set_verify_hostname(socket, !is_address);
	return is_address || X509_VERIFY_PARAM_set1_host(param, host, 0) == 1;
}

static struct error *set_up_tls(struct op *op, const struct rabbitmq_options *options,
	const char *host, amqp_socket_t *socket)
{
	SSL_CTX *context = amqp_ssl_socket_get_context(socket);
	amqp_ssl_socket_set_verify_peer(socket, 1);
	bool is_trusting = options->tls_ca
				   ? amqp_ssl_socket_set_cacert(socket, options->tls_ca) == 0
				   : SSL_CTX_set_default_verify_paths(context) == 1;
	if (!is_trusting)
		return op_fail(op, ERR_UNAVAILABLE, "the certificates to trust cannot be read: %s",
			options->tls_ca ? options->tls_ca : "the system's");
	if (options->tls_certificate &&
		amqp_ssl_socket_set_key(socket, options->tls_certificate, options->tls_key) != 0)
		return op_fail(op, ERR_UNAVAILABLE, "bus.tls_certificate cannot be used");
	amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
	if (!expect_host(socket, host))
		return op_fail(op, ERR_UNAVAILABLE, "\"%s\" is no name for a certificate", host);
	return NULL;
}

static struct error *open_socket(
	struct op *op, struct rabbitmq *rabbitmq, const struct rabbitmq_host *host)
{
	const struct rabbitmq_options *options = &rabbitmq->options;
	amqp_connection_state_t connection = rabbitmq->link.connection;
	struct timeval timeout = timeval_of(options->timeout_ms);
	amqp_socket_t *socket =
		options->tls ? amqp_ssl_socket_new(connection) : amqp_tcp_socket_new(connection);
	if (!socket)
		return op_fail(op, ERR_UNAVAILABLE, "no socket could be made");
	if (options->tls)
		TRY(set_up_tls(op, options, host->name, socket));
	amqp_set_handshake_timeout(connection, &timeout);
	amqp_set_rpc_timeout(connection, &timeout);
	TRY(rabbitmq_check_status(op,
		amqp_socket_open_noblock(socket, host->name, host->port, &timeout), "connecting"));
	AUTO_LOCK(&rabbitmq->lock);
	rabbitmq->socket = amqp_get_sockfd(connection);
	return NULL;
}

/* ---- Declarations ---- */

static struct error *open_channel(struct op *op, struct rabbitmq_link *link, amqp_channel_t channel)
{
	amqp_channel_open(link->connection, channel);
	return rabbitmq_check_reply(op, amqp_get_rpc_reply(link->connection), "opening a channel");
}

const char *rabbitmq_exchange(struct op *op, const struct rabbitmq *rabbitmq)
{
	return arena_printf(&op->arena, "%s.hints", rabbitmq->options.prefix);
}

static struct error *declare_exchange(struct op *op, struct rabbitmq *rabbitmq)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	TRY(open_channel(op, link, CHANNEL_PUBLISH));
	amqp_confirm_select(link->connection, CHANNEL_PUBLISH);
	TRY(rabbitmq_check_reply(
		op, amqp_get_rpc_reply(link->connection), "asking for confirmations"));
	amqp_exchange_declare(link->connection, CHANNEL_PUBLISH,
		bytes_of(rabbitmq_exchange(op, rabbitmq)), bytes_of("topic"), 0, 1, 0, 0,
		amqp_empty_table);
	return rabbitmq_check_reply(
		op, amqp_get_rpc_reply(link->connection), "declaring the exchange");
}

static struct error *bind_queue(struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel,
	const char *queue, const char *key)
{
	amqp_connection_state_t connection = rabbitmq->link.connection;
	amqp_queue_bind(connection, channel, bytes_of(queue),
		bytes_of(rabbitmq_exchange(op, rabbitmq)), bytes_of(key), amqp_empty_table);
	return rabbitmq_check_reply(op, amqp_get_rpc_reply(connection), "binding a queue");
}

static struct error *consume(struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel,
	const char *queue, uint64_t prefetch)
{
	amqp_connection_state_t connection = rabbitmq->link.connection;
	amqp_basic_qos(connection, channel, 0, (uint16_t)prefetch, 0);
	TRY(rabbitmq_check_reply(op, amqp_get_rpc_reply(connection), "limiting a queue"));
	amqp_basic_consume(
		connection, channel, bytes_of(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
	return rabbitmq_check_reply(op, amqp_get_rpc_reply(connection), "consuming a queue");
}

static amqp_table_entry_t number_entry(const char *key, int64_t value)
{
	return (amqp_table_entry_t){
		.key = bytes_of(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static amqp_table_entry_t text_entry(const char *key, const char *value)
{
	return (amqp_table_entry_t){.key = bytes_of(key),
		.value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bytes_of(value)}};
}

/* The node's own queue goes with its connection: hints from meanwhile would be of no use, as all
 * accounts are looked at once there is a connection again. The broker names it, since the one of
 * the connection before may still be there. */
static struct error *declare_watch(struct op *op, struct rabbitmq *rabbitmq)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	amqp_table_entry_t arguments[] = {
		number_entry("x-max-length", WATCH_LENGTH_MOST),
		text_entry("x-overflow", "drop-head"),
	};
	TRY(open_channel(op, link, CHANNEL_WATCH));
	const amqp_queue_declare_ok_t *queue =
		amqp_queue_declare(link->connection, CHANNEL_WATCH, amqp_empty_bytes, 0, 0, 1, 1,
			(amqp_table_t){.num_entries = ARRAY_SIZE(arguments), .entries = arguments});
	TRY(rabbitmq_check_reply(
		op, amqp_get_rpc_reply(link->connection), "declaring this node's queue"));
	if (!queue || queue->queue.len >= sizeof(link->queue))
		return op_fail(op, ERR_UNAVAILABLE, "the broker's name for a queue is too long");
	memcpy(link->queue, queue->queue.bytes, queue->queue.len);
	link->queue[queue->queue.len] = '\0';
	TRY(bind_queue(op, rabbitmq, CHANNEL_WATCH, link->queue, "gap"));
	return consume(op, rabbitmq, CHANNEL_WATCH, link->queue, WATCH_PREFETCH);
}

static struct error *declare_group(
	struct op *op, struct rabbitmq *rabbitmq, amqp_channel_t channel, const char *group)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	const char *queue = arena_printf(&op->arena, "%s.%s", rabbitmq->options.prefix, group);
	amqp_table_entry_t arguments[] = {
		text_entry("x-queue-type", "quorum"),
		number_entry("x-max-length", WORK_LENGTH_MOST),
		text_entry("x-overflow", "drop-head"),
		number_entry("x-expires", WORK_EXPIRES_MS),
	};
	TRY(open_channel(op, link, channel));
	amqp_queue_declare(link->connection, channel, bytes_of(queue), 0, 1, 0, 0,
		(amqp_table_t){.num_entries = ARRAY_SIZE(arguments), .entries = arguments});
	TRY(rabbitmq_check_reply(
		op, amqp_get_rpc_reply(link->connection), "declaring a group's queue"));
	TRY(bind_queue(op, rabbitmq, channel, queue, "#"));
	return consume(op, rabbitmq, channel, queue, rabbitmq->options.prefetch);
}

static struct error *declare_all(struct op *op, struct rabbitmq *rabbitmq)
{
	TRY(declare_exchange(op, rabbitmq));
	TRY(declare_watch(op, rabbitmq));
	TRY(rabbitmq_bind_slots(op, rabbitmq));
	for (size_t i = 0; i < rabbitmq->bus.worker_count; i++)
		TRY(declare_group(op, rabbitmq, (amqp_channel_t)(CHANNEL_WORK + i),
			rabbitmq->bus.workers[i].group));
	return NULL;
}

/* The library does not say by itself that it wants to know when a queue that it consumes goes. */
static struct error *log_in(struct op *op, struct rabbitmq *rabbitmq)
{
	const struct rabbitmq_options *options = &rabbitmq->options;
	amqp_table_entry_t capability = {.key = bytes_of("consumer_cancel_notify"),
		.value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
	amqp_table_entry_t property = {.key = bytes_of("capabilities"),
		.value = {.kind = AMQP_FIELD_KIND_TABLE,
			.value.table = {.num_entries = 1, .entries = &capability}}};
	const amqp_table_t properties = {.num_entries = 1, .entries = &property};
	return rabbitmq_check_reply(op,
		amqp_login_with_properties(rabbitmq->link.connection, options->vhost, CHANNELS,
			AMQP_DEFAULT_FRAME_SIZE, (int)(options->heartbeat_ms / 1000), &properties,
			AMQP_SASL_METHOD_PLAIN, options->user, options->password),
		"logging in");
}

struct error *rabbitmq_connect(
	struct op *op, struct rabbitmq *rabbitmq, const struct rabbitmq_host *host)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	*link = (struct rabbitmq_link){
		.connection = amqp_new_connection(), .first_tag = 1, .next_tag = 1};
	if (!link->connection)
		return op_fail(op, ERR_UNAVAILABLE, "no connection could be made");
	TRY(open_socket(op, rabbitmq, host));
	TRY(log_in(op, rabbitmq));
	rabbitmq->generation++;
	return declare_all(op, rabbitmq);
}

void rabbitmq_disconnect(struct rabbitmq *rabbitmq, bool is_clean)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	struct timeval timeout = timeval_of(GOODBYE_MS);
	if (!link->connection)
		return;
	if (is_clean) {
		amqp_set_rpc_timeout(link->connection, &timeout);
		amqp_connection_close(link->connection, AMQP_REPLY_SUCCESS);
	}
	mutex_lock(&rabbitmq->lock);
	rabbitmq->socket = -1;
	mutex_unlock(&rabbitmq->lock);
	amqp_destroy_connection(link->connection);
	link->connection = NULL;
}

/* ---- Slots ---- */

struct slot_work {
	unsigned bind[SLOT_COUNT], unbind[UNBIND_AT_ONCE];
	size_t bind_count, unbind_count;
	struct account_id *fresh;
	size_t fresh_count;
};

/* What is to be done, by what is watched now. */
static void collect(struct op *op, struct rabbitmq *rabbitmq, struct slot_work *work)
{
	uint64_t now_ns = clock_monotonic_ns();
	AUTO_LOCK(&rabbitmq->lock);
	for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
		bool is_watched = rabbitmq->slots.watches[slot] > 0;
		bool is_bound = rabbitmq->is_bound[slot];
		bool is_old = now_ns - rabbitmq->slot_empty_ns[slot] > UNBIND_AFTER_NS;
		if (is_watched && !is_bound) {
			work->bind[work->bind_count++] = slot;
		} else if (!is_watched && is_bound && is_old &&
			   work->unbind_count < UNBIND_AT_ONCE) {
			work->unbind[work->unbind_count++] = slot;
			rabbitmq->is_bound[slot] = false;
		}
	}
	work->fresh_count = rabbitmq->fresh_count;
	if (work->fresh_count) {
		work->fresh = ARENA_ARRAY(&op->arena, struct account_id, work->fresh_count);
		memcpy(work->fresh, rabbitmq->fresh, work->fresh_count * sizeof(*work->fresh));
	}
	rabbitmq->fresh_count = 0;
}

const char *rabbitmq_slot_key(struct op *op, unsigned slot)
{
	return arena_printf(&op->arena, "slot.%u", slot);
}

/* All are sent before the answer to any is waited for: the last one stands for all. */
static struct error *bind_many(struct op *op, struct rabbitmq *rabbitmq, struct slot_work *work)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	for (size_t i = 0; i + 1 < work->bind_count; i++) {
		amqp_queue_bind_t request = {.queue = bytes_of(link->queue),
			.exchange = bytes_of(rabbitmq_exchange(op, rabbitmq)),
			.routing_key = bytes_of(rabbitmq_slot_key(op, work->bind[i])),
			.nowait = 1,
			.arguments = amqp_empty_table};
		TRY(rabbitmq_check_status(op,
			amqp_send_method(
				link->connection, CHANNEL_WATCH, AMQP_QUEUE_BIND_METHOD, &request),
			"binding a slot"));
	}
	if (work->bind_count)
		TRY(bind_queue(op, rabbitmq, CHANNEL_WATCH, link->queue,
			rabbitmq_slot_key(op, work->bind[work->bind_count - 1])));
	AUTO_LOCK(&rabbitmq->lock);
	for (size_t i = 0; i < work->bind_count; i++)
		rabbitmq->is_bound[work->bind[i]] = true;
	return NULL;
}

static struct error *unbind_many(struct op *op, struct rabbitmq *rabbitmq, struct slot_work *work)
{
	struct rabbitmq_link *link = &rabbitmq->link;
	for (size_t i = 0; i < work->unbind_count; i++) {
		amqp_queue_unbind(link->connection, CHANNEL_WATCH, bytes_of(link->queue),
			bytes_of(rabbitmq_exchange(op, rabbitmq)),
			bytes_of(rabbitmq_slot_key(op, work->unbind[i])), amqp_empty_table);
		TRY(rabbitmq_check_reply(
			op, amqp_get_rpc_reply(link->connection), "unbinding a slot"));
	}
	return NULL;
}

struct error *rabbitmq_bind_slots(struct op *op, struct rabbitmq *rabbitmq)
{
	struct slot_work work = {0};
	struct arena_mark mark = arena_mark(&op->arena);
	const struct bus_watcher *watcher = &rabbitmq->bus.watcher;
	collect(op, rabbitmq, &work);
	TRY(bind_many(op, rabbitmq, &work));
	TRY(unbind_many(op, rabbitmq, &work));
	for (size_t i = 0; i < work.fresh_count && watcher->changed; i++) {
		const struct bus_hint hint = {.account = work.fresh[i]};
		watcher->changed(watcher->context, &hint);
	}
	arena_release(&op->arena, mark);
	return NULL;
}
