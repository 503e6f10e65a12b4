#include "task/task_private.h"

#include "base/clock.h"
#include "base/random.h"

/* All tasks are rows of one partition, and each change is a CAS on its revision. A plan looks at
 * the whole list and says which rows change; made again on a list that holds its change already it
 * says that none do. So an uncertain CAS needs no other way to be found out than to plan again. */

#define ATTEMPTS 16
#define CONFLICT_PAUSE_NS (20 * NS_PER_MS)

struct listing {
	struct slice expected; /* the static row; none: the list was never written */
	uint64_t revision;
	struct task_entry *tasks; /* the oldest first: their ids ascend with time */
	size_t count;
};

struct planning {
	struct op *op;
	const struct listing *now;
	struct slice partition;
	struct mutations changes;
};

typedef struct error *(*planner)(struct planning *plan, void *context);

const char *task_state_name(enum task_state state)
{
	static const char *const names[] = {[TASK_QUEUED] = "queued",
		[TASK_RUNNING] = "running",
		[TASK_DONE] = "done",
		[TASK_FAILED] = "failed",
		[TASK_CANCELLED] = "cancelled"};
	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

void task_counts(const struct task *task, uint64_t ret_counts[TASK_COUNTS_MOST])
{
	struct reader reader = reader_of(task->counts);
	for (size_t i = 0; i < TASK_COUNTS_MOST; i++)
		ret_counts[i] = reader_varint(&reader);
}

static struct error *read_row(struct op *op, const struct engine_row *row, struct listing *listing)
{
	if (!row->key.len) {
		struct task_list list;
		TRY(row_decode(op, &task_list_row, row->value, &list));
		listing->expected = row->value;
		listing->revision = list.revision;
		return NULL;
	}
	struct task_entry *entry = &listing->tasks[listing->count++];
	if (!uuid_from_slice(slice_from(row->key, 1), &entry->id))
		return op_fail(
			op, ERR_CORRUPT, "a row of task has a key of %zu bytes", row->key.len);
	return row_decode(op, &task_row, row->value, &entry->task);
}

static struct error *read_list(
	struct op *op, struct engine *engine, enum read_level level, struct listing *ret_listing)
{
	struct engine_rows rows;
	TRY(engine_scan(engine, op, &task_table, key_tasks(&op->arena, engine->datacenter),
		SLICE_NONE, SLICE_NONE, SIZE_MAX, false, level, &rows));
	*ret_listing = (struct listing){
		.tasks = ARENA_ARRAY(&op->arena, struct task_entry, rows.count + 1)};
	for (size_t i = 0; i < rows.count; i++)
		TRY(read_row(op, &rows.rows[i], ret_listing));
	return NULL;
}

static void plan_put(struct planning *plan, struct uuid id, const struct task *task)
{
	struct arena *arena = &plan->op->arena;
	mutations_put(&plan->changes, &task_table, plan->partition, key_id_row(arena, 0, id),
		row_encode_in(arena, &task_row, task), 0);
}

static void plan_delete(struct planning *plan, struct uuid id)
{
	mutations_delete(&plan->changes, &task_table, plan->partition,
		key_id_row(&plan->op->arena, 0, id), 0);
}

static struct task_entry *find_task(const struct listing *listing, struct uuid id)
{
	for (size_t i = 0; i < listing->count; i++)
		if (uuid_equal(listing->tasks[i].id, id))
			return &listing->tasks[i];
	return NULL;
}

static struct error *not_there(struct op *op, struct uuid id)
{
	return op_fail(op, ERR_NOT_FOUND, "there is no task %s", uuid_text(&op->arena, id));
}

static struct error *make_plan(struct op *op, struct engine *engine, enum read_level level,
	planner make, void *context, struct listing *ret_listing, struct planning *ret_plan)
{
	TRY(read_list(op, engine, level, ret_listing));
	*ret_plan = (struct planning){.op = op,
		.now = ret_listing,
		.partition = key_tasks(&op->arena, engine->datacenter)};
	mutations_init(&ret_plan->changes, &op->arena);
	return make(ret_plan, context);
}

static struct error *send_plan(struct op *op, struct engine *engine, struct planning *plan)
{
	struct task_list list = {.revision = plan->now->revision + 1};
	struct slice current;
	mutations_put(&plan->changes, &task_table, plan->partition, SLICE_NONE,
		row_encode_in(&op->arena, &task_list_row, &list), 0);
	struct cas cas = {.table = &task_table,
		.partition = plan->partition,
		.expected = plan->now->expected,
		.mutations = plan->changes.items,
		.mutation_count = plan->changes.count};
	return engine_cas(engine, op, &cas, &current);
}

/* One that is uncertain may surface as long as the list stands where it expected it to. */
static struct error *change_list(struct op *op, struct engine *engine, planner make, void *context)
{
	struct error *err = NULL;
	struct error *uncertain = NULL;
	uint64_t uncertain_at = 0;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		struct listing listing;
		struct planning plan;
		err = make_plan(op, engine, READ_SERIAL, make, context, &listing, &plan);
		if (err)
			return uncertain ? uncertain : err;
		if (!plan.changes.count)
			return NULL;
		if (uncertain && listing.revision != uncertain_at)
			uncertain = NULL;
		err = send_plan(op, engine, &plan);
		if (!err)
			return NULL;
		if (err->kind == ERR_UNCERTAIN) {
			uncertain = err;
			uncertain_at = listing.revision;
		} else if (err->kind != ERR_CONFLICT) {
			return uncertain ? uncertain : err;
		}
		clock_sleep_ns(random_below(CONFLICT_PAUSE_NS) + 1);
	}
	if (uncertain)
		return uncertain;
	return op_wrap(op, err, "the list of tasks was changed by others again and again");
}

