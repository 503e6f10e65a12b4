#include "base/test.h"

#include "base/clock.h"
#include "base/world.h"
#include "consistency/levels.h"
#include "schema/tables.h"

/* A replicated store that does what the test wrote down, and writes down what it was asked. */

#define CALLS_MOST 32

struct answer {
	enum failure_code code; /* NONE: it works */
	enum level names;       /* of an UNAVAILABLE */
	uint64_t takes_ms;
};

struct call {
	const char *verb;
	enum level level;
	enum level commit_level;
	size_t count;
	size_t deletes;
	uint64_t time_left_ms; /* UINT64_MAX: no deadline */
};

struct fake {
	struct replicated store;
	struct answer answers[CALLS_MOST];
	struct call calls[CALLS_MOST];
	size_t call_count;
	bool conflicts;
	bool is_closed;
	struct mutation written[8]; /* of the last write */
};

static struct fake fake;
static uint64_t now_ns;

static uint64_t read_clock(void)
{
	return now_ns;
}

static uint64_t read_realtime(void)
{
	return 1700000000 * US_PER_S + now_ns / 1000;
}

static void fill(void *bytes, size_t len)
{
	memset(bytes, 7, len);
}

static void nobody_else(void)
{
}

static const struct world_hooks hooks = {.monotonic_ns = read_clock,
	.realtime_us = read_realtime,
	.random_bytes = fill,
	.yield = nobody_else};

static struct error *answer(struct op *op, const char *verb, enum failure_request request,
	enum level level, enum level commit_level, struct failure *ret_failure)
{
	assert_true(fake.call_count < CALLS_MOST);
	uint64_t left_ns = op_time_left_ns(op);
	struct call *call = &fake.calls[fake.call_count];
	struct answer *planned = &fake.answers[fake.call_count++];
	*call = (struct call){.verb = verb,
		.level = level,
		.commit_level = commit_level,
		.time_left_ms = left_ns == UINT64_MAX ? UINT64_MAX : left_ns / NS_PER_MS};
	now_ns += planned->takes_ms * NS_PER_MS;
	*ret_failure = (struct failure){.code = planned->code, .level = planned->names};
	if (planned->code == FAILURE_NONE)
		return NULL;
	return op_fail(
		op, failure_outcome(request, ret_failure), "%s", failure_code_name(planned->code));
}

static struct error *fake_get(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum level level, struct failure *ret_failure,
	bool *ret_found, struct engine_row *ret_row)
{
	(void)store, (void)table, (void)partition, (void)key, (void)ret_row;
	*ret_found = false;
	return answer(op, "get", FAILURE_OF_READ, level, LEVEL_NONE, ret_failure);
}

static struct error *fake_scan(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum level level, struct failure *ret_failure, struct engine_rows *ret_rows)
{
	(void)store, (void)table, (void)partition, (void)from, (void)to, (void)limit;
	(void)backwards;
	*ret_rows = (struct engine_rows){0};
	return answer(op, "scan", FAILURE_OF_READ, level, LEVEL_NONE, ret_failure);
}

static struct error *fake_write(struct replicated *store, struct op *op,
	const struct mutation *mutations, size_t count, enum level level,
	struct failure *ret_failure)
{
	(void)store;
	struct error *err = answer(op, "write", FAILURE_OF_WRITE, level, LEVEL_NONE, ret_failure);
	struct call *call = &fake.calls[fake.call_count - 1];
	call->count = count;
	for (size_t i = 0; i < count; i++) {
		call->deletes += mutations[i].is_delete;
		fake.written[i % ARRAY_SIZE(fake.written)] = mutations[i];
	}
	return err;
}

static struct error *fake_cas(struct replicated *store, struct op *op, const struct cas *cas,
	enum level serial_level, enum level commit_level, struct failure *ret_failure,
	struct slice *ret_current)
{
	(void)store, (void)cas;
	*ret_current = SLICE_NONE;
	struct error *err =
		answer(op, "cas", FAILURE_OF_CAS, serial_level, commit_level, ret_failure);
	return !err && fake.conflicts ? op_fail(op, ERR_CONFLICT, "it has changed") : err;
}

static struct error *fake_partitions(struct replicated *store, struct op *op,
	const struct table *table, struct slice after, size_t limit, enum level level,
	struct failure *ret_failure, struct slice **ret_partitions, size_t *ret_count)
{
	(void)store, (void)table, (void)after, (void)limit;
	*ret_partitions = NULL;
	*ret_count = 0;
	return answer(op, "partitions", FAILURE_OF_READ, level, LEVEL_NONE, ret_failure);
}

