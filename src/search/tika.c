#include "search/tika.h"

#include <stdlib.h>

struct tika {
	struct http_client *http;
	char *url;
	uint64_t text_bytes;
	const atomic_bool *is_stopping;
};

#define VERSION_BYTES_MOST KIB(4)
#define VERSION_TIMEOUT_MS 5000

struct error *tika_open(struct op *op, const struct tika_options *options, struct tika **ret_tika)
{
	struct slice url = slice_from_cstr(options->url);
	const struct http_config http = {
		.connect_ms = options->connect_ms, .timeout_ms = options->timeout_ms};
	if (!http_is_origin(url))
		return op_fail(op, ERR_INVALID, "search.tika is no http://host:port");
	if (url.ptr[url.len - 1] == '/')
		url.len--;
	struct tika *tika = HEAP_NEW(struct tika);
	tika->http = http_client_new(&http);
	tika->url = heap_cstr(url);
	tika->text_bytes = options->text_bytes;
	tika->is_stopping = options->is_stopping;
	*ret_tika = tika;
	return NULL;
}

void tika_close(struct tika *tika)
{
	if (!tika)
		return;
	http_client_free(tika->http);
	free(tika->url);
	free(tika);
}

/* 204: an empty text. 413, 415, 422: it is too large, of no kind that is known, broken or
 * encrypted, now and later. 429, 503: it has too much to do, or is about to begin anew. What else
 * is no success and no 5xx is said of the request, so of a server that is set up otherwise. */
enum tika_outcome tika_judge(
	struct op *op, const struct http_request *request, const char **ret_problem)
{
	int status = request->status;
	*ret_problem = request->problem;
	if (status)
		*ret_problem = arena_printf(&op->arena, "Tika answered %d", status);
	if (status == 200 || status == 204 || status == 413 || status == 415 || status == 422)
		return TIKA_READ;
	bool is_heard = !status && !request->is_unreached;
	bool is_failure = status >= 500 && status != 503;
	return is_heard || is_failure ? TIKA_FAILED : TIKA_AWAY;
}

/* It is left to Tika to find out what kind of file it is: mail says anything. */
enum tika_outcome tika_read(struct op *op, struct tika *tika, struct slice content,
	struct slice *ret_text, const char **ret_problem)
{
	static const char *const headers[] = {
		"Accept: text/plain", "Content-Type: application/octet-stream"};
	struct http_request request = {.method = "PUT",
		.url = arena_printf(&op->arena, "%s/tika", tika->url),
		.headers = headers,
		.header_count = ARRAY_SIZE(headers),
		.body = slice_of(content.ptr ? content.ptr : "", content.len),
		.answer_max = tika->text_bytes,
		.takes_beginning = true,
		.is_once = true,
		.is_cancelled = tika->is_stopping};
	http_send(op, tika->http, &request);
	*ret_text = request.status == 200 ? request.answer : SLICE_NONE;
	enum tika_outcome outcome = tika_judge(op, &request, ret_problem);
	return outcome == TIKA_FAILED && atomic_load(tika->is_stopping) ? TIKA_AWAY : outcome;
}

bool tika_answers(struct op *op, struct tika *tika)
{
	struct http_request request = {.method = "GET",
		.url = arena_printf(&op->arena, "%s/version", tika->url),
		.answer_max = VERSION_BYTES_MOST,
		.timeout_ms = VERSION_TIMEOUT_MS,
		.is_cancelled = tika->is_stopping};
	http_send(op, tika->http, &request);
	return request.status == 200;
}
