#include "consumer/consumer_private.h"

#include "base/log.h"
#include "base/metric.h"
#include "base/random.h"

METRIC_COUNTER(events_done, "consumer_events_total", "Events that have had their effect");
METRIC_COUNTER(events_failed, "consumer_failures_total", "Tries of events that failed");
METRIC_COUNTER(events_dead, "consumer_dead_letters_total", "Events given up on");
METRIC_COUNTER(gaps, "consumer_gaps_total",
	"Accounts whose log did not reach back to a consumer's cursor: events were missed");

/* Then other accounts have their turn. */
#define TURN_EVENTS 100
#define RETRY_AFTER_OTHERS_US US_PER_S

uint64_t retry_pause_ms(uint32_t failed_attempts)
{
	uint64_t pause_ms = consumer_config.retry_first_ms;
	for (uint32_t i = 1; i < failed_attempts && pause_ms < consumer_config.retry_most_ms; i++)
		pause_ms *= 2;
	pause_ms = MIN_OF(pause_ms, consumer_config.retry_most_ms);
	return pause_ms / 2 + random_below(pause_ms / 2 + 1);
}

/* It could not be tried, which says nothing of the event. */
static bool is_trouble(const struct error *err)
{
	return err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT ||
	       err->kind == ERR_UNCERTAIN || err->kind == ERR_CANCELLED;
}

struct error *event_take(struct op *op, struct lane *lane, const struct consumer_event *event,
	struct consumer_outcome *ret_outcome)
{
	*ret_outcome = (struct consumer_outcome){0};
	struct error *err = lane->consumer.take(op, lane->consumer.context, event, ret_outcome);
	if (err && is_trouble(err))
		return err;
	if (err)
		*ret_outcome = (struct consumer_outcome){
			.delivery = DELIVERY_FAILED, .reason = error_chain(&op->arena, err)};
	bool has_failed = ret_outcome->delivery == DELIVERY_FAILED ||
			  ret_outcome->delivery == DELIVERY_REFUSED;
	lane->failures += has_failed;
	metric_add(&events_failed, has_failed);
	bool is_done = ret_outcome->delivery == DELIVERY_DONE;
	lane->done += is_done;
	metric_add(&events_done, is_done);
	return NULL;
}

struct at_work {
	struct lane *lane;
	struct account_id account;
	struct position position;
	uint64_t passed; /* events up to here need no more */
};

static struct error *move_cursor(struct op *op, struct at_work *work)
{
	if (work->passed == work->position.modseq)
		return NULL;
	return position_move(op, work->lane, work->account, work->passed, false, &work->position);
}

/* The letter is durable before the cursor moves on. */
static struct error *give_up(struct op *op, struct at_work *work,
	const struct consumer_event *event, const struct cursor_retry *failed)
{
	const struct letter letter = {.consumer = work->lane->name,
		.account = event->account,
		.modseq = event->modseq,
		.row = {.attempts = failed->attempts,
			.first_failed_us = failed->first_failed_us,
			.failed_us = clock_realtime_us(),
			.last_error = failed->last_error,
			.address = event->address,
			.operation_id = event->operation_id,
			.payload = event->entry}};
	TRY(letter_put(op, work->lane->consumers, &letter));
	metric_add(&events_dead, 1);
	work->lane->dead++;
	log_warn(op, "dead-letter", FIELD_SLICE("consumer", work->lane->name),
		FIELD_ID("account", op, event->account.uuid), FIELD_U64("modseq", event->modseq),
		FIELD_U64("attempts", failed->attempts), FIELD_SLICE("error", failed->last_error));
	work->passed = event->modseq;
	return move_cursor(op, work);
}

/* *ret_until_us 0: it was given up on, and what comes behind it has its turn. */
static struct error *note_failure(struct op *op, struct at_work *work,
	const struct consumer_event *event, const struct consumer_outcome *outcome,
	uint64_t *ret_until_us)
{
	const struct position *position = &work->position;
	bool is_again = position->has_retry && position->retry.modseq == event->modseq;
	uint64_t now_us = clock_realtime_us();
	struct cursor_retry failed = {.modseq = event->modseq,
		.attempts = is_again ? position->retry.attempts + 1 : 1,
		.first_failed_us = is_again ? position->retry.first_failed_us : now_us,
		.last_error = slice_range(slice_from_cstr(outcome->reason), 0, REASON_MOST)};
	uint64_t pause_ms = MAX_OF(retry_pause_ms(failed.attempts),
		MIN_OF(outcome->retry_after_ms, consumer_config.retry_most_ms));
	failed.next_try_us = now_us + pause_ms * 1000;
	log_debug(op, "event-failed", FIELD_SLICE("consumer", work->lane->name),
		FIELD_ID("account", op, event->account.uuid), FIELD_U64("modseq", event->modseq),
		FIELD_U64("attempts", failed.attempts), FIELD_TEXT("error", outcome->reason));
	*ret_until_us = 0;
	if (outcome->delivery == DELIVERY_REFUSED || failed.attempts >= consumer_config.tries)
		return give_up(op, work, event, &failed);
	*ret_until_us = failed.next_try_us;
	TRY(move_cursor(op, work));
	return position_retry(op, work->lane, work->account, &failed, &work->position);
}

