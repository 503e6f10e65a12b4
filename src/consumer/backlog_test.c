/* The accounts that a consumer is behind with, without threads. */

#include "base/test.h"

#include "bus/local.h"
#include "consumer/consumer_private.h"

struct world {
	struct backlog backlog;
	struct bus *bus;
	struct held_hint *hint; /* this test's own reference, so that it stays to be looked at */
	struct account_id account;
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	backlog_init(&w->backlog);
	w->bus = bus_local_new(local_hub_new(10));
	w->hint = HEAP_NEW(struct held_hint);
	w->hint->bus = w->bus;
	w->hint->references = 1;
	w->account.uuid = uuid_v7();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	backlog_done(&w->backlog);
	assert_int_equal(w->hint->references, 1);
	held_hint_end(w->hint);
	bus_close(w->bus);
	free(w);
	return 0;
}

static void take(struct world *w, struct account_id wanted)
{
	struct account_id account;
	assert_true(backlog_take(&w->backlog, &account));
	assert_true(ID_EQUAL(account, wanted));
}

static void give_back(struct world *w, struct account_id account, enum turn_end end)
{
	const struct turn turn = {end, clock_realtime_us() + 1000000};
	backlog_give_back(&w->backlog, account, &turn);
}

static size_t waiting(struct world *w)
{
	size_t count, retrying;
	uint64_t oldest_ns;
	backlog_look(&w->backlog, &count, &retrying, &oldest_ns);
	assert_int_equal(oldest_ns != 0, count != 0);
	return count;
}

static void an_account_that_changes_during_its_turn_has_another(void **state)
{
	struct world *w = *state;
	backlog_put(&w->backlog, w->account, 0, NULL);
	take(w, w->account);
	backlog_put(&w->backlog, w->account, 0, NULL);
	give_back(w, w->account, TURN_DONE);
	take(w, w->account);
	give_back(w, w->account, TURN_DONE);
	assert_int_equal(waiting(w), 0);
}

static void work_is_held_until_it_is_done_or_its_failure_is_durable(void **state)
{
	struct world *w = *state;
	static const struct {
		enum turn_end end;
		size_t references;
	} cases[] = {{TURN_MORE, 2}, {TURN_TROUBLED, 2}, {TURN_RETRIES, 1}};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		w->account.uuid = uuid_v7();
		backlog_put(&w->backlog, w->account, 0, w->hint);
		assert_int_equal(w->hint->references, 2);
		take(w, w->account);
		give_back(w, w->account, cases[i].end);
		assert_int_equal(w->hint->references, cases[i].references);
		take(w, w->account);
		assert_int_equal(w->hint->references, cases[i].references);
		give_back(w, w->account, TURN_DONE);
		assert_int_equal(w->hint->references, 1);
	}
}

static void a_hint_that_comes_during_a_turn_is_of_the_next_one(void **state)
{
	struct world *w = *state;
	backlog_put(&w->backlog, w->account, 0, NULL);
	take(w, w->account);
	backlog_put(&w->backlog, w->account, 0, w->hint);
	give_back(w, w->account, TURN_DONE);
	assert_int_equal(w->hint->references, 2);
	take(w, w->account);
	give_back(w, w->account, TURN_DONE);
	assert_int_equal(w->hint->references, 1);
}

/* Or one that hangs would use up what a node may hold. */
static void only_so_many_hints_are_held(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 1000; i++) {
		w->account.uuid = uuid_v7();
		assert_true(backlog_put(&w->backlog, w->account, 0, w->hint));
	}
	assert_int_equal(waiting(w), 1000);
	assert_true(w->hint->references > 1 && w->hint->references < 100);
}

static void who_retries_waits_and_others_have_their_turn(void **state)
{
	struct world *w = *state;
	struct account_id other = {uuid_v7()};
	backlog_put(&w->backlog, w->account, 0, NULL);
	take(w, w->account);
	uint64_t now_ns = clock_monotonic_ns();
	give_back(w, w->account, TURN_RETRIES);
	/* A change of it makes its next try no earlier. */
	backlog_put(&w->backlog, w->account, 0, NULL);
	backlog_put(&w->backlog, other, 0, NULL);
	take(w, other);
	assert_int_equal(w->backlog.heap_count, 1);
	assert_true(w->backlog.heap[0]->due_ns >= now_ns + 900 * NS_PER_MS);
	give_back(w, other, TURN_DONE);
	assert_int_equal(w->backlog.retrying, 1);
}

static void those_that_are_due_come_in_order(void **state)
{
	struct world *w = *state;
	struct account_id accounts[100];
	for (size_t i = 0; i < ARRAY_SIZE(accounts); i++) {
		size_t at = i * 37 % ARRAY_SIZE(accounts);
		accounts[at].uuid = uuid_v7();
		backlog_put(&w->backlog, accounts[at], at * 10000, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(accounts); i++) {
		/* The order is by when they are due, which the time of putting is part of. */
		uint64_t due_ns = w->backlog.heap[0]->due_ns;
		for (size_t n = 1; n < w->backlog.heap_count; n++)
			assert_true(w->backlog.heap[n]->due_ns >= due_ns);
		struct account_id taken;
		assert_true(backlog_take(&w->backlog, &taken));
		give_back(w, taken, TURN_DONE);
	}
	assert_int_equal(waiting(w), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_that_changes_during_its_turn_has_another),
		TEST(work_is_held_until_it_is_done_or_its_failure_is_durable),
		TEST(a_hint_that_comes_during_a_turn_is_of_the_next_one),
		TEST(only_so_many_hints_are_held),
		TEST(who_retries_waits_and_others_have_their_turn),
		TEST(those_that_are_due_come_in_order),
	};
	return cmocka_run_group_tests_name("a consumer's backlog", tests, NULL, NULL);
}
