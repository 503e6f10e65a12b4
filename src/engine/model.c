#include "engine/model_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/world.h"

#define STOP_AFTER_MOST 24
#define HINTED 500 /* of the writes that a replica missed */

/* ---- The cluster ---- */

struct model *model_new(unsigned centres, unsigned replicas, uint64_t seed)
{
	struct model *model = HEAP_NEW(struct model);
	mutex_init(&model->lock);
	model->references = 1;
	model->centres = centres;
	model->random = seed;
	for (unsigned centre = 0; centre < centres; centre++)
		for (unsigned i = 0; i < replicas; i++) {
			struct model_replica *replica = &model->replicas[model->replica_count++];
			replica->centre = centre;
			hash_map_init(&replica->paxos);
		}
	return model;
}

static void end_late(struct model_late *late)
{
	model_batch_unref(late->message.batch);
	model_cas_free(late->cas);
}

void model_free(struct model *model)
{
	if (!model)
		return;
	mutex_lock(&model->lock);
	bool is_last = --model->references == 0;
	mutex_unlock(&model->lock);
	if (!is_last)
		return;
	for (size_t i = 0; i < model->late_count; i++)
		end_late(&model->late[i]);
	free(model->late);
	for (unsigned i = 0; i < model->replica_count; i++)
		model_replica_done(&model->replicas[i]);
	mutex_done(&model->lock);
	free(model);
}

void model_set_rates(struct model *model, const struct model_rates *rates)
{
	AUTO_LOCK(&model->lock);
	model->rates = *rates;
}

void model_set_health(
	struct model *model, unsigned centre, unsigned replica, enum model_health health)
{
	AUTO_LOCK(&model->lock);
	for (unsigned i = 0; i < model->replica_count; i++)
		if (model->replicas[i].centre == centre && replica-- == 0)
			model->replicas[i].health = health;
}

void model_set_cut(struct model *model, bool is_cut)
{
	AUTO_LOCK(&model->lock);
	model->is_cut = is_cut;
}

uint64_t model_random(struct model *model)
{
	return random_seeded(&model->random);
}

bool model_happens(struct model *model, unsigned per_thousand)
{
	return per_thousand && model_random(model) % 1000 < per_thousand;
}

unsigned model_below(struct model *model, unsigned bound)
{
	AUTO_LOCK(&model->lock);
	return (unsigned)(model_random(model) % bound);
}

/* ---- Levels ---- */

static unsigned replicas_each(const struct model *model)
{
	return model->replica_count / model->centres;
}

bool model_suffices(const struct model *model, unsigned centre, enum level level,
	const struct model_tally *tally)
{
	unsigned total = 0;
	unsigned local_quorum = replicas_each(model) / 2 + 1;
	bool each = true;
	for (unsigned i = 0; i < model->centres; i++) {
		total += tally->by_centre[i];
		each &= tally->by_centre[i] >= local_quorum;
	}
	switch (level) {
	case LEVEL_ONE:
		return total >= 1;
	case LEVEL_TWO:
		return total >= 2;
	case LEVEL_THREE:
		return total >= 3;
	case LEVEL_QUORUM:
		return total >= model->replica_count / 2 + 1;
	case LEVEL_ALL:
		return total == model->replica_count;
	case LEVEL_LOCAL_ONE:
		return tally->by_centre[centre] >= 1;
	case LEVEL_LOCAL_QUORUM:
		return tally->by_centre[centre] >= local_quorum;
	case LEVEL_EACH_QUORUM:
		return each;
	case LEVEL_NONE:
	case LEVEL_ANY:
	case LEVEL_SERIAL:
	case LEVEL_LOCAL_SERIAL:
	case LEVEL_COUNT:
		break;
	}
	return false;
}

static bool is_reachable(
	const struct model *model, unsigned from_centre, const struct model_replica *replica)
{
	return replica->health != MODEL_DOWN && !(model->is_cut && replica->centre != from_centre);
}

bool model_is_alive(const struct model_call *call, enum level level)
{
	struct model *model = call->model;
	struct model_tally tally = {0};
	AUTO_LOCK(&model->lock);
	for (unsigned i = 0; i < model->replica_count; i++)
		if (is_reachable(model, call->centre, &model->replicas[i]))
			tally.by_centre[model->replicas[i].centre]++;
	return model_suffices(model, call->centre, level, &tally);
}

