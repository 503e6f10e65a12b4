#include "wire/imap/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"

/* Of one command, however slowly it comes. */
#define COMMAND_MOST_NS (30 * 60 * NS_PER_S)
#define LOOK_EVERY_MS 200
#define READ_BYTES KIB(64)
/* A SEARCH of more than a million messages. */
#define TEXT_BYTES_MOST MIB(16)
#define LITERALS_MOST 64
/* Data before a command's end: each message gives one. */
#define RESPONSES_MOST 1000000
/* How long the end of a session is waited for. */
#define GOODBYE_MS 2000L

struct imap_client {
	const struct imap_client_config *config;
	CURL *easy;
	curl_socket_t socket;
	unsigned tag;
	bool is_broken;
	bool was_refused; /* the last command: by NO or BAD */
	struct buf input; /* heap; from `used` on it is not read yet */
	size_t used;
	char detail[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

/* ---- Signing in ---- */

static int is_to_stop(
	void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct imap_client_config *config = context;
	return !config->goes_on(config->context);
}

static void set_security(CURL *easy, const struct imap_client_config *config)
{
	curl_easy_setopt(easy, CURLOPT_USE_SSL,
		(long)(config->security == IMAP_CLEAR ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (!config->ca_pem)
		return;
	struct curl_blob pem = {.data = (void *)(uintptr_t)config->ca_pem,
		.len = strlen(config->ca_pem),
		.flags = CURL_BLOB_COPY};
	curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &pem);
	curl_easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL);
}

static void set_options(struct op *op, struct imap_client *client)
{
	const struct imap_client_config *config = client->config;
	CURL *easy = client->easy;
	bool is_v6 = strchr(config->host, ':') != NULL;
	curl_easy_setopt(easy, CURLOPT_URL,
		arena_printf(&op->arena, "%s://%s%s%s:%u",
			config->security == IMAP_TLS ? "imaps" : "imap", is_v6 ? "[" : "",
			config->host, is_v6 ? "]" : "", config->port));
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "imap,imaps");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* It makes the connection, TLS and who we are; the rest is said here. */
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
	curl_easy_setopt(easy, CURLOPT_PASSWORD, config->password);
	if (config->act_as) {
		curl_easy_setopt(easy, CURLOPT_SASL_AUTHZID, config->act_as);
		curl_easy_setopt(easy, CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN");
	}
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)config->connect_ms);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_to_stop);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, config);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, client->detail);
	set_security(easy, config);
}

/* What the server has written is not told: it may say a password back. */
static struct error *sign_in_failed(
	struct op *op, const struct imap_client *client, CURLcode result)
{
	const char *host = client->config->host;
	unsigned port = client->config->port;
	switch ((int)result) {
	case CURLE_ABORTED_BY_CALLBACK:
		return op_fail(op, ERR_CANCELLED, "given up while connecting");
	case CURLE_LOGIN_DENIED:
		return op_fail(op, ERR_DENIED, "%s:%u does not let the user in", host, port);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return op_fail(op, ERR_DENIED, "the certificate of %s:%u is not trusted: %s", host,
			port, client->detail);
	case CURLE_USE_SSL_FAILED:
		return op_fail(op, ERR_DENIED, "%s:%u has no STARTTLS", host, port);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		return op_fail(op, ERR_INVALID, "%s:%u is no IMAP server that can be spoken with",
			host, port);
	default:
		return op_fail(op, ERR_UNAVAILABLE, "cannot reach %s:%u: %s", host, port,
			curl_easy_strerror(result));
	}
}

