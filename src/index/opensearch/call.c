#include "index/opensearch/opensearch_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"

METRIC_COUNTER(
	requests, "opensearch_requests_total", "Requests sent to OpenSearch, repeats included");
METRIC_COUNTER(pushed_back, "opensearch_pushed_back_total",
	"Requests that OpenSearch was too busy for (429, 503): sent again, later each time");
METRIC_COUNTER(failures, "opensearch_failures_total",
	"Requests to OpenSearch that got no answer, or that it could not serve, in all their "
	"tries");
METRIC_HISTOGRAM(
	seconds, "opensearch_request_seconds", "Time of one try of a request to OpenSearch");

/* Of a good answer. */
#define ANSWER_MAX MIB(32)
/* A search does not wait: it reads the messages instead. */
#define SEARCH_TRIES 2
#define WRITE_TRIES 5
#define BACKOFF_FIRST_NS (50 * NS_PER_MS)
#define BACKOFF_DOUBLINGS 5
/* After a request that failed in all its tries nobody waits for the next ones, so long. */
#define SILENCE_FIRST_NS (250 * NS_PER_MS)
#define SILENCE_DOUBLINGS 4

static void note_answer(struct opensearch *shared, bool is_good)
{
	if (is_good) {
		shared->failures = 0;
		shared->silent_until_ns = 0;
		return;
	}
	unsigned before = shared->failures++;
	metric_add(&failures, 1);
	shared->silent_until_ns =
		clock_monotonic_ns() + (SILENCE_FIRST_NS << MIN_OF(before, SILENCE_DOUBLINGS));
}

static bool is_passing(int status)
{
	return status == 0 || status == 429 || status >= 500;
}

/* False: there is no time for it. */
static bool wait_before(struct op *op, unsigned tries)
{
	uint64_t pause_ns = BACKOFF_FIRST_NS << MIN_OF(tries, BACKOFF_DOUBLINGS);
	pause_ns = pause_ns / 2 + random_below(pause_ns / 2 + 1);
	if (pause_ns >= op_time_left_ns(op))
		return false;
	clock_sleep_ns(pause_ns);
	return true;
}

static void send_once(struct op *op, struct opensearch *shared, size_t host,
	struct http_request *request, const struct opensearch_call *call)
{
	uint64_t begun_ns = clock_monotonic_ns();
	request->url = arena_printf(&op->arena, "%s%s", shared->hosts[host], call->path);
	metric_add(&requests, 1);
	http_send(op, shared->http, request);
	metric_observe_ns(&seconds, clock_monotonic_ns() - begun_ns);
	if (request->status == 429 || request->status == 503)
		metric_add(&pushed_back, 1);
}

static struct error *fail(
	struct op *op, const struct http_request *request, const struct opensearch_call *call)
{
	struct slice said = slice_range(request->answer, 0, MIN_OF(request->answer.len, 300));
	if (request->status)
		return op_fail(op, ERR_UNAVAILABLE, "OpenSearch, %s %s: %d " SLICE_FMT,
			call->method, call->path, request->status, SLICE_ARG(said));
	return op_fail(op, request->is_late ? ERR_TIMEOUT : ERR_UNAVAILABLE,
		"OpenSearch, %s %s: %s", call->method, call->path, request->problem);
}

struct error *opensearch_send(
	struct op *op, struct opensearch *shared, struct opensearch_call *call)
{
	static const char *const json[] = {"Content-Type: application/json"};
	static const char *const lines[] = {"Content-Type: application/x-ndjson"};
	struct http_request request = {.method = call->method,
		.headers = call->is_bulk ? lines : json,
		.header_count = call->body.ptr ? 1 : 0,
		.body = call->body,
		.answer_max = ANSWER_MAX,
		.timeout_ms = call->is_write ? shared->write_ms : shared->search_ms};
	unsigned most = call->is_write ? WRITE_TRIES : SEARCH_TRIES;
	if (clock_monotonic_ns() < shared->silent_until_ns)
		return op_fail(op, ERR_UNAVAILABLE, "OpenSearch did not answer a moment ago");
	for (unsigned tries = 0; tries < most; tries++) {
		size_t host = (shared->host + tries) % shared->host_count;
		/* Each host once without a pause. */
		if (tries >= shared->host_count &&
			!wait_before(op, tries - (unsigned)shared->host_count))
			break;
		send_once(op, shared, host, &request, call);
		if (!is_passing(request.status)) {
			shared->host = host;
			note_answer(shared, true);
			call->status = request.status;
			call->answer = request.answer;
			return NULL;
		}
		/* Who is slow once is slow again, and a search has no time for it. */
		if (request.is_too_large || (request.is_late && !call->is_write))
			break;
	}
	note_answer(shared, false);
	return fail(op, &request, call);
}