/* ---- Messages ---- */

static void keep(struct model *model, const struct model_late *late)
{
	if (model->late_count == model->late_capacity) {
		model->late_capacity = model->late_capacity ? model->late_capacity * 2 : 16;
		model->late =
			heap_realloc(model->late, model->late_capacity * sizeof(struct model_late));
	}
	model->late[model->late_count++] = *late;
}

static void keep_message(
	struct model *model, unsigned from_centre, const struct model_message *message)
{
	/* An answer that comes late interests nobody. */
	if (message->kind == MESSAGE_PREPARE || message->kind == MESSAGE_READ)
		return;
	struct model_late late = {.message = *message, .from_centre = from_centre};
	model_batch_ref(message->batch);
	keep(model, &late);
}

static void maybe_hint(
	struct model *model, unsigned from_centre, const struct model_message *message)
{
	bool is_write = message->kind == MESSAGE_MUTATE || message->kind == MESSAGE_COMMIT;
	if (is_write && model_happens(model, HINTED))
		keep_message(model, from_centre, message);
}

static void step(struct model_call *call)
{
	if (call->store && call->store->step && model_below(call->model, 2))
		call->store->step(call->store->step_context);
}

enum reply model_send(struct model_call *call, const struct model_message *message)
{
	struct model *model = call->model;
	step(call);
	AUTO_LOCK(&model->lock);
	if (call->messages_left && !--call->messages_left)
		call->is_stopped = true;
	if (call->is_stopped)
		return REPLY_NONE;
	if (!is_reachable(model, call->centre, message->target) ||
		model_happens(model, model->rates.lost)) {
		maybe_hint(model, call->centre, message);
		return REPLY_NONE;
	}
	if (model_happens(model, model->rates.late)) {
		keep_message(model, call->centre, message);
		return REPLY_NONE;
	}
	enum reply reply = model_deliver(message);
	bool is_heard = !model_happens(model, model->rates.unheard) &&
			!(message->target->health == MODEL_SLOW && model_happens(model, 500));
	if (is_heard)
		return reply;
	if (message->kind == MESSAGE_PREPARE && reply == REPLY_YES) {
		model_batch_unref(message->ret_state->accepted_batch);
		model_batch_unref(message->ret_state->committed_batch);
		*message->ret_state = (struct paxos_state){0};
	}
	return REPLY_NONE;
}

struct model_cas *model_cas_copy(const struct model_cas *cas)
{
	struct model_cas *copy = HEAP_NEW(struct model_cas);
	*copy = *cas;
	copy->expected = slice_of(heap_cstr(cas->expected), cas->expected.len);
	model_batch_ref(copy->batch);
	return copy;
}

void model_cas_free(struct model_cas *cas)
{
	if (!cas)
		return;
	model_batch_unref(cas->batch);
	free((void *)cas->expected.ptr);
	free(cas);
}

void model_keep_cas(struct model *model, const struct model_cas *cas)
{
	struct model_late late = {.cas = model_cas_copy(cas)};
	AUTO_LOCK(&model->lock);
	keep(model, &late);
}

/* A paused coordinator goes on, with a newer ballot. */
static void resume_cas(struct model *model, const struct model_cas *cas)
{
	AUTO_OP(op, "paused coordinator");
	struct model_call call = {.model = model, .op = &op, .centre = cas->centre};
	struct failure failure;
	bool conflict;
	struct slice current;
	model_paxos_cas(&call, cas, &failure, &conflict, &current);
}

static bool may_arrive(const struct model *model, const struct model_late *late)
{
	return late->cas || is_reachable(model, late->from_centre, late->message.target);
}

/* False: it cannot arrive now. */
static bool deliver_late(struct model *model, size_t index)
{
	mutex_lock(&model->lock);
	bool takes = index < model->late_count && may_arrive(model, &model->late[index]);
	struct model_late late;
	if (takes) {
		late = model->late[index];
		model->late[index] = model->late[--model->late_count];
		if (!late.cas)
			model_deliver(&late.message);
	}
	mutex_unlock(&model->lock);
	if (!takes)
		return false;
	if (late.cas)
		resume_cas(model, late.cas);
	end_late(&late);
	return true;
}

