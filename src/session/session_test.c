#include "base/test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/net.h"
#include "session/session.h"
#include "session/session_settings.h"
#include "session/watch.h"

/* A small protocol: a line is a command, "body N" is followed by N bytes. */

enum { MODE_LINE = 1 };

struct toy_framer {
	size_t body_left;
	bool in_body, asked;
};

struct toy_state {
	int commands;
	int running;
	bool watching;
};

static int closed_count;
static uint64_t idle_ms = 60000;

static struct frame toy_body(struct toy_framer *framer, struct slice input)
{
	if (!framer->body_left) {
		framer->in_body = false;
		return (struct frame){.kind = FRAME_COMMAND, .lane = LANE_STORE};
	}
	if (!input.len)
		return (struct frame){.kind = FRAME_MORE};
	size_t n = MIN_OF(input.len, framer->body_left);
	framer->body_left -= n;
	return (struct frame){.kind = FRAME_BODY, .taken = n, .bytes = slice_range(input, 0, n)};
}

static struct frame toy_feed(void *state, unsigned mode, struct slice input)
{
	struct toy_framer *framer = state;
	if (framer->in_body && !framer->asked) {
		framer->asked = true;
		return (struct frame){.kind = FRAME_SAY, .say = SLICE("+\n")};
	}
	if (framer->in_body)
		return toy_body(framer, input);
	size_t end = slice_find_char(input, '\n');
	if (end == input.len)
		return (struct frame){.kind = FRAME_MORE};
	struct slice line = slice_range(input, 0, end);
	if (!mode && slice_starts_with(line, SLICE("body "))) {
		uint32_t size = 0;
		assert_true(slice_parse_u32(slice_from(line, 5), &size));
		*framer = (struct toy_framer){.body_left = size, .in_body = true};
		return (struct frame){.kind = FRAME_TEXT, .taken = end + 1, .bytes = line};
	}
	bool ends = slice_equal(line, SLICE("tls")) || slice_equal(line, SLICE("ask"));
	return (struct frame){.kind = FRAME_COMMAND,
		.taken = end + 1,
		.bytes = line,
		.lane = slice_equal(line, SLICE("slow")) ? LANE_BULK : LANE_QUICK,
		.flags = ends ? COMMAND_ENDS_PIPELINE : 0};
}

static enum step toy_greet(struct op *op, struct session *session)
{
	(void)op;
	buf_append(session_output(session), SLICE("hello\n"));
	return STEP_DONE;
}

static enum step toy_answer(struct op *op, struct session *session, struct command *command)
{
	(void)op;
	buf_printf(session_output(session), "answer " SLICE_FMT "\n", SLICE_ARG(command->line));
	return STEP_DONE;
}

/* A megabyte, a kilobyte at a time. */
static enum step toy_big(struct op *op, struct session *session, struct command *command)
{
	if (!command->cursor)
		command->cursor = ARENA_NEW(&op->arena, int);
	int *count = command->cursor;
	for (; *count < 1024; ++*count) {
		if (session_output_is_full(session))
			return STEP_MORE;
		buf_printf(session_output(session), "%01023d\n", *count);
	}
	return STEP_DONE;
}

static enum step toy_body_answer(struct op *op, struct session *session, struct command *command)
{
	struct slice bytes;
	assert_int_equal(command->body_count, command->bodies ? 1 : 0);
	if (!command->body_count)
		bytes = SLICE("");
	else
		assert_null(spool_view(op, command->bodies[0].spool, &bytes));
	unsigned sum = 0;
	for (size_t i = 0; i < bytes.len; i++)
		sum += (uint8_t)bytes.ptr[i];
	buf_printf(session_output(session), "sum %zu %u\n", bytes.len, sum);
	return STEP_DONE;
}

static enum step toy_run(struct op *op, struct session *session, struct command *command)
{
	struct toy_state *state = session_state(session);
	struct slice line = command->line;
	state->commands++;
	if (slice_equal(line, SLICE("big")))
		return toy_big(op, session, command);
	if (slice_starts_with(line, SLICE("body ")))
		return toy_body_answer(op, session, command);
	if (slice_equal(line, SLICE("slow")))
		clock_sleep_ns(20 * NS_PER_MS);
	if (slice_equal(line, SLICE("binding")))
		buf_append(session_output(session), session_channel_binding(session));
	if (slice_equal(line, SLICE("watch")))
		session_watch(session, SLICE("key"));
	buf_printf(session_output(session), "%d " SLICE_FMT "\n", state->commands, SLICE_ARG(line));
	if (slice_equal(line, SLICE("ask")))
		session_expect(session, MODE_LINE, LANE_STORE, toy_answer);
	if (slice_equal(line, SLICE("tls")))
		return session_can_start_tls(session) ? STEP_START_TLS : STEP_DONE;
	if (slice_equal(line, SLICE("wrong")))
		return session_auth_failed(session, SLICE("somebody")) ? STEP_DONE : STEP_CLOSE;
	return slice_equal(line, SLICE("quit")) ? STEP_CLOSE : STEP_DONE;
}