static void fake_close(struct replicated *store)
{
	(void)store;
	fake.is_closed = true;
}

static const struct replicated_ops fake_ops = {.name = "fake",
	.get = fake_get,
	.scan = fake_scan,
	.write = fake_write,
	.cas = fake_cas,
	.partitions = fake_partitions,
	.close = fake_close};

struct world {
	struct op op;
	struct engine *engine;
};

static const struct levels_config two_centres = {
	.kinds =
		{
			[FALLBACK_READ] = {LEVEL_LOCAL_QUORUM, LEVEL_QUORUM},
			[FALLBACK_WRITE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
			[FALLBACK_DELETE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
		},
	.serial = LEVEL_LOCAL_SERIAL,
	.attempt_timeout_ms = 1000};

static void open_with(struct world *w, const struct levels_config *config)
{
	if (w->engine)
		engine_close(w->engine);
	fake = (struct fake){.store.ops = &fake_ops};
	w->engine = levels_engine_new(&fake.store, config);
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	now_ns = 10 * NS_PER_S;
	world_hooks = &hooks;
	op_init(&w->op, "test");
	open_with(w, &two_centres);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	engine_close(w->engine);
	assert_true(fake.is_closed);
	op_done(&w->op);
	world_hooks = NULL;
	free(w);
	return 0;
}

static void given_answer(size_t number, enum failure_code code, uint64_t takes_ms)
{
	fake.answers[number] = (struct answer){.code = code, .takes_ms = takes_ms};
}

static struct error *write_rows(struct world *w, unsigned puts, unsigned deletes)
{
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	for (unsigned i = 0; i < puts + deletes; i++) {
		struct slice key = key_u32_row(&w->op.arena, i);
		if (i % 2 ? i / 2 < deletes : i / 2 >= puts)
			mutations_delete(&list, &mailbox_map_table, SLICE("p"), key, 5);
		else
			mutations_put(&list, &mailbox_map_table, SLICE("p"), key, SLICE("v"), 5);
	}
	return engine_write(w->engine, &w->op, list.items, list.count, DURABLE);
}

static struct error *read_row(struct world *w, const struct table *table, enum read_level level)
{
	bool found;
	struct engine_row row;
	return engine_get(w->engine, &w->op, table, SLICE("p"), SLICE_NONE, level, &found, &row);
}

static struct error *commit(struct world *w)
{
	struct cas cas = {.table = &account_table, .partition = SLICE("a")};
	struct slice current;
	return engine_cas(w->engine, &w->op, &cas, &current);
}

static void then_calls_were(size_t count, const struct call *calls)
{
	assert_int_equal(fake.call_count, count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(fake.calls[i].verb, calls[i].verb);
		assert_int_equal(fake.calls[i].level, calls[i].level);
		assert_int_equal(fake.calls[i].commit_level, calls[i].commit_level);
		if (calls[i].count) {
			assert_int_equal(fake.calls[i].count, calls[i].count);
			assert_int_equal(fake.calls[i].deletes, calls[i].deletes);
		}
	}
}
#define THEN_CALLS_WERE(...)                                                        \
	then_calls_were(sizeof((struct call[]){__VA_ARGS__}) / sizeof(struct call), \
		(struct call[]){__VA_ARGS__})

static void each_call_goes_out_at_its_level(void **state)
{
	struct world *w = *state;
	struct engine_rows rows;
	struct slice *partitions;
	size_t count;
	assert_null(read_row(w, &mailbox_map_table, READ_RELAXED));
	assert_null(read_row(w, &account_table, READ_SERIAL));
	assert_null(engine_scan(w->engine, &w->op, &account_table, SLICE("p"), SLICE_NONE,
		SLICE_NONE, 5, false, READ_NORMAL, &rows));
	assert_null(write_rows(w, 1, 0));
	assert_null(write_rows(w, 0, 2));
	assert_null(commit(w));
	assert_null(engine_partitions(
		w->engine, &w->op, &dirty_table, SLICE_NONE, 5, &partitions, &count));
	THEN_CALLS_WERE({"get", LEVEL_LOCAL_QUORUM}, {"get", LEVEL_LOCAL_SERIAL},
		{"scan", LEVEL_LOCAL_QUORUM}, {"write", LEVEL_EACH_QUORUM},
		{"write", LEVEL_EACH_QUORUM}, {"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM},
		{"partitions", LEVEL_LOCAL_QUORUM});
	assert_true(w->engine->is_shared);
	assert_false(engine_is_atomic(w->engine));
}

static void a_write_that_fails_is_tried_once_at_the_fallback(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_UNAVAILABLE, 1);
	assert_null(write_rows(w, 1, 0));
	assert_null(write_rows(w, 1, 0));
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM}, {"write", LEVEL_LOCAL_QUORUM},
		{"write", LEVEL_LOCAL_QUORUM});
}

