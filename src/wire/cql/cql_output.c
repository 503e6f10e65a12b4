/* The way out: a queue of requests, handed to the kernel by whoever adds one, and by the reactor's
 * thread when the kernel had no room. While one hands over, others only add: he goes on with
 * theirs, and nobody waits for a lock that is held through a system call. */

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "wire/cql/cql_connection_private.h"

#define PIECES_AT_ONCE 64

/* After so many calls of the kernel the reactor's thread goes on: who sends has an answer to wait
 * for himself. */
#define ROUNDS_MAX 8

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

static void mark_begun(struct cql_output *output, bool begun)
{
	output->begun = begun;
	if (output->call)
		output->call->sent = begun;
}

/* So many bytes of the queue's front are gone. */
static void advance(struct cql_connection *connection, size_t count)
{
	while (count && connection->first_output) {
		struct cql_output *output = connection->first_output;
		size_t step = MIN_OF(count, output->bytes.len - output->taken);
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

/* Lets go of the lock meanwhile: what is handed over counts as begun, and an answer may be there
 * before this returns. */
static ssize_t send_unlocked(struct cql_connection *connection, const struct msghdr *message)
{
	int fd = connection->fd;
	connection->is_sending = true;
	mutex_unlock(&connection->lock);
	ssize_t taken = sendmsg(fd, message, MSG_NOSIGNAL | MSG_DONTWAIT);
	int failure = errno;
	mutex_lock(&connection->lock);
	connection->is_sending = false;
	errno = failure;
	return taken;
}

static enum handed hand_plain(struct cql_connection *connection)
{
	struct iovec pieces[PIECES_AT_ONCE];
	size_t count = 0;
	for (struct cql_output *output = connection->first_output; output && count < PIECES_AT_ONCE;
		output = output->next) {
		mark_begun(output, true);
		pieces[count++] = (struct iovec){.iov_base = output->bytes.ptr + output->taken,
			.iov_len = output->bytes.len - output->taken};
	}
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};
	ssize_t taken = send_unlocked(connection, &message);
	int failure = errno;
	if (taken > 0)
		advance(connection, (size_t)taken);
	/* Of the rest the kernel has seen nothing. */
	for (struct cql_output *output = connection->first_output; output && output->begun;
		output = output->next)
		if (!output->taken)
			mark_begun(output, false);
	if (taken >= 0 || failure == EINTR)
		return HANDED_SOME;
	if (failure == EAGAIN || failure == EWOULDBLOCK)
		return HANDED_NO_ROOM;
	cql_connection_break(connection, CQL_CLOSING_LOST, "send: %s", strerror(failure));
	return HANDED_BROKEN;
}

/* OpenSSL may keep and send what it was shown, whatever it says: it counts as begun. */
static enum handed hand_secured(struct cql_connection *connection)
{
	struct cql_output *output = connection->first_output;
	mark_begun(output, true);
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
	if (connection->is_sending)
		return;
	enum handed handed = HANDED_SOME;
	for (int round = 0; connection->first_output && handed == HANDED_SOME &&
			    !connection->is_broken && round < ROUNDS_MAX;
		round++)
		handed = connection->ssl ? hand_secured(connection) : hand_plain(connection);
	/* Waits for room, goes on, or closes what was not closed under a system call. */
	if (connection->first_output || connection->is_broken)
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
