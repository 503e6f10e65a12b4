#include "base/test.h"

#include "base/clock.h"
#include "base/log.h"
#include "wire/cql/cql.h"
#include "wire/cql/cql_fake_server.h"

/* A server, a client of it, and what came of the last request. */
struct scene {
	struct op op;
	struct fake_server *server;
	struct cql_cluster *cluster;
	char point[32];
	const char *points[1];
	struct cql_options options;
	struct cql_result result;
	struct cql_failure failure;
	struct error *err;
	uint64_t took_ms;
};

static int set_up(void **state)
{
	struct scene *s = HEAP_NEW(struct scene);
	op_init(&s->op, "test");
	s->options = cql_default_options();
	s->options.datacenter = "here";
	s->options.connections_per_host = 1;
	s->options.connect_timeout_ms = 2000;
	s->options.request_timeout_ms = 4000;
	s->options.reconnect_min_ms = 50;
	s->options.reconnect_max_ms = 200;
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;
	cql_cluster_close(s->cluster);
	if (s->server)
		fake_server_stop(s->server);
	op_done(&s->op);
	free(s);
	return 0;
}

static void given_server(struct scene *s, struct fake_options options)
{
	options.hosts = options.hosts ? options.hosts : 1;
	s->server = fake_server_start(&options);
	snprintf(s->point, sizeof(s->point), "127.0.0.1:%u", fake_server_port(s->server));
	s->points[0] = s->point;
	s->options.contact_points = s->points;
	s->options.contact_point_count = 1;
	s->options.port = fake_server_port(s->server);
}

static void when_opened(struct scene *s)
{
	s->err = cql_cluster_open(&s->op, &s->options, &s->cluster);
}

static void given_client(struct scene *s, struct fake_options options)
{
	given_server(s, options);
	when_opened(s);
	if (s->err)
		print_error("%s\n", error_chain(&s->op.arena, s->err));
	assert_null(s->err);
}

static void given_script(struct scene *s, enum fake_action action)
{
	fake_server_script(s->server, &(struct fake_step){.action = action}, 1);
}

static void when_executed(struct scene *s, const char *value, bool idempotent, uint64_t deadline_ms)
{
	struct cql_value bound_value = cql_from_bytes(slice_from_cstr(value));
	struct cql_bound bound = {.statement = cql_statement(s->cluster, "INSERT ?", false),
		.values = &bound_value,
		.value_count = 1};
	struct cql_request request = {.statements = &bound,
		.count = 1,
		.level = CQL_LOCAL_QUORUM,
		.idempotent = idempotent};
	uint64_t start = clock_monotonic_ns();
	s->op.deadline_ns = start + deadline_ms * NS_PER_MS;
	s->err = cql_execute(&s->op, s->cluster, &request, &s->result, &s->failure);
	s->took_ms = (clock_monotonic_ns() - start) / NS_PER_MS;
	s->op.deadline_ns = 0;
}

static void then_failed(struct scene *s, enum error_kind kind, enum cql_error_code code, bool sent)
{
	assert_non_null(s->err);
	assert_int_equal(s->failure.code, code);
	assert_int_equal(s->failure.may_have_been_sent, sent);
	assert_int_equal(s->err->kind, kind);
}

static void then_echo_is(struct scene *s, const char *value)
{
	if (s->err)
		print_error("%s\n", error_chain(&s->op.arena, s->err));
	assert_null(s->err);
	assert_int_equal(s->result.row_count, 1);
	assert_true(slice_equal(cql_to_bytes(cql_at(&s->result, 0, 0)), slice_from_cstr(value)));
}

static size_t hosts_up(struct scene *s)
{
	struct cql_host *hosts;
	size_t count, up = 0;
	cql_cluster_hosts(s->cluster, &s->op.arena, &hosts, &count);
	for (size_t i = 0; i < count; i++)
		up += hosts[i].is_up;
	return up;
}