static void kinds_fall_back_apart(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_UNAVAILABLE, 1);
	assert_null(write_rows(w, 1, 0));
	assert_null(write_rows(w, 0, 1));
	assert_null(read_row(w, &mailbox_map_table, READ_RELAXED));
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM}, {"write", LEVEL_LOCAL_QUORUM},
		{"write", LEVEL_EACH_QUORUM}, {"get", LEVEL_LOCAL_QUORUM});
}

static void a_failure_at_both_levels_names_both(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_UNAVAILABLE, 1);
	given_answer(1, FAILURE_OVERLOADED, 1);
	struct error *err = write_rows(w, 1, 0);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	assert_string_equal(error_chain(&w->op.arena, err),
		"after a failure at each_quorum (unavailable): write mailbox_map at local_quorum: "
		"overloaded");
}

static void what_is_our_own_fault_is_not_tried_again(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_REJECTED, 1);
	given_answer(1, FAILURE_BUSY, 1);
	struct error *err = write_rows(w, 1, 0);
	assert_int_equal(err->kind, ERR_INTERNAL);
	err = read_row(w, &mailbox_map_table, READ_RELAXED);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM}, {"get", LEVEL_LOCAL_QUORUM});
}

static void uncertainty_is_sticky(void **state)
{
	struct world *w = *state;
	static const struct {
		enum failure_code first, second;
		enum error_kind outcome;
	} cases[] = {
		{FAILURE_WRITE_TIMEOUT, FAILURE_UNAVAILABLE, ERR_UNCERTAIN},
		{FAILURE_WRITE_TIMEOUT, FAILURE_REJECTED, ERR_UNCERTAIN},
		{FAILURE_CONNECTION_LOST, FAILURE_NO_HOST, ERR_UNCERTAIN},
		{FAILURE_UNAVAILABLE, FAILURE_WRITE_TIMEOUT, ERR_UNCERTAIN},
		{FAILURE_UNAVAILABLE, FAILURE_UNAVAILABLE, ERR_UNAVAILABLE},
		{FAILURE_UNAVAILABLE, FAILURE_REJECTED, ERR_INTERNAL},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		open_with(w, &two_centres);
		given_answer(0, cases[i].first, 1);
		given_answer(1, cases[i].second, 1);
		struct error *err = write_rows(w, 1, 0);
		assert_int_equal(err->kind, cases[i].outcome);
		assert_int_equal(fake.call_count, 2);
	}
	open_with(w, &two_centres);
	given_answer(0, FAILURE_WRITE_TIMEOUT, 1);
	/* A write may be repeated: what the second says is so. */
	assert_null(write_rows(w, 1, 0));
}

static void a_read_is_never_uncertain(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_READ_TIMEOUT, 1);
	given_answer(1, FAILURE_UNAVAILABLE, 1);
	struct error *err = read_row(w, &mailbox_map_table, READ_RELAXED);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	THEN_CALLS_WERE({"get", LEVEL_LOCAL_QUORUM}, {"get", LEVEL_QUORUM});
}

static void a_serial_read_never_falls_back(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_READ_TIMEOUT, 1);
	struct error *err = read_row(w, &account_table, READ_SERIAL);
	assert_int_equal(err->kind, ERR_TIMEOUT);
	assert_null(read_row(w, &mailbox_map_table, READ_RELAXED));
	THEN_CALLS_WERE({"get", LEVEL_LOCAL_SERIAL}, {"get", LEVEL_LOCAL_QUORUM});
}

/* Both levels count for a commit, as they are within one data centre. */
static void given_commit_levels_apart(struct world *w)
{
	struct levels_config config = two_centres;
	config.kinds[FALLBACK_WRITE] = (struct levels_pair){LEVEL_ALL, LEVEL_LOCAL_QUORUM};
	open_with(w, &config);
}

