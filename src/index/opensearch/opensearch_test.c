/* What is sent and what is made of answers, without an OpenSearch; with one that misbehaves in
 * every way, too. The real one: opensearch_contract_test.c. */

#include "base/test.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "index/opensearch/opensearch_private.h"

#define UUID "01a21dd6-a362-7001-abc4-cde64e5420ef"
#define FOUND(source) "{\"found\":true,\"_seq_no\":3,\"_primary_term\":1,\"_source\":" source "}"
#define HITS(shards, hits)                                                                \
	"{\"timed_out\":false,\"_shards\":{\"total\":1,\"failed\":" shards "},\"hits\":{" \
	"\"hits\":" hits "}}"

static void an_accounts_document_is_read_or_refused(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
		uint64_t cursor;
	} cases[] = {
		{"{\"found\":false}", true, 0},
		{FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\",\"covered\":{}}"), true,
			7},
		{FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\",\"covered\":{\"" UUID
		       "\":[1,4294967295]}}"),
			true, 7},
		{"", false, 0},
		{"null", false, 0},
		{"[]", false, 0},
		{"{}", false, 0},
		{"{\"found\":\"true\"}", false, 0},
		{"{\"found\":true}", false, 0},
		{FOUND("{\"cursor\":-1,\"generation\":\"00000000000000ff\",\"covered\":{}}"), false,
			0},
		{FOUND("{\"cursor\":7,\"generation\":\"0000000000000000\",\"covered\":{}}"), false,
			0},
		{FOUND("{\"cursor\":7,\"generation\":\"ff\",\"covered\":{}}"), false, 0},
		{FOUND("{\"cursor\":7,\"generation\":255,\"covered\":{}}"), false, 0},
		{FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\"}"), false, 0},
		{FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\",\"covered\":{\"x\":[1,"
		       "2]}}"),
			false, 0},
		{FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\",\"covered\":{\"" UUID
		       "\":[1,4294967296]}}"),
			false, 0},
		{FOUND("{\"cursor\":7,\"cursor\":8,\"generation\":\"00000000000000ff\","
		       "\"covered\":{}}"),
			false, 0},
		{FOUND("{\"cursor\":1e3,\"generation\":\"00000000000000ff\",\"covered\":{}}"),
			false, 0},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct opensearch_progress progress;
		struct error *err =
			opensearch_parse_progress(&op, slice_from_cstr(cases[i].text), &progress);
		if (!err != cases[i].is_good)
			fail_msg("%s", cases[i].text);
		if (err)
			assert_int_equal(err->kind, ERR_UNAVAILABLE);
		else
			assert_int_equal(progress.state.cursor, cases[i].cursor);
	}
}

static void hits_are_read_or_refused(void **state)
{
	static const struct {
		const char *text;
		int count; /* -1: refused */
	} cases[] = {
		{HITS("0", "[]"), 0},
		{HITS("0",
			 "[{\"fields\":{\"uid\":[5]}},{\"fields\":{\"uid\":[9],\"message\":[\"" UUID
			 "\"],\"fingerprint\":[3]}}]"),
			2},
		{HITS("1", "[]"), -1},
		{HITS("-1", "[]"), -1},
		{HITS("0", "{}"), -1},
		{HITS("0", "[{}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[]}}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[-1]}}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[4294967296]}}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[5]}},{\"fields\":{\"uid\":[5]}}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[5]}},{\"fields\":{\"uid\":[4]}}]"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[5],\"message\":[7]}}]"), -1},
		{"{\"timed_out\":true,\"_shards\":{\"failed\":0},\"hits\":{\"hits\":[]}}", -1},
		{"{\"_shards\":{\"failed\":0},\"hits\":{\"hits\":[]}}", -1},
		{"{\"timed_out\":false,\"hits\":{\"hits\":[]}}", -1},
		{"<html>busy</html>", -1},
		{"[[[[[[[[", -1},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct index_entry *entries;
		size_t count = 0;
		struct error *err = opensearch_parse_hits(
			&op, slice_from_cstr(cases[i].text), 7, &entries, &count);
		if (!err != (cases[i].count >= 0))
			fail_msg("%s", cases[i].text);
		if (!err)
			assert_int_equal(count, cases[i].count);
	}
}

#define HELD(shards, uids, altered)                                        \
	"{\"timed_out\":false,\"_shards\":{\"total\":1,\"failed\":" shards \
	"},\"aggregations\":{\"uids\":" uids ",\"altered\":{\"doc_count\":" altered "}}}"

