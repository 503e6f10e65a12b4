#include "consistency/levels.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/hash_map.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/sync.h"
#include "base/world.h"
#include "schema/tables.h"

#define PER_KIND(variable, macro, name, help)                         \
	macro(variable##_read, name, help, "kind=\"read\"");          \
	macro(variable##_write, name, help, "kind=\"write\"");        \
	macro(variable##_delete, name, help, "kind=\"delete\"");      \
	static struct metric *const variable[FALLBACK_KIND_COUNT] = { \
		&variable##_read, &variable##_write, &variable##_delete}

PER_KIND(at_fallback, METRIC_GAUGE_LABELLED, "consistency_at_fallback",
	"1 while queries of a kind go out at their fallback level");
PER_KIND(level_since, METRIC_GAUGE_LABELLED, "consistency_level_since_microseconds",
	"Since when the level in force is in force, in microseconds since 1970");
PER_KIND(next_probe, METRIC_GAUGE_LABELLED, "consistency_next_probe_microseconds",
	"When the primary level is probed next, in microseconds since 1970; 0: not planned");
PER_KIND(tried_again, METRIC_COUNTER_LABELLED, "consistency_fallbacks_total",
	"Queries that failed at the primary level and were tried at the fallback level");
PER_KIND(primary_failures, METRIC_COUNTER_LABELLED, "consistency_primary_failures_total",
	"Failures of the primary level: one a switch to the fallback, one a probe");

static const char *const kind_names[FALLBACK_KIND_COUNT] = {
	[FALLBACK_READ] = "read", [FALLBACK_WRITE] = "write", [FALLBACK_DELETE] = "delete"};

struct levels_engine {
	struct engine engine;
	struct replicated *store;
	struct levels_config config;
	struct mutex lock;
	struct fallback kinds[FALLBACK_KIND_COUNT]; /* under the lock */
};

static struct levels_engine *self(struct engine *engine)
{
	return (struct levels_engine *)engine;
}

/* ---- What the state of a kind is, and who is told ---- */

static int64_t as_realtime_us(uint64_t monotonic_ns)
{
	if (monotonic_ns == UINT64_MAX)
		return 0;
	int64_t from_now_us = ((int64_t)monotonic_ns - (int64_t)clock_monotonic_ns()) / 1000;
	return (int64_t)clock_realtime_us() + from_now_us;
}

/* With the lock held. */
static void show(const struct levels_engine *levels, enum fallback_kind kind)
{
	const struct fallback *state = &levels->kinds[kind];
	metric_set(at_fallback[kind], state->is_down);
	metric_set(level_since[kind], as_realtime_us(state->since_ns));
	metric_set(next_probe[kind], as_realtime_us(fallback_next_probe_ns(state)));
	metric_set(primary_failures[kind], (int64_t)state->failures);
}

static void tell(struct op *op, enum fallback_kind kind, const struct fallback *state,
	const struct fallback_warning *warning, const struct error *err)
{
	if (!warning->is_due)
		return;
	if (state->is_down)
		log_warn(op, "consistency-fallback", FIELD_TEXT("kind", kind_names[kind]),
			FIELD_TEXT("primary", level_name(state->primary)),
			FIELD_TEXT("fallback", level_name(state->fallback)),
			FIELD_U64("not_told", warning->swallowed), FIELD_ERROR(op, err));
	else
		log_info(op, "consistency-primary-again", FIELD_TEXT("kind", kind_names[kind]),
			FIELD_TEXT("primary", level_name(state->primary)),
			FIELD_U64("not_told", warning->swallowed));
}

static struct fallback_attempt begin(struct levels_engine *levels, enum fallback_kind kind)
{
	AUTO_LOCK(&levels->lock);
	return fallback_begin(&levels->kinds[kind]);
}

static bool may_try_again(
	struct levels_engine *levels, enum fallback_kind kind, struct fallback_attempt attempt)
{
	AUTO_LOCK(&levels->lock);
	return fallback_may_try_again(&levels->kinds[kind], attempt);
}

/* An attempt has failed: the level to try it at again, or LEVEL_NONE. */
static enum level note_failure(struct levels_engine *levels, struct op *op, enum fallback_kind kind,
	struct fallback_attempt attempt, const struct failure *failure, const struct error *err)
{
	bool changed;
	struct fallback_warning warning;
	mutex_lock(&levels->lock);
	enum level again = fallback_failed(
		&levels->kinds[kind], attempt, failure, clock_monotonic_ns(), &changed, &warning);
	struct fallback state = levels->kinds[kind];
	if (changed)
		show(levels, kind);
	mutex_unlock(&levels->lock);
	tell(op, kind, &state, &warning, err);
	return again;
}

/* ---- One request, at one level or at two ---- */

struct request {
	struct levels_engine *levels;
	const char *verb;
	struct error *(*send)(struct op *op, const struct request *request, enum level level,
		struct failure *ret_failure);
	const struct table *table;
	struct slice partition;
	struct slice key; /* scans: from */
	struct slice to;
	size_t limit;
	bool backwards;
	const struct mutation *mutations;
	size_t count;
	struct engine_read *reads; /* `count` of them */
	/* Results, by what is sent. */
	bool *ret_found;
	struct engine_row *ret_row;
	struct engine_rows *ret_rows;
	struct slice **ret_partitions;
	size_t *ret_count;
};

static struct error *send_get(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	struct replicated *store = request->levels->store;
	return store->ops->get(store, op, request->table, request->partition, request->key, level,
		ret_failure, request->ret_found, request->ret_row);
}

static struct error *send_get_many(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	struct replicated *store = request->levels->store;
	if (store->ops->get_many)
		return store->ops->get_many(
			store, op, request->reads, request->count, level, ret_failure);
	for (size_t i = 0; i < request->count; i++) {
		struct engine_read *read = &request->reads[i];
		TRY(store->ops->get(store, op, read->table, read->partition, read->key, level,
			ret_failure, &read->found, &read->row));
	}
	return NULL;
}

static struct error *send_scan(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	struct replicated *store = request->levels->store;
	return store->ops->scan(store, op, request->table, request->partition, request->key,
		request->to, request->limit, request->backwards, level, ret_failure,
		request->ret_rows);
}

static struct error *send_write(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	struct replicated *store = request->levels->store;
	return store->ops->write(store, op, request->mutations, request->count, level, ret_failure);
}

static struct error *send_partitions(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	struct replicated *store = request->levels->store;
	return store->ops->partitions(store, op, request->table, request->key, request->limit,
		level, ret_failure, request->ret_partitions, request->ret_count);
}

static struct error *send_at(
	struct op *op, const struct request *request, enum level level, struct failure *ret_failure)
{
	*ret_failure = (struct failure){0};
	struct error *err = request->send(op, request, level, ret_failure);
	if (!err)
		return NULL;
	return op_wrap(
		op, err, "%s %s at %s", request->verb, request->table->name, level_name(level));
}

/* Until when the first of two attempts may last. */
static uint64_t share_of_first(const struct levels_engine *levels, const struct op *op)
{
	uint64_t share_ns = levels->config.attempt_timeout_ms * NS_PER_MS;
	return clock_monotonic_ns() + MIN_OF(share_ns, op_time_left_ns(op) / 2);
}

static struct error *send_first(struct op *op, const struct request *request,
	enum fallback_kind kind, struct fallback_attempt attempt, struct failure *ret_failure)
{
	if (!may_try_again(request->levels, kind, attempt))
		return send_at(op, request, attempt.level, ret_failure);
	uint64_t deadline_ns = op->deadline_ns;
	op->deadline_ns = share_of_first(request->levels, op);
	struct error *err = send_at(op, request, attempt.level, ret_failure);
	op->deadline_ns = deadline_ns;
	return err;
}

static struct error *send_request(
	struct op *op, const struct request *request, enum fallback_kind kind)
{
	struct levels_engine *levels = request->levels;
	struct fallback_attempt attempt = begin(levels, kind);
	struct failure failure;
	struct error *first = send_first(op, request, kind, attempt, &failure);
	if (!first)
		return NULL;
	enum level again = note_failure(levels, op, kind, attempt, &failure, first);
	if (again == LEVEL_NONE || !op_time_left_ns(op))
		return first;
	metric_add(tried_again[kind], 1);
	struct error *second = send_at(op, request, again, &failure);
	if (!second)
		return NULL;
	enum error_kind outcome = failure_outcome_of_two(first->kind, second->kind);
	second = op_wrap(op, second, "after a failure at %s (%s)", level_name(attempt.level),
		first->cause->message);
	second->kind = outcome;
	return second;
}

/* ---- Reads ---- */

/* A CAS's own EACH_QUORUM is no promise: the answers to a commit are counted without regard to data
 * centres and may leave out the quorum here that every poll relies on. What other data centres are
 * to have is written to them apart. */
static enum level commit_level(enum level write)
{
	return write == LEVEL_EACH_QUORUM ? LEVEL_LOCAL_QUORUM : write;
}

static bool sees_pair(enum level read, const struct levels_pair *writes, bool is_cas)
{
	enum level primary = is_cas ? commit_level(writes->primary) : writes->primary;
	enum level fallback = is_cas ? commit_level(writes->fallback) : writes->fallback;
	return level_sees(read, primary) &&
	       (writes->fallback == LEVEL_NONE || level_sees(read, fallback));
}

/* Everything that was acknowledged in this table, at whatever level was in force then? */
static bool sees_all(const struct levels_config *config, enum level read, const struct table *table)
{
	if (table->kind == TABLE_CAS)
		return sees_pair(read, &config->kinds[FALLBACK_WRITE], true);
	return sees_pair(read, &config->kinds[FALLBACK_WRITE], false) &&
	       sees_pair(read, &config->kinds[FALLBACK_DELETE], false);
}

/* The first that sees all; where writes are so low that none does, what was asked for. */
static enum level seeing_level(const struct levels_config *config, const struct table *table)
{
	const enum level candidates[] = {
		config->kinds[FALLBACK_READ].primary, LEVEL_LOCAL_QUORUM, LEVEL_QUORUM};
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++)
		if (sees_all(config, candidates[i], table))
			return candidates[i];
	return candidates[0];
}

static struct error *send_read(struct op *op, const struct request *request, enum read_level level)
{
	struct failure failure;
	const struct levels_config *config = &request->levels->config;
	const struct levels_pair *reads = &config->kinds[FALLBACK_READ];
	if (level == READ_SERIAL)
		return send_at(op, request, config->serial, &failure);
	enum level seeing = seeing_level(config, request->table);
	bool any_does = seeing == reads->primary &&
			(reads->fallback == LEVEL_NONE ||
				sees_all(config, reads->fallback, request->table));
	if (level == READ_NORMAL && !any_does)
		return send_at(op, request, seeing, &failure);
	return send_request(op, request, FALLBACK_READ);
}

static struct error *levels_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	struct request request = {.levels = self(engine),
		.verb = "read",
		.send = send_get,
		.table = table,
		.partition = partition,
		.key = key,
		.ret_found = ret_found,
		.ret_row = ret_row};
	return send_read(op, &request, level);
}

/* The rows of one table together: it decides which level sees all. */
static struct error *levels_get_many(struct engine *engine, struct op *op,
	struct engine_read *reads, size_t count, enum read_level level)
{
	for (size_t first = 0, end; first < count; first = end) {
		for (end = first + 1; end < count && reads[end].table == reads[first].table;)
			end++;
		struct request request = {.levels = self(engine),
			.verb = "read",
			.send = send_get_many,
			.table = reads[first].table,
			.reads = reads + first,
			.count = end - first};
		TRY(send_read(op, &request, level));
	}
	return NULL;
}

static struct error *levels_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	struct request request = {.levels = self(engine),
		.verb = "scan",
		.send = send_scan,
		.table = table,
		.partition = partition,
		.key = from,
		.to = to,
		.limit = limit,
		.backwards = backwards,
		.ret_rows = ret_rows};
	return send_read(op, &request, level);
}

static struct error *levels_partitions(struct engine *engine, struct op *op,
	const struct table *table, struct slice after, size_t limit, struct slice **ret_partitions,
	size_t *ret_count)
{
	struct request request = {.levels = self(engine),
		.verb = "list",
		.send = send_partitions,
		.table = table,
		.key = after,
		.limit = limit,
		.ret_partitions = ret_partitions,
		.ret_count = ret_count};
	return send_read(op, &request, READ_NORMAL);
}

/* ---- Writes ---- */

static struct slice full_key(struct arena *arena, const struct mutation *mutation)
{
	struct buf key = buf_in(arena);
	buf_u8(&key, mutation->table->id);
	buf_slice(&key, mutation->partition);
	buf_append(&key, mutation->key);
	return buf_as_slice(&key);
}

/* Higher version; at equal ones a delete. */
static bool wins(const struct mutation *a, const struct mutation *b)
{
	if (a->version != b->version)
		return a->version > b->version;
	return a->is_delete;
}

/* Of a row that is named more than once only what wins is sent: a batch never deletes and inserts
 * the same row. */
static size_t keep_winners(
	struct op *op, const struct mutation *mutations, size_t count, struct mutation *ret_kept)
{
	struct hash_map rows;
	size_t kept = 0;
	hash_map_init(&rows);
	for (size_t i = 0; i < count; i++) {
		struct slice key = full_key(&op->arena, &mutations[i]);
		struct mutation *earlier = hash_map_find(&rows, key);
		if (earlier) {
			if (wins(&mutations[i], earlier))
				*earlier = mutations[i];
			continue;
		}
		ret_kept[kept] = mutations[i];
		hash_map_put(&rows, key, &ret_kept[kept++]);
	}
	hash_map_done(&rows);
	return kept;
}

static struct error *write_as(struct op *op, struct levels_engine *levels, enum fallback_kind kind,
	const struct mutation *mutations, size_t count)
{
	struct request request = {.levels = levels,
		.verb = kind == FALLBACK_DELETE ? "delete from" : "write",
		.send = send_write,
		.table = mutations[0].table,
		.mutations = mutations,
		.count = count};
	return send_request(op, &request, kind);
}

static bool levels_agree(struct levels_engine *levels)
{
	AUTO_LOCK(&levels->lock);
	const struct fallback *puts = &levels->kinds[FALLBACK_WRITE];
	const struct fallback *deletes = &levels->kinds[FALLBACK_DELETE];
	return fallback_level(puts) == fallback_level(deletes) &&
	       puts->fallback == deletes->fallback && puts->pin == deletes->pin;
}

/* Puts and deletes, each at its own level. */
static struct error *write_apart(struct op *op, struct levels_engine *levels,
	const struct mutation *mutations, size_t count, size_t delete_count)
{
	struct mutation *sorted = ARENA_ARRAY(&op->arena, struct mutation, count);
	size_t put_count = count - delete_count;
	size_t puts = 0;
	size_t deletes = put_count;
	for (size_t i = 0; i < count; i++)
		sorted[mutations[i].is_delete ? deletes++ : puts++] = mutations[i];
	TRY(write_as(op, levels, FALLBACK_WRITE, sorted, put_count));
	struct error *err = write_as(op, levels, FALLBACK_DELETE, sorted + put_count, delete_count);
	if (!err)
		return NULL;
	err = op_wrap(op, err, "the other part is written");
	err->kind = ERR_UNCERTAIN;
	return err;
}

static struct error *levels_write(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability)
{
	(void)durability; /* whatever a quorum has is durable */
	struct levels_engine *levels = self(engine);
	size_t deletes = 0;
	for (size_t i = 0; i < count; i++)
		deletes += mutations[i].is_delete;
	if (!count)
		return NULL;
	if (!deletes || deletes == count)
		return write_as(
			op, levels, deletes ? FALLBACK_DELETE : FALLBACK_WRITE, mutations, count);
	struct mutation *kept = ARENA_ARRAY(&op->arena, struct mutation, count);
	count = keep_winners(op, mutations, count, kept);
	deletes = 0;
	for (size_t i = 0; i < count; i++)
		deletes += kept[i].is_delete;
	if (!deletes)
		return write_as(op, levels, FALLBACK_WRITE, kept, count);
	if (deletes == count || levels_agree(levels))
		return write_as(op, levels, FALLBACK_DELETE, kept, count);
	return write_apart(op, levels, kept, count, deletes);
}

/* ---- CAS ---- */

/* Another commit level helps only where the commit level was in the way. */
static bool concerns_commit_level(const struct levels_engine *levels, const struct failure *failure)
{
	const struct levels_pair *pair = &levels->config.kinds[FALLBACK_WRITE];
	return commit_level(pair->primary) != commit_level(pair->fallback) &&
	       (failure->code != FAILURE_UNAVAILABLE ||
		       !level_usable(failure->level, LEVEL_FOR_SERIAL));
}

static struct error *levels_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	struct levels_engine *levels = self(engine);
	struct fallback_attempt attempt = begin(levels, FALLBACK_WRITE);
	struct failure failure = {0};
	enum level serial = levels->config.serial;
	enum level level = commit_level(attempt.level);
	struct error *err = levels->store->ops->cas(
		levels->store, op, cas, serial, level, &failure, ret_current);
	if (!err || err->kind == ERR_CONFLICT)
		return err;
	err = op_wrap(op, err, "commit to %s at %s, %s", cas->table->name, level_name(serial),
		level_name(level));
	if (is_planted(BUG_RESENT_CAS) && failure_means_fallback(&failure))
		return levels->store->ops->cas(
			levels->store, op, cas, serial, level, &failure, ret_current);
	/* It is not tried again: its commit level can fail after the decision. The next one uses
	 * the fallback level. */
	if (concerns_commit_level(levels, &failure))
		note_failure(levels, op, FALLBACK_WRITE, attempt, &failure, err);
	return err;
}

