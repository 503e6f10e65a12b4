/* What the client makes of a store's behaviour: each test is a script of answers, one a connection.
 */

#include "base/test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/sync.h"
#include "wire/s3/s3_private.h"

#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define SLOW_DOWN "HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define FAILURE "HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define DENIED "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define TAKEN "HTTP/1.1 412 Precondition Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
#define SAME                                                                               \
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\nX-Amz-Meta-Sha256: " \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n\r\n"
#define OTHER                                                                              \
	"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\nX-Amz-Meta-Sha256: " \
	"00000000000000000000000000000000b00361a396177a9cb410ff61f20015ad\r\n\r\n"
#define NO_ANSWER "" /* the connection is closed */
#define SILENCE NULL /* it is kept */

#define TRIES 3
#define REQUESTS_MAX 8

struct world {
	struct op op;
	struct s3 *s3;
	int listener;
	pthread_t thread;
	const char *answers[REQUESTS_MAX];
	int held[REQUESTS_MAX]; /* connections kept in silence */
	struct buf requests[REQUESTS_MAX];
	int count; /* requests that came; read when the server has ended */
};

static uint64_t body_length(struct slice request, size_t header_end)
{
	struct slice header = slice_range(request, 0, header_end);
	struct slice rest = slice_from(header, slice_find(header, SLICE("Content-Length: ")));
	uint64_t length = 0;
	rest = slice_from(rest, 16);
	return slice_parse_u64(slice_range(rest, 0, slice_find_char(rest, '\r')), &length) ? length
											   : 0;
}

static bool is_whole(const struct buf *request)
{
	struct slice bytes = buf_as_slice(request);
	size_t end = slice_find(bytes, SLICE("\r\n\r\n"));
	return end < bytes.len && bytes.len >= end + 4 + body_length(bytes, end);
}

static void *serve(void *argument)
{
	struct world *w = argument;
	for (;;) {
		int client = accept(w->listener, NULL, NULL);
		if (client < 0)
			return NULL;
		struct buf *request = &w->requests[w->count];
		ssize_t got = 1;
		*request = buf_heap();
		while (got > 0 && !is_whole(request)) {
			got = read(client, buf_reserve(request, 4096), 4096);
			request->len += got > 0 ? (size_t)got : 0;
		}
		const char *answer = w->answers[w->count++];
		if (answer && write(client, answer, strlen(answer)) < 0)
			abort();
		if (answer)
			close(client);
		else
			w->held[w->count - 1] = client;
	}
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	op_init(&w->op, "test");
	w->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(w->listener, 8), 0);
	assert_int_equal(getsockname(w->listener, (struct sockaddr *)&address, &length), 0);
	const struct s3_config config = {
		.endpoint =
			arena_printf(&w->op.arena, "http://127.0.0.1:%d", ntohs(address.sin_port)),
		.region = "here",
		.bucket = "mail",
		.access_key = "who",
		.secret_key = "secret",
		.create_only = true,
		.connect_ms = 2000,
		.stall_ms = 20000,
		.tries = TRIES,
		.parallel = 2,
		.part_bytes = 10,
	};
	assert_null(s3_new(&w->op, &config, &w->s3));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	s3_free(w->s3);
	for (int i = 0; i < w->count; i++) {
		buf_done(&w->requests[i]);
		if (w->held[i])
			close(w->held[i]);
	}
	op_done(&w->op);
	free(w);
	return 0;
}

#define given_answers(w, ...)                                                           \
	do {                                                                            \
		const char *const answers_[] = {__VA_ARGS__};                           \
		memcpy((void *)(w)->answers, (const void *)answers_, sizeof(answers_)); \
		thread_start(&(w)->thread, "store", serve, (w));                        \
	} while (0)

/* The store ends; how many requests it got. */
static void then_requests_are(struct world *w, int count)
{
	shutdown(w->listener, SHUT_RDWR);
	thread_join(w->thread);
	close(w->listener);
	assert_int_equal(w->count, count);
}

