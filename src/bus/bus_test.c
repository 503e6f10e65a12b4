#include "base/clock.h"
#include "base/sync.h"
#include "base/test.h"
#include "bus/contract.h"
#include "bus/fault.h"
#include "bus/hint_format.h"
#include "bus/local.h"
#include "bus/outbox.h"

static struct account_id account_of(uint8_t number)
{
	return (struct account_id){.uuid.bytes = {1, [15] = number}};
}

static void put(struct outbox *outbox, uint8_t number, uint64_t modseq)
{
	const struct outbox_entry entry = {.hint = {account_of(number), modseq}};
	outbox_put(outbox, &entry);
}

static void hints_are_taken_in_order_one_of_each_account(void **state)
{
	(void)state;
	struct outbox outbox;
	struct outbox_entry entries[8];
	outbox_init(&outbox, 10);
	put(&outbox, 1, 5);
	put(&outbox, 2, 1);
	put(&outbox, 1, 7);
	put(&outbox, 1, 6);
	assert_int_equal(outbox_take(&outbox, entries, 8), 2);
	assert_true(ID_EQUAL(entries[0].hint.account, account_of(1)));
	assert_int_equal(entries[0].hint.modseq, 7);
	assert_true(ID_EQUAL(entries[1].hint.account, account_of(2)));
	put(&outbox, 1, 8);
	assert_int_equal(outbox_count(&outbox), 1);
	outbox_done(&outbox);
}

static void only_the_first_hint_wakes_the_sender(void **state)
{
	(void)state;
	struct outbox outbox;
	struct outbox_entry entry = {.hint = {account_of(1), 1}};
	outbox_init(&outbox, 10);
	assert_true(outbox_put(&outbox, &entry));
	assert_false(outbox_put(&outbox, &entry));
	entry.hint.account = account_of(2);
	assert_false(outbox_put(&outbox, &entry));
	outbox_done(&outbox);
}

static void what_does_not_fit_is_dropped_and_known_as_a_gap(void **state)
{
	(void)state;
	struct outbox outbox;
	struct outbox_entry entries[8];
	outbox_init(&outbox, 2);
	put(&outbox, 1, 1);
	put(&outbox, 2, 1);
	assert_false(outbox_take_gap(&outbox));
	put(&outbox, 3, 1);
	put(&outbox, 2, 2); /* fits: it waits already */
	assert_true(outbox_take_gap(&outbox));
	assert_false(outbox_take_gap(&outbox));
	assert_int_equal(outbox_take(&outbox, entries, 8), 2);
	assert_int_equal(entries[1].hint.modseq, 2);
	outbox_done(&outbox);
}

static void a_hint_is_read_as_it_was_written(void **state)
{
	(void)state;
	const struct hint_message written = {.kind = HINT_CHANGED,
		.origin = UINT64_C(0x0123456789abcdef),
		.hint = {account_of(9), UINT64_MAX - 1}};
	struct hint_message read;
	char bytes[HINT_BYTES];
	hint_format(&written, bytes);
	assert_true(hint_parse(slice_of(bytes, sizeof(bytes)), &read));
	assert_int_equal(read.kind, HINT_CHANGED);
	assert_int_equal(read.origin, written.origin);
	assert_true(ID_EQUAL(read.hint.account, written.hint.account));
	assert_int_equal(read.hint.modseq, written.hint.modseq);
}

static void what_is_no_hint_is_refused(void **state)
{
	(void)state;
	const struct hint_message written = {.kind = HINT_GAP};
	struct hint_message read;
	char bytes[HINT_BYTES + 1] = {0};
	hint_format(&written, bytes);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(hint_parse(slice_of(bytes, len), &read), len == HINT_BYTES);
	bytes[1] = 0;
	assert_false(hint_parse(slice_of(bytes, HINT_BYTES), &read));
	bytes[1] = 4;
	assert_false(hint_parse(slice_of(bytes, HINT_BYTES), &read));
	bytes[1] = 1, bytes[0] = 2;
	assert_false(hint_parse(slice_of(bytes, HINT_BYTES), &read));
}

/* ---- Local ---- */

#define PREFETCH 100

static struct local_hub *hub;

static void new_hub(void)
{
	hub = local_hub_new(10000);
}

static struct bus *new_node(void)
{
	return bus_local_new(hub);
}

static struct bus *new_wrapped_node(void)
{
	const struct bus_faults none = {0};
	return bus_fault_new(bus_local_new(hub), 1, &none);
}

static void count(void *context, const struct bus_hint *hint)
{
	(void)hint;
	__atomic_fetch_add((size_t *)context, 1, __ATOMIC_RELAXED);
}

static void count_missed(void *context)
{
	__atomic_fetch_add((size_t *)context, 1000000, __ATOMIC_RELAXED);
}

static size_t heard_of(const struct bus_faults *faults)
{
	size_t heard = 0;
	new_hub();
	struct bus *listener = bus_local_new(hub);
	struct bus *speaker = bus_fault_new(bus_local_new(hub), 7, faults);
	bus_set_watcher(listener, (struct bus_watcher){count, count_missed, &heard});
	for (unsigned number = 0; number < 256; number++)
		bus_watch(listener, account_of((uint8_t)number));
	bus_start(listener);
	bus_start(speaker);
	for (unsigned n = 0; n < 1000; n++) {
		const struct bus_hint hint = {account_of((uint8_t)n), n + 1};
		bus_publish(speaker, &hint);
		struct bus_status status;
		struct arena arena;
		arena_init(&arena);
		do /* each by itself, so that none is merged with another */
			bus_get_status(speaker, &arena, &status);
		while (status.waiting);
		arena_done(&arena);
	}
	bus_close(speaker);
	bus_close(listener);
	return heard;
}

static void a_bus_with_faults_loses_and_holds_back(void **state)
{
	(void)state;
	const struct bus_faults losing = {.lost = 300};
	size_t heard = heard_of(&losing);
	assert_in_range(heard, 600, 800);
	const struct bus_faults holding = {.held_back = 300};
	heard = heard_of(&holding);
	assert_in_range(heard, 900, 1000);
}

static void a_gap_is_told_to_all(void **state)
{
	(void)state;
	size_t heard = 0;
	hub = local_hub_new(1);
	struct bus *listener = bus_local_new(hub);
	struct bus *speaker = bus_local_new(hub);
	bus_set_watcher(listener, (struct bus_watcher){count, count_missed, &heard});
	for (uint8_t number = 0; number < 10; number++) {
		const struct bus_hint hint = {account_of(number), 1};
		bus_publish(speaker, &hint);
	}
	bus_start(listener);
	while (__atomic_load_n(&heard, __ATOMIC_RELAXED) < 1000000)
		clock_sleep_ns(NS_PER_MS);
	bus_close(speaker);
	bus_close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hints_are_taken_in_order_one_of_each_account),
		cmocka_unit_test(only_the_first_hint_wakes_the_sender),
		cmocka_unit_test(what_does_not_fit_is_dropped_and_known_as_a_gap),
		cmocka_unit_test(a_hint_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_hint_is_refused),
		cmocka_unit_test(a_bus_with_faults_loses_and_holds_back),
		cmocka_unit_test(a_gap_is_told_to_all),
	};
	int failed = cmocka_run_group_tests_name("bus", tests, NULL, NULL);
	failed += bus_contract_run("bus/local", new_hub, new_node, PREFETCH);
	failed += bus_contract_run("bus/fault without faults", new_hub, new_wrapped_node, PREFETCH);
	return failed;
}