/* ---- Probes ---- */

static struct error *send_probe(struct op *op, struct levels_engine *levels,
	enum fallback_kind kind, struct failure *ret_failure)
{
	struct mutations list;
	struct slice partition = key_id(&op->arena, levels->config.node_id);
	struct slice key = key_kind_row(&op->arena, 0);
	uint64_t now_us = clock_realtime_us();
	struct probe row = {.at_us = now_us};
	bool found;
	struct engine_row read;
	mutations_init(&list, &op->arena);
	if (kind == FALLBACK_WRITE)
		mutations_put(&list, &probe_table, partition, key,
			row_encode_in(&op->arena, &probe_row, &row), now_us);
	else
		mutations_delete(&list, &probe_table, partition, key, now_us);
	struct request request = {.levels = levels,
		.verb = "probe",
		.send = kind == FALLBACK_READ ? send_get : send_write,
		.table = &probe_table,
		.partition = partition,
		.key = key,
		.mutations = list.items,
		.count = list.count,
		.ret_found = &found,
		.ret_row = &read};
	return send_at(op, &request, levels->config.kinds[kind].primary, ret_failure);
}

static void probe_kind(struct op *op, struct levels_engine *levels, enum fallback_kind kind)
{
	mutex_lock(&levels->lock);
	bool is_due = fallback_begin_probe(&levels->kinds[kind], clock_monotonic_ns());
	mutex_unlock(&levels->lock);
	if (!is_due)
		return;
	uint64_t deadline_ns = op->deadline_ns;
	uint64_t most_ns = clock_monotonic_ns() + levels->config.attempt_timeout_ms * NS_PER_MS;
	op->deadline_ns = deadline_ns ? MIN_OF(deadline_ns, most_ns) : most_ns;
	struct failure failure;
	struct error *err = send_probe(op, levels, kind, &failure);
	op->deadline_ns = deadline_ns;
	bool changed;
	struct fallback_warning warning;
	mutex_lock(&levels->lock);
	fallback_end_probe(&levels->kinds[kind], !err, clock_monotonic_ns(), &changed, &warning);
	struct fallback state = levels->kinds[kind];
	show(levels, kind);
	mutex_unlock(&levels->lock);
	tell(op, kind, &state, &warning, err);
}