void model_deliver_late(struct model *model)
{
	/* What a coordinator leaves behind in turn comes to the end of the list. */
	for (size_t index = 0; index < model->late_count;)
		if (!deliver_late(model, index))
			index++;
}

void model_end_paused(struct model *model)
{
	for (size_t index = 0; index < model->late_count;) {
		bool goes_on = model_below(model, 2);
		mutex_lock(&model->lock);
		struct model_late late = model->late[index];
		if (late.cas)
			model->late[index] = model->late[--model->late_count];
		else
			index++;
		mutex_unlock(&model->lock);
		if (!late.cas)
			continue;
		/* What it leaves behind comes to the end of the list. */
		if (goes_on)
			resume_cas(model, late.cas);
		end_late(&late);
	}
}

void model_drop_late(struct model *model)
{
	AUTO_LOCK(&model->lock);
	while (model->late_count)
		end_late(&model->late[--model->late_count]);
}

static void maybe_surface(struct model *model)
{
	mutex_lock(&model->lock);
	bool now = model->late_count && model_random(model) % 4 == 0;
	size_t index = now ? model_random(model) % model->late_count : 0;
	mutex_unlock(&model->lock);
	if (now)
		deliver_late(model, index);
}

/* ---- Calls ---- */

static struct model_store *self(struct replicated *store)
{
	return (struct model_store *)store;
}

static bool has_coordinator(const struct model *model, unsigned centre)
{
	for (unsigned i = 0; i < model->replica_count; i++)
		if (model->replicas[i].centre == centre && model->replicas[i].health != MODEL_DOWN)
			return true;
	return false;
}

/* False: nobody takes the call on. */
static bool begin_call(struct model_call *call, struct model_store *store, struct op *op,
	struct failure *ret_failure)
{
	static const enum failure_code refusals[] = {
		FAILURE_NO_HOST, FAILURE_BUSY, FAILURE_OVERLOADED, FAILURE_BOOTSTRAPPING};
	struct model *model = store->model;
	*call = (struct model_call){
		.model = model, .store = store, .op = op, .centre = store->centre};
	*ret_failure = (struct failure){0};
	step(call);
	maybe_surface(model);
	AUTO_LOCK(&model->lock);
	if (store->is_down || !has_coordinator(model, store->centre))
		ret_failure->code = FAILURE_NO_HOST;
	else if (model_happens(model, model->rates.refused))
		ret_failure->code = refusals[model_random(model) % ARRAY_SIZE(refusals)];
	if (model_happens(model, model->rates.stopped))
		call->messages_left = 1 + (unsigned)(model_random(model) % STOP_AFTER_MOST);
	return ret_failure->code == FAILURE_NONE;
}

/* What is told of a call that has not worked takes its time. */
static void wait_for_nothing(struct model_call *call)
{
	uint64_t wait_ns = (1 + model_below(call->model, 20)) * NS_PER_MS;
	if (world_hooks)
		clock_sleep_ns(MIN_OF(wait_ns, op_time_left_ns(call->op)));
}

/* Whatever a stopped coordinator had to say was not heard. */
static void end_call(struct model_call *call, struct failure *failure)
{
	static const enum failure_code silences[] = {
		FAILURE_CONNECTION_LOST, FAILURE_CLIENT_TIMEOUT, FAILURE_SERVER_ERROR};
	if (call->is_stopped)
		*failure = (struct failure){
			.code = silences[model_below(call->model, ARRAY_SIZE(silences))]};
	if (failure->code != FAILURE_NONE && failure->code != FAILURE_UNAVAILABLE)
		wait_for_nothing(call);
	step(call);
}

static struct error *report(
	struct op *op, enum failure_request request, const struct failure *failure)
{
	if (failure->code == FAILURE_NONE)
		return NULL;
	return op_fail(op, failure_outcome(request, failure), "%s (modelled)",
		failure_code_name(failure->code));
}

/* ---- Reads ---- */

