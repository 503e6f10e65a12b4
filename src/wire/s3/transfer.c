#include "wire/s3/s3_private.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/random.h"
#include "base/sync.h"

METRIC_COUNTER(
	requests_sent, "s3_requests_total", "Requests sent to the object store, repeats included");
METRIC_COUNTER(
	requests_repeated, "s3_repeats_total", "Requests to the object store that were sent again");
METRIC_COUNTER(requests_failed, "s3_failures_total",
	"Requests to the object store that got no answer, or that it could not serve, in all their "
	"tries");
METRIC_HISTOGRAM(
	request_seconds, "s3_request_seconds", "Time of one try of a request to the object store");

#define BACKOFF_FIRST_NS (50 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
#define RETRY_AFTER_MAX_S 30
#define IDLE_LANES_MAX 128
#define EXPECT_WAIT_MS 300L

/* ---- Lanes: what one thread needs at a time, its open connections among it ---- */

struct lane {
	CURLM *multi;
	CURL **easies; /* made when first used */
	struct lane *next;
};

struct lane_pool {
	struct mutex lock;
	struct lane *idle;
	size_t idle_count;
	size_t width; /* easies of a lane */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void start_curl(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		abort();
}

struct lane_pool *lane_pool_new(const struct s3 *s3)
{
	pthread_once(&curl_once, start_curl);
	struct lane_pool *pool = HEAP_NEW(struct lane_pool);
	*pool = (struct lane_pool){.width = (size_t)s3->config.parallel};
	mutex_init(&pool->lock);
	return pool;
}

static struct lane *lane_new(const struct lane_pool *pool)
{
	struct lane *lane = HEAP_NEW(struct lane);
	*lane = (struct lane){
		.multi = curl_multi_init(), .easies = heap_alloc(pool->width * sizeof(CURL *))};
	if (!lane->multi)
		abort();
	memset(lane->easies, 0, pool->width * sizeof(CURL *));
	curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)pool->width);
	return lane;
}

static void lane_free(const struct lane_pool *pool, struct lane *lane)
{
	for (size_t i = 0; i < pool->width; i++)
		if (lane->easies[i])
			curl_easy_cleanup(lane->easies[i]);
	curl_multi_cleanup(lane->multi);
	free((void *)lane->easies);
	free(lane);
}

void lane_pool_free(struct lane_pool *pool)
{
	if (!pool)
		return;
	while (pool->idle) {
		struct lane *lane = pool->idle;
		pool->idle = lane->next;
		lane_free(pool, lane);
	}
	mutex_done(&pool->lock);
	free(pool);
}

static struct lane *take_lane(struct lane_pool *pool)
{
	mutex_lock(&pool->lock);
	struct lane *lane = pool->idle;
	if (lane) {
		pool->idle = lane->next;
		pool->idle_count--;
	}
	mutex_unlock(&pool->lock);
	return lane ? lane : lane_new(pool);
}

static void give_lane_back(struct lane_pool *pool, struct lane *lane)
{
	mutex_lock(&pool->lock);
	bool is_kept = pool->idle_count < IDLE_LANES_MAX;
	if (is_kept) {
		lane->next = pool->idle;
		pool->idle = lane;
		pool->idle_count++;
	}
	mutex_unlock(&pool->lock);
	if (!is_kept)
		lane_free(pool, lane);
}

/* ---- One request ---- */

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_DONE };

struct task {
	struct op *op;
	const struct s3 *s3;
	struct s3_request *request;
	CURL *easy; /* while it runs */
	size_t slot;
	struct curl_slist *headers;
	struct buf answer;
	uint64_t not_before_ns; /* of the next try */
	uint64_t tries;
	enum task_state state;
	bool is_too_large;
};

static bool has_name(struct slice line, struct slice name, struct slice *ret_value)
{
	if (!slice_starts_with_nocase(line, name))
		return false;
	*ret_value = slice_trim(slice_from(line, name.len));
	return true;
}