static void what_is_held_is_read_or_refused(void **state)
{
	static const struct {
		const char *text;
		int count; /* -1: refused */
	} cases[] = {
		{HELD("0", "{\"count\":3,\"min\":1.0,\"sum\":6.0}", "1"), 3},
		{HELD("0", "{\"count\":0,\"min\":null,\"sum\":0.0}", "1"), 0},
		{HELD("0", "{\"count\":2,\"sum\":8589934590}", "1"), 2},
		{HELD("1", "{\"count\":3,\"sum\":6.0}", "1"), -1},
		{HELD("0", "{\"count\":-3,\"sum\":6.0}", "1"), -1},
		{HELD("0", "{\"count\":3,\"sum\":-6.0}", "1"), -1},
		{HELD("0", "{\"count\":3,\"sum\":1e300}", "1"), -1},
		{HELD("0", "{\"count\":3,\"sum\":\"6\"}", "1"), -1},
		{HELD("0", "{\"count\":3,\"sum\":6.0}", "-1"), -1},
		{HELD("0", "{\"count\":3,\"sum\":6.0}", "null"), -1},
		{HELD("0", "{\"sum\":6.0}", "1"), -1},
		{HELD("0", "[]", "1"), -1},
		{HITS("0", "[]"), -1},
		{"", -1},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct index_held held = {0};
		struct error *err =
			opensearch_parse_held(&op, slice_from_cstr(cases[i].text), &held);
		if (!err != (cases[i].count >= 0))
			fail_msg("%s", cases[i].text);
		if (err)
			continue;
		assert_int_equal(held.count, cases[i].count);
		assert_int_equal(held.altered, 1);
	}
}

static void what_was_written_later_is_altered(void **state)
{
	struct index_entry *entries;
	size_t count;
	AUTO_OP(op, "test");
	assert_null(opensearch_parse_hits(&op,
		SLICE(HITS("0", "[{\"_seq_no\":7,\"fields\":{\"uid\":[5]}},"
				"{\"_seq_no\":8,\"fields\":{\"uid\":[9]}}]")),
		7, &entries, &count));
	assert_int_equal(count, 2);
	assert_false(entries[0].is_altered);
	assert_true(entries[1].is_altered);
}

#define RANKED(uid, score) HITS("0", "[{\"_score\":" score ",\"fields\":{\"uid\":[" uid "]}}]")

/* Of two words. */
static void scores_are_likeness_and_what_bm25_makes_of_it(void **state)
{
	static const struct {
		const char *text;
		int score; /* -1: refused */
	} cases[] = {
		{RANKED("5", "0.0"), 0},
		{RANKED("5", "0"), 0},
		{RANKED("5", "200000.0"), 50},
		{RANKED("5", "200004.0"), 75},
		{RANKED("5", "209999.0"), 100},
		{RANKED("5", "150000.0"), 38},
		{RANKED("5", "60000.0"), 15},
		{RANKED("5", "299999"), 100},
		{RANKED("5", "300000"), -1},
		{RANKED("5", "-1"), -1},
		{RANKED("5", "1e300"), -1},
		{RANKED("5", "null"), -1},
		{RANKED("5", "\"7\""), -1},
		{RANKED("-1", "0"), -1},
		{HITS("0", "[{\"fields\":{\"uid\":[5]}}]"), -1},
		{HITS("1", "[]"), -1},
		{HITS("0", "{}"), -1},
		{HITS("0", "[{\"_score\":0,\"fields\":{\"uid\":[5]}},{\"_score\":0,\"fields\":{"
			   "\"uid\":[5]}}]"),
			-1},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct index_hit *hits = NULL;
		size_t count = 0;
		struct error *err = opensearch_parse_ranking(
			&op, slice_from_cstr(cases[i].text), 2, &hits, &count);
		if (!err != (cases[i].score >= 0))
			fail_msg("%s", cases[i].text);
		if (err)
			assert_int_equal(err->kind, ERR_UNAVAILABLE);
		else if (count != 1 || hits[0].score != cases[i].score)
			fail_msg("%s: %u", cases[i].text, count ? hits[0].score : 0);
	}
}

