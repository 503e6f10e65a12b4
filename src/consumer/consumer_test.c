/* Consumers over an engine that fails as engines fail. The realtime clock, by which tries are put
 * off, is moved by hand. */

#include "base/test.h"

#include "bus/fault.h"
#include "bus/local.h"
#include "consumer/consumer_private.h"
#include "engine/fault.h"
#include "engine/memory.h"
#include "mailbox/mail_world.h"

#define PATIENCE_NS (30 * NS_PER_S)
#define SEEN_MOST 500

/* A receiver, as a consumer has one. */
struct receiver {
	struct mutex lock;
	struct seen {
		struct account_id account;
		uint64_t modseq;
		struct uuid operation;
	} seen[SEEN_MOST];
	size_t count; /* of tries */
	/* Fails so many tries of this account (nil: of any). */
	unsigned failures;
	struct account_id failing;
	enum delivery failure;
	uint64_t retry_after_ms;
	enum error_kind trouble; /* ERR_INVALID: none */
	size_t trouble_after;    /* from so many tries on; 0: never */
};

struct world {
	struct mail_world m;
	struct engine *engine;
	struct account_id other;
	struct receiver receiver;
	struct consumers *consumers;
	struct local_hub *hub;
	struct bus *bus, *speaker;
	int64_t skew_us;
};

static struct error *receive(struct op *op, void *context, const struct consumer_event *event,
	struct consumer_outcome *ret_outcome)
{
	struct receiver *receiver = context;
	AUTO_LOCK(&receiver->lock);
	assert_true(receiver->count < SEEN_MOST);
	receiver->seen[receiver->count++] =
		(struct seen){event->account, event->modseq, event->operation_id};
	assert_true(event->entry.len && event->address.len);
	if (receiver->trouble_after && receiver->count > receiver->trouble_after)
		return op_fail(op, ERR_UNAVAILABLE, "not now");
	if (receiver->trouble)
		return op_fail(op, receiver->trouble, "not now");
	bool fails = receiver->failures &&
		     (ID_IS_NIL(receiver->failing) || ID_EQUAL(receiver->failing, event->account));
	receiver->failures -= fails;
	*ret_outcome = (struct consumer_outcome){.delivery = DELIVERY_DONE};
	if (fails)
		*ret_outcome = (struct consumer_outcome){.delivery = receiver->failure,
			.reason = "no",
			.retry_after_ms = receiver->retry_after_ms};
	return NULL;
}

static void open_consumers(struct world *w)
{
	w->consumers = consumers_new(w->m.store);
	consumers_add(w->consumers,
		&(struct consumer){
			.name = "test", .workers = 2, .take = receive, .context = &w->receiver});
}

static void check(struct world *w, struct error *err)
{
	if (err)
		fail_msg("%s", error_chain(&w->m.op.arena, err));
}

static int set_up(void **state)
{
	struct world *w = HEAP_NEW(struct world);
	w->engine = fault_engine_new(memory_engine_new(true), 7);
	mail_world_open(&w->m, w->engine, NULL, 0);
	mutex_init(&w->receiver.lock);
	w->receiver.failure = DELIVERY_FAILED;
	open_consumers(w);
	check(w, consumers_prepare(&w->m.op, w->consumers));
	mail_world_make_account(&w->m, SLICE("bob@example.org"));
	w->other = w->m.account;
	mail_world_make_account(&w->m, SLICE("alice@example.org"));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	bus_close(w->speaker);
	bus_stop(w->bus);
	consumers_free(w->consumers);
	bus_close(w->bus);
	mutex_done(&w->receiver.lock);
	mail_world_close(&w->m);
	clock_set_skew_us(0);
	free(w);
	return 0;
}

static uint64_t append_to(struct world *w, struct account_id account)
{
	struct append_result result;
	struct append_request request = {.account = account,
		.path = SLICE("INBOX"),
		.content = SLICE("Subject: a\r\n\r\nb\r\n")};
	check(w, mailbox_append(&w->m.op, w->m.store, &request, &result));
	return result.modseq;
}