/* Random ones of those that are reachable, the wanted number first. */
static size_t shuffle_reachable(
	struct model_call *call, enum level level, struct model_replica **ret_targets)
{
	struct model *model = call->model;
	bool local_only = level == LEVEL_LOCAL_QUORUM || level == LEVEL_LOCAL_ONE;
	size_t count = 0;
	AUTO_LOCK(&model->lock);
	for (unsigned i = 0; i < model->replica_count; i++) {
		struct model_replica *replica = &model->replicas[i];
		if (!is_reachable(model, call->centre, replica) ||
			(local_only && replica->centre != call->centre))
			continue;
		size_t at = model_random(model) % (count + 1);
		if (at < count)
			ret_targets[count] = ret_targets[at];
		ret_targets[at] = replica;
		count++;
	}
	return count;
}

/* Copies of the read rows go to those that lack them. False: one of them was not heard. */
static bool repair(struct model_call *call, struct slice partition, const struct model_rows *merged,
	struct model_replica *const *heard, const struct model_rows *copies, size_t count)
{
	bool all = true;
	for (size_t i = 0; i < count && all; i++) {
		struct model_rows missing = model_missing(&call->op->arena, merged, &copies[i]);
		if (!missing.count)
			continue;
		struct model_batch *batch = model_batch_new(partition, missing.count);
		for (size_t j = 0; j < missing.count; j++) {
			struct model_row *row = &batch->rows[j];
			*row = missing.items[j];
			row->key = slice_of(heap_cstr(row->key), row->key.len);
			row->value = slice_of(heap_cstr(row->value), row->value.len);
		}
		struct model_message message = {
			.kind = MESSAGE_MUTATE, .target = heard[i], .batch = batch};
		all = model_send(call, &message) == REPLY_YES;
		model_batch_unref(batch);
	}
	return all;
}

struct range {
	struct slice partition, low, high;
	bool no_repair;
};

static void read_range(struct model_call *call, enum level level, const struct range *range,
	struct failure *ret_failure, struct model_rows *ret_rows)
{
	struct model_replica *targets[MODEL_MOST];
	struct model_rows copies[MODEL_MOST];
	struct model_replica *heard[MODEL_MOST];
	struct model_tally tally = {0};
	size_t count = 0;
	if (!model_is_alive(call, level)) {
		*ret_failure = (struct failure){.code = FAILURE_UNAVAILABLE, .level = level};
		return;
	}
	size_t target_count = shuffle_reachable(call, level, targets);
	bool suffices = false;
	for (size_t i = 0; i < target_count && !suffices; i++) {
		struct model_message message = {.kind = MESSAGE_READ,
			.target = targets[i],
			.arena = &call->op->arena,
			.low = range->low,
			.high = range->high,
			.ret_rows = &copies[count]};
		if (model_send(call, &message) != REPLY_YES)
			continue;
		tally.by_centre[targets[i]->centre]++;
		heard[count++] = targets[i];
		suffices = model_suffices(call->model, call->centre, level, &tally);
	}
	*ret_rows = model_merge(&call->op->arena, copies, count);
	bool no_repair = range->no_repair && !is_planted(BUG_TORN_HEAD);
	if (!suffices ||
		(!no_repair && !repair(call, range->partition, ret_rows, heard, copies, count)))
		ret_failure->code = FAILURE_READ_TIMEOUT;
}

/* One range at whatever level; live rows only. */
static struct error *read_live(struct replicated *store, struct op *op, const struct range *range,
	enum level level, struct failure *ret_failure, struct model_rows *ret_rows)
{
	struct model_call call;
	if (!begin_call(&call, self(store), op, ret_failure))
		return report(op, FAILURE_OF_READ, ret_failure);
	if (level_usable(level, LEVEL_FOR_SERIAL))
		model_paxos_read(&call, level, range->partition, range->low, range->high,
			ret_failure, ret_rows);
	else
		read_range(&call, level, range, ret_failure, ret_rows);
	end_call(&call, ret_failure);
	struct error *err = report(op, FAILURE_OF_READ, ret_failure);
	if (err)
		return err;
	size_t live = 0;
	for (size_t i = 0; i < ret_rows->count; i++)
		if (model_row_is_live(&ret_rows->items[i]))
			ret_rows->items[live++] = ret_rows->items[i];
	ret_rows->count = live;
	return NULL;
}

