#include "bus/contract.h"

#include "base/clock.h"
#include "base/sync.h"
#include "base/test.h"
#include "bus/slots.h"

#define HEARD_MOST 8192
#define NODES_MOST 3
#define PATIENCE_NS (30 * NS_PER_S)
#define PUBLISHERS 4
#define HINTS_EACH 500

static void (*renew_bus)(void);
static struct bus *(*open_bus)(void);
static size_t prefetch_most;

struct heard {
	struct bus_hint hint;
	struct bus_work work;
};

/* One node and what it was told. */
struct node {
	struct bus *bus;
	struct mutex lock; /* of what follows */
	struct heard changed[HEARD_MOST], taken[HEARD_MOST];
	size_t changed_count, taken_count, missed_count;
	bool does_at_once; /* work is done as soon as it is taken */
};

struct world {
	struct arena arena;
	struct node nodes[NODES_MOST];
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	arena_init(&w->arena);
	for (size_t i = 0; i < NODES_MOST; i++)
		mutex_init(&w->nodes[i].lock);
	renew_bus();
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	for (size_t i = 0; i < NODES_MOST; i++) {
		bus_close(w->nodes[i].bus);
		mutex_done(&w->nodes[i].lock);
	}
	arena_done(&w->arena);
	free(w);
	return 0;
}

/* ---- What the bus calls ---- */

static void on_changed(void *context, const struct bus_hint *hint)
{
	struct node *node = context;
	AUTO_LOCK(&node->lock);
	if (node->changed_count < HEARD_MOST)
		node->changed[node->changed_count++] = (struct heard){.hint = *hint};
}

static void on_missed(void *context)
{
	struct node *node = context;
	AUTO_LOCK(&node->lock);
	node->missed_count++;
}

static void on_take(void *context, const struct bus_hint *hint, struct bus_work work)
{
	struct node *node = context;
	mutex_lock(&node->lock);
	if (node->taken_count < HEARD_MOST)
		node->taken[node->taken_count++] = (struct heard){*hint, work};
	mutex_unlock(&node->lock);
	if (node->does_at_once)
		bus_done(node->bus, work);
}

/* ---- What a test does ---- */

static void open_node(struct world *w, size_t i)
{
	struct node *node = &w->nodes[i];
	node->bus = open_bus();
	node->changed_count = node->taken_count = node->missed_count = 0;
	bus_set_watcher(node->bus, (struct bus_watcher){on_changed, on_missed, node});
}

static void join(struct world *w, size_t i, const char *group, bool does_at_once)
{
	struct node *node = &w->nodes[i];
	node->does_at_once = does_at_once;
	bus_join(node->bus, (struct bus_worker){group, on_take, on_missed, node});
}

static void start(struct world *w, size_t i)
{
	struct bus_status status;
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	bus_start(w->nodes[i].bus);
	do {
		bus_get_status(w->nodes[i].bus, &w->arena, &status);
		assert_true(clock_monotonic_ns() < until_ns);
		clock_sleep_ns(NS_PER_MS);
	} while (!status.is_connected || !status.is_live);
}

static void close_node(struct world *w, size_t i)
{
	bus_close(w->nodes[i].bus);
	w->nodes[i].bus = NULL;
}

/* Each in a slot of its own, as far as there are some. */
static struct account_id account_of(unsigned number)
{
	struct account_id account = {.uuid.bytes = {7, (uint8_t)(number >> 8)}};
	account.uuid.bytes[sizeof(account.uuid.bytes) - 1] = (uint8_t)number;
	return account;
}

static void publish(struct world *w, size_t i, unsigned number, uint64_t modseq)
{
	const struct bus_hint hint = {.account = account_of(number), .modseq = modseq};
	bus_publish(w->nodes[i].bus, &hint);
}

static size_t count_of(
	struct node *node, const struct heard *list, const size_t *count, unsigned number)
{
	size_t found = 0;
	AUTO_LOCK(&node->lock);
	for (size_t i = 0; i < *count; i++)
		found += ID_EQUAL(list[i].hint.account, account_of(number));
	return found;
}

static size_t count_changed(struct world *w, size_t i, unsigned number)
{
	struct node *node = &w->nodes[i];
	return count_of(node, node->changed, &node->changed_count, number);
}

static size_t count_taken(struct world *w, size_t i, unsigned number)
{
	struct node *node = &w->nodes[i];
	return count_of(node, node->taken, &node->taken_count, number);
}

static size_t total_taken(struct world *w, size_t i)
{
	AUTO_LOCK(&w->nodes[i].lock);
	return w->nodes[i].taken_count;
}