static uint64_t append(struct world *w)
{
	return append_to(w, w->m.account);
}

static struct lane *lane(struct world *w)
{
	return &w->consumers->lanes[0];
}

static struct turn turn_of(struct world *w, struct account_id account)
{
	struct turn turn;
	check(w, turn_run(&w->m.op, lane(w), account, &turn));
	return turn;
}

static struct turn turn(struct world *w)
{
	return turn_of(w, w->m.account);
}

static struct position position(struct world *w)
{
	struct position position;
	check(w, position_read(&w->m.op, lane(w), w->m.account, &position));
	return position;
}

static uint64_t cursor(struct world *w)
{
	return position(w).modseq;
}

static void let_pass_ms(struct world *w, uint64_t ms)
{
	w->skew_us += (int64_t)(ms * 1000);
	clock_set_skew_us(w->skew_us);
}

/* A killed process knows nothing; what was stored is there. */
static void restart(struct world *w)
{
	consumers_free(w->consumers);
	mail_world_restart(&w->m);
	open_consumers(w);
	check(w, consumers_prepare(&w->m.op, w->consumers));
}

static size_t letters(struct world *w, struct letter **ret_letters)
{
	const struct letter_filter all = {0};
	size_t count;
	bool more;
	check(w, letters_list(&w->m.op, w->consumers, &all, SLICE_NONE, 100, ret_letters, &count,
			 &more));
	assert_false(more);
	return count;
}

/* From the creation of the account, all that is behind `first` came in order and once. */
static void then_seen_in_order(struct world *w, size_t first, size_t count)
{
	assert_int_equal(w->receiver.count, first + count);
	for (size_t i = first + 1; i < first + count; i++)
		assert_true(w->receiver.seen[i - 1].modseq < w->receiver.seen[i].modseq);
}

static void events_come_in_order_and_the_cursor_follows(void **state)
{
	struct world *w = *state;
	assert_int_equal(turn(w).end, TURN_DONE);
	size_t before = w->receiver.count;
	assert_int_equal(before, 1); /* the account was made */
	uint64_t last = 0;
	for (int i = 0; i < 10; i++)
		last = append(w);
	assert_int_equal(turn(w).end, TURN_DONE);
	then_seen_in_order(w, before, 10);
	assert_int_equal(cursor(w), last);
	assert_false(uuid_is_nil(w->receiver.seen[before].operation));
	turn(w);
	then_seen_in_order(w, before, 10);
	restart(w);
	turn(w);
	then_seen_in_order(w, before, 10);
}

static void a_consumer_begins_where_it_was_first_there(void **state)
{
	struct world *w = *state;
	append(w);
	consumers_add(w->consumers,
		&(struct consumer){
			.name = "late", .workers = 1, .take = receive, .context = &w->receiver});
	let_pass_ms(w, 10);
	w->consumers->is_prepared = false;
	check(w, consumers_prepare(&w->m.op, w->consumers));
	uint64_t born = w->consumers->lanes[1].born;
	let_pass_ms(w, 10);
	struct turn turn;
	check(w, turn_run(&w->m.op, &w->consumers->lanes[1], w->m.account, &turn));
	assert_int_equal(w->receiver.count, 0);
	append(w);
	check(w, turn_run(&w->m.op, &w->consumers->lanes[1], w->m.account, &turn));
	assert_int_equal(w->receiver.count, 1);
	let_pass_ms(w, 1000);
	w->consumers->is_prepared = false;
	check(w, consumers_prepare(&w->m.op, w->consumers));
	assert_int_equal(w->consumers->lanes[1].born, born);
}

