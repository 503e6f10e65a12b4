#include "base/test.h"

#include "base/clock.h"
#include "consistency/fallback.h"

#define MS NS_PER_MS
#define START (5 * NS_PER_S)

static const struct failure unavailable = {.code = FAILURE_UNAVAILABLE};

static struct fallback with_fallback(void)
{
	struct fallback state;
	fallback_init(&state, LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM, START);
	return state;
}

struct told {
	enum level again;
	bool changed;
	struct fallback_warning warning;
};

static struct told fails_at(
	struct fallback *state, struct fallback_attempt attempt, uint64_t now_ns)
{
	struct told told;
	told.again =
		fallback_failed(state, attempt, &unavailable, now_ns, &told.changed, &told.warning);
	return told;
}

static struct told end_probe(struct fallback *state, bool has_worked, uint64_t now_ns)
{
	struct told told = {0};
	fallback_end_probe(state, has_worked, now_ns, &told.changed, &told.warning);
	return told;
}

static struct fallback fallen(void)
{
	struct fallback state = with_fallback();
	fails_at(&state, fallback_begin(&state), START);
	return state;
}

static void a_query_goes_out_at_the_primary_level(void **unused)
{
	(void)unused;
	struct fallback state = with_fallback();
	assert_int_equal(fallback_begin(&state).level, LEVEL_EACH_QUORUM);
	assert_true(fallback_next_probe_ns(&state) == UINT64_MAX);
	assert_false(fallback_begin_probe(&state, UINT64_MAX - 1));
}

static void each_failure_of_missing_or_slow_replicas_means_the_fallback(void **unused)
{
	(void)unused;
	static const struct {
		enum failure_code code;
		bool means_fallback;
	} cases[FAILURE_CODE_COUNT] = {
		{FAILURE_NONE, false},
		{FAILURE_NO_HOST, true},
		{FAILURE_BUSY, false},
		{FAILURE_UNAVAILABLE, true},
		{FAILURE_OVERLOADED, true},
		{FAILURE_BOOTSTRAPPING, true},
		{FAILURE_READ_TIMEOUT, true},
		{FAILURE_READ_FAILURE, true},
		{FAILURE_WRITE_TIMEOUT, true},
		{FAILURE_WRITE_FAILURE, true},
		{FAILURE_CAS_UNKNOWN, true},
		{FAILURE_SERVER_ERROR, true},
		{FAILURE_CLIENT_TIMEOUT, true},
		{FAILURE_CONNECTION_LOST, true},
		{FAILURE_REJECTED, false},
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fallback state = with_fallback();
		struct failure failure = {.code = cases[i].code};
		bool changed;
		struct fallback_warning warning;
		assert_int_equal(cases[i].code, i);
		enum level again = fallback_failed(
			&state, fallback_begin(&state), &failure, START, &changed, &warning);
		assert_int_equal(again, cases[i].means_fallback ? LEVEL_LOCAL_QUORUM : LEVEL_NONE);
		assert_int_equal(changed, cases[i].means_fallback);
		assert_int_equal(warning.is_due, cases[i].means_fallback);
	}
}

static void from_then_on_queries_go_out_at_the_fallback(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_int_equal(fallback_begin(&state).level, LEVEL_LOCAL_QUORUM);
	assert_int_equal(fallback_level(&state), LEVEL_LOCAL_QUORUM);
	assert_true(state.since_ns == START);
}

static void a_failure_at_the_fallback_is_not_tried_again(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	struct told told = fails_at(&state, fallback_begin(&state), START + MS);
	assert_int_equal(told.again, LEVEL_NONE);
	assert_false(told.changed);
	assert_int_equal(state.failures, 1);
}

static void many_failures_in_flight_switch_once(void **unused)
{
	(void)unused;
	struct fallback state = with_fallback();
	struct fallback_attempt attempts[20];
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++)
		attempts[i] = fallback_begin(&state);
	for (size_t i = 0; i < ARRAY_SIZE(attempts); i++) {
		struct told told = fails_at(&state, attempts[i], START + i * MS);
		assert_int_equal(told.again, LEVEL_LOCAL_QUORUM);
		assert_int_equal(told.changed, i == 0);
	}
	assert_int_equal(state.failures, 1);
	assert_true(fallback_next_probe_ns(&state) == START + 50 * MS);
}