/* Waits for what other threads bring about; fails after five seconds. */
#define EVENTUALLY(condition)                                          \
	do {                                                           \
		uint64_t until_ = clock_monotonic_ns() + 5 * NS_PER_S; \
		while (!(condition) && clock_monotonic_ns() < until_)  \
			clock_sleep_ns(5 * NS_PER_MS);                 \
		assert_true(condition);                                \
	} while (0)

/* ---- starting ---- */

static void a_statement_is_prepared_once_on_each_host(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	fake_server_always(s->server, FAKE_ECHO);
	for (int i = 0; i < 6; i++) {
		when_executed(s, "hello", false, 2000);
		then_echo_is(s, "hello");
	}
	struct fake_counts counts = fake_server_counts(s->server);
	assert_int_equal(counts.prepares, 2);
	assert_int_equal(counts.by_host[0], 3);
	assert_int_equal(counts.by_host[1], 3);
}

static void every_way_of_framing_carries_requests(void **state)
{
	struct scene *s = *state;
	char *large = arena_alloc(&s->op.arena, 300001);
	memset(large, 'x', 300000);
	for (uint8_t version = 4; version <= 5; version++)
		for (int compression = 0; compression < 2; compression++) {
			given_client(s, (struct fake_options){
						.version = version, .compression = compression});
			fake_server_always(s->server, FAKE_ECHO);
			when_executed(s, "hello", false, 2000);
			then_echo_is(s, "hello");
			when_executed(s, large, false, 5000);
			then_echo_is(s, large);
			cql_cluster_close(s->cluster);
			s->cluster = NULL;
			fake_server_stop(s->server);
			s->server = NULL;
		}
}

static void user_and_password_are_shown(void **state)
{
	struct scene *s = *state;
	s->options.user = "mail";
	s->options.password = "secret";
	given_client(s, (struct fake_options){.user = "mail", .password = "secret"});
	when_executed(s, "x", false, 2000);
	assert_null(s->err);
}

static void a_wrong_password_stops_the_start(void **state)
{
	struct scene *s = *state;
	s->options.user = "mail";
	s->options.password = "wrong";
	given_server(s, (struct fake_options){.user = "mail", .password = "secret"});
	when_opened(s);
	assert_non_null(s->err);
	assert_int_equal(s->err->kind, ERR_INVALID);
}

static void another_data_centre_stops_the_start(void **state)
{
	struct scene *s = *state;
	given_server(s, (struct fake_options){.datacenter = "elsewhere"});
	when_opened(s);
	assert_non_null(s->err);
	assert_int_equal(s->err->kind, ERR_INVALID);
}

static void a_missing_keyspace_stops_the_start(void **state)
{
	struct scene *s = *state;
	s->options.keyspace = "ks";
	given_server(s, (struct fake_options){.refuse_keyspace = true});
	when_opened(s);
	assert_non_null(s->err);
	assert_int_equal(s->err->kind, ERR_INVALID);
}

static void a_host_that_never_answers_stops_the_start_in_time(void **state)
{
	struct scene *s = *state;
	s->options.connect_timeout_ms = 200;
	given_server(s, (struct fake_options){0});
	fake_server_set_deaf(s->server, true);
	uint64_t start = clock_monotonic_ns();
	when_opened(s);
	assert_non_null(s->err);
	assert_int_equal(s->err->kind, ERR_UNAVAILABLE);
	assert_true(clock_monotonic_ns() - start < 2 * NS_PER_S);
}

/* ---- what becomes of a request ---- */

static const enum fake_action breaking[] = {
	FAKE_CLOSE, FAKE_HALF_FRAME, FAKE_WRONG_STREAM, FAKE_GARBAGE};