static void a_bulk_of_which_a_part_was_not_done_is_none(void **state)
{
	static const struct {
		const char *text;
		bool is_good;
		bool is_refused; /* whenever it comes */
	} cases[] = {
		{"{\"errors\":false}", true},
		{"{\"errors\":true,\"items\":[{\"index\":{\"status\":201}},{\"index\":{\"status\":"
		 "409,\"error\":{\"reason\":\"newer\"}}},{\"delete\":{\"status\":404}}]}",
			true},
		{"{\"errors\":true,\"items\":[{\"index\":{\"status\":429,\"error\":{\"reason\":"
		 "\"busy\"}}}]}",
			false},
		{"{\"errors\":true,\"items\":[{\"index\":{\"status\":404,\"error\":{\"reason\":"
		 "\"no such index\"}}}]}",
			false},
		{"{\"errors\":true,\"items\":[{\"index\":{\"status\":400,\"error\":{\"reason\":"
		 "\"failed to parse\"}}}]}",
			false, true},
		{"{\"errors\":true,\"items\":[{\"index\":{}}]}", false},
		{"{\"errors\":true,\"items\":[3]}", false},
		{"{\"errors\":true}", false},
		{"{\"errors\":0}", false},
		{"{", false},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error *err = opensearch_parse_bulk(&op, slice_from_cstr(cases[i].text));
		bool is_refused = err && err->kind == ERR_INVALID;
		if (!err != cases[i].is_good || is_refused != cases[i].is_refused)
			fail_msg("%s", cases[i].text);
	}
}

static void any_text_becomes_json(void **state)
{
	static const struct {
		struct slice text, json;
	} cases[] = {{SLICE_INIT("a\"b\\c"), SLICE_INIT("\"a\\\"b\\\\c\"")},
		{SLICE_INIT("a\nb\0c\x1f"), SLICE_INIT("\"a\\u000ab\\u0000c\\u001f\"")},
		{SLICE_INIT("\xc3\xa9"), SLICE_INIT("\"\xc3\xa9\"")},
		{SLICE_INIT("x\xff"), SLICE_INIT("\"x\xef\xbf\xbd\"")}};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = buf_in(&op.arena);
		opensearch_put_text(&out, cases[i].text);
		assert_true(slice_equal(buf_as_slice(&out), cases[i].json));
	}
}

/* ---- One that misbehaves ---- */

/* Answers each connection's first request with the next of its texts. */
struct mock {
	int listener;
	unsigned port;
	const char *const *answers; /* NULL-ended; the last again and again; "" hangs up */
	_Atomic unsigned served;
	_Atomic bool has_removed; /* it was asked to remove documents */
	_Atomic bool has_searched_old;
	pthread_t thread;
};

static void *serve(void *argument)
{
	struct mock *mock = argument;
	for (size_t next = 0;;) {
		char request[65536] = "";
		int fd = accept(mock->listener, NULL, NULL);
		if (fd < 0)
			return NULL;
		const char *answer = mock->answers[next];
		next += mock->answers[next + 1] != NULL;
		ssize_t got = read(fd, request, sizeof(request) - 1);
		mock->served++;
		mock->has_removed |= strstr(request, "_delete_by_query") != NULL;
		mock->has_searched_old |= strstr(request, "/test-read/_search") != NULL;
		if (got > 0 && *answer) {
			ssize_t sent = write(fd, answer, strlen(answer));
			(void)sent;
		}
		close(fd);
	}
}

static void mock_start(struct mock *mock, const char *const *answers)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	*mock = (struct mock){.answers = answers};
	mock->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(mock->listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(mock->listener, 16), 0);
	assert_int_equal(getsockname(mock->listener, (struct sockaddr *)&address, &length), 0);
	mock->port = ntohs(address.sin_port);
	thread_start(&mock->thread, "mock", serve, mock);
}

static void mock_stop(struct mock *mock)
{
	shutdown(mock->listener, SHUT_RDWR);
	thread_join(mock->thread);
	close(mock->listener);
}

static struct index *open_at(struct op *op, const char *hosts, uint64_t search_ms)
{
	struct index *index;
	const struct opensearch_options options = {.hosts = hosts,
		.name = "test",
		.connect_ms = 1000,
		.search_ms = search_ms,
		.write_ms = 2000,
		.refresh_ms = 100,
		.shards = 1,
		.rules = 1};
	struct error *err = opensearch_open(op, &options, &index);
	if (err)
		fail_msg("%s", error_chain(&op->arena, err));
	return index;
}

#define ANSWER(status, body) \
	"HTTP/1.1 " status "\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n" body

static enum error_kind ask(const char *const *answers, unsigned *ret_served)
{
	AUTO_OP(op, "test");
	struct mock mock;
	struct index_state known;
	struct account_id account = {uuid_v7()};
	mock_start(&mock, answers);
	struct index *index =
		open_at(&op, arena_printf(&op.arena, "http://127.0.0.1:%u/", mock.port), 1000);
	struct error *err = index_get_state(index, &op, account, &known);
	enum error_kind kind = err ? err->kind : ERR_KIND_COUNT;
	index_close(index);
	*ret_served = mock.served;
	mock_stop(&mock);
	return kind;
}

