/* The CQL client against a real Cassandra: `cql_client [OPTION]... SCENARIO...`. Each scenario says
 * what it saw on a line of its own; the first that is not as it must be ends the program with 1. */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/sync.h"
#include "wire/cql/cql.h"
#include "wire/cql/cql_murmur3.h"

#define OWN_KEYSPACE "cqltest"

static struct cql_options options;
static uint64_t deadline_ms = 10000;
static unsigned load_threads = 16, load_seconds = 5;
static bool load_writes;
static const char *keyspace; /* NULL: one of our own is made */

static void fail(const char *format, ...) PRINTF_LIKE(1, 2) NORETURN;

static void fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

#define EXPECT(condition)                                                          \
	do {                                                                       \
		if (!(condition))                                                  \
			fail("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
	} while (0)

static void begin_op(struct op *op)
{
	op_init(op, "cql_client");
	op->deadline_ns = clock_monotonic_ns() + deadline_ms * NS_PER_MS;
}

static struct cql_cluster *open_cluster(const char *name)
{
	struct op op;
	begin_op(&op);
	struct cql_options own = options;
	own.keyspace = name;
	struct cql_cluster *cluster;
	struct error *err = cql_cluster_open(&op, &own, &cluster);
	if (err)
		fail("open: %s: %s", error_kind_name(err->kind), error_chain(&op.arena, err));
	op_done(&op);
	return cluster;
}

static struct cql_result run(struct op *op, struct cql_cluster *cluster, struct cql_request request)
{
	if (!request.level)
		request.level = CQL_LOCAL_QUORUM;
	struct cql_result result;
	struct cql_failure failure;
	struct error *err = cql_execute(op, cluster, &request, &result, &failure);
	if (err)
		fail("%s: %s (code %x, sent %d)",
			request.statements[0].text ? request.statements[0].text : "prepared",
			error_chain(&op->arena, err), failure.code, failure.may_have_been_sent);
	return result;
}

static struct cql_result run_text(struct op *op, struct cql_cluster *cluster, const char *text)
{
	struct cql_bound bound = {.text = text};
	return run(op, cluster, (struct cql_request){.statements = &bound, .count = 1});
}

/* The other hosts learn of a change later. */
static void change_schema(struct op *op, struct cql_cluster *cluster, const char *text)
{
	run_text(op, cluster, text);
	bool agreed;
	struct error *err = cql_await_schema_agreement(op, cluster, &agreed);
	EXPECT(!err && agreed);
}

static struct cql_result run_values(struct op *op, struct cql_cluster *cluster, const char *text,
	const struct cql_value *values, size_t count)
{
	struct cql_bound bound = {.statement = cql_statement(cluster, text, false),
		.values = values,
		.value_count = count};
	return run(op, cluster, (struct cql_request){.statements = &bound, .count = 1});
}

static void make_keyspace(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster,
		"CREATE KEYSPACE IF NOT EXISTS " OWN_KEYSPACE " WITH replication = "
		"{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}");
	op_done(&op);
}

static void hosts(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	struct cql_host *list;
	size_t count;
	cql_cluster_hosts(cluster, &op.arena, &list, &count);
	EXPECT(count > 0);
	for (size_t i = 0; i < count; i++)
		printf("host %s %s %s %s %s %s\n", list[i].address, list[i].datacenter,
			list[i].rack, list[i].release_version, list[i].is_up ? "up" : "down",
			list[i].is_local ? "local" : "remote");
	op_done(&op);
}