static void a_broken_connection_leaves_a_write_uncertain(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2, .version = 4});
	for (size_t i = 0; i < ARRAY_SIZE(breaking); i++) {
		EVENTUALLY(hosts_up(s) == 2);
		given_script(s, breaking[i]);
		when_executed(s, "x", false, 3000);
		then_failed(s, ERR_TIMEOUT, CQL_CONNECTION_LOST, true);
		assert_int_equal(s->failure.attempts, 1);
		assert_true(*s->failure.host);
		assert_true(s->took_ms < 1000);
	}
}

static void what_is_idempotent_goes_to_another_host(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	fake_server_always(s->server, FAKE_ECHO);
	for (size_t i = 0; i < ARRAY_SIZE(breaking); i++) {
		if (breaking[i] == FAKE_GARBAGE)
			continue; /* within a connection of v5 that is a damaged segment */
		EVENTUALLY(hosts_up(s) == 2);
		given_script(s, breaking[i]);
		when_executed(s, "x", true, 3000);
		then_echo_is(s, "x");
		assert_int_equal(s->failure.attempts, 2);
	}
}

static void an_answer_that_breaks_the_protocol_is_uncertain(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	given_script(s, FAKE_LYING_ROWS);
	when_executed(s, "x", false, 3000);
	then_failed(s, ERR_INTERNAL, CQL_PROTOCOL_ERROR, true);
}

static void the_deadline_is_kept_and_a_late_answer_harms_nobody(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_ECHO);
	for (int i = 0; i < 4; i++) {
		given_script(s, FAKE_LATE);
		when_executed(s, "late", false, 100);
		then_failed(s, ERR_TIMEOUT, CQL_CLIENT_TIMEOUT, true);
		assert_in_range(s->took_ms, 100, 200);
		when_executed(s, "next", false, 2000);
		then_echo_is(s, "next");
	}
	clock_sleep_ns(400 * NS_PER_MS);
	when_executed(s, "after", false, 2000);
	then_echo_is(s, "after");
	assert_int_equal(fake_server_counts(s->server).connections, 2);
}

static void a_deadline_that_has_passed_sends_nothing(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	when_executed(s, "x", false, 0);
	then_failed(s, ERR_UNAVAILABLE, CQL_CLIENT_TIMEOUT, false);
	assert_int_equal(fake_server_counts(s->server).requests, 0);
}

static void a_forgotten_statement_is_prepared_again(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_ECHO);
	when_executed(s, "x", false, 2000);
	given_script(s, FAKE_UNPREPARED);
	when_executed(s, "again", false, 2000);
	then_echo_is(s, "again");
	assert_int_equal(fake_server_counts(s->server).prepares, 2);

	fake_server_always(s->server, FAKE_UNPREPARED);
	when_executed(s, "x", false, 2000);
	then_failed(s, ERR_UNAVAILABLE, CQL_UNPREPARED, false);
}

static void a_servers_error_comes_with_its_fields(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.version = 4});
	const struct fake_step step = {
		.action = FAKE_ERROR, .body = SLICE("\0\0\x11\0\0\2no\0\6\0\0\0\1\0\0\0\2\0\3CAS")};
	fake_server_script(s->server, &step, 1);
	when_executed(s, "x", false, 2000);
	then_failed(s, ERR_TIMEOUT, CQL_WRITE_TIMEOUT, true);
	assert_int_equal(s->failure.level, CQL_LOCAL_QUORUM);
	assert_int_equal(s->failure.received, 1);
	assert_int_equal(s->failure.required, 2);
	assert_int_equal(s->failure.write_type, CQL_WRITE_CAS);
	assert_int_equal(s->failure.attempts, 1);
}

static void an_uncertain_attempt_is_not_made_certain_by_a_refusal(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	const struct fake_step steps[] = {
		{.action = FAKE_CLOSE}, {.action = FAKE_ERROR, .body = SLICE("\0\0\x10\1\0\2no")}};
	fake_server_script(s->server, steps, 2);
	when_executed(s, "x", true, 2000);
	then_failed(s, ERR_TIMEOUT, CQL_OVERLOADED, true);
	assert_int_equal(s->failure.attempts, 2);
}