/* "bytes 0-99/1234" */
static uint64_t total_of(struct slice content_range)
{
	uint64_t total;
	size_t slash = slice_find_char(content_range, '/');
	return slice_parse_u64(slice_from(content_range, slash + 1), &total) ? total : UINT64_MAX;
}

static void forget_answer(struct task *task)
{
	struct s3_request *request = task->request;
	request->status = 0;
	request->answer = request->code = request->meta_sha256 = request->etag = SLICE("");
	request->range_total = UINT64_MAX;
	request->problem = "there was no answer";
	task->answer.len = 0;
}

static size_t take_header(char *bytes, size_t size, size_t count, void *context)
{
	struct task *task = context;
	struct s3_request *request = task->request;
	struct slice line = slice_of(bytes, size * count);
	struct slice value;
	if (slice_starts_with(line, SLICE("HTTP/")))
		forget_answer(task); /* after "100 Continue" there is another */
	else if (has_name(line, SLICE("x-amz-meta-sha256:"), &value))
		request->meta_sha256 = arena_dup(&task->op->arena, value);
	else if (has_name(line, SLICE("etag:"), &value))
		request->etag = arena_dup(&task->op->arena, value);
	else if (has_name(line, SLICE("content-range:"), &value))
		request->range_total = total_of(value);
	return size * count;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
	struct task *task = context;
	long status = 0;
	curl_off_t announced = -1;
	curl_easy_getinfo(task->easy, CURLINFO_RESPONSE_CODE, &status);
	uint64_t max = status < 300 ? task->request->answer_max : S3_ERROR_BODY_MAX;
	size_t length = size * count;
	if (length > max - MIN_OF(task->answer.len, max)) {
		task->is_too_large = true;
		return 0;
	}
	/* All at once: a buffer that grows would leave its smaller selves in the arena. */
	curl_easy_getinfo(task->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	if (!task->answer.len && announced > 0 && (uint64_t)announced <= max)
		buf_reserve(&task->answer, (size_t)announced);
	buf_append(&task->answer, slice_of(bytes, length));
	return length;
}

static void add_header(struct task *task, const char *line)
{
	struct curl_slist *longer = curl_slist_append(task->headers, line);
	if (!longer)
		abort();
	task->headers = longer;
}

static void set_headers(struct task *task)
{
	const struct s3_request *request = task->request;
	struct arena *arena = &task->op->arena;
	uint8_t digest[SHA256_SIZE];
	struct slice sha256 = request->sha256;
	if (!sha256.len) {
		sha256_of(SLICE(""), digest);
		sha256 = slice_of(digest, sizeof(digest));
	}
	add_header(task, arena_printf(arena, "x-amz-content-sha256: %s", s3_hex(arena, sha256)));
	if (request->method == S3_POST)
		add_header(task, "content-type: application/xml");
	if (request->method == S3_PUT)
		add_header(task, "content-type: application/octet-stream");
	for (size_t i = 0; i < request->header_count; i++)
		add_header(task, request->headers[i]);
	curl_easy_setopt(task->easy, CURLOPT_HTTPHEADER, task->headers);
}

static void set_method(struct task *task)
{
	const struct s3_request *request = task->request;
	CURL *easy = task->easy;
	switch (request->method) {
	case S3_GET:
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
		break;
	case S3_HEAD:
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
		break;
	case S3_PUT:
	case S3_POST:
		/* As an "upload" even small content would wait for "100 Continue". */
		curl_easy_setopt(easy, CURLOPT_POST, 1L);
		curl_easy_setopt(
			easy, CURLOPT_POSTFIELDS, request->body.len ? request->body.ptr : "");
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
		curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, EXPECT_WAIT_MS);
		if (request->method == S3_PUT)
			curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
		break;
	case S3_DELETE:
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
		break;
	}
}