static void a_failure_is_tried_again_later_and_later(void **state)
{
	struct world *w = *state;
	turn(w);
	uint64_t last = append(w);
	w->receiver.failures = 5;
	size_t before = w->receiver.count;
	uint64_t pause_ms = consumer_config.retry_first_ms;
	for (unsigned i = 1; i <= 5; i++, pause_ms *= 2) {
		uint64_t now_us = clock_realtime_us();
		struct turn failed = turn(w);
		assert_int_equal(failed.end, TURN_RETRIES);
		assert_int_equal(position(w).retry.attempts, i);
		/* Between half of the pause and all of it (and the time that the turn took). */
		assert_true(failed.until_us >= now_us + pause_ms * 500);
		assert_true(failed.until_us <= clock_realtime_us() + pause_ms * 1000);
		/* Not before its time, and a restart does not make it count anew. */
		let_pass_ms(w, pause_ms / 2 - pause_ms / 4);
		if (i == 3)
			restart(w);
		assert_int_equal(turn(w).end, TURN_RETRIES);
		assert_int_equal(w->receiver.count, before + i);
		let_pass_ms(w, pause_ms);
	}
	assert_true(cursor(w) < last);
	assert_int_equal(turn(w).end, TURN_DONE);
	assert_int_equal(cursor(w), last);
	assert_false(position(w).has_retry || position(w).has_retry_row);
	struct letter *all;
	assert_int_equal(letters(w, &all), 0);
}

/* Tries the event as often as it is tried, over a restart each time. */
static unsigned try_until_given_up(struct world *w, bool restarts)
{
	unsigned tries = 1;
	for (; turn(w).end == TURN_RETRIES; tries++) {
		let_pass_ms(w, consumer_config.retry_most_ms);
		if (restarts)
			restart(w);
		assert_true(tries < 100);
	}
	return tries;
}

static void what_goes_on_failing_becomes_a_dead_letter_and_the_next_one_passes(void **state)
{
	struct world *w = *state;
	turn(w);
	size_t before = w->receiver.count;
	uint64_t dead = append(w);
	uint64_t last = append(w);
	w->receiver.failures = 8;
	assert_int_equal(try_until_given_up(w, true), 8);
	assert_int_equal(w->receiver.count, before + 9);
	assert_int_equal(w->receiver.seen[before + 8].modseq, last);
	assert_int_equal(cursor(w), last);
	struct letter *all;
	assert_int_equal(letters(w, &all), 1);
	assert_int_equal(all[0].modseq, dead);
	assert_int_equal(all[0].row.attempts, 8);
	assert_true(slice_equal(all[0].row.last_error, SLICE("no")));
	assert_true(slice_equal(all[0].row.address, SLICE("alice@example.org")));
	assert_true(all[0].row.first_failed_us < all[0].row.failed_us);
	check(w, letters_count(&w->m.op, w->consumers));
	assert_int_equal(consumers_letters(w->consumers), 1);
}

static void what_is_refused_is_dead_at_once(void **state)
{
	struct world *w = *state;
	turn(w);
	uint64_t last = append(w);
	w->receiver.failures = 1;
	w->receiver.failure = DELIVERY_REFUSED;
	assert_int_equal(turn(w).end, TURN_DONE);
	struct letter *all;
	assert_int_equal(letters(w, &all), 1);
	assert_int_equal(all[0].row.attempts, 1);
	assert_int_equal(cursor(w), last);
}

static void a_receiver_may_ask_for_time_but_not_for_ever(void **state)
{
	struct world *w = *state;
	turn(w);
	append(w);
	w->receiver.failures = 2;
	w->receiver.retry_after_ms = 20000;
	uint64_t now_us = clock_realtime_us();
	assert_true(turn(w).until_us >= now_us + 20000 * 1000);
	let_pass_ms(w, 20001);
	w->receiver.retry_after_ms = UINT64_MAX / 4000;
	assert_int_equal(turn(w).end, TURN_RETRIES);
	assert_true(position(w).retry.next_try_us <=
		    clock_realtime_us() + consumer_config.retry_most_ms * 1000);
}