static void a_cas_is_not_tried_again_and_the_next_uses_the_fallback(void **state)
{
	struct world *w = *state;
	given_commit_levels_apart(w);
	given_answer(0, FAILURE_WRITE_TIMEOUT, 1);
	struct error *err = commit(w);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
	assert_string_equal(error_chain(&w->op.arena, err),
		"commit to account at local_serial, all: write timeout");
	assert_null(commit(w));
	assert_null(write_rows(w, 1, 0));
	THEN_CALLS_WERE({"cas", LEVEL_LOCAL_SERIAL, LEVEL_ALL},
		{"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM}, {"write", LEVEL_LOCAL_QUORUM});
}

/* Its each_quorum would be no promise: the commit is made durable here, and says nothing of other
 * data centres when it fails. */
static void a_cas_commits_in_its_own_data_centre(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_WRITE_TIMEOUT, 1);
	struct error *err = commit(w);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
	assert_null(write_rows(w, 1, 0));
	THEN_CALLS_WERE(
		{"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM}, {"write", LEVEL_EACH_QUORUM});
}

static void a_cas_without_a_serial_quorum_says_nothing_of_the_commit_level(void **state)
{
	struct world *w = *state;
	given_commit_levels_apart(w);
	fake.answers[0] = (struct answer){.code = FAILURE_UNAVAILABLE, .names = LEVEL_LOCAL_SERIAL};
	fake.answers[1] = (struct answer){.code = FAILURE_UNAVAILABLE, .names = LEVEL_ALL};
	struct error *err = commit(w);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	err = commit(w);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
	assert_null(commit(w));
	THEN_CALLS_WERE({"cas", LEVEL_LOCAL_SERIAL, LEVEL_ALL},
		{"cas", LEVEL_LOCAL_SERIAL, LEVEL_ALL},
		{"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM});
}

static void a_refused_cas_is_no_failure(void **state)
{
	struct world *w = *state;
	fake.conflicts = true;
	struct error *err = commit(w);
	assert_int_equal(err->kind, ERR_CONFLICT);
	err = commit(w);
	assert_int_equal(err->kind, ERR_CONFLICT);
	THEN_CALLS_WERE({"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM},
		{"cas", LEVEL_LOCAL_SERIAL, LEVEL_LOCAL_QUORUM});
}

static void the_first_attempt_leaves_time_for_the_second(void **state)
{
	struct world *w = *state;
	w->op.deadline_ns = now_ns + 600 * NS_PER_MS;
	given_answer(0, FAILURE_CLIENT_TIMEOUT, 300);
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(fake.calls[0].time_left_ms, 300);
	assert_int_equal(fake.calls[1].time_left_ms, 300);
	assert_true(w->op.deadline_ns == 10 * NS_PER_S + 600 * NS_PER_MS);

	/* With much time it is the setting's, with none to follow it is all there is. */
	open_with(w, &two_centres);
	w->op.deadline_ns = now_ns + 60 * NS_PER_S;
	given_answer(0, FAILURE_CLIENT_TIMEOUT, 1000);
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(fake.calls[0].time_left_ms, 1000);
	assert_int_equal(fake.calls[1].time_left_ms, 59000);
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(fake.calls[2].time_left_ms, 59000);
	assert_null(commit(w));
	assert_int_equal(fake.calls[3].time_left_ms, 59000);

	open_with(w, &two_centres);
	w->op.deadline_ns = 0;
	given_answer(0, FAILURE_CLIENT_TIMEOUT, 1000);
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(fake.calls[0].time_left_ms, 1000);
	assert_true(fake.calls[1].time_left_ms == UINT64_MAX);
}

static void nothing_is_tried_again_past_the_deadline(void **state)
{
	struct world *w = *state;
	w->op.deadline_ns = now_ns + 10 * NS_PER_MS;
	given_answer(0, FAILURE_CLIENT_TIMEOUT, 20);
	struct error *err = write_rows(w, 1, 0);
	assert_int_equal(err->kind, ERR_UNCERTAIN);
	assert_int_equal(fake.call_count, 1);
}

static void a_write_with_any_delete_in_it_is_a_delete(void **state)
{
	struct world *w = *state;
	struct levels_config config = two_centres;
	given_answer(0, FAILURE_UNAVAILABLE, 1);
	assert_null(write_rows(w, 1, 1));
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM, .count = 2, .deletes = 1},
		{"write", LEVEL_LOCAL_QUORUM, .count = 2, .deletes = 1});

	/* The deletes' level has fallen, the puts' has not: each goes out at its own. */
	assert_null(write_rows(w, 2, 1));
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM}, {"write", LEVEL_LOCAL_QUORUM},
		{"write", LEVEL_EACH_QUORUM, .count = 2, .deletes = 0},
		{"write", LEVEL_LOCAL_QUORUM, .count = 1, .deletes = 1});

	config.kinds[FALLBACK_DELETE] = (struct levels_pair){LEVEL_ALL, LEVEL_NONE};
	open_with(w, &config);
	assert_null(write_rows(w, 1, 2));
	THEN_CALLS_WERE({"write", LEVEL_EACH_QUORUM, .count = 1, .deletes = 0},
		{"write", LEVEL_ALL, .count = 2, .deletes = 2});
}

static void half_of_a_split_write_is_uncertain(void **state)
{
	struct world *w = *state;
	struct levels_config config = two_centres;
	config.kinds[FALLBACK_DELETE] = (struct levels_pair){LEVEL_ALL, LEVEL_NONE};
	open_with(w, &config);
	given_answer(1, FAILURE_UNAVAILABLE, 1);
	struct error *err = write_rows(w, 1, 1);
	assert_int_equal(err->kind, ERR_UNCERTAIN);

	/* The puts failed for certain: the deletes were not sent. */
	config.kinds[FALLBACK_WRITE].fallback = LEVEL_NONE;
	open_with(w, &config);
	given_answer(0, FAILURE_UNAVAILABLE, 1);
	err = write_rows(w, 1, 1);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	assert_int_equal(fake.call_count, 1);
}

static void a_batch_never_deletes_and_inserts_one_row(void **state)
{
	struct world *w = *state;
	static const struct {
		uint64_t put, delete;
		bool delete_first;
		bool delete_wins;
	} cases[] = {
		{5, 6, false, true},
		{5, 6, true, true},
		{6, 5, false, false},
		{6, 5, true, false},
		{5, 5, false, true},
		{5, 5, true, true},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mutations list;
		mutations_init(&list, &w->op.arena);
		for (int at = 0; at < 2; at++) {
			if ((at == 0) == cases[i].delete_first)
				mutations_delete(&list, &mailbox_map_table, SLICE("p"), SLICE("k"),
					cases[i].delete);
			else
				mutations_put(&list, &mailbox_map_table, SLICE("p"), SLICE("k"),
					SLICE("v"), cases[i].put);
		}
		fake.call_count = 0;
		assert_null(engine_write(w->engine, &w->op, list.items, list.count, DURABLE));
		assert_int_equal(fake.call_count, 1);
		assert_int_equal(fake.calls[0].count, 1);
		assert_int_equal(fake.calls[0].deletes, cases[i].delete_wins);
		assert_int_equal(fake.written[0].is_delete, cases[i].delete_wins);
	}
	fake.call_count = 0;
	assert_null(engine_write(w->engine, &w->op, NULL, 0, DURABLE));
	assert_int_equal(fake.call_count, 0);
}

/* What decides anything sees all that was acknowledged, at whatever level that was written. */
static void a_normal_read_sees_all_whatever_the_read_level(void **state)
{
	struct world *w = *state;
	static const struct {
		struct levels_pair reads, writes;
		enum level normal; /* first attempt, and the only one unless ... */
		enum level again;
	} cases[] = {
		{{LEVEL_LOCAL_QUORUM, LEVEL_NONE}, {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
			LEVEL_LOCAL_QUORUM, LEVEL_NONE},
		/* A quorum of all does not see what the quorum here has. */
		{{LEVEL_LOCAL_QUORUM, LEVEL_QUORUM}, {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
			LEVEL_LOCAL_QUORUM, LEVEL_NONE},
		{{LEVEL_LOCAL_QUORUM, LEVEL_QUORUM}, {LEVEL_EACH_QUORUM, LEVEL_NONE},
			LEVEL_LOCAL_QUORUM, LEVEL_QUORUM},
		{{LEVEL_ONE, LEVEL_NONE}, {LEVEL_LOCAL_QUORUM, LEVEL_NONE}, LEVEL_LOCAL_QUORUM,
			LEVEL_NONE},
		{{LEVEL_LOCAL_ONE, LEVEL_NONE}, {LEVEL_QUORUM, LEVEL_NONE}, LEVEL_QUORUM,
			LEVEL_NONE},
		{{LEVEL_QUORUM, LEVEL_LOCAL_ONE}, {LEVEL_QUORUM, LEVEL_NONE}, LEVEL_QUORUM,
			LEVEL_NONE},
		/* Nothing sees it: as was asked for. */
		{{LEVEL_ONE, LEVEL_NONE}, {LEVEL_ONE, LEVEL_NONE}, LEVEL_ONE, LEVEL_NONE},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct levels_config config = {.serial = LEVEL_LOCAL_SERIAL,
			.kinds = {cases[i].reads, cases[i].writes, cases[i].writes}};
		open_with(w, &config);
		given_answer(0, FAILURE_UNAVAILABLE, 1);
		struct error *err = read_row(w, &mailbox_map_table, READ_NORMAL);
		assert_int_equal(fake.calls[0].level, cases[i].normal);
		assert_int_equal(err == NULL, cases[i].again != LEVEL_NONE);
		if (!err)
			assert_int_equal(fake.calls[1].level, cases[i].again);
		fake.call_count = 0;
		fake.answers[0].code = FAILURE_NONE;
		open_with(w, &config);
		assert_null(read_row(w, &mailbox_map_table, READ_RELAXED));
		assert_int_equal(fake.calls[0].level, cases[i].reads.primary);
	}
}

static void heads_are_read_where_commits_are_made_durable(void **state)
{
	struct world *w = *state;
	struct levels_config config = two_centres;
	config.kinds[FALLBACK_READ] = (struct levels_pair){LEVEL_QUORUM, LEVEL_NONE};
	config.kinds[FALLBACK_WRITE].fallback = LEVEL_NONE;
	config.kinds[FALLBACK_DELETE].fallback = LEVEL_NONE;
	open_with(w, &config);
	assert_null(read_row(w, &account_table, READ_NORMAL));
	assert_null(read_row(w, &mailbox_map_table, READ_NORMAL));
	THEN_CALLS_WERE({"get", LEVEL_LOCAL_QUORUM}, {"get", LEVEL_QUORUM});
}

static struct levels_status status_of(struct world *w, enum fallback_kind kind)
{
	struct levels_status all[FALLBACK_KIND_COUNT];
	levels_get_status(w->engine, all);
	return all[kind];
}

static void a_probe_is_the_servers_own_and_switches_back(void **state)
{
	struct world *w = *state;
	assert_true(levels_probe(&w->op, w->engine) == UINT64_MAX);
	assert_int_equal(fake.call_count, 0);
	for (int i = 0; i < 6; i += 2)
		given_answer((size_t)i, FAILURE_UNAVAILABLE, 0);
	assert_null(write_rows(w, 1, 0));
	assert_null(write_rows(w, 0, 1));
	assert_null(read_row(w, &mailbox_map_table, READ_RELAXED));
	assert_true(levels_probe(&w->op, w->engine) == now_ns + 50 * NS_PER_MS);
	assert_int_equal(fake.call_count, 6);

	now_ns += 50 * NS_PER_MS;
	given_answer(6, FAILURE_UNAVAILABLE, 20); /* reads still fail */
	uint64_t next_ns = levels_probe(&w->op, w->engine);
	assert_true(next_ns == now_ns + 100 * NS_PER_MS);
	assert_int_equal(fake.call_count, 9);
	assert_string_equal(fake.calls[6].verb, "get");
	assert_int_equal(fake.calls[6].level, LEVEL_LOCAL_QUORUM);
	assert_int_equal(fake.calls[6].time_left_ms, 1000);
	assert_string_equal(fake.calls[7].verb, "write");
	assert_int_equal(fake.calls[7].level, LEVEL_EACH_QUORUM);
	assert_int_equal(fake.calls[7].deletes, 0);
	assert_int_equal(fake.calls[8].deletes, 1);
	assert_ptr_equal(fake.written[0].table, &probe_table);
	assert_int_equal(status_of(w, FALLBACK_READ).in_force, LEVEL_QUORUM);
	assert_int_equal(status_of(w, FALLBACK_WRITE).in_force, LEVEL_EACH_QUORUM);
	assert_int_equal(status_of(w, FALLBACK_DELETE).in_force, LEVEL_EACH_QUORUM);
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(fake.calls[9].level, LEVEL_EACH_QUORUM);
}

static void a_probe_keeps_to_the_deadline_of_its_caller(void **state)
{
	struct world *w = *state;
	given_answer(0, FAILURE_UNAVAILABLE, 0);
	assert_null(write_rows(w, 1, 0));
	now_ns += 50 * NS_PER_MS;
	w->op.deadline_ns = now_ns + 7 * NS_PER_MS;
	levels_probe(&w->op, w->engine);
	assert_int_equal(fake.calls[2].time_left_ms, 7);
}

static void the_status_tells_level_since_when_and_next_probe(void **state)
{
	struct world *w = *state;
	struct levels_status status = status_of(w, FALLBACK_WRITE);
	assert_string_equal(status.kind, "write");
	assert_int_equal(status.primary, LEVEL_EACH_QUORUM);
	assert_int_equal(status.fallback, LEVEL_LOCAL_QUORUM);
	assert_int_equal(status.in_force, LEVEL_EACH_QUORUM);
	assert_true(status.next_probe_ms == UINT64_MAX);
	given_answer(0, FAILURE_UNAVAILABLE, 0);
	assert_null(write_rows(w, 1, 0));
	now_ns += 20 * NS_PER_MS;
	status = status_of(w, FALLBACK_WRITE);
	assert_int_equal(status.in_force, LEVEL_LOCAL_QUORUM);
	assert_int_equal(status.in_force_ms, 20);
	assert_int_equal(status.next_probe_ms, 30);
	assert_int_equal(status.failures, 1);
	now_ns += NS_PER_S;
	assert_int_equal(status_of(w, FALLBACK_WRITE).next_probe_ms, 0);
	assert_int_equal(status_of(w, FALLBACK_READ).failures, 0);
}

static void a_level_is_pinned_and_released_by_hand(void **state)
{
	struct world *w = *state;
	enum fallback_kind kind;
	assert_true(levels_kind_by_name(SLICE("write"), &kind));
	assert_int_equal(kind, FALLBACK_WRITE);
	assert_false(levels_kind_by_name(SLICE("cas"), &kind));
	assert_null(levels_pin(&w->op, w->engine, FALLBACK_WRITE, FALLBACK_PINNED_FALLBACK));
	assert_null(write_rows(w, 1, 0));
	assert_int_equal(status_of(w, FALLBACK_WRITE).pin, FALLBACK_PINNED_FALLBACK);
	assert_true(levels_probe(&w->op, w->engine) == UINT64_MAX);
	assert_null(levels_pin(&w->op, w->engine, FALLBACK_WRITE, FALLBACK_PINNED_PRIMARY));
	given_answer(1, FAILURE_UNAVAILABLE, 1);
	struct error *err = write_rows(w, 1, 0);
	assert_int_equal(err->kind, ERR_UNAVAILABLE);
	levels_release(w->engine, FALLBACK_WRITE);
	given_answer(2, FAILURE_UNAVAILABLE, 1);
	assert_null(write_rows(w, 1, 0));
	THEN_CALLS_WERE({"write", LEVEL_LOCAL_QUORUM}, {"write", LEVEL_EACH_QUORUM},
		{"write", LEVEL_EACH_QUORUM}, {"write", LEVEL_LOCAL_QUORUM});

	struct levels_config config = two_centres;
	config.kinds[FALLBACK_READ].fallback = LEVEL_NONE;
	open_with(w, &config);
	err = levels_pin(&w->op, w->engine, FALLBACK_READ, FALLBACK_PINNED_FALLBACK);
	assert_int_equal(err->kind, ERR_INVALID);
}

/* ---- Settings ---- */

static void store(struct world *w, const char *name, const char *value)
{
	for (size_t i = 0; i < levels_setting_count; i++)
		if (!strcmp(levels_settings[i].name, name)) {
			assert_null(
				setting_store(&w->op, &levels_settings[i], slice_from_cstr(value)));
			return;
		}
	fail_msg("there is no setting %s", name);
}

static void given_default_settings(struct world *w)
{
	for (size_t i = 0; i < levels_setting_count; i++)
		store(w, levels_settings[i].name, levels_settings[i].default_value);
}

static void then_pair_is(
	const struct levels_config *config, enum fallback_kind kind, struct levels_pair pair)
{
	assert_int_equal(config->kinds[kind].primary, pair.primary);
	assert_int_equal(config->kinds[kind].fallback, pair.fallback);
}

static void a_preset_gives_all_levels(void **state)
{
	struct world *w = *state;
	struct levels_config config = {0};
	const char *setting;
	given_default_settings(w);
	assert_null(levels_config_read(&w->op, &config, &setting));
	for (int kind = 0; kind < FALLBACK_KIND_COUNT; kind++)
		then_pair_is(&config, kind, (struct levels_pair){LEVEL_LOCAL_QUORUM, LEVEL_NONE});
	assert_int_equal(config.serial, LEVEL_LOCAL_SERIAL);
	assert_int_equal(config.attempt_timeout_ms, 700);
	assert_null(levels_data_centre());

	struct levels_pair multi = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM};
	store(w, "consistency.preset", "multi-dc");
	store(w, "consistency.data_centre", "dc1");
	assert_null(levels_config_read(&w->op, &config, &setting));
	then_pair_is(&config, FALLBACK_READ, (struct levels_pair){LEVEL_LOCAL_QUORUM, LEVEL_NONE});
	then_pair_is(&config, FALLBACK_WRITE, multi);
	then_pair_is(&config, FALLBACK_DELETE, multi);
	assert_string_equal(levels_data_centre(), "dc1");
}

static void a_setting_wins_over_the_preset(void **state)
{
	struct world *w = *state;
	struct levels_config config = {0};
	const char *setting;
	given_default_settings(w);
	store(w, "consistency.preset", "multi-dc");
	store(w, "consistency.read_fallback_consistency", "QUORUM");
	store(w, "consistency.write_fallback_consistency", "none");
	store(w, "consistency.delete_consistency", "all");
	store(w, "consistency.serial_consistency", "Serial");
	assert_null(levels_config_read(&w->op, &config, &setting));
	then_pair_is(
		&config, FALLBACK_READ, (struct levels_pair){LEVEL_LOCAL_QUORUM, LEVEL_QUORUM});
	then_pair_is(&config, FALLBACK_WRITE, (struct levels_pair){LEVEL_EACH_QUORUM, LEVEL_NONE});
	then_pair_is(&config, FALLBACK_DELETE, (struct levels_pair){LEVEL_ALL, LEVEL_LOCAL_QUORUM});
	assert_int_equal(config.serial, LEVEL_SERIAL);
}

static void an_unknown_or_unusable_level_is_named(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *setting, *value, *message;
	} cases[] = {
		{"consistency.read_consistency", "quroum", "\"quroum\" is no consistency level"},
		{"consistency.read_consistency", "none", "\"none\" is no consistency level"},
		{"consistency.read_consistency", "each_quorum", "each_quorum cannot serve reads"},
		{"consistency.read_fallback_consistency", "any", "any cannot serve reads"},
		{"consistency.write_consistency", "serial", "serial cannot serve writes"},
		{"consistency.delete_fallback_consistency", "local_serial",
			"local_serial cannot serve writes"},
		{"consistency.serial_consistency", "quorum", "quorum cannot serve commits"},
		{"consistency.serial_consistency", "", "\"\" is no consistency level"},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct levels_config config;
		const char *setting;
		given_default_settings(w);
		store(w, cases[i].setting, cases[i].value);
		struct error *err = levels_config_read(&w->op, &config, &setting);
		assert_non_null(err);
		assert_int_equal(err->kind, ERR_INVALID);
		assert_string_equal(err->message, cases[i].message);
		assert_string_equal(setting, cases[i].setting);
	}
}

int main(void)
{
#define LEVELS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		LEVELS(each_call_goes_out_at_its_level),
		LEVELS(a_write_that_fails_is_tried_once_at_the_fallback),
		LEVELS(kinds_fall_back_apart),
		LEVELS(a_failure_at_both_levels_names_both),
		LEVELS(what_is_our_own_fault_is_not_tried_again),
		LEVELS(uncertainty_is_sticky),
		LEVELS(a_read_is_never_uncertain),
		LEVELS(a_serial_read_never_falls_back),
		LEVELS(a_cas_is_not_tried_again_and_the_next_uses_the_fallback),
		LEVELS(a_cas_commits_in_its_own_data_centre),
		LEVELS(a_cas_without_a_serial_quorum_says_nothing_of_the_commit_level),
		LEVELS(a_refused_cas_is_no_failure),
		LEVELS(the_first_attempt_leaves_time_for_the_second),
		LEVELS(nothing_is_tried_again_past_the_deadline),
		LEVELS(a_write_with_any_delete_in_it_is_a_delete),
		LEVELS(half_of_a_split_write_is_uncertain),
		LEVELS(a_batch_never_deletes_and_inserts_one_row),
		LEVELS(a_normal_read_sees_all_whatever_the_read_level),
		LEVELS(heads_are_read_where_commits_are_made_durable),
		LEVELS(a_probe_is_the_servers_own_and_switches_back),
		LEVELS(a_probe_keeps_to_the_deadline_of_its_caller),
		LEVELS(the_status_tells_level_since_when_and_next_probe),
		LEVELS(a_level_is_pinned_and_released_by_hand),
		LEVELS(a_preset_gives_all_levels),
		LEVELS(a_setting_wins_over_the_preset),
		LEVELS(an_unknown_or_unusable_level_is_named),
	};
	return cmocka_run_group_tests_name("levels", tests, NULL, NULL);
}
