#include "wire/http/http.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sync.h"

#define IDLE_HANDLES_MAX 64
#define EXPECT_WAIT_MS 300L
/* Of an answer that is no good one: it is only told of. */
#define ERROR_BODY_MAX KIB(64)

/* A handle keeps its connections open. */
struct handle {
	CURL *easy;
	struct handle *next;
};

struct http_client {
	char *ca_file, *user, *password;
	uint64_t connect_ms, timeout_ms;
	struct mutex lock; /* of what follows */
	struct handle *idle;
	size_t idle_count;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

static char *copy(const char *text)
{
	return text ? heap_cstr(slice_from_cstr(text)) : NULL;
}

struct http_client *http_client_new(const struct http_config *config)
{
	pthread_once(&curl_once, start_curl);
	struct http_client *client = HEAP_NEW(struct http_client);
	client->ca_file = copy(config->ca_file);
	client->user = copy(config->user);
	client->password = copy(config->password);
	client->connect_ms = config->connect_ms;
	client->timeout_ms = config->timeout_ms;
	mutex_init(&client->lock);
	return client;
}

static void free_handle(struct handle *handle)
{
	curl_easy_cleanup(handle->easy);
	free(handle);
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	while (client->idle) {
		struct handle *handle = client->idle;
		client->idle = handle->next;
		free_handle(handle);
	}
	mutex_done(&client->lock);
	free(client->ca_file);
	free(client->user);
	free(client->password);
	free(client);
}

static struct handle *take_handle(struct http_client *client)
{
	mutex_lock(&client->lock);
	struct handle *handle = client->idle;
	if (handle) {
		client->idle = handle->next;
		client->idle_count--;
	}
	mutex_unlock(&client->lock);
	if (handle)
		return handle;
	handle = HEAP_NEW(struct handle);
	handle->easy = curl_easy_init();
	if (!handle->easy)
		abort();
	return handle;
}

static void give_handle_back(struct http_client *client, struct handle *handle)
{
	mutex_lock(&client->lock);
	bool is_kept = client->idle_count < IDLE_HANDLES_MAX;
	if (is_kept) {
		handle->next = client->idle;
		client->idle = handle;
		client->idle_count++;
	}
	mutex_unlock(&client->lock);
	if (!is_kept)
		free_handle(handle);
}

/* ---- One request ---- */

struct transfer {
	CURL *easy;
	struct http_request *request;
	struct buf answer;
	bool is_cut;                  /* more came than is taken */
	char detail[CURL_ERROR_SIZE]; /* of a failure */
};

/* More than is taken. Without a taker the transfer ends. */
static size_t take_beginning(struct transfer *transfer, struct slice bytes, uint64_t room)
{
	transfer->is_cut = transfer->request->takes_beginning;
	transfer->request->is_too_large = !transfer->is_cut;
	if (transfer->is_cut)
		buf_append(&transfer->answer, slice_range(bytes, 0, room));
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct http_request *request = transfer->request;
	size_t length = size * count;
	long status = 0;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	uint64_t max = status < 300 ? request->answer_max : ERROR_BODY_MAX;
	uint64_t room = max - MIN_OF(transfer->answer.len, max);
	if (length > room) {
		/* The beginning of an error says enough. */
		return status < 300 ? take_beginning(transfer, slice_of(bytes, length), room)
				    : length;
	}
	buf_append(&transfer->answer, slice_of(bytes, length));
	return length;
}

/* libcurl asks often while something happens, and each second while nothing does. */
static int is_to_stop(
	void *context, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
	const struct http_request *request = context;
	return atomic_load(request->is_cancelled);
}

static void set_limits(const struct op *op, const struct http_client *client,
	const struct http_request *request, CURL *easy)
{
	uint64_t left_ns = op_time_left_ns(op);
	uint64_t timeout_ms = request->timeout_ms ? request->timeout_ms : client->timeout_ms;
	if (left_ns != UINT64_MAX)
		timeout_ms = MIN_OF(timeout_ms, MAX_OF(left_ns / NS_PER_MS, 1));
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)client->connect_ms);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
}

