#include "base/test.h"

#include "consistency/levels.h"
#include "engine/contract.h"
#include "engine/model.h"
#include "schema/tables.h"

static const struct levels_config one_centre = {
	.kinds =
		{
			[FALLBACK_READ] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			[FALLBACK_WRITE] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			[FALLBACK_DELETE] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
		},
	.serial = LEVEL_LOCAL_SERIAL,
	.attempt_timeout_ms = 1000};

static const struct levels_config two_centres = {
	.kinds =
		{
			[FALLBACK_READ] = {LEVEL_LOCAL_QUORUM, LEVEL_QUORUM},
			[FALLBACK_WRITE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
			[FALLBACK_DELETE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
		},
	.serial = LEVEL_LOCAL_SERIAL,
	.attempt_timeout_ms = 1000};

/* Closing the engine ends the cluster with it. */
static struct engine *open_cluster(
	unsigned centres, unsigned replicas, const struct levels_config *config)
{
	struct model *model = model_new(centres, replicas, 1);
	struct engine *engine = levels_engine_new(model_store_new(model, 0), config);
	model_free(model);
	return engine;
}

static struct engine *open_one_centre(void)
{
	return open_cluster(1, 3, &one_centre);
}

static struct engine *open_two_centres(void)
{
	return open_cluster(2, 3, &two_centres);
}

static struct engine *open_one_replica(void)
{
	return open_cluster(1, 1, &one_centre);
}

/* ---- The model's own ways ---- */

struct world {
	struct op op;
	struct model *model;
	struct replicated *store;
	struct failure failure;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	op_init(&w->op, "test");
	w->model = model_new(2, 3, 1);
	w->store = model_store_new(w->model, 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	w->store->ops->close(w->store);
	model_free(w->model);
	op_done(&w->op);
	free(w);
	return 0;
}

static struct error *put(struct world *w, const char *value, uint64_t version, enum level level)
{
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	mutations_put(
		&list, &mailbox_map_table, SLICE("p"), SLICE("k"), slice_from_cstr(value), version);
	return w->store->ops->write(w->store, &w->op, list.items, list.count, level, &w->failure);
}

static struct slice get(struct world *w, const struct table *table, enum level level)
{
	bool found;
	struct engine_row row;
	assert_null(w->store->ops->get(w->store, &w->op, table, SLICE("p"),
		table == &account_table ? SLICE_NONE : SLICE("k"), level, &w->failure, &found,
		&row));
	return found ? row.value : SLICE_NONE;
}

static struct slice static_row(struct world *w, uint64_t modseq)
{
	struct account_static row = {.modseq = modseq};
	return row_encode_in(&w->op.arena, &account_static_row, &row);
}

static struct error *change_modseq(
	struct world *w, uint64_t expected, uint64_t modseq, enum level commit_level)
{
	struct mutations list;
	mutations_init(&list, &w->op.arena);
	mutations_put(&list, &account_table, SLICE("p"), SLICE_NONE, static_row(w, modseq), 0);
	mutations_put(&list, &account_table, SLICE("p"), key_account_log(&w->op.arena, modseq),
		SLICE("log"), 0);
	struct cas cas = {.table = &account_table,
		.partition = SLICE("p"),
		.expected = expected ? static_row(w, expected) : SLICE_NONE,
		.mutations = list.items,
		.mutation_count = list.count};
	struct slice current;
	return w->store->ops->cas(
		w->store, &w->op, &cas, LEVEL_LOCAL_SERIAL, commit_level, &w->failure, &current);
}

static uint64_t modseq_at(struct world *w, enum level level)
{
	struct account_static row = {0};
	struct slice value = get(w, &account_table, level);
	if (value.ptr)
		assert_null(row_decode(&w->op, &account_static_row, value, &row));
	return row.modseq;
}

static void only_up(struct world *w, unsigned centre, unsigned mask)
{
	for (unsigned i = 0; i < 3; i++)
		model_set_health(w->model, centre, i, mask >> i & 1 ? MODEL_UP : MODEL_DOWN);
}

static void a_level_without_its_replicas_is_unavailable(void **state)
{
	struct world *w = *state;
	model_set_cut(w->model, true);
	assert_int_equal(put(w, "v", 1, LEVEL_EACH_QUORUM)->kind, ERR_UNAVAILABLE);
	assert_int_equal(w->failure.code, FAILURE_UNAVAILABLE);
	assert_int_equal(w->failure.level, LEVEL_EACH_QUORUM);
	assert_int_equal(put(w, "v", 1, LEVEL_QUORUM)->kind, ERR_UNAVAILABLE);
	assert_null(put(w, "v", 1, LEVEL_LOCAL_QUORUM));
	only_up(w, 0, 1);
	assert_int_equal(put(w, "v", 1, LEVEL_LOCAL_QUORUM)->kind, ERR_UNAVAILABLE);
	assert_null(put(w, "v", 1, LEVEL_ONE));
	assert_int_equal(change_modseq(w, 0, 1, LEVEL_ONE)->kind, ERR_UNAVAILABLE);
	assert_int_equal(w->failure.level, LEVEL_LOCAL_SERIAL);
	only_up(w, 0, 0);
	assert_int_equal(put(w, "v", 1, LEVEL_ONE)->kind, ERR_UNAVAILABLE);
	assert_int_equal(w->failure.code, FAILURE_NO_HOST);
}

static void a_quorum_read_sees_what_a_quorum_has_and_repairs_the_others(void **state)
{
	struct world *w = *state;
	only_up(w, 0, 3);
	assert_null(put(w, "new", 2, LEVEL_LOCAL_QUORUM));
	model_drop_late(w->model);
	only_up(w, 0, 4);
	assert_null(get(w, &mailbox_map_table, LEVEL_LOCAL_ONE).ptr);
	only_up(w, 0, 6);
	assert_true(slice_equal(get(w, &mailbox_map_table, LEVEL_LOCAL_QUORUM), SLICE("new")));
	only_up(w, 0, 4);
	assert_true(slice_equal(get(w, &mailbox_map_table, LEVEL_LOCAL_ONE), SLICE("new")));
}

static void a_table_may_go_without_read_repair(void **state)
{
	struct world *w = *state;
	only_up(w, 0, 3);
	assert_null(change_modseq(w, 0, 5, LEVEL_LOCAL_QUORUM));
	model_drop_late(w->model);
	only_up(w, 0, 6);
	assert_int_equal(modseq_at(w, LEVEL_LOCAL_QUORUM), 5);
	only_up(w, 0, 4);
	assert_int_equal(modseq_at(w, LEVEL_LOCAL_ONE), 0);
}

static void a_hint_arrives_when_its_target_is_back(void **state)
{
	struct world *w = *state;
	bool arrived = false;
	for (uint64_t version = 1; version < 20; version++) {
		only_up(w, 0, 3);
		assert_null(put(w, "v", version, LEVEL_LOCAL_QUORUM));
		only_up(w, 0, 4);
		model_deliver_late(w->model);
		arrived |= get(w, &mailbox_map_table, LEVEL_LOCAL_ONE).ptr != NULL;
	}
	assert_true(arrived);
}

static void a_commit_level_can_fail_after_the_decision(void **state)
{
	struct world *w = *state;
	model_set_cut(w->model, true);
	bool unavailable = false;
	bool timed_out = false;
	for (uint64_t modseq = 1; modseq < 20; modseq++) {
		struct error *err = change_modseq(w, modseq - 1, modseq, LEVEL_EACH_QUORUM);
		assert_int_equal(err->kind, ERR_UNCERTAIN);
		assert_int_equal(w->failure.level, LEVEL_EACH_QUORUM);
		unavailable |= w->failure.code == FAILURE_UNAVAILABLE;
		timed_out |= w->failure.code == FAILURE_WRITE_TIMEOUT;
		model_drop_late(w->model);
		/* A serial read finishes what it finds. */
		assert_int_equal(modseq_at(w, LEVEL_LOCAL_SERIAL), modseq);
		assert_int_equal(modseq_at(w, LEVEL_LOCAL_QUORUM), modseq);
	}
	assert_true(unavailable && timed_out);
}

/* Whatever stops, at any message: what was acknowledged is there, what was refused is not. */
static void outcomes_are_true_whatever_fails(void **state)
{
	struct world *w = *state;
	static const struct model_rates rates = {
		.lost = 60, .late = 60, .unheard = 60, .refused = 30, .stopped = 150};
	uint64_t stands_at = 0;
	unsigned outcomes[ERR_KIND_COUNT] = {0};
	unsigned applied = 0;
	for (uint64_t modseq = 1; modseq < 3000; modseq++) {
		struct arena_mark mark = arena_mark(&w->op.arena);
		model_set_rates(w->model, &rates);
		struct error *err = change_modseq(w, stands_at, modseq, LEVEL_LOCAL_QUORUM);
		enum error_kind kind = err ? err->kind : ERR_KIND_COUNT;
		model_set_rates(w->model, &(struct model_rates){0});
		uint64_t now = modseq_at(w, LEVEL_LOCAL_SERIAL);
		assert_true(now == stands_at || now == modseq);
		if (!err)
			assert_true(now == modseq);
		else if (kind == ERR_UNAVAILABLE)
			assert_true(now == stands_at);
		else
			assert_int_equal(kind, ERR_UNCERTAIN);
		if (err) {
			outcomes[kind]++;
			applied += now == modseq;
			/* It may still come, and then no commit after it may have been lost. */
			model_deliver_late(w->model);
			now = modseq_at(w, LEVEL_LOCAL_SERIAL);
			assert_true(now == stands_at || now == modseq);
		}
		stands_at = now;
		arena_release(&w->op.arena, mark);
	}
	assert_true(outcomes[ERR_UNAVAILABLE] > 20);
	assert_true(outcomes[ERR_UNCERTAIN] > 100);
	assert_true(applied > 50 && applied < outcomes[ERR_UNCERTAIN]);
}

static void a_client_that_is_down_is_not_served(void **state)
{
	struct world *w = *state;
	model_store_set_down(w->store, true);
	assert_int_equal(put(w, "v", 1, LEVEL_ONE)->kind, ERR_UNAVAILABLE);
	model_store_set_down(w->store, false);
	assert_null(get(w, &mailbox_map_table, LEVEL_QUORUM).ptr);
}

int main(void)
{
#define MODEL(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		MODEL(a_level_without_its_replicas_is_unavailable),
		MODEL(a_quorum_read_sees_what_a_quorum_has_and_repairs_the_others),
		MODEL(a_table_may_go_without_read_repair),
		MODEL(a_hint_arrives_when_its_target_is_back),
		MODEL(a_commit_level_can_fail_after_the_decision),
		MODEL(outcomes_are_true_whatever_fails),
		MODEL(a_client_that_is_down_is_not_served),
	};
	int failed = cmocka_run_group_tests_name("model", tests, NULL, NULL);
	failed += engine_contract_run("engine model, one data centre", open_one_centre, NULL);
	failed += engine_contract_run("engine model, two data centres", open_two_centres, NULL);
	failed += engine_contract_run("engine model, one replica", open_one_replica, NULL);
	return failed;
}
