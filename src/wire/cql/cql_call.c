/* Streams and who waits on them. */

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "wire/cql/cql_connection_private.h"
#include "wire/cql/cql_segment.h"

#define STREAMS_MAX 32767

/* Streams whose answer nobody waits for any more, before the connection is given up. */
#define ORPHANS_MIN 64

static size_t orphans_max(const struct cql_connection *connection)
{
	return MAX_OF(ORPHANS_MIN, connection->config.link->max_requests / 4);
}

void cql_stream_table_init(struct cql_connection *connection)
{
	size_t wanted = connection->config.link->max_requests + orphans_max(connection) + 1;
	size_t count = MIN_OF(wanted, (size_t)STREAMS_MAX);
	connection->stream_count = count;
	connection->streams = heap_alloc(count * sizeof(struct cql_stream));
	connection->free_streams = heap_alloc(count * sizeof(uint16_t));
	for (size_t stream = count - 1; stream > 0; stream--)
		connection->free_streams[connection->free_count++] = (uint16_t)stream;
}

void cql_waiter_init(struct cql_waiter *waiter)
{
	sem_init(&waiter->ended, 0, 0);
	waiter->due = 0;
}

void cql_waiter_done(struct cql_waiter *waiter)
{
	while (waiter->due)
		waiter->due -= sem_wait(&waiter->ended) == 0;
	sem_destroy(&waiter->ended);
}

void cql_waiter_wait(struct cql_waiter *waiter, uint64_t deadline_ns)
{
	const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S)};
	int failed;
	do
		failed = sem_clockwait(&waiter->ended, CLOCK_MONOTONIC, &deadline);
	while (failed && errno == EINTR);
	for (; !failed; failed = sem_trywait(&waiter->ended))
		waiter->due--;
}

/* The caller may leave, and the call with him, as soon as it has ended; the waiter stays until it
 * is posted. */
static void end_call(struct cql_call *call)
{
	struct cql_waiter *waiter = call->waiter;
	__atomic_store_n(&call->ended, true, __ATOMIC_RELEASE);
	sem_post(&waiter->ended);
}

static void free_stream(struct cql_connection *connection, uint16_t stream)
{
	connection->streams[stream] = (struct cql_stream){0};
	connection->free_streams[connection->free_count++] = stream;
}

static void count_in_flight(struct cql_connection *connection, int change)
{
	__atomic_store_n(
		&connection->in_flight, connection->in_flight + (uint32_t)change, __ATOMIC_RELAXED);
}

bool cql_call_begin(
	struct cql_call *call, struct cql_waiter *waiter, struct cql_connection *connection)
{
	AUTO_LOCK(&connection->lock);
	if (connection->phase != CQL_PHASE_READY || connection->is_broken ||
		!connection->free_count)
		return false;
	*call = (struct cql_call){.waiter = waiter, .connection = cql_connection_ref(connection)};
	call->stream = connection->free_streams[--connection->free_count];
	connection->streams[call->stream] =
		(struct cql_stream){.call = call, .state = CQL_STREAM_BUSY};
	count_in_flight(connection, 1);
	waiter->due++;
	return true;
}

/* As it goes out: compressed or in segments, as was agreed. Takes the frame. */
static struct buf pack(const struct cql_connection *connection, struct buf *frame)
{
	if (!connection->segmented) {
		if (connection->compression)
			cql_frame_compress(frame);
		struct buf packed = *frame;
		*frame = buf_heap();
		return packed;
	}
	struct buf packed = buf_heap();
	buf_reserve(&packed, frame->len + frame->len / 1024 + 64);
	cql_segment_wrap(&packed, buf_as_slice(frame), connection->compression);
	buf_done(frame);
	return packed;
}

void cql_call_send(
	struct cql_call *call, struct buf *frame, uint8_t flags, enum cql_opcode opcode, bool hold)
{
	struct cql_connection *connection = call->connection;
	cql_frame_end(frame, connection->config.version, flags, call->stream, opcode);
	struct buf packed = pack(connection, frame);
	AUTO_LOCK(&connection->lock);
	if (connection->streams[call->stream].call != call) { /* lost meanwhile */
		buf_done(&packed);
		return;
	}
	cql_output_add(connection, call, &packed);
	if (!hold)
		cql_output_flush(connection);
}

void cql_connection_send_own(
	struct cql_connection *connection, struct buf *frame, enum cql_opcode opcode)
{
	cql_frame_end(frame, connection->config.version, 0, 0, opcode);
	/* All are short: v4 need not compress them, and must not before STARTUP is answered. */
	struct buf packed = connection->segmented ? pack(connection, frame) : *frame;
	cql_output_add(connection, NULL, &packed);
	cql_output_flush(connection);
}

void cql_connection_flush(struct cql_connection *connection)
{
	AUTO_LOCK(&connection->lock);
	if (connection->phase != CQL_PHASE_CLOSED)
		cql_output_flush(connection);
}