static void with_no_host_nothing_is_sent(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_set_host(s->server, 0, false);
	EVENTUALLY(hosts_up(s) == 0);
	when_executed(s, "x", false, 2000);
	then_failed(s, ERR_UNAVAILABLE, CQL_NO_HOST, false);
	assert_int_equal(s->failure.attempts, 0);

	fake_server_set_host(s->server, 0, true);
	EVENTUALLY(hosts_up(s) == 1);
	when_executed(s, "x", false, 2000);
	assert_null(s->err);
}

/* ---- many at once ---- */

#define MANY 200

struct many {
	struct cql_value values[MANY];
	struct cql_bound bounds[MANY];
	struct cql_request requests[MANY];
	struct cql_result results[MANY];
	struct cql_failure failures[MANY];
	struct error *errors[MANY];
};

static struct many *when_many_executed(struct scene *s, size_t count, uint64_t deadline_ms)
{
	struct many *many = ARENA_NEW(&s->op.arena, struct many);
	for (size_t i = 0; i < count; i++) {
		many->values[i] = cql_from_int(&s->op.arena, (int32_t)i);
		many->bounds[i] = (struct cql_bound){
			.statement = cql_statement(s->cluster, "INSERT ?", false),
			.values = &many->values[i],
			.value_count = 1};
		many->requests[i] = (struct cql_request){
			.statements = &many->bounds[i], .count = 1, .level = CQL_ONE};
	}
	s->op.deadline_ns = clock_monotonic_ns() + deadline_ms * NS_PER_MS;
	cql_execute_many(&s->op, s->cluster, many->requests, count, many->results, many->failures,
		many->errors);
	s->op.deadline_ns = 0;
	return many;
}

static void many_requests_get_each_its_own_answer(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 3, .compression = true});
	fake_server_always(s->server, FAKE_ECHO);
	struct many *many = when_many_executed(s, MANY, 5000);
	for (size_t i = 0; i < MANY; i++) {
		int32_t number;
		assert_null(many->errors[i]);
		assert_true(cql_to_int(cql_at(&many->results[i], 0, 0), &number));
		assert_int_equal(number, i);
	}
}

static void one_caller_keeps_within_the_bound_by_itself(void **state)
{
	struct scene *s = *state;
	s->options.max_requests_per_host = 8;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_ECHO);
	struct many *many = when_many_executed(s, MANY, 5000);
	for (size_t i = 0; i < MANY; i++) {
		int32_t number;
		assert_null(many->errors[i]);
		assert_true(cql_to_int(cql_at(&many->results[i], 0, 0), &number));
		assert_int_equal(number, i);
	}
}

static void a_connection_that_breaks_within_many_fails_each_of_them(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	when_executed(s, "x", false, 2000);
	fake_server_always(s->server, FAKE_SILENCE);
	struct fake_step steps[8] = {{.action = FAKE_SILENCE}};
	for (size_t i = 0; i < 7; i++)
		steps[i].action = FAKE_SILENCE;
	steps[7].action = FAKE_CLOSE;
	fake_server_script(s->server, steps, 8);
	struct many *many = when_many_executed(s, 50, 5000);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(many->failures[i].code, CQL_CONNECTION_LOST);
		assert_true(many->failures[i].may_have_been_sent);
	}
}

static void unanswered_requests_give_a_connection_up(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_SILENCE);
	struct many *many = when_many_executed(s, MANY, 200);
	assert_int_equal(many->failures[0].code, CQL_CLIENT_TIMEOUT);
	when_many_executed(s, MANY, 200);
	EVENTUALLY(fake_server_counts(s->server).connections == 3);
	EVENTUALLY(hosts_up(s) == 1);
	fake_server_always(s->server, FAKE_ECHO);
	when_executed(s, "x", false, 3000);
	then_echo_is(s, "x");
}