/* ---- For the administrator ---- */

static struct error *check_request(struct op *op, const struct task_request *request)
{
	const struct task_kind *kind = task_kind_find(request->kind);
	if (!kind)
		return op_fail(op, ERR_INVALID, "there is no task \"" SLICE_FMT "\"",
			SLICE_ARG(request->kind));
	if (request->subject.len && !kind->takes_account)
		return op_fail(op, ERR_INVALID, "%s is done for everything, not for an account",
			kind->name);
	if (task_subject_parse(request->subject).path.len && !kind->takes_mailbox)
		return op_fail(op, ERR_INVALID, "%s is done for whole accounts", kind->name);
	if (kind->takes_input != (request->input.len != 0))
		return op_fail(
			op, ERR_INVALID, "%s is submitted by a request of its own", kind->name);
	return NULL;
}

struct submitting {
	struct uuid id;
	struct task task;
};

static struct error *plan_submit(struct planning *plan, void *context)
{
	const struct submitting *submitting = context;
	const struct listing *now = plan->now;
	if (find_task(now, submitting->id))
		return NULL;
	plan_put(plan, submitting->id, &submitting->task);
	if (now->count < TASKS_MOST)
		return NULL;
	for (size_t i = 0; i < now->count; i++)
		if (task_has_ended(&now->tasks[i].task)) {
			plan_delete(plan, now->tasks[i].id);
			return NULL;
		}
	return op_fail(plan->op, ERR_LIMIT, "%d tasks wait already", TASKS_MOST);
}

struct error *task_submit(struct op *op, struct engine *engine, const struct task_request *request,
	struct uuid *ret_id)
{
	struct submitting submitting = {.id = uuid_v7(),
		.task = {.kind = request->kind,
			.subject = request->subject,
			.rate = request->rate,
			.source = request->source,
			.input = request->input,
			.created_us = clock_realtime_us()}};
	TRY(check_request(op, request));
	TRY(change_list(op, engine, plan_submit, &submitting));
	*ret_id = submitting.id;
	return NULL;
}

struct error *task_list(
	struct op *op, struct engine *engine, struct task_entry **ret_tasks, size_t *ret_count)
{
	struct listing listing;
	TRY(read_list(op, engine, READ_NORMAL, &listing));
	*ret_tasks = listing.tasks;
	*ret_count = listing.count;
	return NULL;
}

struct error *task_get(
	struct op *op, struct engine *engine, struct uuid id, struct task_entry *ret_task)
{
	struct listing listing;
	TRY(read_list(op, engine, READ_NORMAL, &listing));
	const struct task_entry *entry = find_task(&listing, id);
	if (!entry)
		return not_there(op, id);
	*ret_task = *entry;
	return NULL;
}

/* Passwords in its input go with the same write. */
static void end_task(struct task *task, enum task_state state)
{
	task->state = state;
	task->ended_us = clock_realtime_us();
	task->input = SLICE_NONE;
}

static struct error *plan_cancel(struct planning *plan, void *context)
{
	const struct uuid *id = context;
	struct task_entry *entry = find_task(plan->now, *id);
	if (!entry)
		return not_there(plan->op, *id);
	if (entry->task.state == TASK_CANCELLED || entry->task.is_cancelling)
		return NULL;
	if (task_has_ended(&entry->task))
		return op_fail(plan->op, ERR_INVALID, "the task has ended");
	entry->task.is_cancelling = true;
	if (entry->task.state == TASK_QUEUED)
		end_task(&entry->task, TASK_CANCELLED);
	plan_put(plan, entry->id, &entry->task);
	return NULL;
}

struct error *task_cancel(struct op *op, struct engine *engine, struct uuid id)
{
	return change_list(op, engine, plan_cancel, &id);
}

/* ---- For runners ---- */

struct taking {
	const struct task_holder *holder;
	struct uuid lease;
	uint64_t now_us;
	struct task_entry *ret_task;
	bool found;
};

static bool is_abandoned(const struct task *task, const struct taking *taking)
{
	if (task->state != TASK_RUNNING)
		return false;
	if (task->lease_until_us <= taking->now_us)
		return true;
	/* One process at a time has a node's directory. */
	return uuid_equal(task->node_id, taking->holder->node_id) &&
	       uuid_compare(task->lease, taking->holder->born) < 0;
}