static void a_failure_from_before_the_switch_back_does_not_undo_it(void **unused)
{
	(void)unused;
	struct fallback state = with_fallback();
	struct fallback_attempt slow = fallback_begin(&state);
	fails_at(&state, fallback_begin(&state), START);
	assert_true(fallback_begin_probe(&state, START + 50 * MS));
	assert_true(end_probe(&state, true, START + 51 * MS).changed);
	struct told told = fails_at(&state, slow, START + 60 * MS);
	assert_int_equal(told.again, LEVEL_LOCAL_QUORUM);
	assert_false(told.changed);
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
}

static void the_primary_is_probed_after_50_ms_doubled_up_to_60_s(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	uint64_t now = START;
	uint64_t wait = 50 * MS;
	for (int i = 0; i < 20; i++) {
		assert_true(fallback_next_probe_ns(&state) == now + wait);
		assert_false(fallback_begin_probe(&state, now + wait - 1));
		now += wait;
		assert_true(fallback_begin_probe(&state, now));
		assert_false(end_probe(&state, false, now).changed);
		wait = wait * 2 < 60 * NS_PER_S ? wait * 2 : 60 * NS_PER_S;
	}
	assert_true(wait == 60 * NS_PER_S);
}

static void the_back_off_counts_from_the_end_of_the_probe(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_true(fallback_begin_probe(&state, START + 50 * MS));
	end_probe(&state, false, START + 7000 * MS);
	assert_true(fallback_next_probe_ns(&state) == START + 7100 * MS);
}

static void there_is_one_probe_at_a_time_and_one_failure_for_it(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_true(fallback_begin_probe(&state, START + 50 * MS));
	assert_false(fallback_begin_probe(&state, START + 5000 * MS));
	assert_true(fallback_next_probe_ns(&state) == UINT64_MAX);
	/* Queries that fail meanwhile do not make the wait longer. */
	fails_at(&state, fallback_begin(&state), START + 60 * MS);
	fails_at(&state, (struct fallback_attempt){.level = LEVEL_EACH_QUORUM}, START + 60 * MS);
	end_probe(&state, false, START + 70 * MS);
	assert_int_equal(state.failures, 2);
	assert_true(fallback_next_probe_ns(&state) == START + 170 * MS);
}

static void the_first_success_at_the_primary_switches_back(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_true(fallback_begin_probe(&state, START + 50 * MS));
	assert_true(end_probe(&state, true, START + 80 * MS).changed);
	assert_int_equal(fallback_begin(&state).level, LEVEL_EACH_QUORUM);
	assert_true(state.since_ns == START + 80 * MS);
	assert_true(fallback_next_probe_ns(&state) == UINT64_MAX);
}

static void after_a_switch_back_the_back_off_begins_anew(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	uint64_t now = START + 50 * MS;
	for (int i = 0; i < 5; i++) {
		assert_true(fallback_begin_probe(&state, now));
		end_probe(&state, false, now);
		now = fallback_next_probe_ns(&state);
	}
	assert_true(fallback_begin_probe(&state, now));
	end_probe(&state, true, now);
	fails_at(&state, fallback_begin(&state), now + MS);
	assert_true(fallback_next_probe_ns(&state) == now + 51 * MS);
}

static void there_is_one_warning_a_minute_and_it_counts_the_others(void **unused)
{
	(void)unused;
	struct fallback state = with_fallback();
	uint64_t now = START;
	for (int i = 0; i < 10; i++, now += 100 * MS) {
		struct told told = fails_at(&state, fallback_begin(&state), now);
		assert_int_equal(told.warning.is_due, i == 0);
		assert_true(fallback_begin_probe(&state, now + 50 * MS));
		told = end_probe(&state, true, now + 50 * MS);
		assert_true(told.changed);
		/* That all is well again is told of what was warned of. */
		assert_int_equal(told.warning.is_due, i == 0);
	}
	struct told told = fails_at(&state, fallback_begin(&state), START + 60 * NS_PER_S - 1);
	assert_false(told.warning.is_due);
	assert_true(fallback_begin_probe(&state, START + 61 * NS_PER_S));
	told = end_probe(&state, false, START + 61 * NS_PER_S);
	assert_true(told.warning.is_due);
	assert_int_equal(told.warning.swallowed, 10);
	assert_true(fallback_begin_probe(&state, START + 62 * NS_PER_S));
	assert_true(end_probe(&state, true, START + 62 * NS_PER_S).warning.is_due);
}