/* The server stops reading and the kernel's buffers fill up: of one request a part has left, of
 * those behind it nothing, and nothing ever will. */
static void what_still_waits_in_the_queue_is_certainly_not_sent(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.version = 4});
	when_executed(s, "x", false, 2000);
	given_script(s, FAKE_STOP_READING);
	size_t size = MIB(8);
	char *large = arena_alloc(&s->op.arena, size + 1);
	for (size_t i = 0; i < size; i++)
		large[i] = (char)('a' + i % 26);
	struct cql_value values[3] = {cql_from_bytes(SLICE("first")),
		cql_from_bytes(slice_of(large, size)), cql_from_bytes(SLICE("last"))};
	struct cql_bound bounds[3];
	struct cql_request requests[3];
	for (size_t i = 0; i < 3; i++) {
		bounds[i] = (struct cql_bound){
			.statement = cql_statement(s->cluster, "INSERT ?", false),
			.values = &values[i],
			.value_count = 1};
		requests[i] = (struct cql_request){.statements = &bounds[i], .count = 1};
	}
	struct cql_result results[3];
	struct cql_failure failures[3];
	struct error *errors[3];
	s->op.deadline_ns = clock_monotonic_ns() + 300 * NS_PER_MS;
	cql_execute_many(&s->op, s->cluster, requests, 3, results, failures, errors);
	s->op.deadline_ns = 0;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(failures[i].code, CQL_CLIENT_TIMEOUT);
		assert_int_equal(failures[i].may_have_been_sent, i < 2);
		assert_int_equal(errors[i]->kind, i < 2 ? ERR_TIMEOUT : ERR_UNAVAILABLE);
	}
}

/* ---- hosts that come and go ---- */

static void a_slow_host_does_not_hold_up_what_may_be_asked_twice(void **state)
{
	struct scene *s = *state;
	s->options.speculative_delay_ms = 50;
	given_client(s, (struct fake_options){.hosts = 2});
	fake_server_always(s->server, FAKE_ECHO);
	given_script(s, FAKE_SILENCE);
	when_executed(s, "x", true, 3000);
	then_echo_is(s, "x");
	assert_int_equal(s->failure.attempts, 2);
	assert_true(s->took_ms < 1000);
	given_script(s, FAKE_SILENCE);
	when_executed(s, "x", false, 300);
	then_failed(s, ERR_TIMEOUT, CQL_CLIENT_TIMEOUT, true);
	assert_int_equal(s->failure.attempts, 1);
}

static void a_host_that_misses_heartbeats_is_given_up(void **state)
{
	struct scene *s = *state;
	s->options.heartbeat_ms = 100;
	s->options.connect_timeout_ms = 300;
	given_client(s, (struct fake_options){0});
	clock_sleep_ns(500 * NS_PER_MS);
	assert_int_equal(hosts_up(s), 1);
	fake_server_set_deaf(s->server, true);
	EVENTUALLY(hosts_up(s) == 0);
	fake_server_set_deaf(s->server, false);
	EVENTUALLY(hosts_up(s) == 1);
}

static void a_host_that_lets_a_request_wait_is_looked_at(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_SILENCE);
	when_executed(s, "x", false, 100);
	clock_sleep_ns(1500 * NS_PER_MS);
	assert_int_equal(hosts_up(s), 1); /* slow, but there */
	fake_server_set_deaf(s->server, true);
	when_executed(s, "x", false, 100);
	EVENTUALLY(hosts_up(s) == 0);
}

static void events_make_the_client_look(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	unsigned before = fake_server_counts(s->server).learned;
	fake_server_send_event(
		s->server, SLICE("\0\x0fTOPOLOGY_CHANGE\0\x08NEW_NODE\4\x7f\0\0\3\0\0\x23\x52"));
	EVENTUALLY(fake_server_counts(s->server).learned > before);
}