static void types(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster,
		"CREATE TABLE IF NOT EXISTS types (k uuid PRIMARY KEY, b bigint, i int, s "
		"smallint, "
		"t tinyint, f boolean, x blob, v text, l list<text>, m map<text, int>, n text, u "
		"text)");
	struct uuid key = uuid_random(), back;
	const struct cql_value values[] = {cql_from_uuid(&key),
		cql_from_bigint(&op.arena, INT64_MIN + 1), cql_from_int(&op.arena, -7),
		cql_from_smallint(&op.arena, -300), cql_from_tinyint(&op.arena, -100),
		cql_from_boolean(true), cql_from_bytes(SLICE("a\0b")),
		cql_from_bytes(SLICE("gr\xc3\xbc\xc3\x9f")), {.length = CQL_NULL},
		{.length = CQL_UNSET}, cql_from_bytes(SLICE(""))};
	run_values(&op, cluster,
		"INSERT INTO types (k, b, i, s, t, f, x, v, n, u, l) VALUES (?, ?, ?, ?, ?, ?, ?, "
		"?, ?, "
		"?, null)",
		values, 10);
	struct cql_result row = run_values(&op, cluster,
		"SELECT k, b, i, s, t, f, x, v, n, u, l, m FROM types WHERE k = ?", values, 1);
	EXPECT(row.row_count == 1 && row.column_count == 12);
	int64_t b;
	int32_t i;
	int16_t s;
	int8_t t;
	bool f;
	EXPECT(cql_to_uuid(cql_at(&row, 0, 0), &back) && uuid_equal(key, back));
	EXPECT(cql_to_bigint(cql_at(&row, 0, 1), &b) && b == INT64_MIN + 1);
	EXPECT(cql_to_int(cql_at(&row, 0, 2), &i) && i == -7);
	EXPECT(cql_to_smallint(cql_at(&row, 0, 3), &s) && s == -300);
	EXPECT(cql_to_tinyint(cql_at(&row, 0, 4), &t) && t == -100);
	EXPECT(cql_to_boolean(cql_at(&row, 0, 5), &f) && f);
	EXPECT(slice_equal(cql_to_bytes(cql_at(&row, 0, 6)), SLICE("a\0b")));
	EXPECT(slice_equal(cql_to_bytes(cql_at(&row, 0, 7)), SLICE("gr\xc3\xbc\xc3\x9f")));
	EXPECT(!cql_to_bytes(cql_at(&row, 0, 8)).ptr && !cql_to_bytes(cql_at(&row, 0, 9)).ptr);
	EXPECT(cql_find_column(&row, "v") == 7 && row.columns[11].type == CQL_TYPE_MAP);
	op_done(&op);
}

static void large(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster, "CREATE TABLE IF NOT EXISTS large (k int PRIMARY KEY, x blob)");
	size_t size = MIB(1) + 12345;
	char *bytes = arena_alloc_raw(&op.arena, size);
	for (int round = 0; round < 2; round++) {
		if (round)
			random_bytes(bytes, size);
		else
			memset(bytes, 'a', size);
		const struct cql_value values[] = {
			cql_from_int(&op.arena, 1), cql_from_bytes(slice_of(bytes, size))};
		run_values(&op, cluster, "INSERT INTO large (k, x) VALUES (?, ?)", values, 2);
		struct cql_result row =
			run_values(&op, cluster, "SELECT x FROM large WHERE k = ?", values, 1);
		EXPECT(row.row_count == 1 &&
			slice_equal(cql_to_bytes(cql_at(&row, 0, 0)), slice_of(bytes, size)));
	}
	op_done(&op);
}

static void paging(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster,
		"CREATE TABLE IF NOT EXISTS paged (k int, c int, PRIMARY KEY (k, c))");
	enum { ROWS = 250 };
	struct cql_request requests[ROWS];
	struct cql_bound bounds[ROWS];
	struct cql_statement *insert =
		cql_statement(cluster, "INSERT INTO paged (k, c) VALUES (?, ?)", true);
	for (int i = 0; i < ROWS; i++) {
		struct cql_value *values = ARENA_ARRAY(&op.arena, struct cql_value, 2);
		values[0] = cql_from_int(&op.arena, 1);
		values[1] = cql_from_int(&op.arena, i);
		bounds[i] =
			(struct cql_bound){.statement = insert, .values = values, .value_count = 2};
		requests[i] = (struct cql_request){
			.statements = &bounds[i], .count = 1, .level = CQL_LOCAL_QUORUM};
	}
	struct cql_result results[ROWS];
	struct cql_failure failures[ROWS];
	struct error *errors[ROWS];
	cql_execute_many(&op, cluster, requests, ROWS, results, failures, errors);
	for (int i = 0; i < ROWS; i++)
		if (errors[i])
			fail("insert %d: %s", i, error_chain(&op.arena, errors[i]));

	struct cql_value key = cql_from_int(&op.arena, 1);
	struct cql_bound select = {
		.statement = cql_statement(cluster, "SELECT c FROM paged WHERE k = ?", true),
		.values = &key,
		.value_count = 1};
	struct cql_request request = {.statements = &select, .count = 1, .page_rows = 100};
	int pages = 0, seen = 0;
	do {
		struct cql_result page = run(&op, cluster, request);
		for (size_t i = 0; i < page.row_count; i++, seen++) {
			int32_t c;
			EXPECT(cql_to_int(cql_at(&page, i, 0), &c) && c == seen);
		}
		request.paging_state = page.paging_state;
		pages++;
	} while (request.paging_state.len);
	EXPECT(seen == ROWS && pages == 3);
	op_done(&op);
}