static void set_limits(struct task *task)
{
	const struct s3_config *config = &task->s3->config;
	CURL *easy = task->easy;
	uint64_t left_ns = op_time_left_ns(task->op);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)config->connect_ms);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(
		easy, CURLOPT_LOW_SPEED_TIME, (long)MAX_OF((config->stall_ms + 999) / 1000, 1));
	if (left_ns != UINT64_MAX)
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)MAX_OF(left_ns / NS_PER_MS, 1));
}

static void set_options(struct task *task)
{
	const struct s3 *s3 = task->s3;
	CURL *easy = task->easy;
	curl_easy_reset(easy);
	curl_easy_setopt(easy, CURLOPT_URL, task->request->url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* not what the environment says */
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
	curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, s3->signing);
	curl_easy_setopt(easy, CURLOPT_USERNAME, s3->config.access_key);
	curl_easy_setopt(easy, CURLOPT_PASSWORD, s3->config.secret_key);
	if (s3->config.ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, s3->config.ca_file);
	if (task->request->range)
		curl_easy_setopt(easy, CURLOPT_RANGE, task->request->range);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, task);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, task);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, task);
	set_limits(task);
	set_method(task);
	set_headers(task);
}

/* ---- What an answer means for another try ---- */

static bool is_passing(int status)
{
	return status == 408 || status == 409 || status == 429 || status == 500 || status == 502 ||
	       status == 503 || status == 504;
}

/* Said instead of doing anything. */
static bool is_refusal(int status)
{
	return status == 429 || status == 503 || (status >= 400 && status < 500 && status != 408);
}

static bool is_worth_another(const struct s3_request *request, CURLcode result)
{
	switch ((int)result) {
	case CURLE_OK:
		break;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WRITE_ERROR: /* ours: the answer was too large */
		return false;
	default:
		return true;
	}
	bool is_failed_inside = request->status == 200 && request->code.len;
	return is_failed_inside || is_passing(request->status) ||
	       slice_equal(request->code, SLICE("RequestTimeout"));
}

