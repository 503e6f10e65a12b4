/* The way in: bytes to segments to frames to whoever waits for them. The reactor's thread. */

#include <errno.h>
#include <openssl/err.h>

#include "wire/cql/cql_connection_private.h"
#include "wire/cql/cql_segment.h"

#define READ_SIZE KIB(64)

/* A round ends after so many reads, so that one busy host does not starve the others. */
#define READS_IN_A_ROUND 16

static void break_input(struct cql_connection *connection, const char *why)
{
	AUTO_LOCK(&connection->lock);
	cql_connection_break(connection, CQL_CLOSING_LOST, "%s", why);
}

enum got { GOT_BYTES, GOT_NOTHING, GOT_END };

static enum got read_plain(struct cql_connection *connection, char *at, size_t *ret_count)
{
	ssize_t count = recv(connection->fd, at, READ_SIZE, MSG_DONTWAIT);
	if (count > 0) {
		*ret_count = (size_t)count;
		return GOT_BYTES;
	}
	if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return GOT_NOTHING;
	break_input(connection, count ? strerror(errno) : "the host closed the connection");
	return GOT_END;
}

static enum got read_secured(struct cql_connection *connection, char *at, size_t *ret_count)
{
	AUTO_LOCK(&connection->lock);
	ERR_clear_error();
	int good = SSL_read_ex(connection->ssl, at, READ_SIZE, ret_count);
	if (good == 1)
		return GOT_BYTES;
	int reason = SSL_get_error(connection->ssl, good);
	if (reason == SSL_ERROR_WANT_READ)
		return GOT_NOTHING;
	if (reason == SSL_ERROR_WANT_WRITE) {
		event_add(connection->writable, NULL);
		return GOT_NOTHING;
	}
	char text[160];
	cql_connection_break(connection, CQL_CLOSING_LOST, "read over TLS: %s",
		reason == SSL_ERROR_ZERO_RETURN
			? "the host closed the connection"
			: cql_tls_reason(connection->ssl, text, sizeof(text)));
	return GOT_END;
}

static struct slice untaken(const struct buf *bytes, size_t taken)
{
	return slice_from(buf_as_slice(bytes), taken);
}

/* Moves what is not taken to the front; a buffer that a large answer has blown up is given back. */
static void compact(struct buf *bytes, size_t *taken)
{
	size_t left = bytes->len - *taken;
	if (!left && bytes->capacity > MIB(1)) {
		buf_done(bytes);
	} else if (*taken) {
		memmove(bytes->ptr, bytes->ptr + *taken, left);
		bytes->len = left;
	}
	*taken = 0;
}

/* False: the connection is at its end. */
static bool deliver(struct cql_connection *connection, const struct cql_frame *frame)
{
	if (frame->stream < 0) {
		if (frame->opcode == CQL_OP_EVENT && !(frame->flags & CQL_FRAME_COMPRESSED) &&
			connection->config.events->event)
			connection->config.events->event(
				connection, connection->config.owner, frame->body);
		return true;
	}
	AUTO_LOCK(&connection->lock);
	if (connection->is_broken)
		return false;
	if (connection->phase == CQL_PHASE_STARTING)
		cql_start_answer(connection, frame);
	else if (frame->version != connection->config.version)
		cql_connection_break(
			connection, CQL_CLOSING_LOST, "an answer of version %u", frame->version);
	else if (frame->stream == 0)
		connection->heartbeat_waits = false;
	else if (!cql_call_answer(connection, frame))
		cql_connection_break(connection, CQL_CLOSING_LOST,
			"an answer on stream %d, where none is due", frame->stream);
	return !connection->is_broken;
}

/* Hands out one frame from the bytes. CQL_SCAN_BROKEN when the connection is at its end. */
static enum cql_scan take_frame(
	struct cql_connection *connection, const struct buf *bytes, size_t *taken)
{
	struct cql_frame frame;
	size_t length;
	enum cql_scan scan = cql_frame_scan(untaken(bytes, *taken), &frame, &length);
	if (scan == CQL_SCAN_BROKEN)
		break_input(connection, "the host sends no frames of CQL");
	if (scan != CQL_SCAN_WHOLE)
		return scan;
	*taken += length;
	return deliver(connection, &frame) ? CQL_SCAN_WHOLE : CQL_SCAN_BROKEN;
}

static enum cql_scan take_frames_of_segments(struct cql_connection *connection)
{
	enum cql_scan scan = CQL_SCAN_WHOLE;
	while (scan == CQL_SCAN_WHOLE && connection->frames_taken < connection->frames.len)
		scan = take_frame(connection, &connection->frames, &connection->frames_taken);
	compact(&connection->frames, &connection->frames_taken);
	return scan;
}

/* Unpacks one segment and hands out the frames that it completes. */
static enum cql_scan take_segment(struct cql_connection *connection)
{
	bool self_contained;
	size_t length;
	bool within_frame = connection->frames.len > 0;
	enum cql_scan scan = cql_segment_scan(untaken(&connection->input, connection->input_taken),
		connection->compression, &connection->frames, &self_contained, &length);
	if (scan == CQL_SCAN_BROKEN)
		break_input(connection, "a segment is damaged");
	if (scan != CQL_SCAN_WHOLE)
		return scan;
	connection->input_taken += length;
	if (self_contained && within_frame) {
		break_input(connection, "a frame is not continued");
		return CQL_SCAN_BROKEN;
	}
	scan = take_frames_of_segments(connection);
	if (scan == CQL_SCAN_PARTIAL && self_contained) {
		break_input(connection, "a self-contained segment holds part of a frame");
		return CQL_SCAN_BROKEN;
	}
	return scan == CQL_SCAN_BROKEN ? scan : CQL_SCAN_WHOLE;
}

/* False: the connection is at its end. */
static bool take_input(struct cql_connection *connection)
{
	enum cql_scan scan = CQL_SCAN_WHOLE;
	while (scan == CQL_SCAN_WHOLE && connection->input_taken < connection->input.len)
		scan = connection->segmented ? take_segment(connection)
					     : take_frame(connection, &connection->input,
						       &connection->input_taken);
	compact(&connection->input, &connection->input_taken);
	return scan != CQL_SCAN_BROKEN;
}

void cql_input_read(struct cql_connection *connection)
{
	for (int round = 0; round < READS_IN_A_ROUND; round++) {
		char *at = buf_reserve(&connection->input, READ_SIZE);
		size_t count = 0;
		enum got got = connection->ssl ? read_secured(connection, at, &count)
					       : read_plain(connection, at, &count);
		if (got != GOT_BYTES)
			return;
		connection->received = true;
		connection->input.len += count;
		if (!take_input(connection))
			return;
		if (!connection->ssl && count < READ_SIZE)
			return;
	}
	if (!connection->ssl)
		return;
	/* What OpenSSL has already taken from the socket wakes nobody. */
	AUTO_LOCK(&connection->lock);
	if (SSL_pending(connection->ssl) > 0)
		event_active(connection->readable, EV_READ, 0);
}