static void set_method(const struct http_request *request, CURL *easy)
{
	if (request->body.ptr) {
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.ptr);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
		curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_WAIT_MS);
	}
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_options(
	const struct op *op, const struct http_client *client, struct transfer *transfer)
{
	CURL *easy = transfer->easy;
	curl_easy_reset(easy);
	curl_easy_setopt(easy, CURLOPT_URL, transfer->request->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->detail);
	if (client->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
	if (client->user) {
		curl_easy_setopt(easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(easy, CURLOPT_USERNAME, client->user);
		curl_easy_setopt(easy, CURLOPT_PASSWORD, client->password ? client->password : "");
	}
	set_limits(op, client, transfer->request, easy);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, (long)transfer->request->is_once);
	if (transfer->request->is_cancelled) {
		curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, is_to_stop);
		curl_easy_setopt(easy, CURLOPT_XFERINFODATA, transfer->request);
		curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
	}
	set_method(transfer->request, easy);
}

static struct curl_slist *make_headers(const struct http_request *request)
{
	struct curl_slist *headers = NULL;
	for (size_t i = 0; i < request->header_count; i++) {
		struct curl_slist *longer = curl_slist_append(headers, request->headers[i]);
		if (!longer)
			abort();
		headers = longer;
	}
	return headers;
}

static bool is_unreached(CURL *easy, CURLcode result)
{
	long sent = 0; /* of the request's head */
	curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &sent);
	return result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_COULDNT_CONNECT ||
	       (result == CURLE_OPERATION_TIMEDOUT && !sent);
}

static void note_result(struct op *op, struct transfer *transfer, CURLcode result)
{
	struct http_request *request = transfer->request;
	long status = 0;
	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	request->is_late = result == CURLE_OPERATION_TIMEDOUT;
	request->is_unreached = is_unreached(transfer->easy, result);
	if (result != CURLE_OK && !transfer->is_cut) {
		request->problem =
			request->is_too_large
				? "the answer is too large"
				: arena_printf(&op->arena, "%s%s%s", curl_easy_strerror(result),
					  *transfer->detail ? ": " : "", transfer->detail);
		return;
	}
	curl_off_t retry_after_s = 0;
	curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
	request->retry_after_s = retry_after_s > 0 ? (uint64_t)retry_after_s : 0;
	request->status = (int)status;
	request->answer = buf_as_slice(&transfer->answer);
}

void http_send(struct op *op, struct http_client *client, struct http_request *request)
{
	struct handle *handle = take_handle(client);
	struct transfer transfer = {
		.easy = handle->easy, .request = request, .answer = buf_in(&op->arena)};
	request->status = 0;
	request->answer = SLICE_NONE;
	request->retry_after_s = 0;
	request->is_too_large = request->is_late = request->is_unreached = false;
	request->problem = "there was no answer";
	struct curl_slist *headers = make_headers(request);
	set_options(op, client, &transfer);
	curl_easy_setopt(handle->easy, CURLOPT_HTTPHEADER, headers);
	note_result(op, &transfer, curl_easy_perform(handle->easy));
	curl_easy_setopt(handle->easy, CURLOPT_ERRORBUFFER, (char *)NULL);
	curl_slist_free_all(headers);
	give_handle_back(client, handle);
}

bool http_is_origin(struct slice url)
{
	size_t begin = slice_starts_with(url, SLICE("http://"))    ? 7
		       : slice_starts_with(url, SLICE("https://")) ? 8
								   : 0;
	struct slice host = slice_from(url, begin);
	if (host.len && host.ptr[host.len - 1] == '/')
		host.len--;
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];
		if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (!c || !strchr("-.:[]_", c)))
			return false;
	}
	return begin && host.len;
}