static bool runs_elsewhere(const struct listing *now, const struct task_entry *entry)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct task *other = &now->tasks[i].task;
		if (&now->tasks[i] != entry && other->state == TASK_RUNNING &&
			slice_equal(other->kind, entry->task.kind) &&
			slice_equal(other->subject, entry->task.subject))
			return true;
	}
	return false;
}

static void tidy_task(struct planning *plan, struct task_entry *entry, struct taking *taking)
{
	struct task *task = &entry->task;
	if (task_has_ended(task) && task->ended_us + taking->holder->keep_us < taking->now_us)
		plan_delete(plan, entry->id);
	if (!is_abandoned(task, taking) || !task->is_cancelling)
		return;
	end_task(task, TASK_CANCELLED);
	plan_put(plan, entry->id, task);
}

static void take_task(struct planning *plan, struct task_entry *entry, struct taking *taking)
{
	struct task *task = &entry->task;
	task->state = TASK_RUNNING;
	task->started_us = task->started_us ? task->started_us : taking->now_us;
	task->runs++;
	task->node_id = taking->holder->node_id;
	task->node = taking->holder->node;
	task->lease = taking->lease;
	task->lease_until_us = taking->now_us + taking->holder->lease_us;
	plan_put(plan, entry->id, task);
}

static struct error *plan_take(struct planning *plan, void *context)
{
	struct taking *taking = context;
	const struct listing *now = plan->now;
	taking->found = false;
	taking->now_us = clock_realtime_us();
	for (size_t i = 0; i < now->count && !taking->found; i++) {
		const struct task *task = &now->tasks[i].task;
		taking->found =
			task->state == TASK_RUNNING && uuid_equal(task->lease, taking->lease);
		*taking->ret_task = now->tasks[i];
	}
	if (taking->found)
		return NULL;
	for (size_t i = 0; i < now->count; i++) {
		struct task_entry *entry = &now->tasks[i];
		tidy_task(plan, entry, taking);
		bool may_run =
			entry->task.state == TASK_QUEUED || is_abandoned(&entry->task, taking);
		if (taking->found || !may_run || runs_elsewhere(now, entry))
			continue;
		take_task(plan, entry, taking);
		taking->found = true;
		*taking->ret_task = *entry;
	}
	return NULL;
}

struct error *task_take(struct op *op, struct engine *engine, const struct task_holder *holder,
	struct task_entry *ret_task, bool *ret_found)
{
	struct taking taking = {.holder = holder, .lease = uuid_v7(), .ret_task = ret_task};
	struct listing listing;
	struct planning plan;
	/* Most looks find nothing to do, and need not be serial. */
	TRY(make_plan(op, engine, READ_NORMAL, plan_take, &taking, &listing, &plan));
	if (plan.changes.count)
		TRY(change_list(op, engine, plan_take, &taking));
	*ret_found = taking.found;
	return NULL;
}

struct writing {
	const struct task_holder *holder;
	struct task_entry *entry;
	bool is_lost;
};

static struct error *plan_write(struct planning *plan, void *context)
{
	struct writing *writing = context;
	struct task *task = &writing->entry->task;
	const struct task_entry *stored = find_task(plan->now, writing->entry->id);
	writing->is_lost = !stored || !uuid_equal(stored->task.lease, task->lease);
	if (writing->is_lost)
		return NULL;
	if (stored->task.state != TASK_RUNNING) {
		/* Ours to end, by an earlier attempt; or it was given up for us. */
		writing->is_lost = stored->task.state != task->state;
		return NULL;
	}
	task->is_cancelling = stored->task.is_cancelling;
	/* What is given back is not to be taken again. */
	if (task->state == TASK_QUEUED && task->is_cancelling)
		task->state = TASK_CANCELLED;
	task->ended_us = 0;
	if (task_has_ended(task))
		end_task(task, (enum task_state)task->state);
	uint64_t until_us = clock_realtime_us() + writing->holder->lease_us;
	task->lease_until_us = task->state == TASK_RUNNING ? until_us : 0;
	plan_put(plan, writing->entry->id, task);
	return NULL;
}

struct error *task_write(struct op *op, struct engine *engine, const struct task_holder *holder,
	struct task_entry *inout_task, bool *ret_lost)
{
	struct writing writing = {.holder = holder, .entry = inout_task};
	TRY(change_list(op, engine, plan_write, &writing));
	*ret_lost = writing.is_lost;
	return NULL;
}

static struct error *plan_renew(struct planning *plan, void *context)
{
	const struct writing *writing = context;
	struct task_entry *stored = find_task(plan->now, writing->entry->id);
	if (!stored || stored->task.state != TASK_RUNNING ||
		!uuid_equal(stored->task.lease, writing->entry->task.lease))
		return NULL;
	stored->task.lease_until_us = clock_realtime_us() + writing->holder->lease_us;
	plan_put(plan, stored->id, &stored->task);
	return NULL;
}

struct error *task_renew(struct op *op, struct engine *engine, const struct task_holder *holder,
	struct uuid id, struct uuid lease)
{
	struct task_entry entry = {.id = id, .task = {.lease = lease}};
	struct writing writing = {.holder = holder, .entry = &entry};
	return change_list(op, engine, plan_renew, &writing);
}