uint64_t levels_probe(struct op *op, struct engine *engine)
{
	struct levels_engine *levels = self(engine);
	uint64_t next_ns = UINT64_MAX;
	for (int kind = 0; kind < FALLBACK_KIND_COUNT; kind++) {
		probe_kind(op, levels, kind);
		AUTO_LOCK(&levels->lock);
		next_ns = MIN_OF(next_ns, fallback_next_probe_ns(&levels->kinds[kind]));
	}
	return next_ns;
}

/* ---- Status, and the administrator's hand ---- */

void levels_get_status(struct engine *engine, struct levels_status ret_status[FALLBACK_KIND_COUNT])
{
	struct levels_engine *levels = self(engine);
	uint64_t now_ns = clock_monotonic_ns();
	AUTO_LOCK(&levels->lock);
	for (int kind = 0; kind < FALLBACK_KIND_COUNT; kind++) {
		const struct fallback *state = &levels->kinds[kind];
		uint64_t next_ns = fallback_next_probe_ns(state);
		ret_status[kind] = (struct levels_status){.kind = kind_names[kind],
			.primary = state->primary,
			.fallback = state->fallback,
			.in_force = fallback_level(state),
			.pin = state->pin,
			.in_force_ms = (now_ns - state->since_ns) / NS_PER_MS,
			.next_probe_ms = next_ns == UINT64_MAX ? UINT64_MAX
					 : next_ns > now_ns    ? (next_ns - now_ns) / NS_PER_MS
							       : 0,
			.failures = state->failures};
	}
}