struct error *imap_client_open(
	struct op *op, const struct imap_client_config *config, struct imap_client **ret_client)
{
	struct error *err = NULL;
	pthread_once(&curl_once, start_curl);
	struct imap_client *client = HEAP_NEW(struct imap_client);
	client->config = config;
	client->easy = curl_easy_init();
	client->input = buf_heap();
	if (!client->easy)
		abort();
	set_options(op, client);
	CURLcode result = curl_easy_perform(client->easy);
	if (result != CURLE_OK)
		err = sign_in_failed(op, client, result);
	else if (curl_easy_getinfo(client->easy, CURLINFO_ACTIVESOCKET, &client->socket) !=
			 CURLE_OK ||
		 client->socket == CURL_SOCKET_BAD)
		err = op_fail(op, ERR_UNAVAILABLE, "%s closed the connection", config->host);
	if (err) {
		client->is_broken = true;
		client->socket = CURL_SOCKET_BAD;
		imap_client_close(client);
		return err;
	}
	*ret_client = client;
	return NULL;
}

void imap_client_close(struct imap_client *client)
{
	if (!client)
		return;
	/* libcurl says LOGOUT and waits for its answer. */
	if (client->is_broken && client->socket != CURL_SOCKET_BAD)
		shutdown(client->socket, SHUT_RDWR);
	curl_easy_setopt(client->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, GOODBYE_MS / 1000);
	curl_easy_cleanup(client->easy);
	buf_done(&client->input);
	free(client);
}

/* ---- Bytes ---- */

/* How long a command may take, in all and without a byte. */
struct patience {
	uint64_t end_ns;
	uint64_t idle_end_ns;
};

static void note_byte(const struct imap_client *client, struct patience *patience)
{
	patience->idle_end_ns = clock_monotonic_ns() + client->config->idle_ms * NS_PER_MS;
}

static struct error *await(
	struct op *op, struct imap_client *client, short events, const struct patience *patience)
{
	struct pollfd wait = {.fd = client->socket, .events = events};
	uint64_t now_ns = clock_monotonic_ns();
	if (!client->config->goes_on(client->config->context))
		return op_fail(op, ERR_CANCELLED, "given up while reading");
	if (now_ns >= patience->end_ns || now_ns >= patience->idle_end_ns)
		return op_fail(op, ERR_UNAVAILABLE, "%s is silent", client->config->host);
	if (poll(&wait, 1, LOOK_EVERY_MS) < 0 && errno != EINTR)
		return op_fail(op, ERR_UNAVAILABLE, "cannot wait for %s: %s", client->config->host,
			strerror(errno));
	return NULL;
}

static struct error *was_cut(struct op *op, const struct imap_client *client)
{
	return op_fail(op, ERR_UNAVAILABLE, "the connection to %s was cut", client->config->host);
}

static struct error *send_bytes(
	struct op *op, struct imap_client *client, struct slice bytes, struct patience *patience)
{
	while (bytes.len) {
		size_t sent = 0;
		CURLcode result = curl_easy_send(client->easy, bytes.ptr, bytes.len, &sent);
		if (result == CURLE_AGAIN) {
			TRY(await(op, client, POLLOUT, patience));
			continue;
		}
		if (result != CURLE_OK)
			return was_cut(op, client);
		bytes = slice_from(bytes, sent);
		note_byte(client, patience);
	}
	return NULL;
}

static struct error *read_more(struct op *op, struct imap_client *client, struct patience *patience)
{
	for (;;) {
		size_t got = 0;
		char *to = buf_reserve(&client->input, READ_BYTES);
		CURLcode result = curl_easy_recv(client->easy, to, READ_BYTES, &got);
		if (result == CURLE_OK && got) {
			client->input.len += got;
			note_byte(client, patience);
			/* What always comes in time may never end. */
			if (clock_monotonic_ns() < patience->end_ns)
				return NULL;
		}
		if (result == CURLE_OK && !got)
			return was_cut(op, client);
		if (result != CURLE_OK && result != CURLE_AGAIN)
			return was_cut(op, client);
		TRY(await(op, client, POLLIN, patience));
	}
}