static bool is_applied(const struct cql_result *result)
{
	bool applied;
	EXPECT(result->row_count >= 1 && slice_equal(result->columns[0].name, SLICE("[applied]")));
	EXPECT(cql_to_boolean(cql_at(result, 0, 0), &applied));
	return applied;
}

static void conditional(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster,
		"CREATE TABLE IF NOT EXISTS cas (k uuid, c int, head bigint static, v text, "
		"PRIMARY KEY (k, c))");
	struct uuid key = uuid_random();
	const struct cql_value insert[] = {cql_from_uuid(&key), cql_from_bigint(&op.arena, 1)};
	struct cql_result result = run_values(
		&op, cluster, "INSERT INTO cas (k, head) VALUES (?, ?) IF NOT EXISTS", insert, 2);
	EXPECT(is_applied(&result));
	result = run_values(
		&op, cluster, "INSERT INTO cas (k, head) VALUES (?, ?) IF NOT EXISTS", insert, 2);
	EXPECT(!is_applied(&result));
	for (int64_t expected = 1; expected <= 3; expected += 2) {
		const struct cql_value update[] = {cql_from_bigint(&op.arena, 2),
			cql_from_uuid(&key), cql_from_bigint(&op.arena, expected)};
		const struct cql_value row[] = {cql_from_uuid(&key), cql_from_int(&op.arena, 5),
			cql_from_bytes(SLICE("five"))};
		const struct cql_bound batch[] = {
			{.statement = cql_statement(
				 cluster, "UPDATE cas SET head = ? WHERE k = ? IF head = ?", false),
				.values = update,
				.value_count = 3},
			{.statement = cql_statement(
				 cluster, "INSERT INTO cas (k, c, v) VALUES (?, ?, ?)", false),
				.values = row,
				.value_count = 3}};
		result = run(&op, cluster,
			(struct cql_request){.statements = batch,
				.count = 2,
				.batch = CQL_BATCH_UNLOGGED,
				.serial_level = CQL_LOCAL_SERIAL});
		EXPECT(is_applied(&result) == (expected == 1));
	}
	int64_t head;
	size_t column = cql_find_column(&result, "head");
	EXPECT(column != SIZE_MAX && cql_to_bigint(cql_at(&result, 0, column), &head) && head == 2);
	struct cql_bound read = {
		.statement = cql_statement(cluster, "SELECT head, v FROM cas WHERE k = ?", true),
		.values = insert,
		.value_count = 1};
	result = run(&op, cluster,
		(struct cql_request){.statements = &read, .count = 1, .level = CQL_LOCAL_SERIAL});
	EXPECT(result.row_count == 1 && cql_to_bigint(cql_at(&result, 0, 0), &head) && head == 2);
	op_done(&op);
}

static void batches(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster, "CREATE TABLE IF NOT EXISTS timed (k int PRIMARY KEY, v int)");
	for (int kind = CQL_BATCH_LOGGED; kind <= CQL_BATCH_UNLOGGED; kind++) {
		int32_t first = (int32_t)random_below(1 << 30);
		const struct cql_value one[] = {
			cql_from_int(&op.arena, first), cql_from_int(&op.arena, 10)};
		const struct cql_value two[] = {
			cql_from_int(&op.arena, first + 1), cql_from_int(&op.arena, 20)};
		struct cql_statement *insert =
			cql_statement(cluster, "INSERT INTO timed (k, v) VALUES (?, ?)", true);
		const struct cql_bound batch[] = {
			{.statement = insert, .values = one, .value_count = 2},
			{.statement = insert, .values = two, .value_count = 2},
			{.text = "INSERT INTO timed (k, v) VALUES (-1, 0)"}};
		run(&op, cluster,
			(struct cql_request){.statements = batch,
				.count = 3,
				.batch = (enum cql_batch)kind,
				.has_timestamp = true,
				.timestamp_us = 1000});
		/* Older: must lose. */
		const struct cql_bound old = {.statement = insert, .values = one, .value_count = 2};
		run(&op, cluster,
			(struct cql_request){.statements = &old,
				.count = 1,
				.has_timestamp = true,
				.timestamp_us = 999});
		struct cql_result row = run_values(
			&op, cluster, "SELECT v, writetime(v) FROM timed WHERE k = ?", one, 1);
		int64_t time;
		EXPECT(row.row_count == 1 && cql_to_bigint(cql_at(&row, 0, 1), &time));
		EXPECT(time == 1000);
	}
	op_done(&op);
}