static enum step toy_execute(struct op *op, struct session *session, struct command *command)
{
	struct toy_state *state = session_state(session);
	assert_int_equal(__atomic_add_fetch(&state->running, 1, __ATOMIC_RELAXED), 1);
	enum step step = toy_run(op, session, command);
	__atomic_sub_fetch(&state->running, 1, __ATOMIC_RELAXED);
	return step;
}

static enum step toy_woken(struct op *op, struct session *session)
{
	(void)op;
	buf_append(session_output(session), SLICE("woken\n"));
	return STEP_DONE;
}

static void toy_closed(struct op *op, struct session *session)
{
	(void)op;
	(void)session;
	__atomic_fetch_add(&closed_count, 1, __ATOMIC_RELAXED);
}

static const struct protocol toy_protocol = {
	.name = "toy",
	.framer_size = sizeof(struct toy_framer),
	.state_size = sizeof(struct toy_state),
	.feed = toy_feed,
	.max_input = 1000,
	.greet = toy_greet,
	.execute = toy_execute,
	.woken = toy_woken,
	.closed = toy_closed,
	.say_busy = SLICE_INIT("busy\n"),
	.say_idle = SLICE_INIT("idle\n"),
	.say_shutdown = SLICE_INIT("bye\n"),
	.say_too_big = SLICE_INIT("too big\n"),
	.idle_timeout_ms = &idle_ms,
};

/* ---- The server and its clients ---- */

static struct net *net;
static uint16_t port;
static char directory[] = "/tmp/session_test.XXXXXX";

static void set(const char *name, const char *value)
{
	AUTO_OP(op, "test");
	const struct {
		const struct setting *rows;
		size_t count;
	} tables[] = {{net_settings, net_setting_count}, {session_settings, session_setting_count}};
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct setting *row = &tables[t].rows[i];
			/* Text is kept for ever, so it is set once (in main). */
			if (name ? strcmp(row->name, name) != 0 : row->type == SETTING_TEXT)
				continue;
			const char *text = value ? value : row->default_value;
			assert_null(setting_store(&op, row, slice_from_cstr(text)));
		}
}

static int start(void **state)
{
	(void)state;
	AUTO_OP(op, "test");
	set(NULL, NULL);
	set("tls.self_sign", "yes");
	lanes_start(false);
	assert_null(net_new(&op, &net));
	assert_null(session_listen(&op, net, &toy_protocol, "127.0.0.1:0", false, NULL));
	port = net_last_port(net);
	net_start(net);
	closed_count = 0;
	return 0;
}

static int stop(void **state)
{
	(void)state;
	net_stop_accepting(net);
	sessions_stop();
	net_stop(net);
	lanes_stop();
	net_free(net);
	return 0;
}

