/* Load for a line protocol (IMAP, LMTP, POP3), told what to say by a script on standard input:
 *     load --port P [--connections N] [--seconds S] [--warm-up S] [--users U]
 * A line of the script is `setup EXPECTED TEXT` or `loop EXPECTED TEXT`: every connection says each
 * TEXT and waits for the final line of its answer, which must begin with EXPECTED; the setup once,
 * then the loop again and again. An EXPECTED that begins with a digit stands for a protocol with
 * codes
 * ("250-" goes on, "250 " is final); with another, lines that begin with "a " (the tag) or "+" are
 * final. An empty TEXT waits only, for one line: the greeting.
 * In TEXT: \r \n; %u the number of the connection's user, %v another user each time, %n a number
 * that never comes again, %b BYTES; a body of about so many bytes. Prints one line of JSON: loops
 * and errors (an answer that was not expected; the connection then begins anew), the time, and the
 * latency of a loop in microseconds. */

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/param.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/macros.h"
#include "latencies.h"

#define STEPS_MOST 32
#define BODY_MOST (4 << 20)
#define LINE_MOST 1024
#define LATENCIES_MOST (1u << 24)

struct step {
	char *expected, *text;
};

struct script {
	struct step steps[STEPS_MOST];
	size_t count, first_of_loop;
};

struct connection {
	int fd;
	unsigned number;
	size_t step;
	bool is_ready; /* its setup is done */
	uint64_t begun_ns;
	char line[LINE_MOST]; /* the beginning of the line that is coming */
	size_t line_length;
};

static struct script script;
static unsigned port, connection_count = 1, user_count = 1;
static double seconds = 10, warm_up = 1;
static struct connection *connections;
static unsigned ready_count;
static bool is_measuring;
static uint64_t stop_ns, number, errors;
static uint32_t *latencies;
static size_t latency_count;
static char *message; /* that is being put together */

static void fail(const char *what, const char *more) NORETURN;

static void fail(const char *what, const char *more)
{
	fprintf(stderr, "load: %s: %s\n", what, more);
	exit(1);
}

/* ---- the script ---- */

static void read_script(void)
{
	char *line = NULL;
	size_t capacity = 0;
	while (getline(&line, &capacity, stdin) > 0) {
		line[strcspn(line, "\n")] = 0;
		char *at = line;
		const char *kind = strsep(&at, "\t"), *expected = strsep(&at, "\t");
		if (!at || script.count == STEPS_MOST)
			fail("not a step", line);
		bool is_loop = strcmp(kind, "loop") == 0;
		if (!is_loop)
			script.first_of_loop = script.count + 1;
		script.steps[script.count++] =
			(struct step){.expected = strdup(expected), .text = strdup(at)};
	}
	free(line);
	if (script.first_of_loop == script.count)
		fail("script", "there is no loop");
}

static char *append_body(char *out, size_t bytes)
{
	static const char words[] = "lorem ipsum dolor sit amet lorem ipsum dolor sit amet";
	for (size_t line = 0; bytes > sizeof(words) + 8; line++) {
		int length = sprintf(out, "%04zu %s\r\n", line, words);
		out += length;
		bytes -= (size_t)length;
	}
	return out;
}

static char *append_special(char *out, const char **at, const struct connection *connection)
{
	char kind = *(*at)++;
	if (kind == 'u')
		return out + sprintf(out, "%u", connection->number % user_count);
	if (kind == 'v')
		return out + sprintf(out, "%" PRIu64, number++ % user_count);
	if (kind == 'n')
		return out + sprintf(out, "%" PRIu64, number++);
	if (kind == 'b') {
		char *end;
		size_t bytes = strtoul(*at, &end, 10);
		*at = *end == ';' ? end + 1 : end;
		return append_body(out, MIN(bytes, (size_t)BODY_MOST / 2));
	}
	*out = kind;
	return out + 1;
}

/* The text as it goes out, in `message`; its length. */
static size_t put_together(const char *text, const struct connection *connection)
{
	char *out = message;
	while (*text) {
		char c = *text++;
		if (c == '\\' && *text) {
			c = *text++;
			*out++ = c == 'r' ? '\r' : c == 'n' ? '\n' : c;
		} else if (c == '%' && *text) {
			out = append_special(out, &text, connection);
		} else {
			*out++ = c;
		}
	}
	return (size_t)(out - message);
}

/* ---- a connection ---- */

static void send_all(const struct connection *connection, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t sent = send(connection->fd, message + at, length - at, MSG_NOSIGNAL);
		if (sent < 0)
			fail("send", strerror(errno));
		at += (size_t)sent;
	}
}

static void take_step(struct connection *connection)
{
	if (connection->step == script.first_of_loop)
		connection->begun_ns = clock_monotonic_ns();
	size_t length = put_together(script.steps[connection->step].text, connection);
	if (length)
		send_all(connection, length);
}