static struct error *model_get(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum level level, struct failure *ret_failure,
	bool *ret_found, struct engine_row *ret_row)
{
	struct arena *arena = &op->arena;
	struct model_rows rows;
	struct buf high = buf_in(arena);
	struct range range = {.partition = stored_key(arena, table, partition, SLICE_NONE),
		.low = stored_key(arena, table, partition, key),
		.no_repair = table->no_read_repair};
	buf_append(&high, range.low);
	buf_u8(&high, 0);
	range.high = buf_as_slice(&high);
	TRY(read_live(store, op, &range, level, ret_failure, &rows));
	*ret_found = rows.count != 0;
	if (*ret_found)
		*ret_row = (struct engine_row){.key = key,
			.value = rows.items[0].value,
			.version = table->kind == TABLE_CAS ? 0 : rows.items[0].version};
	return NULL;
}

static struct error *model_scan(struct replicated *store, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum level level, struct failure *ret_failure, struct engine_rows *ret_rows)
{
	struct arena *arena = &op->arena;
	struct model_rows found;
	struct range range = {.partition = stored_key(arena, table, partition, SLICE_NONE),
		.low = stored_key(arena, table, partition, from),
		.high = to.ptr ? stored_key(arena, table, partition, to)
			       : stored_key_after(arena, table, partition),
		.no_repair = table->no_read_repair};
	TRY(read_live(store, op, &range, level, ret_failure, &found));
	size_t count = MIN_OF(found.count, limit);
	size_t prefix = stored_key_prefix_length(partition);
	struct engine_row *rows = ARENA_ARRAY(arena, struct engine_row, count ? count : 1);
	for (size_t i = 0; i < count; i++) {
		const struct model_row *row = &found.items[backwards ? found.count - 1 - i : i];
		rows[i] = (struct engine_row){.key = slice_from(row->key, prefix),
			.value = row->value,
			.version = table->kind == TABLE_CAS ? 0 : row->version};
	}
	*ret_rows = (struct engine_rows){.rows = rows, .count = count};
	return NULL;
}

static struct error *model_partitions(struct replicated *store, struct op *op,
	const struct table *table, struct slice after, size_t limit, enum level level,
	struct failure *ret_failure, struct slice **ret_partitions, size_t *ret_count)
{
	struct arena *arena = &op->arena;
	struct model_rows found = {0};
	struct slice low = slice_of((const char *)&table->id, 1);
	struct range range = {.partition = low,
		.low = after.len ? stored_key_after(arena, table, after) : low,
		.high = stored_key_after_table(arena, table),
		.no_repair = true};
	TRY(read_live(store, op, &range, level, ret_failure, &found));
	struct slice *partitions = ARENA_ARRAY(arena, struct slice, limit ? limit : 1);
	size_t count = 0;
	for (size_t i = 0; i < found.count && count < limit; i++) {
		uint8_t table_id;
		struct slice partition;
		stored_key_read(found.items[i].key, &table_id, &partition);
		if (!count || !slice_equal(partitions[count - 1], partition))
			partitions[count++] = partition;
	}
	*ret_partitions = partitions;
	*ret_count = count;
	return NULL;
}

/* ---- Writes ---- */

static struct model_batch *batch_of(
	struct op *op, const struct mutation *mutations, size_t count, uint64_t now_us)
{
	struct arena *arena = &op->arena;
	const struct mutation *first = &mutations[0];
	struct model_batch *batch = model_batch_new(
		stored_key(arena, first->table, first->partition, SLICE_NONE), count);
	for (size_t i = 0; i < count; i++)
		model_batch_set(batch, i, &mutations[i],
			stored_key(arena, mutations[i].table, mutations[i].partition,
				mutations[i].key),
			now_us);
	return batch;
}

static size_t same_partition(const struct mutation *mutations, size_t count)
{
	size_t same = 1;
	while (same < count && mutations[same].table == mutations[0].table &&
		slice_equal(mutations[same].partition, mutations[0].partition))
		same++;
	return same;
}