static int client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval limit = {.tv_sec = 20};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(int fd, const char *expected)
{
	char got[4096];
	size_t want = strlen(expected), have = 0;
	assert_true(want < sizeof(got));
	while (have < want) {
		ssize_t n = recv(fd, got + have, want - have, 0);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	got[have] = '\0';
	assert_string_equal(got, expected);
}

static void hear_end(int fd)
{
	char c;
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
}

/* ---- Tests ---- */

static void pipelined_commands_are_answered_in_order(void **state)
{
	(void)state;
	int fd = client();
	say(fd, "a\nslow\nb\nslow\nc\nquit\n");
	hear(fd, "hello\n1 a\n2 slow\n3 b\n4 slow\n5 c\n6 quit\n");
	hear_end(fd);
}

static void a_byte_at_a_time_is_as_good(void **state)
{
	(void)state;
	int fd = client();
	hear(fd, "hello\n");
	for (const char *c = "body 5\nabcdeone\nquit\n"; *c; c++) {
		char one[2] = {*c};
		say(fd, one);
		clock_sleep_ns(NS_PER_MS / 2);
	}
	hear(fd, "+\nsum 5 495\n2 one\n3 quit\n");
	hear_end(fd);
}

static void a_continuation_waits_for_earlier_answers(void **state)
{
	(void)state;
	int fd = client();
	say(fd, "slow\nbody 0\nbody 3\nabcquit\n");
	hear(fd, "hello\n1 slow\n+\nsum 0 0\n+\nsum 3 294\n4 quit\n");
	hear_end(fd);
}

static void a_big_body_goes_through_a_file_unharmed(void **state)
{
	(void)state;
	int fd = client();
	size_t len = 300000;
	char *body = malloc(len + 1);
	memset(body, 'x', len);
	body[len] = '\0';
	say(fd, "body 300000\n");
	hear(fd, "hello\n+\n");
	say(fd, body);
	hear(fd, "sum 300000 36000000\n");
	free(body);
	close(fd);
}

static void a_slow_reader_pauses_its_command_and_nobody_else(void **state)
{
	(void)state;
	set("session.output_high", "4 KiB");
	int slow = client(), other = client();
	say(slow, "big\nafter\nquit\n");
	clock_sleep_ns(50 * NS_PER_MS);
	say(other, "slow\nquit\n");
	hear(other, "hello\n1 slow\n2 quit\n");
	hear_end(other);
	hear(slow, "hello\n");
	char expected[1025];
	for (int i = 0; i < 1024; i++) {
		snprintf(expected, sizeof(expected), "%01023d\n", i);
		hear(slow, expected);
	}
	/* The command counts its calls: one for each time that it went on. */
	char c = 0;
	while (c != ' ')
		assert_int_equal(recv(slow, &c, 1, 0), 1);
	hear(slow, "after\n");
	close(slow);
}

static void an_expected_line_goes_to_its_own_handler(void **state)
{
	(void)state;
	int fd = client();
	say(fd, "ask\nbody 7\nnext\nquit\n");
	hear(fd, "hello\n1 ask\nanswer body 7\n2 next\n3 quit\n");
	hear_end(fd);
}

static void a_woken_session_speaks_by_itself_once(void **state)
{
	(void)state;
	int fd = client();
	say(fd, "watch\n");
	hear(fd, "hello\n1 watch\n");
	watch_wake(SLICE("other"));
	watch_wake(SLICE("key"));
	hear(fd, "woken\n");
	say(fd, "quit\n");
	hear(fd, "2 quit\n");
	hear_end(fd);
	watch_wake(SLICE("key"));
}

static int first_watches, last_watches;

static void count_watches(void *context, struct slice key, bool is_watched)
{
	assert_true(slice_equal(key, SLICE("key")));
	__atomic_fetch_add(is_watched ? &first_watches : &last_watches, 1, __ATOMIC_RELEASE);
	(void)context;
}

static void the_first_and_the_last_watch_of_a_key_are_told(void **state)
{
	(void)state;
	first_watches = last_watches = 0;
	watch_listen(count_watches, NULL);
	int one = client(), other = client();
	say(one, "watch\n");
	hear(one, "hello\n1 watch\n");
	say(other, "watch\n");
	hear(other, "hello\n1 watch\n");
	assert_int_equal(__atomic_load_n(&first_watches, __ATOMIC_ACQUIRE), 1);
	say(one, "quit\n");
	hear(one, "2 quit\n");
	hear_end(one);
	say(other, "quit\n");
	hear(other, "2 quit\n");
	hear_end(other);
	uint64_t until_ns = clock_monotonic_ns() + 20 * NS_PER_S;
	while (!__atomic_load_n(&last_watches, __ATOMIC_ACQUIRE) && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	watch_listen(NULL, NULL);
	assert_int_equal(__atomic_load_n(&first_watches, __ATOMIC_ACQUIRE), 1);
	assert_int_equal(__atomic_load_n(&last_watches, __ATOMIC_ACQUIRE), 1);
}

static void what_came_before_the_handshake_is_forgotten(void **state)
{
	(void)state;
	int fd = client();
	hear(fd, "hello\n");
	say(fd, "tls\ninjected\n");
	hear(fd, "1 tls\n");
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	SSL_set_fd(ssl, fd);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_write(ssl, "quit\n", 5), 5);
	char answer[8] = {0};
	assert_int_equal(SSL_read(ssl, answer, 7), 7);
	assert_string_equal(answer, "2 quit\n");
	assert_int_equal(SSL_read(ssl, answer, 1), 0);
	assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN);
	SSL_free(ssl);
	SSL_CTX_free(context);
	close(fd);
}

/* RFC 9266: both ends of the line derive the same, by either version of TLS. */
static void both_ends_know_the_line_by_the_same_binding(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		int fd = client();
		say(fd, "tls\n");
		hear(fd, "hello\n1 tls\n");
		SSL_CTX *context = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_max_proto_version(context, version);
		SSL *ssl = SSL_new(context);
		SSL_set_fd(ssl, fd);
		assert_int_equal(SSL_connect(ssl), 1);
		unsigned char ours[32], theirs[32];
		assert_int_equal(SSL_export_keying_material(ssl, ours, sizeof(ours),
					 "EXPORTER-Channel-Binding", 24, NULL, 0, 1),
			1);
		assert_int_equal(SSL_write(ssl, "binding\n", 8), 8);
		assert_int_equal(SSL_read(ssl, theirs, sizeof(theirs)), sizeof(theirs));
		assert_memory_equal(ours, theirs, sizeof(ours));
		SSL_free(ssl);
		SSL_CTX_free(context);
		close(fd);
	}
}