bool cql_call_answer(struct cql_connection *connection, const struct cql_frame *frame)
{
	if ((size_t)frame->stream >= connection->stream_count)
		return false;
	struct cql_stream stream = connection->streams[frame->stream];
	if (stream.state == CQL_STREAM_FREE)
		return false;
	if (stream.state == CQL_STREAM_ORPHAN) {
		connection->orphan_count--;
		free_stream(connection, (uint16_t)frame->stream);
		return true;
	}
	struct cql_call *call = stream.call;
	if (!call->sent)
		return false; /* an answer to what has not been asked yet */
	/* A request too large is refused before it is whole; what is begun must go out. */
	if (call->output)
		call->output->call = NULL;
	call->output = NULL;
	free_stream(connection, (uint16_t)frame->stream);
	count_in_flight(connection, -1);
	if (frame->body.len) {
		char *body = heap_realloc(NULL, frame->body.len);
		memcpy(body, frame->body.ptr, frame->body.len);
		call->body = slice_of(body, frame->body.len);
	}
	call->flags = frame->flags;
	call->opcode = frame->opcode;
	call->answered = true;
	end_call(call);
	return true;
}

void cql_call_lose_all(struct cql_connection *connection)
{
	for (size_t i = 0; i < connection->stream_count; i++) {
		struct cql_call *call = connection->streams[i].call;
		if (!call)
			continue;
		connection->streams[i].call = NULL;
		count_in_flight(connection, -1);
		if (call->output)
			call->output->call = NULL;
		call->output = NULL;
		end_call(call);
	}
}

bool cql_call_has_ended(const struct cql_call *call)
{
	return __atomic_load_n(&call->ended, __ATOMIC_ACQUIRE);
}

/* Somebody shows it to the kernel just now, which does not wait: then it is known whether any of it
 * was taken. Under lock. */
static void await_kernel(const struct cql_call *call)
{
	struct cql_connection *connection = call->connection;
	while (connection->is_sending && call->output && call->output->begun &&
		!call->output->taken) {
		mutex_unlock(&connection->lock);
		sched_yield();
		mutex_lock(&connection->lock);
	}
}

bool cql_call_abandon(struct cql_call *call)
{
	struct cql_connection *connection = call->connection;
	if (cql_call_has_ended(call))
		return false;
	AUTO_LOCK(&connection->lock);
	await_kernel(call);
	if (connection->streams[call->stream].call != call)
		return false;
	count_in_flight(connection, -1);
	call->waiter->due--;
	call->ended = true;
	/* Not begun, or not even queued: the stream is free as before. */
	if (call->output ? cql_output_take_back(connection, call->output) : !call->sent) {
		free_stream(connection, call->stream);
		return true;
	}
	if (call->output)
		call->output->call = NULL;
	connection->streams[call->stream] = (struct cql_stream){.state = CQL_STREAM_ORPHAN};
	connection->is_suspect = true;
	cql_connection_attend(connection);
	if (++connection->orphan_count > orphans_max(connection))
		cql_connection_break(connection, CQL_CLOSING_LOST,
			"%zu requests were not answered in time", connection->orphan_count);
	return true;
}

void cql_call_done(struct cql_call *call)
{
	free((char *)call->body.ptr);
	call->body = SLICE_NONE;
	cql_connection_unref(call->connection);
	call->connection = NULL;
}

struct error *cql_call_take_answer(struct op *op, struct cql_call *call,
	struct cql_prelude *ret_prelude, struct reader *ret_body)
{
	struct slice body = call->body;
	bool packed = call->flags & CQL_FRAME_COMPRESSED && !call->connection->segmented;
	if (packed)
		TRY(cql_frame_decompress(op, body, &body));
	else
		body = arena_dup(&op->arena, body);
	struct reader in = reader_of(body);
	TRY(cql_frame_prelude(op, call->flags, &in, ret_prelude));
	*ret_body = in;
	return NULL;
}

static struct error *take_asked(
	struct op *op, struct cql_call *call, uint8_t *ret_opcode, struct reader *ret_body)
{
	if (!call->answered)
		return op_fail(op, call->sent ? ERR_TIMEOUT : ERR_UNAVAILABLE, "%s: no answer",
			cql_connection_address(call->connection));
	struct cql_prelude prelude;
	TRY(cql_call_take_answer(op, call, &prelude, ret_body));
	*ret_opcode = call->opcode;
	return NULL;
}

struct error *cql_connection_ask(struct op *op, struct cql_connection *connection,
	struct buf *frame, enum cql_opcode opcode, uint64_t deadline_ns, uint8_t *ret_opcode,
	struct reader *ret_body)
{
	struct cql_waiter waiter;
	struct cql_call call;
	cql_waiter_init(&waiter);
	if (!cql_call_begin(&call, &waiter, connection)) {
		cql_waiter_done(&waiter);
		buf_done(frame);
		return op_fail(op, ERR_UNAVAILABLE, "%s: not connected",
			cql_connection_address(connection));
	}
	cql_call_send(&call, frame, 0, opcode, false);
	while (!cql_call_has_ended(&call) && clock_monotonic_ns() < deadline_ns)
		cql_waiter_wait(&waiter, deadline_ns);
	cql_call_abandon(&call);
	struct error *err = take_asked(op, &call, ret_opcode, ret_body);
	cql_call_done(&call);
	cql_waiter_done(&waiter);
	return err;
}
