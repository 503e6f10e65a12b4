#include "base/test.h"

#include "engine/failure.h"

/* Sections 4 and 5 of the consistency design, as facts about each failure, written down apart from
 * the code: from them the whole table of (first failure x second failure x write type x request)
 * follows. */

enum known {
	REFUSED,  /* raised before anything was done */
	PERHAPS,  /* found on the way */
	DEPENDS,  /* an UNAVAILABLE: by the level that it names, if it is of a CAS */
	OUR_FAULT /* a mistake of ours */
};

static const struct {
	enum failure_code code;
	enum known known;
	bool replicas_missing_or_slow;
} facts[] = {
	{FAILURE_NO_HOST, REFUSED, true},
	{FAILURE_BUSY, REFUSED, false},
	{FAILURE_UNAVAILABLE, DEPENDS, true},
	{FAILURE_OVERLOADED, REFUSED, true},
	{FAILURE_BOOTSTRAPPING, REFUSED, true},
	{FAILURE_READ_TIMEOUT, PERHAPS, true},
	{FAILURE_READ_FAILURE, PERHAPS, true},
	{FAILURE_WRITE_TIMEOUT, PERHAPS, true},
	{FAILURE_WRITE_FAILURE, PERHAPS, true},
	{FAILURE_CAS_UNKNOWN, PERHAPS, true},
	{FAILURE_SERVER_ERROR, PERHAPS, true},
	{FAILURE_CLIENT_TIMEOUT, PERHAPS, true},
	{FAILURE_CONNECTION_LOST, PERHAPS, true},
	{FAILURE_REJECTED, OUR_FAULT, false},
};

/* One try of one request. */
struct
try {
	enum failure_request request;
	struct failure failure;
	enum known known;
};

static bool is_perhaps_executed(const struct try *try)
{
	if (try->failure.tried_before)
		return true;
	if (try->known != DEPENDS || try->request != FAILURE_OF_CAS)
		return try->known == PERHAPS;
	/* The serial level is asked before the proposal, the commit level after the decision. */
	return try->failure.level != LEVEL_SERIAL && try->failure.level != LEVEL_LOCAL_SERIAL;
}

static enum error_kind expected_of_one(const struct try *try)
{
	if (try->request == FAILURE_OF_READ) {
		if (try->known == OUR_FAULT)
			return ERR_INTERNAL;
		return is_perhaps_executed(try) ? ERR_TIMEOUT : ERR_UNAVAILABLE;
	}
	if (is_perhaps_executed(try))
		return ERR_UNCERTAIN;
	return try->known == OUR_FAULT ? ERR_INTERNAL : ERR_UNAVAILABLE;
}

static const enum level named_levels[] = {
	LEVEL_NONE, LEVEL_LOCAL_QUORUM, LEVEL_EACH_QUORUM, LEVEL_SERIAL, LEVEL_LOCAL_SERIAL};

#define TRIES_MOST                                                         \
	(ARRAY_SIZE(facts) * FAILURE_WRITE_COUNT * FAILURE_REQUEST_COUNT * \
		ARRAY_SIZE(named_levels) * 2)

static size_t all_tries(struct try *tries)
{
	size_t count = 0;
	for (size_t fact = 0; fact < ARRAY_SIZE(facts); fact++)
		for (int request = 0; request < FAILURE_REQUEST_COUNT; request++)
			for (int write = 0; write < FAILURE_WRITE_COUNT; write++)
				for (size_t at = 0; at < ARRAY_SIZE(named_levels) * 2; at++)
					tries[count++] = (struct try){.request = request,
						.known = facts[fact].known,
						.failure = {.code = facts[fact].code,
							.write = write,
							.level = named_levels[at / 2],
							.tried_before = at % 2}};
	return count;
}

static void each_code_is_stated(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_SIZE(facts), FAILURE_CODE_COUNT - 1);
	for (size_t i = 0; i < ARRAY_SIZE(facts); i++) {
		struct failure failure = {.code = facts[i].code};
		assert_int_equal(facts[i].code, i + 1);
		assert_int_equal(
			failure_means_fallback(&failure), facts[i].replicas_missing_or_slow);
		assert_non_null(failure_code_name(facts[i].code));
	}
}

static void each_failure_of_one_try_has_its_outcome(void **state)
{
	(void)state;
	struct try *tries = calloc(TRIES_MOST, sizeof(*tries));
	size_t count = all_tries(tries);
	assert_int_equal(count, TRIES_MOST);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(failure_outcome(tries[i].request, &tries[i].failure),
			expected_of_one(&tries[i]));
	free(tries);
}

/* First x second x write type x request: whatever the second says, a first that may have been
 * executed stays uncertain, and a second that may have been makes it so. */