/* A statement prepared before its table changes, and after it was dropped and made again. */
static void schema_change(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster, "DROP TABLE IF EXISTS changing");
	change_schema(&op, cluster, "CREATE TABLE changing (k int PRIMARY KEY, v int)");
	run_text(&op, cluster, "INSERT INTO changing (k, v) VALUES (1, 2)");
	struct cql_value key = cql_from_int(&op.arena, 1);
	const char *select = "SELECT * FROM changing WHERE k = ?";
	struct cql_result row = run_values(&op, cluster, select, &key, 1);
	EXPECT(row.row_count == 1 && row.column_count == 2);
	change_schema(&op, cluster, "ALTER TABLE changing ADD w text");
	run_text(&op, cluster, "UPDATE changing SET w = 'new' WHERE k = 1");
	for (int i = 0; i < 3; i++) {
		row = run_values(&op, cluster, select, &key, 1);
		size_t column = cql_find_column(&row, "w");
		EXPECT(row.column_count == 3 && column != SIZE_MAX);
		EXPECT(slice_equal(cql_to_bytes(cql_at(&row, 0, column)), SLICE("new")));
	}
	change_schema(&op, cluster, "DROP TABLE changing");
	change_schema(&op, cluster, "CREATE TABLE changing (k int PRIMARY KEY, other text)");
	row = run_values(&op, cluster, select, &key, 1);
	EXPECT(row.row_count == 0 && row.column_count == 2);
	op_done(&op);
}

static void faults(struct cql_cluster *cluster)
{
	static const struct {
		const char *text;
		enum cql_error_code code;
		enum error_kind kind;
	} cases[] = {
		{"SELEKT", CQL_SYNTAX_ERROR, ERR_INVALID},
		{"SELECT * FROM nowhere", CQL_INVALID, ERR_INVALID},
		{"CREATE TABLE types (k int PRIMARY KEY)", CQL_ALREADY_EXISTS, ERR_INVALID},
		{"CREATE KEYSPACE wrong WITH replication = {'class': 'Nonsense'}", CQL_CONFIG_ERROR,
			ERR_INVALID},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct op op;
		begin_op(&op);
		struct cql_bound bound = {.text = cases[i].text};
		struct cql_request request = {
			.statements = &bound, .count = 1, .level = CQL_LOCAL_ONE};
		struct cql_result result;
		struct cql_failure failure;
		struct error *err = cql_execute(&op, cluster, &request, &result, &failure);
		EXPECT(err);
		printf("faults %s: %s, code %x\n", cases[i].text, error_chain(&op.arena, err),
			failure.code);
		EXPECT(failure.code == cases[i].code && err->kind == cases[i].kind);
		EXPECT(failure.attempts == 1 && *failure.host);
		op_done(&op);
	}
	struct op op;
	begin_op(&op);
	struct cql_bound bound = {.text = "SELECT * FROM system.local"};
	struct cql_request request = {.statements = &bound, .count = 1, .level = CQL_THREE};
	struct cql_result result;
	struct cql_failure failure;
	bound.text = "SELECT * FROM types";
	struct error *err = cql_execute(&op, cluster, &request, &result, &failure);
	EXPECT(err && failure.code == CQL_UNAVAILABLE && err->kind == ERR_UNAVAILABLE);
	EXPECT(failure.level == CQL_THREE && failure.required == 3 && failure.received == 1);
	op_done(&op);
}

static void tracing(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	struct cql_bound bound = {.text = "SELECT release_version FROM system.local"};
	struct cql_result result = run(&op, cluster,
		(struct cql_request){.statements = &bound, .count = 1, .trace = true});
	EXPECT(result.has_tracing_id && !uuid_is_nil(result.tracing_id) && result.row_count == 1);
	/* A batch over its size warns. */
	enum { COUNT = 60 };
	struct cql_bound many[COUNT];
	char *text = arena_alloc_raw(&op.arena, 400);
	memset(text, 'x', 400);
	for (int i = 0; i < COUNT; i++)
		many[i] = (struct cql_bound){
			.text = arena_printf(&op.arena,
				"INSERT INTO types (k, v) VALUES (uuid(), '%.400s')", text)};
	result = run(&op, cluster,
		(struct cql_request){
			.statements = many, .count = COUNT, .batch = CQL_BATCH_UNLOGGED});
	EXPECT(result.warning_count > 0);
	printf("tracing warning: " SLICE_FMT "\n", SLICE_ARG(result.warnings[0]));
	op_done(&op);
}

