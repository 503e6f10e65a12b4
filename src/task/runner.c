#include "task/task_private.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

METRIC_GAUGE(running, "tasks_running", "Tasks that this node runs");
METRIC_COUNTER(rows_done, "task_rows_total", "Rows that tasks have looked at");
METRIC_COUNTER(retries, "task_step_retries_total", "Steps of tasks that were tried again");
METRIC_COUNTER(leases_lost, "task_leases_lost_total",
	"Tasks that another node took up while this one worked on them");
METRIC_COUNTER_LABELLED(done, "tasks_ended_total", "Tasks that ended", "state=\"done\"");
METRIC_COUNTER_LABELLED(failed, "tasks_ended_total", "Tasks that ended", "state=\"failed\"");
METRIC_COUNTER_LABELLED(cancelled, "tasks_ended_total", "Tasks that ended", "state=\"cancelled\"");

#define WORKERS_MOST 16
/* What a cancelled task has left is removed in this time, or stays until it is made again. */
#define CLEAN_UP_NS (10 * NS_PER_S)
/* Progress is written, and cancellation seen, so often; sooner where leases are short. */
#define WRITE_EVERY_NS NS_PER_S
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_DOUBLINGS 6
/* The store may hang: then the lease is another's before this is over. */
#define WRITE_TIMEOUT_NS (10 * NS_PER_S)
/* The runners yield to threads that serve clients (nice(1)). */
#define NICENESS 10

static struct {
	uint64_t workers;
	uint64_t rate;
	uint64_t lease_ms;
	uint64_t keep_ms;
	uint64_t poll_ms;
} config = {.workers = 2, .rate = 5000, .lease_ms = 30000, .keep_ms = 604800000, .poll_ms = 2000};

/* clang-format off */
const struct setting task_settings[] = {
	{"tasks.at_once", SETTING_NUMBER, &config.workers, "2", 0, WORKERS_MOST, NULL, false,
		"How many tasks this node runs at once; 0: it leaves them to others."},
	{"tasks.rate", SETTING_NUMBER, &config.rate, "5000", 0, 10000000, NULL, true,
		"Rows that a task looks at in a second at the most, unless it was given a rate of its own; 0: as fast as it goes."},
	{"tasks.lease", SETTING_DURATION, &config.lease_ms, "30 s", 1000, 3600000, NULL, true,
		"A task whose node has not been heard of for so long is taken up by another."},
	{"tasks.keep", SETTING_DURATION, &config.keep_ms, "7 d", 0, 31536000000, NULL, true,
		"How long a task that has ended is listed."},
	{"tasks.poll_interval", SETTING_DURATION, &config.poll_ms, "2 s", 50, 60000, NULL, true,
		"How often this node looks for tasks that others were told of."},
};
const size_t task_setting_count = ARRAY_SIZE(task_settings);
/* clang-format on */

struct task_runner {
	struct mail_store *store;
	struct accounts *accounts;
	struct search *search;
	struct op node_op; /* its arena holds the node's texts */
	struct task_holder holder;
	pthread_t workers[WORKERS_MOST];
	unsigned worker_count;
	pthread_t keeper;
	struct mutex lock;  /* of what follows */
	struct work *works; /* under way */
	struct condition wake;
	uint64_t look_ns; /* none looks for tasks before */
	bool is_stopping;
};

enum stop_reason { STOP_NOT, STOP_CANCELLED, STOP_LOST, STOP_RUNNER };

/* One task in the hands of a worker. */
struct work {
	struct task_runner *runner;
	struct op op; /* its arena holds the texts of the entry */
	struct task_entry entry;
	struct task_run run;
	uint64_t pace_ns;    /* no further row before */
	uint64_t write_ns;   /* when the row is to be written next */
	const char *trouble; /* why a step is tried again; NULL: it is not */
	enum stop_reason stop;
	struct work *next; /* with renewed_ns, under the runner's lock */
	uint64_t renewed_ns;
};

static struct engine *engine_of(const struct task_runner *runner)
{
	return mail_store_engine(runner->store);
}

static bool is_stopping(struct task_runner *runner)
{
	AUTO_LOCK(&runner->lock);
	return runner->is_stopping;
}

static void wait_until(struct task_runner *runner, uint64_t until_ns)
{
	AUTO_LOCK(&runner->lock);
	while (!runner->is_stopping && clock_monotonic_ns() < until_ns)
		condition_wait_until(&runner->wake, &runner->lock, until_ns);
}

static struct task_holder holder_now(const struct task_runner *runner)
{
	struct task_holder holder = runner->holder;
	holder.lease_us = config.lease_ms * 1000;
	holder.keep_us = config.keep_ms * 1000;
	return holder;
}