bool levels_kind_by_name(struct slice name, enum fallback_kind *ret_kind)
{
	for (int kind = 0; kind < FALLBACK_KIND_COUNT; kind++) {
		if (slice_equal(name, slice_from_cstr(kind_names[kind]))) {
			*ret_kind = kind;
			return true;
		}
	}
	return false;
}

struct error *levels_pin(
	struct op *op, struct engine *engine, enum fallback_kind kind, enum fallback_pin pin)
{
	struct levels_engine *levels = self(engine);
	mutex_lock(&levels->lock);
	bool is_held = fallback_hold(&levels->kinds[kind], pin, clock_monotonic_ns());
	enum level level = fallback_level(&levels->kinds[kind]);
	show(levels, kind);
	mutex_unlock(&levels->lock);
	if (!is_held)
		return op_fail(op, ERR_INVALID, "there is no fallback level for the kind \"%s\"",
			kind_names[kind]);
	log_info(op, "consistency-pinned", FIELD_TEXT("kind", kind_names[kind]),
		FIELD_TEXT("level", level_name(level)));
	return NULL;
}

void levels_release(struct engine *engine, enum fallback_kind kind)
{
	struct levels_engine *levels = self(engine);
	AUTO_LOCK(&levels->lock);
	fallback_release(&levels->kinds[kind], clock_monotonic_ns());
	show(levels, kind);
}

/* ---- The engine ---- */

static void levels_close(struct engine *engine)
{
	struct levels_engine *levels = self(engine);
	levels->store->ops->close(levels->store);
	mutex_done(&levels->lock);
	free(levels);
}

static const struct engine_ops levels_ops = {
	.name = "levels",
	.get = levels_get,
	.get_many = levels_get_many,
	.scan = levels_scan,
	.write = levels_write,
	.cas = levels_cas,
	.partitions = levels_partitions,
	.close = levels_close,
};

struct engine *levels_engine_new(struct replicated *store, const struct levels_config *config)
{
	struct levels_engine *levels = HEAP_NEW(struct levels_engine);
	levels->engine = (struct engine){.ops = &levels_ops, .is_shared = true};
	levels->store = store;
	levels->config = *config;
	mutex_init(&levels->lock);
	for (int kind = 0; kind < FALLBACK_KIND_COUNT; kind++) {
		const struct levels_pair *pair = &config->kinds[kind];
		fallback_init(
			&levels->kinds[kind], pair->primary, pair->fallback, clock_monotonic_ns());
		show(levels, kind);
	}
	return &levels->engine;
}