/* Without its letter nothing moves on, however often that fails. */
static void the_letter_is_durable_before_the_cursor_moves(void **state)
{
	struct world *w = *state;
	turn(w);
	uint64_t before = cursor(w);
	append(w);
	w->receiver.failures = 100;
	w->receiver.failure = DELIVERY_REFUSED;
	static const enum fault faults[] = {FAULT_REFUSED, FAULT_UNCERTAIN_NOT_APPLIED};
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct turn turn;
		struct letter *all;
		fault_on_call(w->engine, FAULT_WRITES, 1, faults[i]);
		assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &turn));
		assert_int_equal(cursor(w), before);
		assert_int_equal(letters(w, &all), 0);
	}
	assert_int_equal(turn(w).end, TURN_DONE);
	struct letter *all;
	assert_int_equal(letters(w, &all), 1);
}

/* The same letter, should it be written twice. */
static void a_kill_between_letter_and_cursor_makes_no_second_letter(void **state)
{
	struct world *w = *state;
	turn(w);
	append(w);
	w->receiver.failures = 2;
	w->receiver.failure = DELIVERY_REFUSED;
	struct turn turn_cut_off;
	fault_on_call(w->engine, FAULT_WRITES, 2, FAULT_REFUSED);
	assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &turn_cut_off));
	restart(w);
	assert_int_equal(turn(w).end, TURN_DONE);
	struct letter *all;
	assert_int_equal(letters(w, &all), 1);
	assert_int_equal(w->receiver.failures, 0);
}

/* However many are behind it in the same turn. */
static void the_cursor_moves_with_each_event(void **state)
{
	struct world *w = *state;
	struct turn cut_off;
	turn(w);
	uint64_t first = append(w);
	append(w);
	w->receiver.trouble_after = w->receiver.count + 1;
	assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &cut_off));
	assert_int_equal(cursor(w), first);
}

static void a_kill_between_effect_and_cursor_repeats_the_event(void **state)
{
	struct world *w = *state;
	turn(w);
	size_t before = w->receiver.count;
	uint64_t last = append(w);
	struct turn cut_off;
	fault_on_call(w->engine, FAULT_WRITES, 1, FAULT_REFUSED);
	assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &cut_off));
	restart(w);
	turn(w);
	assert_true(w->receiver.count >= before + 2);
	for (size_t i = before; i < w->receiver.count; i++)
		assert_int_equal(w->receiver.seen[i].modseq, last);
	assert_true(uuid_equal(
		w->receiver.seen[before].operation, w->receiver.seen[before + 1].operation));
	assert_int_equal(cursor(w), last);
}

/* Whatever becomes of the write: nothing is passed that has not had its effect. */
static void an_uncertain_cursor_write_loses_nothing(void **state)
{
	struct world *w = *state;
	static const enum fault faults[] = {
		FAULT_UNCERTAIN_APPLIED, FAULT_UNCERTAIN_NOT_APPLIED, FAULT_UNCERTAIN_LATER};
	turn(w);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		size_t before = w->receiver.count;
		struct turn turn_uncertain;
		append(w);
		uint64_t last = append(w);
		fault_on_call(w->engine, FAULT_WRITES, 1, faults[i]);
		assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &turn_uncertain));
		assert_int_equal(turn(w).end, TURN_DONE);
		/* It surfaces when the cursor has gone on: the higher one stays. */
		fault_apply_late(w->engine);
		assert_int_equal(cursor(w), last);
		assert_true(w->receiver.count >= before + 2);
		assert_int_equal(w->receiver.seen[w->receiver.count - 1].modseq, last);
	}
}

/* Another node was slower, and writes a cursor that is older: nothing goes back. */
static void a_slower_node_takes_nothing_back(void **state)
{
	struct world *w = *state;
	turn(w);
	struct position slow = position(w);
	uint64_t first = append(w);
	uint64_t last = append(w);
	turn(w);
	check(w, position_move(&w->m.op, lane(w), w->m.account, first, false, &slow));
	assert_int_equal(cursor(w), last);
}