static void without_a_fallback_it_is_always_the_primary(void **unused)
{
	(void)unused;
	static const enum level none[] = {LEVEL_NONE, LEVEL_EACH_QUORUM};
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		struct fallback state;
		fallback_init(&state, LEVEL_EACH_QUORUM, none[i], START);
		struct told told = fails_at(&state, fallback_begin(&state), START + MS);
		assert_int_equal(told.again, LEVEL_NONE);
		assert_false(told.changed);
		assert_false(told.warning.is_due);
		assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
		assert_true(fallback_next_probe_ns(&state) == UINT64_MAX);
		assert_false(fallback_hold(&state, FALLBACK_PINNED_FALLBACK, START));
		assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
	}
}

static void pinned_to_the_primary_nothing_falls_back(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_true(fallback_hold(&state, FALLBACK_PINNED_PRIMARY, START + 10 * MS));
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
	assert_true(state.since_ns == START + 10 * MS);
	assert_true(fallback_next_probe_ns(&state) == UINT64_MAX);
	struct told told = fails_at(&state, fallback_begin(&state), START + 20 * MS);
	assert_int_equal(told.again, LEVEL_NONE);
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
	fallback_release(&state, START + 30 * MS);
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
	assert_int_equal(fails_at(&state, fallback_begin(&state), START + 40 * MS).again,
		LEVEL_LOCAL_QUORUM);
}

static void pinned_to_the_fallback_nothing_is_probed_until_it_is_released(void **unused)
{
	(void)unused;
	struct fallback state = with_fallback();
	assert_true(fallback_hold(&state, FALLBACK_PINNED_FALLBACK, START + MS));
	assert_int_equal(fallback_level(&state), LEVEL_LOCAL_QUORUM);
	assert_false(fallback_begin_probe(&state, START + 100 * NS_PER_S));
	fallback_release(&state, START + 101 * NS_PER_S);
	/* No user pays for finding out. */
	assert_int_equal(fallback_level(&state), LEVEL_LOCAL_QUORUM);
	assert_true(fallback_begin_probe(&state, START + 101 * NS_PER_S));
	end_probe(&state, true, START + 102 * NS_PER_S);
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
	fallback_release(&state, START + 103 * NS_PER_S);
	assert_int_equal(fallback_level(&state), LEVEL_EACH_QUORUM);
}

static void a_pin_wins_over_a_probe_that_was_under_way(void **unused)
{
	(void)unused;
	struct fallback state = fallen();
	assert_true(fallback_begin_probe(&state, START + 50 * MS));
	assert_true(fallback_hold(&state, FALLBACK_PINNED_FALLBACK, START + 51 * MS));
	assert_false(end_probe(&state, true, START + 60 * MS).changed);
	assert_int_equal(fallback_level(&state), LEVEL_LOCAL_QUORUM);
	assert_true(state.since_ns == START);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_goes_out_at_the_primary_level),
		cmocka_unit_test(each_failure_of_missing_or_slow_replicas_means_the_fallback),
		cmocka_unit_test(from_then_on_queries_go_out_at_the_fallback),
		cmocka_unit_test(a_failure_at_the_fallback_is_not_tried_again),
		cmocka_unit_test(many_failures_in_flight_switch_once),
		cmocka_unit_test(a_failure_from_before_the_switch_back_does_not_undo_it),
		cmocka_unit_test(the_primary_is_probed_after_50_ms_doubled_up_to_60_s),
		cmocka_unit_test(the_back_off_counts_from_the_end_of_the_probe),
		cmocka_unit_test(there_is_one_probe_at_a_time_and_one_failure_for_it),
		cmocka_unit_test(the_first_success_at_the_primary_switches_back),
		cmocka_unit_test(after_a_switch_back_the_back_off_begins_anew),
		cmocka_unit_test(there_is_one_warning_a_minute_and_it_counts_the_others),
		cmocka_unit_test(without_a_fallback_it_is_always_the_primary),
		cmocka_unit_test(pinned_to_the_primary_nothing_falls_back),
		cmocka_unit_test(pinned_to_the_fallback_nothing_is_probed_until_it_is_released),
		cmocka_unit_test(a_pin_wins_over_a_probe_that_was_under_way),
	};
	return cmocka_run_group_tests_name("fallback", tests, NULL, NULL);
}