/* ---- The row ---- */

static struct slice encode_counts(struct arena *arena, const uint64_t *counts)
{
	struct buf encoded = buf_in(arena);
	for (size_t i = 0; i < TASK_COUNTS_MOST; i++)
		buf_varint(&encoded, counts[i]);
	return buf_as_slice(&encoded);
}

static void note_renewed(struct work *work)
{
	AUTO_LOCK(&work->runner->lock);
	work->renewed_ns = clock_monotonic_ns();
}

/* Writes the task in a state; what it reached only when a step has ended. */
static struct error *write_row(struct op *op, struct work *work, enum task_state state)
{
	struct task_holder holder = holder_now(work->runner);
	struct task_entry entry = work->entry;
	bool is_lost;
	entry.task.state = state;
	entry.task.cursor = buf_as_slice(&work->run.cursor);
	entry.task.counts = encode_counts(&op->arena, work->run.counts);
	entry.task.findings = buf_as_slice(&work->run.findings);
	entry.task.findings_left_out = work->run.findings_left_out;
	entry.task.error = slice_from_cstr(work->trouble);
	TRY(task_write(op, engine_of(work->runner), &holder, &entry, &is_lost));
	note_renewed(work);
	work->entry.task.is_cancelling = entry.task.is_cancelling;
	if (is_lost)
		work->stop = STOP_LOST;
	else if (entry.task.is_cancelling && work->stop == STOP_NOT)
		work->stop = STOP_CANCELLED;
	return NULL;
}

static uint64_t write_interval_ns(void)
{
	return MIN_OF(WRITE_EVERY_NS, config.lease_ms * NS_PER_MS / 4);
}

static void renew(struct work *work)
{
	AUTO_OP(op, "task");
	uint64_t now_ns = clock_monotonic_ns();
	if (now_ns < work->write_ns)
		return;
	work->write_ns = now_ns + write_interval_ns();
	op.deadline_ns = now_ns + WRITE_TIMEOUT_NS;
	/* While it cannot be written another may take the task; the next write will tell. */
	struct error *err = write_row(&op, work, TASK_RUNNING);
	if (err)
		log_debug(&op, "task-unwritten", FIELD_ID("task", &op, work->entry.id),
			FIELD_ERROR(&op, err));
}

/* Renews the lease meanwhile. */
static bool wait_in_task(struct work *work, uint64_t until_ns)
{
	for (;;) {
		if (work->stop == STOP_NOT && is_stopping(work->runner))
			work->stop = STOP_RUNNER;
		if (work->stop == STOP_NOT)
			renew(work);
		if (work->stop != STOP_NOT || clock_monotonic_ns() >= until_ns)
			return work->stop == STOP_NOT;
		wait_until(work->runner, MIN_OF(until_ns, work->write_ns));
	}
}

static bool pace(void *context, size_t rows)
{
	struct work *work = context;
	uint64_t rate = work->entry.task.rate ? work->entry.task.rate : config.rate;
	metric_add(&rows_done, (int64_t)rows);
	if (rate)
		work->pace_ns =
			MAX_OF(work->pace_ns, clock_monotonic_ns()) + rows * NS_PER_S / rate;
	return wait_in_task(work, rate ? work->pace_ns : 0);
}

/* ---- Steps ---- */

static bool is_passing(const struct error *err)
{
	return err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT ||
	       err->kind == ERR_UNCERTAIN || err->kind == ERR_CONFLICT;
}

static void note_trouble(struct work *work, const char *text)
{
	/* A trouble that stays is told once. */
	if (!work->trouble || strcmp(work->trouble, text) != 0)
		work->trouble = arena_printf(&work->op.arena, "%s", text);
}

enum stepping { STEP_AGAIN, STEP_NEXT, STEP_LAST, STEP_FAILED };

static enum stepping run_step(struct work *work)
{
	AUTO_OP(op, "task");
	bool more;
	struct error *err = work->run.kind->step(&op, &work->run, &more);
	if (!err) {
		work->trouble = NULL;
		return more ? STEP_NEXT : STEP_LAST;
	}
	if (err->kind == ERR_CANCELLED && work->stop != STOP_NOT)
		return STEP_AGAIN;
	note_trouble(work, error_chain(&op.arena, err));
	return is_passing(err) ? STEP_AGAIN : STEP_FAILED;
}