static void the_control_connection_comes_back(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	unsigned before = fake_server_counts(s->server).learned;
	fake_server_close_control(s->server);
	EVENTUALLY(fake_server_counts(s->server).learned > before);
	bool agreed = false;
	struct error *err = cql_await_schema_agreement(&s->op, s->cluster, &agreed);
	assert_null(err);
	assert_true(agreed);
}

/* ---- threads ---- */

#define THREADS 8

struct worker {
	struct cql_cluster *cluster;
	uint64_t until_ns, answered, failed;
	bool keeps_deadlines, is_ours;
};

static void work_once(struct worker *worker, int32_t round)
{
	struct op op;
	op_init(&op, "worker");
	struct cql_value value = cql_from_int(&op.arena, round);
	struct cql_bound bound = {.statement = cql_statement(worker->cluster, "INSERT ?", false),
		.values = &value,
		.value_count = 1};
	struct cql_request request = {
		.statements = &bound, .count = 1, .idempotent = round % 2 == 0};
	struct cql_result result;
	struct cql_failure failure;
	op.deadline_ns = clock_monotonic_ns() + 500 * NS_PER_MS;
	struct error *err = cql_execute(&op, worker->cluster, &request, &result, &failure);
	worker->keeps_deadlines &= clock_monotonic_ns() < op.deadline_ns + NS_PER_S;
	int32_t echo = -1;
	if (!err)
		worker->is_ours &= result.row_count == 1 &&
				   cql_to_int(cql_at(&result, 0, 0), &echo) && echo == round;
	worker->answered += !err;
	worker->failed += err != NULL;
	op_done(&op);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	for (int32_t round = 0; clock_monotonic_ns() < worker->until_ns; round++)
		work_once(worker, round);
	return NULL;
}

static void hosts_may_die_under_load(void **state)
{
	struct scene *s = *state;
	s->options.connections_per_host = 2;
	given_client(s, (struct fake_options){.hosts = 3, .compression = true});
	fake_server_always(s->server, FAKE_ECHO);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	uint64_t until = clock_monotonic_ns() + 2 * NS_PER_S;
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.cluster = s->cluster,
			.until_ns = until,
			.keeps_deadlines = true,
			.is_ours = true};
		thread_start(&threads[i], "worker", work, &workers[i]);
	}
	for (size_t round = 0; clock_monotonic_ns() < until; round++) {
		size_t host = round % 3;
		fake_server_set_host(s->server, host, false);
		clock_sleep_ns(60 * NS_PER_MS);
		given_script(s, round % 2 ? FAKE_CLOSE : FAKE_HALF_FRAME);
		fake_server_set_host(s->server, host, true);
		clock_sleep_ns(60 * NS_PER_MS);
	}
	uint64_t answered = 0;
	bool keep_deadlines = true, are_ours = true;
	for (size_t i = 0; i < THREADS; i++) {
		thread_join(threads[i]);
		keep_deadlines &= workers[i].keeps_deadlines;
		are_ours &= workers[i].is_ours;
		answered += workers[i].answered;
	}
	assert_true(keep_deadlines);
	assert_true(are_ours);
	assert_true(answered > 100);
	EVENTUALLY(hosts_up(s) == 3);
}

static void threads_prepare_a_statement_once(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){0});
	fake_server_always(s->server, FAKE_ECHO);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.cluster = s->cluster,
			.until_ns = clock_monotonic_ns() + 50 * NS_PER_MS,
			.is_ours = true};
		thread_start(&threads[i], "worker", work, &workers[i]);
	}
	for (size_t i = 0; i < THREADS; i++) {
		thread_join(threads[i]);
		assert_int_equal(workers[i].failed, 0);
	}
	assert_int_equal(fake_server_counts(s->server).prepares, 1);
}