/* False: too few have been heard. */
static bool write_batch(struct model_call *call, struct model_batch *batch, enum level level)
{
	struct model *model = call->model;
	struct model_tally tally = {0};
	for (unsigned i = 0; i < model->replica_count; i++) {
		struct model_message message = {
			.kind = MESSAGE_MUTATE, .target = &model->replicas[i], .batch = batch};
		if (model_send(call, &message) == REPLY_YES)
			tally.by_centre[model->replicas[i].centre]++;
	}
	return model_suffices(model, call->centre, level, &tally);
}

static void write_all(struct model_call *call, const struct mutation *mutations, size_t count,
	enum level level, struct failure *ret_failure)
{
	if (!model_is_alive(call, level)) {
		*ret_failure = (struct failure){.code = FAILURE_UNAVAILABLE, .level = level};
		return;
	}
	uint64_t now_us = clock_realtime_us();
	for (size_t at = 0, same; at < count; at += same) {
		same = same_partition(mutations + at, count - at);
		struct model_batch *batch = batch_of(call->op, mutations + at, same, now_us);
		bool suffices = write_batch(call, batch, level);
		model_batch_unref(batch);
		if (suffices)
			continue;
		*ret_failure = (struct failure){.code = model_below(call->model, 4)
								? FAILURE_WRITE_TIMEOUT
								: FAILURE_WRITE_FAILURE,
			.write = same < count ? FAILURE_WRITE_UNLOGGED_BATCH : FAILURE_WRITE_SIMPLE,
			.level = level};
		/* The other partitions are written or not. */
		if (model_below(call->model, 2))
			return;
	}
}

static struct error *model_write(struct replicated *store, struct op *op,
	const struct mutation *mutations, size_t count, enum level level,
	struct failure *ret_failure)
{
	struct model_call call;
	if (begin_call(&call, self(store), op, ret_failure)) {
		write_all(&call, mutations, count, level, ret_failure);
		end_call(&call, ret_failure);
	}
	return report(op, FAILURE_OF_WRITE, ret_failure);
}

static struct error *model_cas(struct replicated *store, struct op *op, const struct cas *cas,
	enum level serial_level, enum level commit_level, struct failure *ret_failure,
	struct slice *ret_current)
{
	struct model_call call;
	bool conflict = false;
	if (!begin_call(&call, self(store), op, ret_failure))
		return report(op, FAILURE_OF_CAS, ret_failure);
	struct model_cas request = {.table = cas->table,
		.must_exist = cas->expected.ptr != NULL,
		.expected = cas->expected,
		.batch = batch_of(op, cas->mutations, cas->mutation_count, 0),
		.serial_level = serial_level,
		.commit_level = commit_level,
		.centre = call.centre};
	model_paxos_cas(&call, &request, ret_failure, &conflict, ret_current);
	end_call(&call, ret_failure);
	/* Its coordinator has not given up for ever. */
	if (ret_failure->code != FAILURE_NONE &&
		failure_outcome(FAILURE_OF_CAS, ret_failure) == ERR_UNCERTAIN &&
		model_below(call.model, 2))
		model_keep_cas(call.model, &request);
	model_batch_unref(request.batch);
	TRY(report(op, FAILURE_OF_CAS, ret_failure));
	return conflict ? op_fail(op, ERR_CONFLICT, "the row of %s has changed", cas->table->name)
			: NULL;
}

static void model_close(struct replicated *store)
{
	model_free(self(store)->model);
	free(store);
}

static const struct replicated_ops model_ops = {.name = "model",
	.get = model_get,
	.scan = model_scan,
	.write = model_write,
	.cas = model_cas,
	.partitions = model_partitions,
	.close = model_close};

struct replicated *model_store_new(struct model *model, unsigned centre)
{
	struct model_store *store = HEAP_NEW(struct model_store);
	*store = (struct model_store){.store.ops = &model_ops, .model = model, .centre = centre};
	AUTO_LOCK(&model->lock);
	model->references++;
	return &store->store;
}

void model_store_set_down(struct replicated *store, bool is_down)
{
	AUTO_LOCK(&self(store)->model->lock);
	self(store)->is_down = is_down;
}

void model_store_on_step(struct replicated *store, void (*run)(void *context), void *context)
{
	self(store)->step = run;
	self(store)->step_context = context;
}
