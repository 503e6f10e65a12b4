#include "engine/model_private.h"

#include "base/clock.h"

/* Paxos for one partition, as Cassandra runs it: prepare at a quorum, finish what is found in
 * progress, bring those who promised up to the latest commit, read, propose, commit. The version of
 * every row of a commit is its ballot. */

#define CONTENTION_MOST_NS (1 * NS_PER_S)
#define ATTEMPTS_UNHEARD 6

struct round {
	struct model_call *call;
	struct slice partition;
	struct model_replica *scope[MODEL_MOST];
	size_t scope_count;
	size_t quorum;
	uint64_t ballot;
	/* Of the last prepare, by place in scope. */
	bool has_promised[MODEL_MOST];
	struct paxos_state states[MODEL_MOST];
};

static void begin_round(
	struct round *round, struct model_call *call, enum level level, struct slice partition)
{
	*round = (struct round){.call = call, .partition = partition};
	struct model *model = call->model;
	for (unsigned i = 0; i < model->replica_count; i++)
		if (level == LEVEL_SERIAL || model->replicas[i].centre == call->centre)
			round->scope[round->scope_count++] = &model->replicas[i];
	round->quorum = round->scope_count / 2 + 1;
}

static void forget_states(struct round *round)
{
	for (size_t i = 0; i < round->scope_count; i++) {
		model_batch_unref(round->states[i].accepted_batch);
		model_batch_unref(round->states[i].committed_batch);
		round->states[i] = (struct paxos_state){0};
		round->has_promised[i] = false;
	}
}

struct votes {
	size_t yes, no;
};

static void count_vote(struct votes *votes, enum reply reply)
{
	votes->yes += reply == REPLY_YES;
	votes->no += reply == REPLY_NO;
}

static struct votes ask_for_promises(struct round *round)
{
	struct votes votes = {0};
	forget_states(round);
	mutex_lock(&round->call->model->lock);
	round->ballot = ++round->call->model->ballot;
	mutex_unlock(&round->call->model->lock);
	for (size_t i = 0; i < round->scope_count; i++) {
		struct model_message message = {.kind = MESSAGE_PREPARE,
			.target = round->scope[i],
			.ballot = round->ballot,
			.partition = round->partition,
			.ret_state = &round->states[i]};
		enum reply reply = model_send(round->call, &message);
		round->has_promised[i] = reply == REPLY_YES;
		count_vote(&votes, reply);
	}
	return votes;
}

static struct votes propose(struct round *round, struct model_batch *batch)
{
	struct votes votes = {0};
	for (size_t i = 0; i < round->scope_count; i++) {
		struct model_message message = {.kind = MESSAGE_ACCEPT,
			.target = round->scope[i],
			.ballot = round->ballot,
			.batch = batch};
		count_vote(&votes, model_send(round->call, &message));
	}
	return votes;
}

/* To every replica there is, in all data centres. */
static struct model_tally commit(struct round *round, struct model_batch *batch)
{
	struct model_tally tally = {0};
	struct model *model = round->call->model;
	for (unsigned i = 0; i < model->replica_count; i++) {
		struct model_message message = {.kind = MESSAGE_COMMIT,
			.target = &model->replicas[i],
			.ballot = round->ballot,
			.batch = batch};
		if (model_send(round->call, &message) == REPLY_YES)
			tally.by_centre[model->replicas[i].centre]++;
	}
	return tally;
}

/* Those who promised without knowing of the latest commit are told. False: not all heard. */
static bool bring_up_to(struct round *round, const struct paxos_state *latest)
{
	bool all = true;
	for (size_t i = 0; i < round->scope_count; i++) {
		if (!round->has_promised[i] || round->states[i].committed >= latest->committed)
			continue;
		struct model_message message = {.kind = MESSAGE_COMMIT,
			.target = round->scope[i],
			.ballot = latest->committed,
			.batch = latest->committed_batch};
		all &= model_send(round->call, &message) == REPLY_YES;
	}
	return all;
}

enum prepared { PREPARED, PREPARE_AGAIN, PREPARE_UNHEARD };

static enum prepared prepare_once(struct round *round)
{
	struct votes votes = ask_for_promises(round);
	if (votes.yes < round->quorum)
		return votes.no ? PREPARE_AGAIN : PREPARE_UNHEARD;
	const struct paxos_state *latest = &round->states[0];
	const struct paxos_state *accepted = &round->states[0];
	for (size_t i = 1; i < round->scope_count; i++) {
		if (round->states[i].committed > latest->committed)
			latest = &round->states[i];
		if (round->states[i].accepted > accepted->accepted)
			accepted = &round->states[i];
	}
	if (accepted->accepted > latest->committed) {
		if (propose(round, accepted->accepted_batch).yes >= round->quorum)
			commit(round, accepted->accepted_batch);
		return PREPARE_AGAIN;
	}
	return bring_up_to(round, latest) ? PREPARED : PREPARE_UNHEARD;
}

static void back_off(struct model_call *call)
{
	if (call->store)
		clock_sleep_ns((1 + model_below(call->model, 20)) * NS_PER_MS / 10);
}

/* True: a quorum has promised, knows the latest commit, and nothing older is in progress. */
static bool prepare(struct round *round)
{
	uint64_t until_ns = clock_monotonic_ns() + CONTENTION_MOST_NS;
	int unheard = 0;
	while (!round->call->is_stopped && op_time_left_ns(round->call->op) &&
		clock_monotonic_ns() < until_ns) {
		switch (prepare_once(round)) {
		case PREPARED:
			return true;
		case PREPARE_UNHEARD:
			if (++unheard == ATTEMPTS_UNHEARD)
				return false;
			break;
		case PREPARE_AGAIN:
			break;
		}
		back_off(round->call);
	}
	return false;
}

