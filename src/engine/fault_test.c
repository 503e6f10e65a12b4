#include "base/test.h"

#include "engine/contract.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "schema/tables.h"

static struct engine *open_without_faults(void)
{
	return fault_engine_new(memory_engine_new(true), 1);
}

struct world {
	struct op op;
	struct engine *engine;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->engine = fault_engine_new(memory_engine_new(false), 1);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	engine_close(w->engine);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct error *set_modseq(struct world *w, uint64_t expected, uint64_t modseq)
{
	struct account_static before = {.modseq = expected};
	struct account_static after = {.modseq = modseq};
	struct mutation change = {.table = &account_table,
		.partition = SLICE("a"),
		.value = row_encode_in(&w->op.arena, &account_static_row, &after)};
	struct cas cas = {.table = &account_table,
		.partition = SLICE("a"),
		.expected = expected ? row_encode_in(&w->op.arena, &account_static_row, &before)
				     : SLICE_NONE,
		.mutations = &change,
		.mutation_count = 1};
	struct slice current;
	return engine_cas(w->engine, &w->op, &cas, &current);
}

static uint64_t stored_modseq(struct world *w)
{
	bool found;
	struct engine_row row;
	struct account_static state = {0};
	assert_null(engine_get(w->engine, &w->op, &account_table, SLICE("a"), SLICE_NONE,
		READ_SERIAL, &found, &row));
	if (found)
		assert_null(row_decode(&w->op, &account_static_row, row.value, &state));
	return state.modseq;
}

static void expect_kind(struct error *err, enum error_kind kind)
{
	assert_non_null(err);
	assert_int_equal(err->kind, kind);
}

static void a_refused_cas_leaves_nothing(void **state)
{
	struct world *w = *state;
	fault_on_call(w->engine, FAULT_CAS, 1, FAULT_REFUSED);
	expect_kind(set_modseq(w, 0, 1), ERR_UNAVAILABLE);
	assert_int_equal(stored_modseq(w), 0);
	assert_null(set_modseq(w, 0, 1));
}

static void an_uncertain_cas_is_applied_or_not_or_later(void **state)
{
	struct world *w = *state;
	fault_on_call(w->engine, FAULT_CAS, 1, FAULT_UNCERTAIN_APPLIED);
	expect_kind(set_modseq(w, 0, 1), ERR_UNCERTAIN);
	assert_int_equal(stored_modseq(w), 1);
	fault_on_call(w->engine, FAULT_CAS, 1, FAULT_UNCERTAIN_NOT_APPLIED);
	expect_kind(set_modseq(w, 1, 2), ERR_UNCERTAIN);
	assert_int_equal(stored_modseq(w), 1);
	fault_on_call(w->engine, FAULT_CAS, 1, FAULT_UNCERTAIN_LATER);
	expect_kind(set_modseq(w, 1, 3), ERR_UNCERTAIN);
	fault_apply_late(w->engine);
	assert_int_equal(stored_modseq(w), 3);
}

static void a_late_cas_whose_condition_has_gone_changes_nothing(void **state)
{
	struct world *w = *state;
	assert_null(set_modseq(w, 0, 1));
	fault_on_call(w->engine, FAULT_CAS, 1, FAULT_UNCERTAIN_LATER);
	expect_kind(set_modseq(w, 1, 2), ERR_UNCERTAIN);
	if (set_modseq(w, 1, 5))
		assert_int_equal(stored_modseq(w), 2); /* it surfaced first */
	uint64_t before = stored_modseq(w);
	fault_apply_late(w->engine);
	assert_int_equal(stored_modseq(w), before);
}

static void only_the_nth_call_of_its_class_fails(void **state)
{
	struct world *w = *state;
	fault_on_call(w->engine, FAULT_CAS, 3, FAULT_REFUSED);
	assert_null(set_modseq(w, 0, 1));
	assert_int_equal(stored_modseq(w), 1);
	assert_null(set_modseq(w, 1, 2));
	expect_kind(set_modseq(w, 2, 3), ERR_UNAVAILABLE);
	assert_null(set_modseq(w, 2, 3));
}

static unsigned refusals(uint64_t seed)
{
	struct world w;
	unsigned pattern = 0;
	op_init(&w.op, "test");
	w.engine = fault_engine_new(memory_engine_new(false), seed);
	fault_set_rates(w.engine, &(struct fault_rates){.refused_cas = 500});
	for (uint64_t i = 0; i < 32; i++) {
		struct error *err = set_modseq(&w, 1000 + i, i);
		pattern = pattern << 1 | (err && err->kind == ERR_UNAVAILABLE);
	}
	engine_close(w.engine);
	op_done(&w.op);
	return pattern;
}

static void a_seed_repeats_its_faults(void **state)
{
	(void)state;
	assert_int_equal(refusals(7), refusals(7));
	assert_int_not_equal(refusals(7), refusals(8));
}

int main(void)
{
	int failed = engine_contract_run("engine fault, without faults", open_without_faults, NULL);
#define SCENARIO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SCENARIO(a_refused_cas_leaves_nothing),
		SCENARIO(an_uncertain_cas_is_applied_or_not_or_later),
		SCENARIO(a_late_cas_whose_condition_has_gone_changes_nothing),
		SCENARIO(only_the_nth_call_of_its_class_fails),
		cmocka_unit_test(a_seed_repeats_its_faults),
	};
	return failed + cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