static void a_store_that_does_not_answer_is_no_failure_of_the_event(void **state)
{
	struct world *w = *state;
	turn(w);
	uint64_t last = append(w);
	static const enum error_kind kinds[] = {
		ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_UNCERTAIN, ERR_CANCELLED};
	for (size_t i = 0; i < 20; i++) {
		struct turn turn;
		w->receiver.trouble = kinds[i % ARRAY_SIZE(kinds)];
		assert_non_null(turn_run(&w->m.op, lane(w), w->m.account, &turn));
	}
	assert_false(position(w).has_retry);
	w->receiver.trouble = ERR_INVALID;
	turn(w);
	assert_int_equal(cursor(w), last);
}

static void other_accounts_are_not_held_up(void **state)
{
	struct world *w = *state;
	turn(w);
	append(w);
	w->receiver.failures = 100;
	w->receiver.failing = w->m.account;
	assert_int_equal(turn(w).end, TURN_RETRIES);
	size_t before = w->receiver.count;
	uint64_t other = append_to(w, w->other);
	assert_int_equal(turn_of(w, w->other).end, TURN_DONE);
	assert_true(w->receiver.count > before);
	assert_int_equal(w->receiver.seen[w->receiver.count - 1].modseq, other);
}

/* ---- The log ---- */

static void only_the_last_of_many_for_who_wants_no_more(void **state)
{
	struct world *w = *state;
	lane(w)->consumer.only_last = true;
	uint64_t last = 0;
	for (int i = 0; i < 5; i++)
		last = append(w);
	assert_int_equal(turn(w).end, TURN_DONE);
	assert_int_equal(w->receiver.count, 1);
	assert_int_equal(w->receiver.seen[0].modseq, last);
	assert_int_equal(cursor(w), last);
}

static void a_long_log_is_followed_in_turns(void **state)
{
	struct world *w = *state;
	turn(w);
	size_t before = w->receiver.count;
	uint64_t last = 0;
	for (int i = 0; i < 250; i++)
		last = append(w);
	unsigned turns = 1;
	while (turn(w).end == TURN_MORE)
		turns++;
	assert_int_equal(turns, 3);
	then_seen_in_order(w, before, 250);
	assert_int_equal(cursor(w), last);
}

static void a_cursor_that_the_log_does_not_know_begins_with_all_that_is_kept(void **state)
{
	struct world *w = *state;
	turn(w);
	append(w);
	uint64_t last = append(w);
	struct position strange = position(w);
	check(w, position_move(&w->m.op, lane(w), w->m.account, last + 1000000, false, &strange));
	size_t before = w->receiver.count;
	assert_int_equal(turn(w).end, TURN_DONE);
	assert_int_equal(lane(w)->gaps, 1);
	then_seen_in_order(w, before, 3);
	assert_int_equal(cursor(w), last);
	/* Told once, and it goes on from there. */
	uint64_t next = append(w);
	turn(w);
	assert_int_equal(lane(w)->gaps, 1);
	assert_int_equal(cursor(w), next);
	then_seen_in_order(w, before, 4);
}