static void *work_one_silent(void *argument)
{
	struct worker *worker = argument;
	struct op op;
	op_init(&op, "worker");
	struct cql_bound bound = {.text = "silence"};
	struct cql_request request = {.statements = &bound, .count = 1, .idempotent = true};
	struct cql_result result;
	struct cql_failure failure;
	struct error *err = cql_execute(&op, worker->cluster, &request, &result, &failure);
	worker->failed += err && failure.code == CQL_CONNECTION_LOST && failure.may_have_been_sent;
	op_done(&op);
	return NULL;
}

static void past_the_bound_a_request_is_not_sent(void **state)
{
	struct scene *s = *state;
	s->options.max_requests_per_host = 1;
	given_client(s, (struct fake_options){0});
	when_executed(s, "x", false, 2000);
	fake_server_always(s->server, FAKE_SILENCE);
	struct worker worker = {.cluster = s->cluster};
	pthread_t thread;
	thread_start(&thread, "worker", work_one_silent, &worker);
	EVENTUALLY(fake_server_counts(s->server).requests == 2);
	when_executed(s, "x", false, 2000);
	then_failed(s, ERR_UNAVAILABLE, CQL_CLIENT_BUSY, false);
	assert_true(s->took_ms < 500);
	fake_server_set_host(s->server, 0, false);
	thread_join(thread);
}

static void closing_ends_what_is_under_way(void **state)
{
	struct scene *s = *state;
	given_client(s, (struct fake_options){.hosts = 2});
	fake_server_always(s->server, FAKE_SILENCE);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.cluster = s->cluster};
		thread_start(&threads[i], "worker", work_one_silent, &workers[i]);
	}
	EVENTUALLY(fake_server_counts(s->server).requests == THREADS);
	uint64_t start = clock_monotonic_ns();
	cql_cluster_close(s->cluster);
	s->cluster = NULL;
	assert_true(clock_monotonic_ns() - start < NS_PER_S);
	for (size_t i = 0; i < THREADS; i++) {
		thread_join(threads[i]);
		assert_int_equal(workers[i].failed, 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	const struct CMUnitTest tests[] = {
		TEST(a_statement_is_prepared_once_on_each_host),
		TEST(every_way_of_framing_carries_requests),
		TEST(user_and_password_are_shown),
		TEST(a_wrong_password_stops_the_start),
		TEST(another_data_centre_stops_the_start),
		TEST(a_missing_keyspace_stops_the_start),
		TEST(a_host_that_never_answers_stops_the_start_in_time),
		TEST(a_broken_connection_leaves_a_write_uncertain),
		TEST(what_is_idempotent_goes_to_another_host),
		TEST(an_answer_that_breaks_the_protocol_is_uncertain),
		TEST(the_deadline_is_kept_and_a_late_answer_harms_nobody),
		TEST(a_deadline_that_has_passed_sends_nothing),
		TEST(a_forgotten_statement_is_prepared_again),
		TEST(a_servers_error_comes_with_its_fields),
		TEST(an_uncertain_attempt_is_not_made_certain_by_a_refusal),
		TEST(with_no_host_nothing_is_sent),
		TEST(many_requests_get_each_its_own_answer),
		TEST(one_caller_keeps_within_the_bound_by_itself),
		TEST(past_the_bound_a_request_is_not_sent),
		TEST(a_connection_that_breaks_within_many_fails_each_of_them),
		TEST(unanswered_requests_give_a_connection_up),
		TEST(what_still_waits_in_the_queue_is_certainly_not_sent),
		TEST(a_slow_host_does_not_hold_up_what_may_be_asked_twice),
		TEST(a_host_that_misses_heartbeats_is_given_up),
		TEST(a_host_that_lets_a_request_wait_is_looked_at),
		TEST(events_make_the_client_look),
		TEST(the_control_connection_comes_back),
		TEST(hosts_may_die_under_load),
		TEST(threads_prepare_a_statement_once),
		TEST(closing_ends_what_is_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