/* Our tokens are the server's, for keys of every length and any bytes. */
static void tokens(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster, "CREATE TABLE IF NOT EXISTS tokens (k blob PRIMARY KEY)");
	change_schema(&op, cluster,
		"CREATE TABLE IF NOT EXISTS tokens2 (a int, b text, PRIMARY KEY ((a, b)))");
	for (size_t length = 1; length <= 70; length++) {
		char bytes[70];
		random_bytes(bytes, length);
		if (length % 3 == 0)
			memset(bytes, 0xff, length);
		struct cql_value key = cql_from_bytes(slice_of(bytes, length));
		run_values(&op, cluster, "INSERT INTO tokens (k) VALUES (?)", &key, 1);
		struct cql_result row = run_values(
			&op, cluster, "SELECT token(k) FROM tokens WHERE k = ?", &key, 1);
		int64_t token;
		EXPECT(row.row_count == 1 && cql_to_bigint(cql_at(&row, 0, 0), &token));
		EXPECT(token == cql_murmur3_token(cql_routing_key(&op.arena, &key, 1)));
	}
	const struct cql_value pair[] = {
		cql_from_int(&op.arena, -5), cql_from_bytes(SLICE("second"))};
	run_values(&op, cluster, "INSERT INTO tokens2 (a, b) VALUES (?, ?)", pair, 2);
	struct cql_result row = run_values(
		&op, cluster, "SELECT token(a, b) FROM tokens2 WHERE a = ? AND b = ?", pair, 2);
	int64_t token;
	EXPECT(row.row_count == 1 && cql_to_bigint(cql_at(&row, 0, 0), &token));
	EXPECT(token == cql_murmur3_token(cql_routing_key(&op.arena, pair, 2)));
	op_done(&op);
}

/* ---- load ---- */

struct load {
	struct cql_cluster *cluster;
	uint64_t until_ns;
	uint64_t good, uncertain, refused, latest_ns, worst_ns;
	unsigned number;
};

static void load_once(struct load *load, uint64_t round)
{
	struct op op;
	begin_op(&op);
	const struct cql_value values[] = {
		cql_from_int(&op.arena, (int32_t)(load->number * 1000003 + round)),
		cql_from_int(&op.arena, (int32_t)round)};
	struct cql_bound bound = {
		.statement = load_writes ? cql_statement(load->cluster,
						   "INSERT INTO timed (k, v) VALUES (?, ?)", false)
					 : cql_statement(load->cluster,
						   "SELECT v FROM timed WHERE k = ?", true),
		.values = values,
		.value_count = load_writes ? 2 : 1};
	struct cql_request request = {.statements = &bound,
		.count = 1,
		.level = CQL_LOCAL_QUORUM,
		.routing_key = cql_routing_key(&op.arena, values, 1)};
	struct cql_result result;
	struct cql_failure failure;
	uint64_t start = clock_monotonic_ns();
	struct error *err = cql_execute(&op, load->cluster, &request, &result, &failure);
	uint64_t end = clock_monotonic_ns();
	load->worst_ns = MAX_OF(load->worst_ns, end - start);
	if (end > op.deadline_ns)
		load->latest_ns = MAX_OF(load->latest_ns, end - op.deadline_ns);
	if (!err)
		load->good++;
	else if (failure.may_have_been_sent)
		load->uncertain++;
	else
		load->refused++;
	if (err && !failure.may_have_been_sent)
		clock_sleep_ns(10 * NS_PER_MS);
	op_done(&op);
}

static void *load_run(void *argument)
{
	struct load *load = argument;
	for (uint64_t round = 0; clock_monotonic_ns() < load->until_ns; round++)
		load_once(load, round);
	return NULL;
}

