/* The way out: a queue of requests, handed to the kernel by whoever adds one, and by the reactor's
 * thread when the kernel had no room. */

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "wire/cql/cql_connection_private.h"

#define PIECES_AT_ONCE 64

void cql_output_add(struct cql_connection *connection, struct cql_call *call, struct buf *bytes)
{
	struct cql_output *output = HEAP_NEW(struct cql_output);
	output->call = call;
	output->bytes = *bytes;
	*bytes = buf_heap();
	if (call)
		call->output = output;
	*connection->last_output = output;
	connection->last_output = &output->next;
}

static void output_free(struct cql_output *output)
{
	if (output->call)
		output->call->output = NULL;
	buf_done(&output->bytes);
	free(output);
}

static void mark_begun(struct cql_output *output)
{
	output->begun = true;
	if (output->call)
		output->call->sent = true;
}

/* So many bytes of the queue's front are gone. */
static void advance(struct cql_connection *connection, size_t count)
{
	while (count && connection->first_output) {
		struct cql_output *output = connection->first_output;
		size_t step = MIN_OF(count, output->bytes.len - output->taken);
		mark_begun(output);
		output->taken += step;
		count -= step;
		if (output->taken < output->bytes.len)
			return;
		connection->first_output = output->next;
		if (!connection->first_output)
			connection->last_output = &connection->first_output;
		output_free(output);
	}
}

enum handed { HANDED_SOME, HANDED_NO_ROOM, HANDED_BROKEN };

static enum handed hand_plain(struct cql_connection *connection)
{
	struct iovec pieces[PIECES_AT_ONCE];
	size_t count = 0;
	for (struct cql_output *output = connection->first_output; output && count < PIECES_AT_ONCE;
		output = output->next)
		pieces[count++] = (struct iovec){.iov_base = output->bytes.ptr + output->taken,
			.iov_len = output->bytes.len - output->taken};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t taken = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (taken >= 0) {
		advance(connection, (size_t)taken);
		return HANDED_SOME;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return HANDED_NO_ROOM;
	if (errno == EINTR)
		return HANDED_SOME;
	cql_connection_break(connection, CQL_CLOSING_LOST, "send: %s", strerror(errno));
	return HANDED_BROKEN;
}

/* OpenSSL may keep and send what it was shown, whatever it says: it counts as begun. */
static enum handed hand_secured(struct cql_connection *connection)
{
	struct cql_output *output = connection->first_output;
	mark_begun(output);
	size_t taken = 0;
	ERR_clear_error();
	int written = SSL_write_ex(connection->ssl, output->bytes.ptr + output->taken,
		output->bytes.len - output->taken, &taken);
	if (written == 1) {
		advance(connection, taken);
		return HANDED_SOME;
	}
	int reason = SSL_get_error(connection->ssl, written);
	if (reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ)
		return HANDED_NO_ROOM;
	char text[160];
	cql_connection_break(connection, CQL_CLOSING_LOST, "send over TLS: %s",
		cql_tls_reason(connection->ssl, text, sizeof(text)));
	return HANDED_BROKEN;
}

void cql_output_flush(struct cql_connection *connection)
{
	enum handed handed = HANDED_SOME;
	while (connection->first_output && handed == HANDED_SOME && !connection->is_broken)
		handed = connection->ssl ? hand_secured(connection) : hand_plain(connection);
	if (handed == HANDED_NO_ROOM)
		cql_connection_attend(connection);
}

bool cql_output_take_back(struct cql_connection *connection, struct cql_output *output)
{
	if (output->begun)
		return false;
	struct cql_output **link = &connection->first_output;
	while (*link != output)
		link = &(*link)->next;
	*link = output->next;
	if (!*link)
		connection->last_output = link;
	output_free(output);
	return true;
}

void cql_output_free_all(struct cql_connection *connection)
{
	while (connection->first_output) {
		struct cql_output *output = connection->first_output;
		connection->first_output = output->next;
		output_free(output);
	}
	connection->last_output = &connection->first_output;
}