/* A store that does not answer is waited for, as long as it takes. */
static enum task_state run_steps(struct work *work)
{
	unsigned tries = 0;
	while (wait_in_task(work, 0)) {
		enum stepping step = run_step(work);
		if (step == STEP_LAST)
			return TASK_DONE;
		if (step == STEP_FAILED)
			return TASK_FAILED;
		if (step == STEP_NEXT) {
			tries = 0;
			continue;
		}
		if (work->stop != STOP_NOT)
			break;
		metric_add(&retries, 1);
		wait_in_task(work,
			clock_monotonic_ns() + (RETRY_FIRST_NS << MIN_OF(tries, RETRY_DOUBLINGS)));
		tries++;
	}
	/* What was given back goes on where it was. */
	return work->stop == STOP_CANCELLED ? TASK_CANCELLED : TASK_QUEUED;
}

static void count_ended(enum task_state state)
{
	if (state == TASK_DONE)
		metric_add(&done, 1);
	else if (state == TASK_FAILED)
		metric_add(&failed, 1);
	else if (state == TASK_CANCELLED)
		metric_add(&cancelled, 1);
}

/* If the store takes no write, the lease runs out and another goes on from what was written last:
 * false. */
static bool write_end(struct work *work, enum task_state state)
{
	for (unsigned tries = 0; work->stop != STOP_LOST; tries++) {
		AUTO_OP(op, "task");
		op.deadline_ns = clock_monotonic_ns() + WRITE_TIMEOUT_NS;
		struct error *err = write_row(&op, work, state);
		if (!err)
			break;
		if (is_stopping(work->runner) || tries > RETRY_DOUBLINGS) {
			log_warn(&op, "task-unwritten", FIELD_ID("task", &op, work->entry.id),
				FIELD_ERROR(&op, err));
			return false;
		}
		wait_until(work->runner, clock_monotonic_ns() + (RETRY_FIRST_NS << tries));
	}
	return true;
}

static void end_work(struct work *work, enum task_state state)
{
	struct op *op = &work->op;
	if (!write_end(work, state))
		return;
	if (work->stop == STOP_LOST) {
		metric_add(&leases_lost, 1);
		log_warn(op, "task-lease-lost", FIELD_ID("task", op, work->entry.id));
		return;
	}
	count_ended(state);
	log_info(op, "task-left", FIELD_ID("task", op, work->entry.id),
		FIELD_SLICE("kind", work->entry.task.kind),
		FIELD_TEXT("state", task_state_name(state)),
		FIELD_TEXT("error", work->trouble ? work->trouble : ""));
}

static void put_under_way(struct work *work)
{
	AUTO_LOCK(&work->runner->lock);
	work->renewed_ns = clock_monotonic_ns();
	work->write_ns = work->renewed_ns + write_interval_ns();
	work->next = work->runner->works;
	work->runner->works = work;
}

static void take_from_under_way(struct work *work)
{
	AUTO_LOCK(&work->runner->lock);
	struct work **at = &work->runner->works;
	while (*at != work)
		at = &(*at)->next;
	*at = work->next;
}

static void begin_work(struct work *work)
{
	const struct task *task = &work->entry.task;
	struct task_run *run = &work->run;
	*run = (struct task_run){.store = work->runner->store,
		.accounts = work->runner->accounts,
		.search = work->runner->search,
		.kind = task_kind_find(task->kind),
		.task = task,
		.cursor = buf_heap(),
		.findings = buf_heap(),
		.findings_left_out = task->findings_left_out,
		.pace = pace,
		.pace_context = work};
	buf_append(&run->cursor, task->cursor);
	buf_append(&run->findings, task->findings);
	task_counts(task, run->counts);
	log_info(&work->op, "task-taken", FIELD_ID("task", &work->op, work->entry.id),
		FIELD_SLICE("kind", task->kind), FIELD_SLICE("subject", task->subject),
		FIELD_U64("run", task->runs));
}

/* A cancelled task is over, whatever becomes of this. */
static void clean_up(struct work *work)
{
	AUTO_OP(op, "task");
	op.deadline_ns = clock_monotonic_ns() + CLEAN_UP_NS;
	struct error *err = work->run.kind->cancelled(&op, &work->run);
	if (err)
		log_warn(&op, "task-left-something", FIELD_TEXT("kind", work->run.kind->name),
			FIELD_ERROR(&op, err));
}

static void do_work(struct work *work)
{
	enum task_state state = TASK_FAILED;
	metric_add(&running, 1);
	begin_work(work);
	if (!work->run.kind) {
		work->trouble = "this program knows no such task";
	} else {
		if (work->run.kind->begin)
			work->run.kind->begin(&work->run);
		put_under_way(work);
		state = run_steps(work);
		take_from_under_way(work);
		if (state == TASK_CANCELLED && work->run.kind->cancelled)
			clean_up(work);
		if (work->run.kind->end)
			work->run.kind->end(&work->run);
	}
	end_work(work, state);
	buf_done(&work->run.cursor);
	buf_done(&work->run.findings);
	metric_add(&running, -1);
}