static uint64_t cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* Reads (or writes) from many threads, whatever happens to the hosts meanwhile. */
static void load(struct cql_cluster *cluster)
{
	struct op op;
	begin_op(&op);
	change_schema(&op, cluster, "CREATE TABLE IF NOT EXISTS timed (k int PRIMARY KEY, v int)");
	struct load *loads = ARENA_ARRAY(&op.arena, struct load, load_threads);
	pthread_t *threads = ARENA_ARRAY(&op.arena, pthread_t, load_threads);
	uint64_t cpu = cpu_us(), start = clock_monotonic_ns();
	for (unsigned i = 0; i < load_threads; i++) {
		loads[i] = (struct load){.cluster = cluster,
			.until_ns = start + load_seconds * NS_PER_S,
			.number = i};
		thread_start(&threads[i], "load", load_run, &loads[i]);
	}
	uint64_t good = 0, uncertain = 0, refused = 0, latest = 0, worst = 0;
	for (unsigned i = 0; i < load_threads; i++) {
		thread_join(threads[i]);
		good += loads[i].good;
		uncertain += loads[i].uncertain;
		refused += loads[i].refused;
		latest = MAX_OF(latest, loads[i].latest_ns);
		worst = MAX_OF(worst, loads[i].worst_ns);
	}
	double seconds = (double)(clock_monotonic_ns() - start) / 1e9;
	printf("load threads %u good %" PRIu64 " uncertain %" PRIu64 " refused %" PRIu64
	       " per_second %.0f cpu_us_per_request %.1f worst_ms %.1f past_deadline_ms %.1f\n",
		load_threads, good, uncertain, refused, (double)good / seconds,
		good ? (double)(cpu_us() - cpu) / (double)good : 0, (double)worst / 1e6,
		(double)latest / 1e6);
	op_done(&op);
}

static const struct {
	const char *name;
	void (*run)(struct cql_cluster *cluster);
} scenarios[] = {
	{"hosts", hosts},
	{"types", types},
	{"large", large},
	{"paging", paging},
	{"conditional", conditional},
	{"batches", batches},
	{"schema_change", schema_change},
	{"faults", faults},
	{"tracing", tracing},
	{"tokens", tokens},
	{"load", load},
};

static void run_scenario(struct cql_cluster *cluster, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(scenarios[i].name, name) == 0) {
			scenarios[i].run(cluster);
			printf("ok %s\n", name);
			fflush(stdout);
			return;
		}
	fail("no scenario %s", name);
}

/* "127.0.0.1=127.0.1.1:9042" */
static void add_address(const char *text)
{
	static struct cql_address map[16];
	struct slice rest = slice_from_cstr(text), host = SLICE_NONE;
	struct cql_address *address = &map[options.address_map_count];
	EXPECT(options.address_map_count < ARRAY_SIZE(map) && slice_split(&rest, '=', &host));
	snprintf(address->host, sizeof(address->host), SLICE_FMT, SLICE_ARG(host));
	snprintf(address->via, sizeof(address->via), SLICE_FMT, SLICE_ARG(rest));
	options.address_map = map;
	options.address_map_count++;
}

static void parse_option(int letter)
{
	static const char *point;
	switch (letter) {
	case 'h':
		point = optarg;
		options.contact_points = &point;
		break;
	case 'd':
		options.datacenter = optarg;
		break;
	case 'v':
		options.protocol_version = (uint8_t)atoi(optarg);
		break;
	case 'z':
		options.compression = false;
		break;
	case 'u':
		options.user = optarg;
		break;
	case 'p':
		options.password = optarg;
		break;
	case 'c':
		options.tls = true;
		options.tls_ca_file = optarg;
		break;
	case 'a':
		add_address(optarg);
		break;
	case 'k':
		keyspace = optarg;
		break;
	case 't':
		load_threads = (unsigned)atoi(optarg);
		break;
	case 's':
		load_seconds = (unsigned)atoi(optarg);
		break;
	case 'w':
		load_writes = true;
		break;
	case 'm':
		deadline_ms = (uint64_t)atoi(optarg);
		break;
	case 'x':
		options.speculative_delay_ms = (uint32_t)atoi(optarg);
		break;
	default:
		fail("usage: cql_client [-h HOST] [-d DATACENTRE] [-v VERSION] [-z] [-u USER -p "
		     "PASSWORD] [-c CA] [-a HOST=VIA] [-k KEYSPACE] [-t THREADS] [-s SECONDS] [-w] "
		     "[-m DEADLINE_MS] [-x SPECULATIVE_MS] SCENARIO...");
	}
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	options = cql_default_options();
	options.datacenter = "dc1";
	int letter;
	while ((letter = getopt(argc, argv, "h:d:v:zu:p:c:a:k:t:s:wm:x:")) != -1)
		parse_option(letter);
	if (!keyspace) {
		struct cql_cluster *bare = open_cluster(NULL);
		make_keyspace(bare);
		cql_cluster_close(bare);
	}
	struct cql_cluster *cluster = open_cluster(keyspace ? keyspace : OWN_KEYSPACE);
	for (int i = optind; i < argc; i++)
		run_scenario(cluster, argv[i]);
	cql_cluster_close(cluster);
	return 0;
}