#define UNTIL(condition)                                                 \
	do {                                                             \
		uint64_t until_ns_ = clock_monotonic_ns() + PATIENCE_NS; \
		while (!(condition) && clock_monotonic_ns() < until_ns_) \
			clock_sleep_ns(NS_PER_MS);                       \
		assert_true(condition);                                  \
	} while (0)

/* ---- Watching ---- */

static void every_node_that_watches_is_told(void **state)
{
	struct world *w = *state;
	for (size_t i = 0; i < 3; i++) {
		open_node(w, i);
		if (i < 2)
			bus_watch(w->nodes[i].bus, account_of(1));
		start(w, i);
	}
	publish(w, 2, 1, 17);
	UNTIL(count_changed(w, 0, 1) == 1);
	UNTIL(count_changed(w, 1, 1) == 1);
	assert_int_equal(w->nodes[0].changed[0].hint.modseq, 17);
	assert_int_equal(count_changed(w, 2, 1), 0);
}

static void what_is_not_watched_is_not_told(void **state)
{
	struct world *w = *state;
	open_node(w, 0), open_node(w, 1);
	bus_watch(w->nodes[0].bus, account_of(1));
	start(w, 0), start(w, 1);
	publish(w, 1, 2, 1);
	publish(w, 1, 1, 2);
	UNTIL(count_changed(w, 0, 1) == 1);
	assert_int_equal(count_changed(w, 0, 2), 0);
}

static void a_node_is_not_told_of_its_own_changes(void **state)
{
	struct world *w = *state;
	open_node(w, 0), open_node(w, 1);
	bus_watch(w->nodes[0].bus, account_of(1));
	bus_watch(w->nodes[0].bus, account_of(2));
	start(w, 0), start(w, 1);
	publish(w, 0, 1, 1);
	publish(w, 1, 2, 2);
	UNTIL(count_changed(w, 0, 2) == 1);
	assert_int_equal(count_changed(w, 0, 1), 0);
}

static void what_comes_behind_a_watch_is_told(void **state)
{
	struct world *w = *state;
	open_node(w, 0), open_node(w, 1);
	start(w, 0), start(w, 1);
	for (unsigned number = 0; number < 20; number++) {
		bus_watch(w->nodes[0].bus, account_of(number));
		publish(w, 1, number, 1 + number);
		UNTIL(count_changed(w, 0, number) > 0);
	}
}

static void many_accounts_are_watched_at_once(void **state)
{
	struct world *w = *state;
	open_node(w, 0), open_node(w, 1);
	for (unsigned number = 0; number < 3 * SLOT_COUNT; number++)
		bus_watch(w->nodes[0].bus, account_of(number));
	start(w, 0), start(w, 1);
	for (unsigned number = 0; number < 3 * SLOT_COUNT; number++)
		publish(w, 1, number, number + 1);
	for (unsigned number = 0; number < 3 * SLOT_COUNT; number++)
		UNTIL(count_changed(w, 0, number) == 1);
}

/* ---- Work groups ---- */

static void one_node_of_a_group_is_given_each_hint(void **state)
{
	struct world *w = *state;
	for (size_t i = 0; i < 3; i++) {
		open_node(w, i);
		if (i < 2)
			join(w, i, "index", true);
		start(w, i);
	}
	for (unsigned number = 0; number < 500; number++)
		publish(w, 2, number, number + 1);
	UNTIL(total_taken(w, 0) + total_taken(w, 1) >= 500);
	for (unsigned number = 0; number < 500; number++)
		assert_int_equal(count_taken(w, 0, number) + count_taken(w, 1, number), 1);
	assert_true(total_taken(w, 0) > 0);
	assert_true(total_taken(w, 1) > 0);
	assert_int_equal(total_taken(w, 2), 0);
}

static void each_group_is_given_each_hint_its_own_node_s_too(void **state)
{
	struct world *w = *state;
	open_node(w, 0), open_node(w, 1);
	join(w, 0, "index", true), join(w, 1, "usage", true);
	start(w, 0), start(w, 1);
	publish(w, 0, 1, 1);
	UNTIL(count_taken(w, 0, 1) == 1);
	UNTIL(count_taken(w, 1, 1) == 1);
}

static void work_that_was_not_done_is_given_to_another(void **state)
{
	struct world *w = *state;
	open_node(w, 0), join(w, 0, "index", false), start(w, 0);
	open_node(w, 1), start(w, 1);
	for (unsigned number = 0; number < 10; number++)
		publish(w, 1, number, 1);
	UNTIL(total_taken(w, 0) == 10);
	close_node(w, 0);
	open_node(w, 2), join(w, 2, "index", true), start(w, 2);
	for (unsigned number = 0; number < 10; number++)
		UNTIL(count_taken(w, 2, number) == 1);
}