static void who_is_too_busy_is_asked_again(void **state)
{
	static const char *const busy_once[] = {ANSWER("429 Too Many Requests", "{}"),
		ANSWER("404 Not Found", "{\"found\":false}"), NULL};
	static const char *const always_busy[] = {ANSWER("503 Unavailable", "{}"), NULL};
	unsigned served;
	assert_int_equal(ask(busy_once, &served), ERR_KIND_COUNT);
	assert_int_equal(served, 2);
	assert_int_equal(ask(always_busy, &served), ERR_UNAVAILABLE);
	assert_int_equal(served, 2);
}

static void what_is_no_answer_is_unavailable(void **state)
{
	static const char *const hangs_up[] = {"", NULL};
	static const char *const no_json[] = {ANSWER("200 OK", "<html>"), NULL};
	static const char *const no_http[] = {"220 mail.example.org ESMTP\r\n", NULL};
	static const char *const denies[] = {ANSWER("401 Unauthorized", "{}"), NULL};
	static const char *const cut[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"found\"", NULL};
	static const char *const moved[] = {
		"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
		NULL};
	unsigned served;
	assert_int_equal(ask(hangs_up, &served), ERR_UNAVAILABLE);
	assert_int_equal(ask(no_json, &served), ERR_UNAVAILABLE);
	assert_int_equal(ask(no_http, &served), ERR_UNAVAILABLE);
	assert_int_equal(ask(denies, &served), ERR_UNAVAILABLE);
	assert_int_equal(ask(cut, &served), ERR_UNAVAILABLE);
	assert_int_equal(ask(moved, &served), ERR_UNAVAILABLE);
}

/* A backlog is taken by the kernel, and nobody answers. */
static void who_is_silent_is_waited_for_once(void **state)
{
	AUTO_OP(op, "test");
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	struct index_state known;
	struct account_id account = {uuid_v7()};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
	assert_int_equal(listen(listener, 16), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
	struct index *index = open_at(
		&op, arena_printf(&op.arena, "http://127.0.0.1:%u", ntohs(address.sin_port)), 200);
	struct error *err = index_get_state(index, &op, account, &known);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_TIMEOUT);
	uint64_t begun_ns = clock_monotonic_ns();
	err = index_get_state(index, &op, account, &known);
	assert_non_null(err);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	assert_true(clock_monotonic_ns() - begun_ns < 100 * NS_PER_MS);
	index_close(index);
	close(listener);
}

static void another_host_is_asked(void **state)
{
	static const char *const good[] = {ANSWER("404 Not Found", "{\"found\":false}"), NULL};
	AUTO_OP(op, "test");
	struct mock mock;
	struct index_state known;
	mock_start(&mock, good);
	/* Nobody listens at port 1. */
	struct index *index = open_at(&op,
		arena_printf(&op.arena, "http://127.0.0.1:1 http://127.0.0.1:%u", mock.port), 1000);
	assert_null(index_get_state(index, &op, (struct account_id){uuid_v7()}, &known));
	index_close(index);
	mock_stop(&mock);
}

/* An answer to the first half of a swap was lost: both of the account's documents name what was
 * made. The second try must not remove it. */
static void a_swap_that_was_cut_off_removes_nothing(void **state)
{
#define MADE FOUND("{\"cursor\":7,\"generation\":\"00000000000000ff\",\"covered\":{}}")
#define OLD FOUND("{\"cursor\":7,\"generation\":\"00000000000000ee\",\"covered\":{}}")
/* The index is made, its names are asked for and set. */
#define PREPARED ANSWER("200 OK", "{}"), ANSWER("200 OK", "{}"), ANSWER("200 OK", "{}")
	static const char *const cut_off[] = {ANSWER("200 OK", MADE), ANSWER("200 OK", MADE),
		PREPARED, ANSWER("200 OK", "{}"), ANSWER("200 OK", "{}"), ANSWER("200 OK", MADE),
		NULL};
	static const char *const whole[] = {ANSWER("200 OK", OLD), ANSWER("200 OK", MADE), PREPARED,
		ANSWER("200 OK", "{}"), ANSWER("200 OK", "{}"), ANSWER("200 OK", MADE),
		ANSWER("404 Not Found", "{\"found\":false}"), ANSWER("200 OK", "{}"), NULL};
	static const struct {
		const char *const *answers;
		bool removes;
	} cases[] = {{cut_off, false}, {whole, true}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		struct mock mock;
		mock_start(&mock, cases[i].answers);
		struct index *index = open_at(
			&op, arena_printf(&op.arena, "http://127.0.0.1:%u", mock.port), 1000);
		assert_null(index_swap(index, &op, (struct account_id){uuid_v7()}));
		index_close(index);
		mock_stop(&mock);
		assert_int_equal(mock.has_removed, cases[i].removes);
	}
}