static struct error *pass_event(struct op *op, struct at_work *work, const struct log_row *row,
	struct slice address, uint64_t *ret_until_us)
{
	struct consumer_outcome outcome;
	const struct consumer_event event = {.account = work->account,
		.address = address,
		.modseq = row->modseq,
		.operation_id = row->row.operation_id,
		.entry = row->row.entry};
	*ret_until_us = 0;
	struct error *err = event_take(op, work->lane, &event, &outcome);
	if (err)
		return err;
	if (outcome.delivery == DELIVERY_FAILED || outcome.delivery == DELIVERY_REFUSED)
		return note_failure(op, work, &event, &outcome, ret_until_us);
	work->passed = row->modseq;
	/* What meant nothing may come again. */
	return outcome.delivery == DELIVERY_DONE ? move_cursor(op, work) : NULL;
}

static struct error *pass_rows(
	struct op *op, struct at_work *work, const struct account_log_part *part, struct turn *turn)
{
	size_t events = 0;
	bool only_last = work->lane->consumer.only_last;
	for (size_t i = only_last && part->count ? part->count - 1 : 0; i < part->count; i++) {
		const struct log_row *row = &part->rows[i];
		if (!row->row.entry.len && !only_last) {
			work->passed = row->modseq;
			continue;
		}
		if (events++ == TURN_EVENTS || backlog_is_stopping(&work->lane->backlog)) {
			turn->end = TURN_MORE;
			return NULL;
		}
		uint64_t until_us;
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(pass_event(op, work, row, part->facts.address, &until_us));
		if (until_us) {
			*turn = (struct turn){TURN_RETRIES, until_us};
			return NULL;
		}
		arena_release(&op->arena, mark);
	}
	return NULL;
}

/* Nothing else would tell of what was missed. */
static struct error *tell_gap(
	struct op *op, struct at_work *work, const struct account_log_part *part)
{
	struct lane *lane = work->lane;
	bool sets_back = part->count && part->rows[0].modseq <= work->position.modseq;
	log_error(op, "consumer-gap", FIELD_SLICE("consumer", lane->name),
		FIELD_ID("account", op, work->account.uuid),
		FIELD_U64("cursor", work->position.modseq),
		FIELD_U64("oldest", part->count ? part->rows[0].modseq : 0),
		FIELD_TEXT("because", sets_back ? "the account's log does not know the cursor"
						: "the log is not kept so long"));
	metric_add(&gaps, 1);
	lane->gaps++;
	if (!part->count)
		return op_fail(op, ERR_CORRUPT, "the account has no log");
	work->passed = part->rows[0].row.previous;
	return position_move(op, lane, work->account, work->passed, true, &work->position);
}

/* The event behind the cursor waits for its next try, which is that node's first who wrote it. A
 * time that no setting could have made was written by a wrong clock. */
static bool is_to_wait(const struct position *position, struct turn *turn)
{
	uint64_t now_us = clock_realtime_us();
	uint64_t next_us = position->retry.next_try_us;
	if (!position->has_retry || next_us <= now_us ||
		next_us > now_us + consumer_config.retry_most_ms * 1000)
		return false;
	*turn = (struct turn){TURN_RETRIES, next_us + random_below(RETRY_AFTER_OTHERS_US)};
	return true;
}

struct error *turn_run(
	struct op *op, struct lane *lane, struct account_id account, struct turn *ret_turn)
{
	struct at_work work = {.lane = lane, .account = account};
	struct account_log_part part;
	*ret_turn = (struct turn){TURN_DONE, 0};
	TRY(position_read(op, lane, account, &work.position));
	if (is_to_wait(&work.position, ret_turn))
		return NULL;
	work.passed = work.position.modseq;
	struct error *err = account_log_since(op, lane->consumers->store, account,
		work.position.modseq, work.position.is_stored, &part);
	if (err && err->kind == ERR_NOT_FOUND)
		return NULL;
	TRY(err);
	if (!part.facts.is_here)
		return NULL;
	if (!part.is_complete && !lane->consumer.only_last)
		TRY(tell_gap(op, &work, &part));
	TRY(pass_rows(op, &work, &part, ret_turn));
	return move_cursor(op, &work);
}