struct error *opensearch_refused(
	struct op *op, const struct opensearch_call *call, const char *what)
{
	struct slice said = slice_range(call->answer, 0, MIN_OF(call->answer.len, 500));
	return op_fail(op, ERR_UNAVAILABLE, "OpenSearch, to %s: %d " SLICE_FMT, what, call->status,
		SLICE_ARG(said));
}

/* ---- The index itself ---- */

static struct error *make_index(struct op *op, struct opensearch *shared)
{
	struct opensearch_call call = {.method = "PUT",
		.path = arena_printf(&op->arena, "/%s", shared->index_name),
		.body = slice_from_cstr(shared->definition),
		.is_write = true};
	TRY(opensearch_send(op, shared, &call));
	struct slice exists = SLICE("resource_already_exists_exception");
	if (call.status < 300 || slice_find(call.answer, exists) < call.answer.len)
		return NULL;
	return opensearch_refused(op, &call, "make the index");
}

static struct error *set_aliases(struct op *op, struct opensearch *shared, bool sets_read)
{
	struct buf body = buf_in(&op->arena);
	const char *const names[] = {shared->write_alias, shared->read_alias};
	buf_append(&body, SLICE("{\"actions\":["));
	for (size_t i = 0; i < (sets_read ? 2 : 1); i++)
		buf_printf(&body,
			"%s{\"remove\":{\"index\":\"%s-*\",\"alias\":\"%s\",\"must_exist\":false}},"
			"{\"add\":{\"index\":\"%s\",\"alias\":\"%s\"}}",
			i ? "," : "", shared->prefix, names[i], shared->index_name, names[i]);
	buf_append(&body, SLICE("]}"));
	struct opensearch_call call = {.method = "POST",
		.path = "/_aliases",
		.body = buf_as_slice(&body),
		.is_write = true};
	TRY(opensearch_send(op, shared, &call));
	return call.status < 300 ? NULL : opensearch_refused(op, &call, "set the aliases");
}

struct error *opensearch_prepare(struct op *op, struct opensearch *shared)
{
	struct opensearch_call call = {.method = "GET",
		.path = arena_printf(&op->arena, "/_alias/%s", shared->read_alias)};
	if (shared->is_prepared)
		return NULL;
	TRY(make_index(op, shared));
	TRY(opensearch_send(op, shared, &call));
	/* An index of another making is read until all accounts are in the new one. */
	TRY(set_aliases(op, shared, call.status == 404));
	struct slice name = slice_from_cstr(shared->index_name);
	shared->may_have_old =
		call.status == 200 && slice_find(call.answer, name) == call.answer.len;
	log_info(op, "opensearch-prepared", FIELD_TEXT("index", shared->index_name),
		FIELD_TEXT("old", shared->may_have_old ? "is read" : "none"));
	shared->is_prepared = true;
	return NULL;
}

/* Is it one of ours, of another making? */
static bool is_old(const struct opensearch *shared, struct slice name)
{
	struct slice prefix = slice_from_cstr(shared->prefix);
	struct slice rest = slice_from(name, MIN_OF(prefix.len, name.len));
	bool is_ours = slice_starts_with(name, prefix) && rest.len == 9 && rest.ptr[0] == '-';
	for (size_t i = 1; i < rest.len && is_ours; i++)
		is_ours = ascii_is_digit(rest.ptr[i]) || (rest.ptr[i] >= 'a' && rest.ptr[i] <= 'f');
	return is_ours && !slice_equal(name, slice_from_cstr(shared->index_name));
}

static struct error *remove_index(struct op *op, struct opensearch *shared, struct slice name)
{
	struct opensearch_call call = {.method = "DELETE",
		.path = arena_printf(&op->arena, "/" SLICE_FMT, SLICE_ARG(name)),
		.is_write = true};
	log_info(op, "opensearch-index-removed", FIELD_SLICE("index", name));
	TRY(opensearch_send(op, shared, &call));
	return call.status < 300 || call.status == 404
		       ? NULL
		       : opensearch_refused(op, &call, "remove an old index");
}

struct error *opensearch_settle(struct index *index, struct op *op)
{
	struct opensearch *shared = ((struct opensearch_view *)index)->shared;
	struct opensearch_call call = {.method = "GET",
		.path = arena_printf(&op->arena, "/_cat/indices/%s-*?h=index", shared->prefix)};
	TRY(opensearch_prepare(op, shared));
	TRY(set_aliases(op, shared, true));
	shared->may_have_old = false;
	TRY(opensearch_send(op, shared, &call));
	if (call.status != 200)
		return opensearch_refused(op, &call, "list the indexes");
	struct slice name;
	while (slice_split(&call.answer, '\n', &name))
		if (is_old(shared, slice_trim(name)))
			TRY(remove_index(op, shared, slice_trim(name)));
	return NULL;
}