/* Keeps what is not read yet, and no more memory than that needs for long. */
static void drop_used(struct imap_client *client)
{
	size_t left = client->input.len - client->used;
	if (left)
		memmove(client->input.ptr, client->input.ptr + client->used, left);
	client->input.len = left;
	client->used = 0;
	if (!left && client->input.capacity > MIB(1)) {
		buf_done(&client->input);
		client->input = buf_heap();
	}
}

static struct error *cut_failed(struct op *op, const struct imap_client *client, enum imap_cut cut)
{
	if (cut == IMAP_CUT_BIG_LITERAL)
		return op_fail(op, ERR_LIMIT, "a message is larger than what is taken");
	return op_fail(op, ERR_INVALID, "%s sent a line that is too long", client->config->host);
}

/* The bytes of the next response, good until the next call. */
static struct error *next_response(struct op *op, struct imap_client *client,
	struct patience *patience, struct imap_response *ret_response)
{
	struct imap_cutter cutter = {0};
	const struct imap_limits_of_source limits = {.text_bytes = TEXT_BYTES_MOST,
		.literal_bytes = client->config->literal_bytes,
		.literals = LITERALS_MOST};
	for (;;) {
		size_t len;
		struct slice bytes = slice_from(buf_as_slice(&client->input), client->used);
		enum imap_cut cut = imap_cut(&cutter, &limits, bytes, &len);
		if (cut == IMAP_CUT_WHOLE) {
			client->used += len;
			if (imap_response_parse(slice_range(bytes, 0, len), ret_response))
				return NULL;
			return op_fail(
				op, ERR_INVALID, "%s sent what is no IMAP", client->config->host);
		}
		if (cut != IMAP_CUT_MORE)
			return cut_failed(op, client, cut);
		drop_used(client);
		TRY(read_more(op, client, patience));
	}
}

/* ---- Commands ---- */

/* What a server says goes to logs and terminals. */
static const char *shown(struct op *op, struct slice text)
{
	char *line = arena_cstr(&op->arena, slice_range(text, 0, 120));
	for (char *at = line; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return line;
}

static struct error *read_to_end(struct op *op, struct imap_client *client, struct slice tag,
	struct patience *patience, imap_visitor visit, void *context)
{
	for (size_t i = 0; i < RESPONSES_MOST; i++) {
		struct imap_response response;
		TRY(next_response(op, client, patience, &response));
		if (slice_equal(response.tag, tag)) {
			if (response.status == IMAP_STATUS_OK)
				return visit ? visit(op, context, &response) : NULL;
			client->was_refused = true;
			return op_fail(op, ERR_NOT_FOUND, "%s says no: %s", client->config->host,
				shown(op, response.rest));
		}
		if (!slice_equal(response.tag, SLICE("*")))
			return op_fail(op, ERR_INVALID, "%s answers what was not asked",
				client->config->host);
		if (response.status == IMAP_STATUS_BYE)
			return op_fail(op, ERR_UNAVAILABLE, "%s ends the session: %s",
				client->config->host, shown(op, response.rest));
		if (visit)
			TRY(visit(op, context, &response));
	}
	return op_fail(op, ERR_INVALID, "%s answers without an end", client->config->host);
}

struct error *imap_client_command(struct op *op, struct imap_client *client, struct slice command,
	imap_visitor visit, void *context)
{
	struct patience patience = {.end_ns = clock_monotonic_ns() + COMMAND_MOST_NS};
	const char *tag = arena_printf(&op->arena, "h%u", ++client->tag);
	client->was_refused = false;
	note_byte(client, &patience);
	if (client->is_broken)
		return was_cut(op, client);
	struct error *err = send_bytes(op, client,
		slice_from_cstr(
			arena_printf(&op->arena, "%s " SLICE_FMT "\r\n", tag, SLICE_ARG(command))),
		&patience);
	if (!err)
		err = read_to_end(op, client, slice_from_cstr(tag), &patience, visit, context);
	client->is_broken = err && !client->was_refused;
	return err;
}