static void the_outcome_of_two_tries_is_as_uncertain_as_the_least_certain(void **state)
{
	(void)state;
	struct try *tries = calloc(TRIES_MOST, sizeof(*tries));
	size_t count = all_tries(tries);
	size_t pairs = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			const struct try *first = &tries[i];
			const struct try *second = &tries[j];
			if (first->request != second->request ||
				first->failure.write != second->failure.write)
				continue;
			bool may_be_there =
				first->request != FAILURE_OF_READ &&
				(is_perhaps_executed(first) || is_perhaps_executed(second));
			enum error_kind got = failure_outcome_of_two(
				failure_outcome(first->request, &first->failure),
				failure_outcome(second->request, &second->failure));
			assert_int_equal(got == ERR_UNCERTAIN, may_be_there);
			if (!may_be_there)
				assert_int_equal(got, expected_of_one(second));
			pairs++;
		}
	assert_int_equal(pairs, (size_t)FAILURE_REQUEST_COUNT * FAILURE_WRITE_COUNT *
					(ARRAY_SIZE(facts) * ARRAY_SIZE(named_levels) * 2) *
					(ARRAY_SIZE(facts) * ARRAY_SIZE(named_levels) * 2));
	free(tries);
}

static void levels_are_known_by_name_and_by_what_they_can_serve(void **state)
{
	(void)state;
	static const struct {
		enum level level;
		const char *name;
		bool reads, writes, serial;
	} cases[] = {
		{LEVEL_ANY, "ANY", false, true, false},
		{LEVEL_ONE, "one", true, true, false},
		{LEVEL_TWO, "two", true, true, false},
		{LEVEL_THREE, "three", true, true, false},
		{LEVEL_QUORUM, "Quorum", true, true, false},
		{LEVEL_ALL, "all", true, true, false},
		{LEVEL_LOCAL_QUORUM, "LOCAL_QUORUM", true, true, false},
		{LEVEL_EACH_QUORUM, "each_quorum", false, true, false},
		{LEVEL_SERIAL, "serial", false, false, true},
		{LEVEL_LOCAL_SERIAL, "local_serial", false, false, true},
		{LEVEL_LOCAL_ONE, "local_one", true, true, false},
	};
	enum level level;
	assert_int_equal(ARRAY_SIZE(cases), LEVEL_COUNT - 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(level_parse(slice_from_cstr(cases[i].name), &level));
		assert_int_equal(level, cases[i].level);
		assert_true(level_parse(slice_from_cstr(level_name(level)), &level));
		assert_int_equal(level, cases[i].level);
		assert_int_equal(level_usable(level, LEVEL_FOR_READS), cases[i].reads);
		assert_int_equal(level_usable(level, LEVEL_FOR_WRITES), cases[i].writes);
		assert_int_equal(level_usable(level, LEVEL_FOR_SERIAL), cases[i].serial);
	}
	assert_false(level_parse(SLICE("none"), &level));
	assert_false(level_parse(SLICE(""), &level));
	assert_false(level_parse(SLICE("local-quorum"), &level));
	assert_false(level_usable(LEVEL_NONE, LEVEL_FOR_WRITES));
}

static void a_read_sees_what_it_must_meet(void **state)
{
	(void)state;
	/* Replicas of two data centres of five: how many of each must have answered, and of both.
	 */
	static const struct {
		enum level level;
		unsigned here, there, both;
	} levels[] = {
		{LEVEL_ONE, 0, 0, 1},
		{LEVEL_TWO, 0, 0, 2},
		{LEVEL_THREE, 0, 0, 3},
		{LEVEL_QUORUM, 0, 0, 6},
		{LEVEL_ALL, 5, 5, 10},
		{LEVEL_LOCAL_ONE, 1, 0, 1},
		{LEVEL_LOCAL_QUORUM, 3, 0, 3},
		{LEVEL_EACH_QUORUM, 3, 3, 6},
	};
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		for (size_t j = 0; j < ARRAY_SIZE(levels); j++) {
			if (!level_usable(levels[i].level, LEVEL_FOR_READS))
				continue;
			bool meets = levels[i].here + levels[j].here > 5 ||
				     levels[i].there + levels[j].there > 5 ||
				     levels[i].both + levels[j].both > 10;
			assert_int_equal(level_sees(levels[i].level, levels[j].level), meets);
		}
	assert_false(level_sees(LEVEL_LOCAL_QUORUM, LEVEL_ANY));
	assert_false(level_sees(LEVEL_NONE, LEVEL_ALL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_is_stated),
		cmocka_unit_test(each_failure_of_one_try_has_its_outcome),
		cmocka_unit_test(the_outcome_of_two_tries_is_as_uncertain_as_the_least_certain),
		cmocka_unit_test(levels_are_known_by_name_and_by_what_they_can_serve),
		cmocka_unit_test(a_read_sees_what_it_must_meet),
	};
	return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