static void note_result(struct task *task, CURLcode result)
{
	struct s3_request *request = task->request;
	long sent_bytes = 0;
	long status = 0;
	curl_easy_getinfo(task->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
	if (result != CURLE_OK) {
		request->status = 0;
		request->problem = task->is_too_large
					   ? "the answer is larger than what was asked for"
					   : curl_easy_strerror(result);
		request->may_be_done |= sent_bytes != 0;
		return;
	}
	curl_easy_getinfo(task->easy, CURLINFO_RESPONSE_CODE, &status);
	request->status = (int)status;
	request->answer = buf_as_slice(&task->answer);
	if (status >= 300 || request->method == S3_POST)
		s3_parse_error(&task->op->arena, request->answer, &request->code);
	if (!s3_is_good(request) && !is_refusal(request->status))
		request->may_be_done = true;
}

/* Doubling, and spread: those who were refused together do not come back together. */
static uint64_t wait_before_next_ns(struct task *task)
{
	curl_off_t asked_s = 0;
	curl_easy_getinfo(task->easy, CURLINFO_RETRY_AFTER, &asked_s);
	uint64_t longest = BACKOFF_FIRST_NS << MIN_OF(task->tries - 1, 10);
	longest = MIN_OF(longest, BACKOFF_MAX_NS);
	uint64_t asked_ns = (uint64_t)MIN_OF(MAX_OF(asked_s, 0), RETRY_AFTER_MAX_S) * NS_PER_S;
	return asked_ns + longest / 2 + random_below(longest / 2);
}

static void finish_try(struct task *task, CURLcode result)
{
	curl_off_t took_us = 0;
	curl_easy_getinfo(task->easy, CURLINFO_TOTAL_TIME_T, &took_us);
	metric_observe_ns(&request_seconds, (uint64_t)took_us * 1000);
	note_result(task, result);
	bool is_bad = task->request->status == 0 || task->request->status >= 500;
	task->state = TASK_DONE;
	if (task->tries < task->s3->config.tries && is_worth_another(task->request, result)) {
		uint64_t wait_ns = wait_before_next_ns(task);
		task->not_before_ns = clock_monotonic_ns() + wait_ns;
		if (op_time_left_ns(task->op) > wait_ns)
			task->state = TASK_WAITING;
		else
			task->request->is_late = true;
	}
	metric_add(&requests_failed, is_bad && task->state == TASK_DONE);
	curl_slist_free_all(task->headers);
	task->headers = NULL;
	task->easy = NULL;
}

/* ---- Many requests ---- */

struct batch {
	struct lane *lane;
	size_t width;
	struct task *tasks;
	size_t count;
	size_t done;
	size_t running;
	struct task **slots; /* by easy of the lane: whose it is now */
};

static void start_try(struct batch *batch, struct task *task)
{
	size_t slot = 0;
	while (batch->slots[slot])
		slot++;
	CURL **easy = &batch->lane->easies[slot];
	if (!*easy && !(*easy = curl_easy_init()))
		abort();
	batch->slots[slot] = task;
	batch->running++;
	task->slot = slot;
	task->easy = *easy;
	task->state = TASK_RUNNING;
	task->is_too_large = false;
	forget_answer(task);
	metric_add(&requests_sent, 1);
	metric_add(&requests_repeated, task->tries != 0);
	task->tries++;
	set_options(task);
	if (curl_multi_add_handle(batch->lane->multi, *easy) != CURLM_OK)
		abort();
}

/* Starts what may start. Returns how long to wait for the first that may not yet. */
static uint64_t start_due(struct batch *batch)
{
	uint64_t now_ns = clock_monotonic_ns();
	uint64_t wait_ns = NS_PER_S;
	for (size_t i = 0; i < batch->count && batch->running < batch->width; i++) {
		struct task *task = &batch->tasks[i];
		if (task->state != TASK_WAITING)
			continue;
		if (task->not_before_ns > now_ns) {
			wait_ns = MIN_OF(wait_ns, task->not_before_ns - now_ns);
		} else if (op_time_left_ns(task->op) == 0) {
			task->state = TASK_DONE;
			task->request->is_late = true;
			task->request->problem = "the deadline has passed";
			batch->done++;
		} else {
			start_try(batch, task);
		}
	}
	return wait_ns;
}

/* True when there were any. */
static bool take_results(struct batch *batch)
{
	CURLMsg *message;
	int left;
	bool has_any = false;
	while ((message = curl_multi_info_read(batch->lane->multi, &left))) {
		if (message->msg != CURLMSG_DONE)
			continue;
		struct task *task = NULL;
		CURLcode result = message->data.result;
		CURL *easy = message->easy_handle;
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &task);
		curl_multi_remove_handle(batch->lane->multi, easy);
		batch->slots[task->slot] = NULL;
		batch->running--;
		finish_try(task, result);
		batch->done += task->state == TASK_DONE;
		has_any = true;
	}
	return has_any;
}

void s3_perform(struct op *op, struct s3 *s3, struct s3_request *requests, size_t count)
{
	struct batch batch = {.lane = take_lane(s3->lanes),
		.width = s3->lanes->width,
		.tasks = ARENA_ARRAY(&op->arena, struct task, count),
		.count = count,
		.slots = ARENA_ARRAY(&op->arena, struct task *, s3->lanes->width)};
	for (size_t i = 0; i < count; i++) {
		batch.tasks[i] = (struct task){
			.op = op, .s3 = s3, .request = &requests[i], .answer = buf_in(&op->arena)};
		forget_answer(&batch.tasks[i]);
	}
	while (batch.done < count) {
		uint64_t wait_ns = start_due(&batch);
		int running;
		curl_multi_perform(batch.lane->multi, &running);
		if (!take_results(&batch))
			curl_multi_poll(
				batch.lane->multi, NULL, 0, (int)(wait_ns / NS_PER_MS + 1), NULL);
	}
	give_lane_back(s3->lanes, batch.lane);
}