/* While an account comes over, the index that has more of the mailbox is asked. */
static void an_older_index_is_asked_while_it_has_more(void **state)
{
#define COVERED(generation, uidnext)                                        \
	ANSWER("200 OK", FOUND("{\"cursor\":7,\"generation\":\"" generation \
			       "\",\"covered\":{\"" UUID "\":[1," uidnext "]}}"))
	static const char *const behind[] = {COVERED("00000000000000aa", "5"),
		COVERED("00000000000000bb", "9"), ANSWER("200 OK", HITS("0", "[]")),
		COVERED("00000000000000bb", "9"), NULL};
	static const char *const whole[] = {COVERED("00000000000000aa", "9"),
		COVERED("00000000000000bb", "9"), ANSWER("200 OK", HITS("0", "[]")),
		COVERED("00000000000000aa", "9"), NULL};
	static const char *const none[] = {ANSWER("404 Not Found", "{\"found\":false}"),
		COVERED("00000000000000bb", "9"), ANSWER("200 OK", HITS("0", "[]")),
		COVERED("00000000000000bb", "9"), NULL};
	static const struct {
		const char *const *answers;
		bool is_old;
	} cases[] = {{behind, true}, {whole, false}, {none, true}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO_OP(op, "test");
		struct mock mock;
		struct index_found found;
		struct index_query query = {
			.fields = INDEX_ALL_FIELDS, .needle = SLICE_INIT("needle")};
		assert_true(uuid_parse(SLICE(UUID), &query.mailbox.uuid));
		mock_start(&mock, cases[i].answers);
		struct index *index = open_at(
			&op, arena_printf(&op.arena, "http://127.0.0.1:%u", mock.port), 1000);
		assert_null(index_find(index, &op, (struct account_id){uuid_v7()}, &query, &found));
		assert_int_equal(found.cursor, 7);
		assert_int_equal(found.coverage.uidnext, 9);
		index_close(index);
		mock_stop(&mock);
		assert_int_equal(mock.has_searched_old, cases[i].is_old);
	}
}

static void settings_that_cannot_be_are_refused(void **state)
{
	static const struct opensearch_options cases[] = {
		{.hosts = "", .name = "a"},
		{.hosts = "ftp://host", .name = "a"},
		{.hosts = "http://user:secret@host", .name = "a"},
		{.hosts = "http://host/path", .name = "a"},
		{.hosts = "http://", .name = "a"},
		{.hosts = "http://host:9200", .name = ""},
		{.hosts = "http://host:9200", .name = "A"},
		{.hosts = "http://host:9200", .name = "-a"},
		{.hosts = "http://host:9200", .name = "a/b"},
		{.hosts = "http://host:9200", .name = "a", .password_file = "/nowhere"},
		{.hosts = "http://host:9200", .name = "a", .user = "u"},
	};
	AUTO_OP(op, "test");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct index *index;
		struct error *err = opensearch_open(&op, &cases[i], &index);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accounts_document_is_read_or_refused),
		cmocka_unit_test(hits_are_read_or_refused),
		cmocka_unit_test(what_is_held_is_read_or_refused),
		cmocka_unit_test(what_was_written_later_is_altered),
		cmocka_unit_test(scores_are_likeness_and_what_bm25_makes_of_it),
		cmocka_unit_test(a_bulk_of_which_a_part_was_not_done_is_none),
		cmocka_unit_test(any_text_becomes_json),
		cmocka_unit_test(who_is_too_busy_is_asked_again),
		cmocka_unit_test(what_is_no_answer_is_unavailable),
		cmocka_unit_test(who_is_silent_is_waited_for_once),
		cmocka_unit_test(another_host_is_asked),
		cmocka_unit_test(a_swap_that_was_cut_off_removes_nothing),
		cmocka_unit_test(an_older_index_is_asked_while_it_has_more),
		cmocka_unit_test(settings_that_cannot_be_are_refused),
	};
	return cmocka_run_group_tests_name("index/opensearch", tests, NULL, NULL);
}