static void a_log_that_is_not_kept_so_long_is_told(void **state)
{
	struct world *w = *state;
	turn(w);
	struct commit_settings settings = commit_settings;
	commit_settings.tail_entries = 4;
	uint64_t last = 0;
	for (int i = 0; i < 20; i++)
		last = append(w);
	commit_settings = settings;
	/* Its rows are kept for sixty days. */
	struct mutations gone;
	struct engine_rows rows;
	mutations_init(&gone, &w->m.op.arena);
	struct slice segment = key_log_segment(&w->m.op.arena, w->m.account, 0);
	check(w, engine_scan(w->engine, &w->m.op, &account_log_table, segment, SLICE_NONE,
			 SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	assert_true(rows.count > 4);
	for (size_t i = 0; i < rows.count; i++)
		mutations_delete(
			&gone, &account_log_table, segment, rows.rows[i].key, rows.rows[i].version);
	check(w, engine_write(w->engine, &w->m.op, gone.items, gone.count, DURABLE));
	size_t before = w->receiver.count;
	assert_int_equal(turn(w).end, TURN_DONE);
	assert_int_equal(lane(w)->gaps, 1);
	assert_int_equal(cursor(w), last);
	/* The first of them, the account's creation, had been passed. */
	assert_int_equal(w->receiver.count, before + 20 - (rows.count - 1));
}

/* ---- Letters ---- */

static void given_letters(struct world *w, struct account_id account, unsigned count)
{
	turn_of(w, account);
	for (unsigned i = 0; i < count; i++)
		append_to(w, account);
	w->receiver.failures = count;
	w->receiver.failure = DELIVERY_REFUSED;
	assert_int_equal(turn_of(w, account).end, TURN_DONE);
	assert_int_equal(w->receiver.failures, 0);
}

static void a_letter_is_redelivered_and_gone_or_kept_and_grown(void **state)
{
	struct world *w = *state;
	struct letter *all, letter;
	struct consumer_outcome outcome;
	given_letters(w, w->m.account, 2);
	assert_int_equal(letters(w, &all), 2);
	size_t before = w->receiver.count;
	struct slice name = letter_name(&w->m.op.arena, &all[0]);
	check(w, letter_get(&w->m.op, w->consumers, name, &letter));
	w->receiver.failures = 1;
	check(w, letter_redeliver(&w->m.op, w->consumers, &letter, &outcome));
	assert_int_equal(outcome.delivery, DELIVERY_REFUSED);
	check(w, letter_get(&w->m.op, w->consumers, name, &letter));
	assert_int_equal(letter.row.attempts, 2);
	assert_int_equal(letters(w, &all), 2);
	check(w, letter_redeliver(&w->m.op, w->consumers, &letter, &outcome));
	assert_int_equal(outcome.delivery, DELIVERY_DONE);
	assert_int_equal(letters(w, &all), 1);
	assert_int_equal(consumers_letters(w->consumers), 1);
	assert_int_equal(w->receiver.count, before + 2);
	assert_int_equal(w->receiver.seen[before + 1].modseq, letter.modseq);
	struct error *err = letter_get(&w->m.op, w->consumers, name, &letter);
	assert_int_equal(err->kind, ERR_NOT_FOUND);
}

/* The receiver may get it twice, which it can tell; the letter is never lost. */
static void a_letter_that_cannot_be_removed_stays(void **state)
{
	struct world *w = *state;
	struct letter *all;
	struct consumer_outcome outcome;
	given_letters(w, w->m.account, 1);
	assert_int_equal(letters(w, &all), 1);
	fault_on_call(w->engine, FAULT_WRITES, 1, FAULT_REFUSED);
	assert_non_null(letter_redeliver(&w->m.op, w->consumers, &all[0], &outcome));
	assert_int_equal(letters(w, &all), 1);
	check(w, letter_delete(&w->m.op, w->consumers, &all[0]));
	assert_int_equal(letters(w, &all), 0);
}

static void letters_are_listed_by_pages_and_filters(void **state)
{
	struct world *w = *state;
	given_letters(w, w->m.account, 7);
	given_letters(w, w->other, 3);
	const struct letter_filter bobs = {.address = SLICE("bob@example.org")};
	const struct letter_filter others[] = {
		{.domain = SLICE("example.com")}, {.consumer = SLICE("nobody")}};
	const struct letter_filter all = {
		.consumer = SLICE("test"), .domain = SLICE("example.org")};
	struct letter *page;
	size_t count, seen = 0;
	struct slice after = SLICE_NONE;
	for (bool more = true; more; seen += count) {
		check(w,
			letters_list(&w->m.op, w->consumers, &all, after, 4, &page, &count, &more));
		assert_int_equal(count, seen < 8 ? 4 : 2);
		after = letter_name(&w->m.op.arena, &page[count - 1]);
	}
	assert_int_equal(seen, 10);
	bool more;
	check(w,
		letters_list(&w->m.op, w->consumers, &bobs, SLICE_NONE, 100, &page, &count, &more));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		check(w, letters_list(&w->m.op, w->consumers, &others[i], SLICE_NONE, 100, &page,
				 &count, &more));
		assert_int_equal(count, 0);
	}
	struct error *err = letters_list(
		&w->m.op, w->consumers, &all, SLICE("no:name"), 4, &page, &count, &more);
	assert_int_equal(err->kind, ERR_INVALID);
	check(w, letters_count(&w->m.op, w->consumers));
	assert_int_equal(consumers_letters(w->consumers), 10);
}

/* ---- Notes ---- */

static bool is_noted(struct world *w)
{
	struct account_id *accounts;
	size_t count;
	check(w, mail_store_noted(&w->m.op, w->m.store, &accounts, &count));
	for (size_t i = 0; i < count; i++)
		if (ID_EQUAL(accounts[i], w->m.account))
			return true;
	return false;
}

/* However long that takes. */
static void notes_are_kept_until_every_consumer_is_there(void **state)
{
	struct world *w = *state;
	turn(w);
	append(w);
	w->receiver.failures = 1;
	assert_int_equal(turn(w).end, TURN_RETRIES);
	let_pass_ms(w, 10 * 3600 * 1000);
	check(w, commit_sweep(&w->m.op, mail_store_commit(w->m.store)));
	assert_true(is_noted(w));
	assert_int_equal(turn(w).end, TURN_DONE);
	let_pass_ms(w, 3600 * 1000);
	check(w, commit_sweep(&w->m.op, mail_store_commit(w->m.store)));
	assert_false(is_noted(w));
}

/* Killed between commit and publish: nobody was told, and after a restart it is found. */
static void what_no_hint_told_of_is_found_by_the_notes(void **state)
{
	struct world *w = *state;
	size_t waiting, retrying;
	uint64_t oldest_ns;
	turn(w);
	turn_of(w, w->other);
	append(w);
	restart(w);
	check(w, consumers_sweep(&w->m.op, w->consumers));
	backlog_look(&lane(w)->backlog, &waiting, &retrying, &oldest_ns);
	assert_int_equal(waiting, 1);
	struct account_id found;
	assert_true(backlog_take(&lane(w)->backlog, &found));
	assert_true(ID_EQUAL(found, w->m.account));
	struct turn turn = turn_of(w, found);
	backlog_give_back(&lane(w)->backlog, found, &turn);
	check(w, consumers_sweep(&w->m.op, w->consumers));
	backlog_look(&lane(w)->backlog, &waiting, &retrying, &oldest_ns);
	assert_int_equal(waiting, 0);
}

/* ---- With threads and a bus ---- */

static void announce(void *context, struct account_id account, uint64_t modseq)
{
	struct world *w = context;
	const struct bus_hint hint = {account, modseq};
	bus_publish(w->speaker, &hint);
}

static void begin(struct world *w, const struct bus_faults *faults)
{
	w->hub = local_hub_new(1000);
	w->bus = bus_local_new(w->hub);
	w->speaker = bus_fault_new(bus_local_new(w->hub), 42, faults);
	consumers_join(w->consumers, w->bus);
	bus_start(w->bus);
	bus_start(w->speaker);
	mail_store_listen(w->m.store, announce, w);
	consumers_start(w->consumers);
}

static bool comes_to(struct world *w, uint64_t modseq)
{
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (cursor(w) != modseq && clock_monotonic_ns() < until_ns)
		clock_sleep_ns(NS_PER_MS);
	return cursor(w) == modseq;
}

static void hints_doubled_and_reordered_make_each_event_come_once_and_in_order(void **state)
{
	struct world *w = *state;
	const struct bus_faults faults = {.doubled = 300, .held_back = 300};
	begin(w, &faults);
	uint64_t last = 0;
	for (int i = 0; i < 100; i++)
		last = append(w);
	const struct bus_hint hint = {w->m.account, UINT64_MAX};
	bus_publish(w->speaker, &hint);
	assert_true(comes_to(w, last));
	AUTO_LOCK(&w->receiver.lock);
	uint64_t before = 0;
	size_t seen = 0;
	for (size_t i = 0; i < w->receiver.count; i++) {
		if (!ID_EQUAL(w->receiver.seen[i].account, w->m.account))
			continue;
		assert_true(w->receiver.seen[i].modseq > before);
		before = w->receiver.seen[i].modseq;
		seen++;
	}
	assert_int_equal(seen, 101);
}

static void hints_that_are_all_lost_are_made_up_for_by_a_look(void **state)
{
	struct world *w = *state;
	const struct bus_faults faults = {.lost = 1000};
	uint64_t last = 0;
	begin(w, &faults);
	for (int i = 0; i < 5; i++)
		last = append(w);
	consumers_forget(w->consumers);
	assert_true(comes_to(w, last));
}

/* Many accounts that fail use up neither the workers nor what a node may hold of the bus. */
static void accounts_that_fail_hold_up_no_other(void **state)
{
	struct world *w = *state;
	const struct bus_faults none = {0};
	begin(w, &none);
	w->receiver.failures = UINT32_MAX;
	w->receiver.failing = w->other;
	append_to(w, w->other);
	for (uint64_t i = 0; i < 150; i++) {
		const struct bus_hint hint = {w->other, i + 1};
		bus_publish(w->speaker, &hint);
	}
	assert_true(comes_to(w, append(w)));
	size_t waiting, retrying;
	uint64_t oldest_ns;
	uint64_t until_ns = clock_monotonic_ns() + PATIENCE_NS;
	do
		backlog_look(&lane(w)->backlog, &waiting, &retrying, &oldest_ns);
	while (!(waiting == 1 && retrying == 1) && clock_monotonic_ns() < until_ns);
	assert_int_equal(retrying, 1);
	assert_true(oldest_ns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_come_in_order_and_the_cursor_follows),
		TEST(a_consumer_begins_where_it_was_first_there),
		TEST(a_failure_is_tried_again_later_and_later),
		TEST(what_goes_on_failing_becomes_a_dead_letter_and_the_next_one_passes),
		TEST(what_is_refused_is_dead_at_once),
		TEST(a_receiver_may_ask_for_time_but_not_for_ever),
		TEST(the_letter_is_durable_before_the_cursor_moves),
		TEST(a_kill_between_letter_and_cursor_makes_no_second_letter),
		TEST(the_cursor_moves_with_each_event),
		TEST(a_kill_between_effect_and_cursor_repeats_the_event),
		TEST(an_uncertain_cursor_write_loses_nothing),
		TEST(a_slower_node_takes_nothing_back),
		TEST(a_store_that_does_not_answer_is_no_failure_of_the_event),
		TEST(other_accounts_are_not_held_up),
		TEST(only_the_last_of_many_for_who_wants_no_more),
		TEST(a_long_log_is_followed_in_turns),
		TEST(a_cursor_that_the_log_does_not_know_begins_with_all_that_is_kept),
		TEST(a_log_that_is_not_kept_so_long_is_told),
		TEST(a_letter_is_redelivered_and_gone_or_kept_and_grown),
		TEST(a_letter_that_cannot_be_removed_stays),
		TEST(letters_are_listed_by_pages_and_filters),
		TEST(notes_are_kept_until_every_consumer_is_there),
		TEST(what_no_hint_told_of_is_found_by_the_notes),
		TEST(hints_doubled_and_reordered_make_each_event_come_once_and_in_order),
		TEST(hints_that_are_all_lost_are_made_up_for_by_a_look),
		TEST(accounts_that_fail_hold_up_no_other),
	};
	return cmocka_run_group_tests_name("consumers", tests, NULL, NULL);
}