/* From a quorum of those who promised. */
static bool read_promised(
	struct round *round, struct slice low, struct slice high, struct model_rows *ret_rows)
{
	struct model_rows copies[MODEL_MOST];
	size_t count = 0;
	struct arena *arena = &round->call->op->arena;
	for (size_t i = 0; i < round->scope_count; i++) {
		struct model_message message = {.kind = MESSAGE_READ,
			.target = round->scope[i],
			.arena = arena,
			.low = low,
			.high = high,
			.ret_rows = &copies[count]};
		if (round->has_promised[i])
			count += model_send(round->call, &message) == REPLY_YES;
	}
	if (count < round->quorum)
		return false;
	*ret_rows = model_merge(arena, copies, count);
	return true;
}

static bool scope_is_alive(const struct model_call *call, enum level serial_level)
{
	return model_is_alive(
		call, serial_level == LEVEL_SERIAL ? LEVEL_QUORUM : LEVEL_LOCAL_QUORUM);
}

static void fail_as(struct failure *ret_failure, enum failure_code code, enum failure_write write,
	enum level level)
{
	*ret_failure = (struct failure){.code = code, .write = write, .level = level};
}

void model_paxos_read(struct model_call *call, enum level level, struct slice partition,
	struct slice low, struct slice high, struct failure *ret_failure,
	struct model_rows *ret_rows)
{
	struct round round;
	if (!scope_is_alive(call, level)) {
		fail_as(ret_failure, FAILURE_UNAVAILABLE, FAILURE_WRITE_NONE, level);
		return;
	}
	begin_round(&round, call, level, partition);
	if (!prepare(&round) || !read_promised(&round, low, high, ret_rows))
		fail_as(ret_failure, FAILURE_READ_TIMEOUT, FAILURE_WRITE_NONE, level);
	forget_states(&round);
}

static bool holds(const struct model_cas *cas, const struct model_rows *rows)
{
	const struct model_row *row =
		rows->count && model_row_is_live(&rows->items[0]) ? &rows->items[0] : NULL;
	if (!cas->must_exist)
		return !row;
	return row && row_columns_equal(cas->table->static_row, cas->table->condition_columns,
			      row->value, cas->expected);
}

/* Paxos v2 counts answers to a commit without regard to data centres: three here and one there will
 * do for two and two. */
static bool commit_suffices(
	const struct model_call *call, enum level level, const struct model_tally *tally)
{
	const struct model *model = call->model;
	if (level != LEVEL_EACH_QUORUM)
		return model_suffices(model, call->centre, level, tally);
	unsigned needed = (model->replica_count / model->centres / 2 + 1) * model->centres;
	for (unsigned i = 0; i < model->centres; i++)
		needed -= MIN_OF(needed, tally->by_centre[i]);
	return needed == 0;
}

/* Decided: whatever is said now, it is true. */
static void commit_decided(
	struct round *round, const struct model_cas *cas, struct failure *ret_failure)
{
	struct model_call *call = round->call;
	if (!model_is_alive(call, cas->commit_level) && model_below(call->model, 2)) {
		fail_as(ret_failure, FAILURE_UNAVAILABLE, FAILURE_WRITE_NONE, cas->commit_level);
		return;
	}
	struct model_tally tally = commit(round, cas->batch);
	if (!commit_suffices(call, cas->commit_level, &tally))
		fail_as(ret_failure, FAILURE_WRITE_TIMEOUT, FAILURE_WRITE_SIMPLE,
			cas->commit_level);
}

enum attempt { ATTEMPT_DECIDED, ATTEMPT_CONFLICT, ATTEMPT_AGAIN, ATTEMPT_UNKNOWN };

static enum attempt attempt_cas(
	struct round *round, const struct model_cas *cas, struct slice *ret_current)
{
	struct model_rows rows;
	struct buf high = buf_in(&round->call->op->arena);
	buf_append(&high, round->partition);
	buf_u8(&high, 0);
	if (!prepare(round) || !read_promised(round, round->partition, buf_as_slice(&high), &rows))
		return ATTEMPT_UNKNOWN;
	if (!holds(cas, &rows)) {
		bool exists = rows.count && model_row_is_live(&rows.items[0]);
		*ret_current = exists ? rows.items[0].value : SLICE_NONE;
		return ATTEMPT_CONFLICT;
	}
	struct votes votes = propose(round, cas->batch);
	if (votes.yes >= round->quorum)
		return ATTEMPT_DECIDED;
	return votes.no == round->scope_count ? ATTEMPT_AGAIN : ATTEMPT_UNKNOWN;
}

void model_paxos_cas(struct model_call *call, const struct model_cas *cas,
	struct failure *ret_failure, bool *ret_conflict, struct slice *ret_current)
{
	struct round round;
	*ret_conflict = false;
	if (!scope_is_alive(call, cas->serial_level)) {
		fail_as(ret_failure, FAILURE_UNAVAILABLE, FAILURE_WRITE_NONE, cas->serial_level);
		return;
	}
	begin_round(&round, call, cas->serial_level, cas->batch->partition);
	enum attempt attempt;
	do
		attempt = attempt_cas(&round, cas, ret_current);
	while (attempt == ATTEMPT_AGAIN);
	*ret_conflict = attempt == ATTEMPT_CONFLICT;
	if (attempt == ATTEMPT_DECIDED)
		commit_decided(&round, cas, ret_failure);
	else if (attempt == ATTEMPT_UNKNOWN)
		fail_as(ret_failure,
			model_below(call->model, 3) ? FAILURE_WRITE_TIMEOUT : FAILURE_CAS_UNKNOWN,
			FAILURE_WRITE_CAS, cas->serial_level);
	forget_states(&round);
}