static void work_that_was_done_is_not_given_again(void **state)
{
	struct world *w = *state;
	open_node(w, 0), join(w, 0, "index", true), start(w, 0);
	open_node(w, 1), start(w, 1);
	for (unsigned number = 0; number < 10; number++)
		publish(w, 1, number, 1);
	UNTIL(total_taken(w, 0) == 10);
	close_node(w, 0);
	open_node(w, 2), join(w, 2, "index", true), start(w, 2);
	publish(w, 1, 100, 1);
	UNTIL(count_taken(w, 2, 100) == 1);
	assert_int_equal(total_taken(w, 2), 1);
}

static void hints_wait_for_a_group_that_is_away(void **state)
{
	struct world *w = *state;
	open_node(w, 0), join(w, 0, "index", true), start(w, 0);
	open_node(w, 1), start(w, 1);
	close_node(w, 0);
	for (unsigned number = 0; number < 5; number++)
		publish(w, 1, number, 1);
	open_node(w, 2), join(w, 2, "index", true), start(w, 2);
	for (unsigned number = 0; number < 5; number++)
		UNTIL(count_taken(w, 2, number) == 1);
}

static void work_under_way_is_bounded(void **state)
{
	struct world *w = *state;
	size_t total = prefetch_most * 3;
	open_node(w, 0), join(w, 0, "index", false), start(w, 0);
	open_node(w, 1), start(w, 1);
	for (unsigned number = 0; number < total; number++)
		publish(w, 1, number, 1);
	UNTIL(total_taken(w, 0) == prefetch_most);
	for (size_t done = 0; done < total; done++) {
		UNTIL(total_taken(w, 0) > done);
		assert_true(total_taken(w, 0) <= done + prefetch_most);
		bus_done(w->nodes[0].bus, w->nodes[0].taken[done].work);
	}
	assert_int_equal(total_taken(w, 0), total);
}

struct publisher {
	struct world *world;
	unsigned first;
	pthread_t thread;
};

static void *publish_many(void *argument)
{
	const struct publisher *publisher = argument;
	for (unsigned i = 0; i < HINTS_EACH; i++)
		publish(publisher->world, 0, publisher->first + i, 1);
	return NULL;
}

static void many_threads_publish(void **state)
{
	struct world *w = *state;
	struct publisher publishers[PUBLISHERS];
	open_node(w, 0), start(w, 0);
	open_node(w, 1), join(w, 1, "index", true), start(w, 1);
	for (unsigned i = 0; i < PUBLISHERS; i++) {
		publishers[i] = (struct publisher){.world = w, .first = i * HINTS_EACH};
		thread_start(&publishers[i].thread, "publisher", publish_many, &publishers[i]);
	}
	for (unsigned i = 0; i < PUBLISHERS; i++)
		thread_join(publishers[i].thread);
	UNTIL(total_taken(w, 1) >= (size_t)PUBLISHERS * HINTS_EACH);
	for (unsigned number = 0; number < PUBLISHERS * HINTS_EACH; number += 97)
		assert_true(count_taken(w, 1, number) >= 1);
}

static void what_was_published_last_is_sent_before_the_end(void **state)
{
	struct world *w = *state;
	open_node(w, 0), join(w, 0, "index", true), start(w, 0);
	open_node(w, 1), start(w, 1);
	for (unsigned number = 0; number < 100; number++)
		publish(w, 1, number, 1);
	close_node(w, 1);
	UNTIL(total_taken(w, 0) == 100);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int bus_contract_run(
	const char *name, void (*renew)(void), struct bus *(*open)(void), size_t prefetch)
{
	renew_bus = renew;
	open_bus = open;
	prefetch_most = prefetch;
	const struct CMUnitTest tests[] = {
		TEST(every_node_that_watches_is_told),
		TEST(what_is_not_watched_is_not_told),
		TEST(a_node_is_not_told_of_its_own_changes),
		TEST(what_comes_behind_a_watch_is_told),
		TEST(many_accounts_are_watched_at_once),
		TEST(one_node_of_a_group_is_given_each_hint),
		TEST(each_group_is_given_each_hint_its_own_node_s_too),
		TEST(work_that_was_not_done_is_given_to_another),
		TEST(work_that_was_done_is_not_given_again),
		TEST(hints_wait_for_a_group_that_is_away),
		TEST(work_under_way_is_bounded),
		TEST(many_threads_publish),
		TEST(what_was_published_last_is_sent_before_the_end),
	};
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