static struct error *put_content(struct world *w, struct slice content)
{
	uint8_t digest[SHA256_SIZE];
	sha256_of(content, digest);
	return s3_put(&w->op, w->s3, SLICE("key"), content, slice_of(digest, sizeof(digest)));
}

static struct error *put(struct world *w)
{
	return put_content(w, SLICE("abc"));
}

static struct s3_get get(struct world *w)
{
	struct s3_get get = {.key = SLICE("key"), .length = UINT64_MAX};
	s3_get_many(&w->op, w->s3, &get, 1);
	return get;
}

static void then_kind_is(const struct error *err, enum error_kind kind)
{
	assert_non_null(err);
	assert_string_equal(error_kind_name(err->kind), error_kind_name(kind));
}

static bool was_sent(const struct world *w, int request, const char *text)
{
	struct slice bytes = buf_as_slice(&w->requests[request]);
	return slice_find(bytes, slice_from_cstr(text)) < bytes.len;
}

static void a_put_is_signed_and_conditional(void **state)
{
	struct world *w = *state;
	given_answers(w, OK);
	assert_null(put(w));
	then_requests_are(w, 1);
	assert_true(was_sent(w, 0, "PUT /mail/key HTTP/1.1\r\n"));
	assert_true(was_sent(w, 0, "Authorization: AWS4-HMAC-SHA256 Credential=who/"));
	assert_true(was_sent(w, 0, "/here/s3/aws4_request"));
	assert_true(was_sent(w, 0,
		"SignedHeaders=content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;"
		"x-amz-meta-sha256"));
	assert_true(was_sent(w, 0,
		"x-amz-content-sha256: "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\r\n"));
	assert_true(was_sent(w, 0, "if-none-match: *\r\n"));
	assert_true(was_sent(w, 0, "\r\n\r\nabc"));
}

static void what_was_refused_for_now_is_sent_again(void **state)
{
	struct world *w = *state;
	given_answers(w, SLOW_DOWN, FAILURE, OK);
	assert_null(put(w));
	then_requests_are(w, 3);
}

static void a_store_that_only_refuses_has_written_nothing(void **state)
{
	struct world *w = *state;
	given_answers(w, SLOW_DOWN, SLOW_DOWN, SLOW_DOWN);
	then_kind_is(put(w), ERR_UNAVAILABLE);
	then_requests_are(w, TRIES);
}

static void a_put_without_an_answer_is_uncertain(void **state)
{
	struct world *w = *state;
	given_answers(w, NO_ANSWER, NO_ANSWER, NO_ANSWER);
	then_kind_is(put(w), ERR_UNCERTAIN);
	then_requests_are(w, TRIES);
}

static void a_later_refusal_does_not_make_it_certain(void **state)
{
	struct world *w = *state;
	given_answers(w, NO_ANSWER, DENIED);
	then_kind_is(put(w), ERR_UNCERTAIN);
	then_requests_are(w, 2);
}

static void a_put_whose_answer_was_lost_finds_itself_done(void **state)
{
	struct world *w = *state;
	given_answers(w, NO_ANSWER, TAKEN, SAME);
	assert_null(put(w));
	then_requests_are(w, 3);
	assert_true(was_sent(w, 2, "HEAD /mail/key HTTP/1.1\r\n"));
}

static void other_content_under_the_key_is_told(void **state)
{
	struct world *w = *state;
	given_answers(w, TAKEN, OTHER);
	then_kind_is(put(w), ERR_EXISTS);
	then_requests_are(w, 2);
}

static void nobody_there_is_unavailable(void **state)
{
	struct world *w = *state;
	given_answers(w, OK);
	then_requests_are(w, 0);
	then_kind_is(put(w), ERR_UNAVAILABLE);
	then_kind_is(get(w).err, ERR_UNAVAILABLE);
}

static void silence_ends_with_the_deadline(void **state)
{
	struct world *w = *state;
	uint64_t began_ns = clock_monotonic_ns();
	given_answers(w, SILENCE, SILENCE);
	w->op.deadline_ns = began_ns + 300 * NS_PER_MS;
	then_kind_is(put(w), ERR_UNCERTAIN);
	w->op.deadline_ns = clock_monotonic_ns() + 300 * NS_PER_MS;
	then_kind_is(get(w).err, ERR_TIMEOUT);
	assert_true(clock_monotonic_ns() - began_ns < 5 * NS_PER_S);
	then_requests_are(w, 2);
}

static void after_the_deadline_nothing_is_sent(void **state)
{
	struct world *w = *state;
	given_answers(w, OK);
	w->op.deadline_ns = clock_monotonic_ns() - 1;
	then_kind_is(put(w), ERR_TIMEOUT);
	then_requests_are(w, 0);
}

static void only_the_store_can_say_that_a_key_is_not_there(void **state)
{
	struct world *w = *state;
	given_answers(w,
		"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
		"<Error><Code>NoSuchKey</Code></Error>",
		"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
		"<Error><Code>NoSuchBucket</Code></Error>",
		"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<html>gone</html>");
	then_kind_is(get(w).err, ERR_NOT_FOUND);
	then_kind_is(get(w).err, ERR_UNAVAILABLE);
	then_kind_is(get(w).err, ERR_UNAVAILABLE);
	then_requests_are(w, 3);
}

static void an_answer_that_breaks_off_is_asked_for_again(void **state)
{
	struct world *w = *state;
	given_answers(w, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde");
	struct s3_get got = get(w);
	assert_null(got.err);
	assert_true(slice_equal(got.bytes, SLICE("abcde")));
	then_requests_are(w, 2);
}

static void a_range_that_is_ignored_is_cut_here(void **state)
{
	struct world *w = *state;
	struct s3_get got = {.key = SLICE("key"), .offset = 1, .length = 2};
	given_answers(w, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde");
	s3_get_many(&w->op, w->s3, &got, 1);
	assert_null(got.err);
	assert_true(slice_equal(got.bytes, SLICE("bc")));
	then_requests_are(w, 1);
	assert_true(was_sent(w, 0, "Range: bytes=1-2\r\n"));
}

#define BEGUN                                          \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" \
	"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
#define PART "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\nETag: \"e\"\r\n\r\n"

static void an_error_inside_a_good_answer_is_one(void **state)
{
	struct world *w = *state;
	given_answers(w, BEGUN, PART, PART,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
		"<Error><Code>InternalError</Code></Error>",
		OK);
	assert_null(put_content(w, SLICE("more than ten bytes")));
	then_requests_are(w, 5);
	assert_true(was_sent(w, 4, "POST /mail/key?uploadId=u HTTP/1.1\r\n"));
	assert_true(was_sent(w, 4, "<PartNumber>2</PartNumber><ETag>\"e\"</ETag>"));
}

static void an_upload_that_fails_is_given_up(void **state)
{
	struct world *w = *state;
	w->s3->config.tries = 1;
	given_answers(w, BEGUN, SLOW_DOWN, SLOW_DOWN,
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	then_kind_is(put_content(w, SLICE("more than ten bytes")), ERR_UNAVAILABLE);
	then_requests_are(w, 4);
	assert_true(was_sent(w, 3, "DELETE /mail/key?uploadId=u HTTP/1.1\r\n"));
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(a_put_is_signed_and_conditional),
		CASE(what_was_refused_for_now_is_sent_again),
		CASE(a_store_that_only_refuses_has_written_nothing),
		CASE(a_put_without_an_answer_is_uncertain),
		CASE(a_later_refusal_does_not_make_it_certain),
		CASE(a_put_whose_answer_was_lost_finds_itself_done),
		CASE(other_content_under_the_key_is_told),
		CASE(nobody_there_is_unavailable),
		CASE(silence_ends_with_the_deadline),
		CASE(after_the_deadline_nothing_is_sent),
		CASE(only_the_store_can_say_that_a_key_is_not_there),
		CASE(an_answer_that_breaks_off_is_asked_for_again),
		CASE(a_range_that_is_ignored_is_cut_here),
		CASE(an_error_inside_a_good_answer_is_one),
		CASE(an_upload_that_fails_is_given_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
