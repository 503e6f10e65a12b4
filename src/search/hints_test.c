/* An index that is told of changes by a work group on the bus, which may lose, double and reorder
 * what it says. */

#include "base/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/scratch.h"
#include "bus/fault.h"
#include "bus/local.h"
#include "engine/memory.h"
#include "index/fts5/fts5.h"
#include "mailbox/mail_world.h"
#include "search/search_private.h"

#define PATIENCE_NS (30 * NS_PER_S)

struct world {
	struct mail_world m;
	const char *folder;
	struct search *search;
	struct local_hub *hub;
	struct bus *bus;     /* the indexer's */
	struct bus *speaker; /* another node's */
};

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	mail_world_open(&w->m, memory_engine_new(true), NULL, 0);
	mail_world_make_account(&w->m, SLICE("alice@example.org"));
	w->folder = scratch_path(&w->m.op.arena);
	const struct fts5_options options = {
		.folder = w->folder, .open_files = 4, .rules = search_texts_rules()};
	struct index *index;
	assert_null(fts5_open(&w->m.op, &options, &index));
	w->search = search_new(w->m.store, index);
	w->hub = local_hub_new(1000);
	w->bus = bus_local_new(w->hub);
	search_join(w->search, w->bus);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	bus_close(w->speaker);
	bus_stop(w->bus);
	search_free(w->search);
	bus_close(w->bus);
	mail_world_close(&w->m);
	free(w);
	return 0;
}

static void announce(void *context, struct account_id account, uint64_t modseq)
{
	struct world *w = context;
	const struct bus_hint hint = {account, modseq};
	bus_publish(w->speaker, &hint);
}

static void begin(struct world *w, const struct bus_faults *faults)
{
	w->speaker = bus_fault_new(bus_local_new(w->hub), 42, faults);
	bus_start(w->bus);
	bus_start(w->speaker);
	mail_store_listen(w->m.store, announce, w);
}

static void append(struct world *w, int number)
{
	struct append_result result;
	struct append_request request = {.account = w->m.account,
		.path = SLICE("INBOX"),
		.content = slice_from_cstr(arena_printf(&w->m.op.arena,
			"Subject: number%d\r\n\r\nsome text%d\r\n", number, number))};
	assert_null(mailbox_append(&w->m.op, w->m.store, &request, &result));
}

static struct search_status status(struct world *w)
{
	struct search_status status;
	assert_null(search_status(&w->m.op, w->search, w->m.account, &status));
	return status;
}

static bool is_indexed(struct world *w, uint64_t messages)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct search_status now;
	do {
		now = status(w);
		if (now.indexed == messages && !now.is_waiting)
			return true;
		clock_sleep_ns(NS_PER_MS);
	} while (clock_monotonic_ns() < until_ns);
	return false;
}

static void the_group_s_hints_bring_the_index_up_to_date(void **state)
{
	struct world *w = *state;
	const struct bus_faults none = {0};
	begin(w, &none);
	search_start(w->search);
	assert_true(is_indexed(w, 0));
	for (int i = 0; i < 20; i++)
		append(w, i);
	assert_true(is_indexed(w, 20));
	assert_int_equal(status(w).size.documents, 20);
}

static void hints_lost_doubled_and_reordered_leave_the_index_right(void **state)
{
	struct world *w = *state;
	const struct bus_faults faults = {.lost = 300, .doubled = 300, .held_back = 300};
	begin(w, &faults);
	search_start(w->search);
	for (int i = 0; i < 100; i++)
		append(w, i);
	/* Whatever is lost: what is not indexed is known, and read by searches. */
	struct search_status now = status(w);
	assert_true(now.indexed <= now.messages && now.messages == 100);
	const struct bus_hint last = {w->m.account, UINT64_MAX};
	while (!is_indexed(w, 100))
		bus_publish(w->speaker, &last);
	assert_int_equal(status(w).size.documents, 100);
}

static void count_taken(void *context, const struct bus_hint *hint, struct bus_work work)
{
	(void)hint, (void)work;
	__atomic_fetch_add((int *)context, 1, __ATOMIC_RELAXED);
}

static void ignore(void *context)
{
	(void)context;
}

static int taken_by_another(struct world *w, int wanted)
{
	int taken = 0;
	uint64_t until_ns = clock_monotonic_ns() + (wanted ? PATIENCE_NS : 200 * NS_PER_MS);
	struct bus *other = bus_local_new(w->hub);
	bus_join(other, (struct bus_worker){"index", count_taken, ignore, &taken});
	bus_start(other);
	while (__atomic_load_n(&taken, __ATOMIC_RELAXED) < MAX_OF(wanted, 1) &&
		clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	bus_close(other);
	return taken;
}

/* The index has it: another node is given nothing. */
static void work_is_done_when_the_index_has_it(void **state)
{
	struct world *w = *state;
	const struct bus_faults none = {0};
	begin(w, &none);
	search_start(w->search);
	append(w, 1);
	assert_true(is_indexed(w, 1));
	bus_stop(w->bus);
	assert_int_equal(taken_by_another(w, 0), 0);
}

/* Something stands where the account's folder would be made. */
static void given_an_account_that_fails(struct world *w)
{
	const struct bus_faults none = {0};
	char *folder = arena_printf(
		&w->m.op.arena, "%s", fts5_path(&w->m.op.arena, w->folder, w->m.account));
	*strrchr(folder, '/') = '\0';
	int fd = open(folder, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	begin(w, &none);
	search_start(w->search);
	append(w, 1);
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (!search_is_failing(w->search) && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	assert_true(search_is_failing(w->search));
}

/* The work is another node's in the end. */
static void work_that_fails_is_not_done(void **state)
{
	struct world *w = *state;
	given_an_account_that_fails(w);
	bus_stop(w->bus);
	assert_int_equal(taken_by_another(w, 1), 1);
}

/* More hints than a node may hold, and it is still given those of others. */
static void an_account_that_fails_holds_up_no_other(void **state)
{
	struct world *w = *state;
	struct account_id other;
	given_an_account_that_fails(w);
	for (uint64_t i = 0; i < 150; i++) {
		const struct bus_hint hint = {w->m.account, i + 1};
		bus_publish(w->speaker, &hint);
		clock_sleep_ns(NS_PER_MS); /* or they become one */
	}
	other.uuid = uuid_v7();
	/* In the folder of another account. */
	other.uuid.bytes[15] = (uint8_t)(w->m.account.uuid.bytes[15] + 1);
	assert_null(mail_store_make_account(&w->m.op, w->m.store, other, SLICE("b@example.org")));
	const struct bus_hint hint = {other, 1};
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	struct search_status now = {0};
	bus_publish(w->speaker, &hint);
	while (!now.cursor && clock_monotonic_ns() < until_ns) {
		assert_null(search_status(&w->m.op, w->search, other, &now));
		clock_sleep_ns(NS_PER_MS);
	}
	assert_true(now.cursor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_group_s_hints_bring_the_index_up_to_date, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			hints_lost_doubled_and_reordered_leave_the_index_right, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			work_is_done_when_the_index_has_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(work_that_fails_is_not_done, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			an_account_that_fails_holds_up_no_other, set_up, tear_down),
	};
	int failures = cmocka_run_group_tests_name("search by hints", tests, NULL, NULL);
	return failures + scratch_remove();
}