/* ---- Threads ---- */

/* One worker looks at a time, and none again too soon. */
static bool may_look(struct task_runner *runner)
{
	AUTO_LOCK(&runner->lock);
	while (!runner->is_stopping) {
		uint64_t now_ns = clock_monotonic_ns();
		if (now_ns >= runner->look_ns) {
			runner->look_ns = now_ns + config.poll_ms * NS_PER_MS;
			return true;
		}
		condition_wait_until(&runner->wake, &runner->lock, runner->look_ns);
	}
	return false;
}

static void look_for_work(struct task_runner *runner)
{
	struct work work = {.runner = runner};
	struct task_holder holder = holder_now(runner);
	bool found = false;
	op_init(&work.op, "task");
	work.op.deadline_ns = clock_monotonic_ns() + WRITE_TIMEOUT_NS;
	struct error *err = task_take(&work.op, engine_of(runner), &holder, &work.entry, &found);
	work.op.deadline_ns = 0;
	if (err)
		log_debug(&work.op, "tasks-unread", FIELD_ERROR(&work.op, err));
	if (!err && found) {
		task_runner_wake(runner); /* there may be another one for another worker */
		do_work(&work);
		task_runner_wake(runner); /* or one that waited for this one's end */
	}
	op_done(&work.op);
}

static void *run_worker(void *argument)
{
	struct task_runner *runner = argument;
	thread_be_nice(NICENESS);
	while (may_look(runner))
		look_for_work(runner);
	return NULL;
}

/* A step that is long at one thing writes nothing: its lease is to hold nevertheless. */
static bool find_unrenewed(
	struct task_runner *runner, uint64_t before_ns, struct uuid *ret_id, struct uuid *ret_lease)
{
	AUTO_LOCK(&runner->lock);
	for (struct work *work = runner->works; work; work = work->next)
		if (work->renewed_ns < before_ns) {
			work->renewed_ns = clock_monotonic_ns();
			*ret_id = work->entry.id;
			*ret_lease = work->entry.task.lease;
			return true;
		}
	return false;
}

static void *run_keeper(void *argument)
{
	struct task_runner *runner = argument;
	while (!is_stopping(runner)) {
		struct task_holder holder = holder_now(runner);
		uint64_t now_ns = clock_monotonic_ns();
		struct uuid id, lease;
		while (find_unrenewed(runner, now_ns - holder.lease_us * 1000 / 3, &id, &lease)) {
			AUTO_OP(op, "task");
			op.deadline_ns = now_ns + WRITE_TIMEOUT_NS;
			struct error *err = task_renew(&op, engine_of(runner), &holder, id, lease);
			if (err)
				log_debug(&op, "task-unwritten", FIELD_ID("task", &op, id),
					FIELD_ERROR(&op, err));
		}
		wait_until(runner, now_ns + write_interval_ns());
	}
	return NULL;
}

struct task_runner *task_runner_start(struct mail_store *store, struct accounts *accounts,
	struct search *search, const struct node_info *node)
{
	struct task_runner *runner = HEAP_NEW(struct task_runner);
	runner->store = store;
	runner->accounts = accounts;
	runner->search = search;
	op_init(&runner->node_op, "tasks");
	runner->holder = (struct task_holder){.node_id = node->id,
		.node = arena_dup(&runner->node_op.arena, node->name),
		.born = uuid_v7()};
	mutex_init(&runner->lock);
	condition_init(&runner->wake);
	runner->worker_count = (unsigned)config.workers;
	for (unsigned i = 0; i < runner->worker_count; i++)
		thread_start(&runner->workers[i], "task", run_worker, runner);
	thread_start(&runner->keeper, "task-keeper", run_keeper, runner);
	return runner;
}

void task_runner_wake(struct task_runner *runner)
{
	if (!runner)
		return;
	AUTO_LOCK(&runner->lock);
	runner->look_ns = 0;
	condition_broadcast(&runner->wake);
}

void task_runner_stop(struct task_runner *runner)
{
	if (!runner)
		return;
	mutex_lock(&runner->lock);
	runner->is_stopping = true;
	condition_broadcast(&runner->wake);
	mutex_unlock(&runner->lock);
	for (unsigned i = 0; i < runner->worker_count; i++)
		thread_join(runner->workers[i]);
	thread_join(runner->keeper);
	condition_done(&runner->wake);
	mutex_done(&runner->lock);
	op_done(&runner->node_op);
	free(runner);
}