static void open_connection(struct connection *connection, int poll)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	connection->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail("connect", strerror(errno));
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		fail("epoll_ctl", strerror(errno));
	connection->step = 0;
	connection->line_length = 0;
	take_step(connection);
}

static bool is_final(const struct step *step, const char *line, size_t length)
{
	if (!*step->text)
		return true;
	if (step->expected[0] >= '0' && step->expected[0] <= '9')
		return length > 3 && line[3] != '-';
	return line[0] == '+' || (length > 1 && line[0] == 'a' && line[1] == ' ');
}

static void start_loops(void)
{
	uint64_t now = clock_monotonic_ns();
	stop_ns = now + (uint64_t)((warm_up + seconds) * 1e9);
	for (unsigned i = 0; i < connection_count; i++)
		take_step(&connections[i]);
}

static void end_loop(struct connection *connection)
{
	uint64_t now = clock_monotonic_ns();
	if (is_measuring && latency_count < LATENCIES_MOST)
		latencies[latency_count++] =
			(uint32_t)MIN((now - connection->begun_ns) / 1000, UINT32_MAX);
	connection->step = script.first_of_loop;
	take_step(connection);
}

static void begin_anew(struct connection *connection, int poll)
{
	close(connection->fd);
	open_connection(connection, poll);
}

static void take_answer(struct connection *connection, int poll)
{
	const struct step *step = &script.steps[connection->step];
	connection->line[MIN(connection->line_length, (size_t)LINE_MOST - 1)] = 0;
	if (strncmp(connection->line, step->expected, strlen(step->expected)) != 0) {
		if (!connection->is_ready)
			fail(step->text, connection->line);
		if (errors++ < 3)
			fprintf(stderr, "load: %.40s: %.100s\n", step->text, connection->line);
		begin_anew(connection, poll);
		return;
	}
	connection->step++;
	if (connection->step == script.count) {
		end_loop(connection);
	} else if (connection->step == script.first_of_loop && !connection->is_ready) {
		connection->is_ready = true;
		if (++ready_count == connection_count)
			start_loops();
	} else {
		take_step(connection);
	}
}

static void read_some(struct connection *connection, int poll)
{
	static char bytes[1 << 16];
	ssize_t count = recv(connection->fd, bytes, sizeof(bytes), 0);
	if (count <= 0) {
		if (!connection->is_ready)
			fail("closed", script.steps[connection->step].text);
		errors++;
		begin_anew(connection, poll);
		return;
	}
	int fd = connection->fd;
	for (char *at = bytes, *end = bytes + count; at < end && connection->fd == fd;) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t length = (size_t)((newline ? newline + 1 : end) - at);
		size_t room = LINE_MOST - connection->line_length;
		memcpy(connection->line + connection->line_length, at, MIN(length, room));
		connection->line_length += MIN(length, room);
		at += length;
		if (!newline)
			return;
		bool final = is_final(
			&script.steps[connection->step], connection->line, connection->line_length);
		if (final)
			take_answer(connection, poll);
		connection->line_length = 0;
	}
}

/* ---- what came out ---- */

static double run(int poll)
{
	struct epoll_event events[256];
	uint64_t begun = 0;
	while (!stop_ns || clock_monotonic_ns() < stop_ns) {
		uint64_t now = clock_monotonic_ns();
		if (stop_ns && !is_measuring && now >= stop_ns - (uint64_t)(seconds * 1e9)) {
			is_measuring = true;
			begun = now;
		}
		int count = epoll_wait(poll, events, 256, 100);
		for (int i = 0; i < count; i++)
			read_some(events[i].data.ptr, poll);
	}
	return (double)(clock_monotonic_ns() - begun) / 1e9;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"port", 1, NULL, 'p'},
		{"connections", 1, NULL, 'c'}, {"seconds", 1, NULL, 's'}, {"warm-up", 1, NULL, 'w'},
		{"users", 1, NULL, 'u'}, {0}};
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'p')
			port = (unsigned)atoi(optarg);
		else if (option == 'c')
			connection_count = (unsigned)atoi(optarg);
		else if (option == 's')
			seconds = atof(optarg);
		else if (option == 'w')
			warm_up = atof(optarg);
		else if (option == 'u')
			user_count = (unsigned)atoi(optarg);
		else
			return 2;
	}
	if (!port || !connection_count || !user_count)
		fail("usage", "load --port P [--connections N] [--seconds S] [--users U] <script");
	read_script();
	message = malloc(BODY_MOST);
	latencies = malloc(sizeof(*latencies) * (size_t)LATENCIES_MOST);
	connections = calloc(connection_count, sizeof(*connections));
	int poll = epoll_create1(0);
	for (unsigned i = 0; i < connection_count; i++) {
		connections[i].number = i;
		open_connection(&connections[i], poll);
	}
	double took = run(poll);
	latencies_report(latencies, latency_count, errors, took);
	return 0;
}