static void wrong_passwords_wait_longer_each_time(void **state)
{
	(void)state;
	set("auth.failure_delay", "50 ms");
	set("auth.max_failures", "3");
	int fd = client();
	uint64_t began_ns = clock_monotonic_ns();
	say(fd, "wrong\nwrong\nwrong\nnever\n");
	hear(fd, "hello\n1 wrong\n2 wrong\n3 wrong\n");
	hear_end(fd);
	assert_true(clock_monotonic_ns() - began_ns >= 350 * NS_PER_MS);
}

static void a_silent_client_is_told_and_closed(void **state)
{
	(void)state;
	idle_ms = 300;
	int fd = client();
	hear(fd, "hello\nidle\n");
	hear_end(fd);
	idle_ms = 60000;
}

static void an_endless_line_is_refused(void **state)
{
	(void)state;
	int fd = client();
	hear(fd, "hello\n");
	char junk[2001];
	memset(junk, 'j', sizeof(junk) - 1);
	junk[sizeof(junk) - 1] = '\0';
	say(fd, junk);
	hear(fd, "too big\n");
	hear_end(fd);
}

static void connections_past_the_limit_are_told_so(void **state)
{
	(void)state;
	set("net.max_connections_per_address", "1");
	int first = client();
	hear(first, "hello\n");
	int second = client();
	hear(second, "busy\n");
	hear_end(second);
	close(first);
}

static void a_half_closed_client_still_gets_its_answers(void **state)
{
	(void)state;
	int fd = client();
	say(fd, "slow\na\n");
	shutdown(fd, SHUT_WR);
	hear(fd, "hello\n1 slow\n2 a\n");
	hear_end(fd);
}

static void a_stopping_server_says_bye(void **state)
{
	int fd = client();
	say(fd, "slow\n");
	hear(fd, "hello\n1 slow\n");
	net_stop_accepting(net);
	sessions_stop();
	hear(fd, "bye\n");
	hear_end(fd);
	assert_int_equal(__atomic_load_n(&closed_count, __ATOMIC_RELAXED), 1);
	stop(state);
	start(state);
}

static void *busy_client(void *argument)
{
	(void)argument;
	for (int round = 0; round < 10; round++) {
		int fd = client();
		say(fd, "watch\na\nbody 3\nabcask\nx\nb\nquit\n");
		char got[512];
		size_t have = 0;
		ssize_t n;
		while ((n = recv(fd, got + have, sizeof(got) - 1 - have, 0)) > 0)
			have += (size_t)n;
		got[have] = '\0';
		assert_non_null(strstr(got, "6 quit\n"));
		close(fd);
		watch_wake(SLICE("key"));
	}
	return NULL;
}

static void many_clients_at_once_each_get_their_own(void **state)
{
	(void)state;
	pthread_t threads[8];
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, busy_client, NULL), 0);
	for (int i = 0; i < 200; i++) {
		watch_wake(SLICE("key"));
		clock_sleep_ns(NS_PER_MS);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(pipelined_commands_are_answered_in_order),
		SERVED(a_byte_at_a_time_is_as_good),
		SERVED(a_continuation_waits_for_earlier_answers),
		SERVED(a_big_body_goes_through_a_file_unharmed),
		SERVED(a_slow_reader_pauses_its_command_and_nobody_else),
		SERVED(an_expected_line_goes_to_its_own_handler),
		SERVED(a_woken_session_speaks_by_itself_once),
		SERVED(the_first_and_the_last_watch_of_a_key_are_told),
		SERVED(what_came_before_the_handshake_is_forgotten),
		SERVED(both_ends_know_the_line_by_the_same_binding),
		SERVED(wrong_passwords_wait_longer_each_time),
		SERVED(a_silent_client_is_told_and_closed),
		SERVED(an_endless_line_is_refused),
		SERVED(connections_past_the_limit_are_told_so),
		SERVED(a_half_closed_client_still_gets_its_answers),
		SERVED(a_stopping_server_says_bye),
		SERVED(many_clients_at_once_each_get_their_own),
	};
	if (!mkdtemp(directory))
		return 1;
	char path[64];
	snprintf(path, sizeof(path), "%s/cert.pem", directory);
	set("tls.certificate", path);
	snprintf(path, sizeof(path), "%s/key.pem", directory);
	set("tls.key", path);
	set("server.name", "mail.example.org");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	const char *const files[] = {"cert.pem", "key.pem"};
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
		unlink(path);
	}
	rmdir(directory);
	return failed;
}
