#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "task/runner.h"
#include "task/task.h"

/* Work that goes on behind the request that asked for it. */

static struct engine *engine_of(struct admin_request *request)
{
	return mail_store_engine(request->context->store);
}

static json_t *counts_json(const struct task *task)
{
	uint64_t counts[TASK_COUNTS_MOST];
	const struct task_kind *kind = task_kind_find(task->kind);
	json_t *object = json_object();
	task_counts(task, counts);
	for (size_t i = 0; kind && kind->counts[i]; i++)
		json_object_set_new(object, kind->counts[i], json_integer((json_int_t)counts[i]));
	return object;
}

static json_t *findings_json(struct slice findings)
{
	json_t *list = json_array();
	struct slice line;
	while (slice_split(&findings, '\n', &line))
		if (line.len)
			json_array_append_new(list, admin_json_text(line));
	return list;
}

/* A time that has not come is left out. */
static void set_time(json_t *object, const char *name, uint64_t us)
{
	if (us)
		json_object_set_new(object, name, json_integer((json_int_t)us));
}

static json_t *task_json(struct op *op, const struct task_entry *entry)
{
	const struct task *task = &entry->task;
	json_t *object = json_pack("{s:s, s:o, s:o, s:s, s:b, s:I, s:I, s:o}", "id",
		uuid_text(&op->arena, entry->id), "kind", admin_json_text(task->kind), "subject",
		admin_json_text(task->subject), "state",
		task_state_name((enum task_state)task->state), "cancelling", task->is_cancelling,
		"rate", (json_int_t)task->rate, "runs", (json_int_t)task->runs, "node",
		admin_json_text(task->node));
	set_time(object, "created_us", task->created_us);
	set_time(object, "started_us", task->started_us);
	set_time(object, "ended_us", task->ended_us);
	if (task->state == TASK_RUNNING)
		set_time(object, "lease_until_us", task->lease_until_us);
	json_object_set_new(object, "counts", counts_json(task));
	json_object_set_new(object, "findings", findings_json(task->findings));
	json_object_set_new(
		object, "findings_left_out", json_integer((json_int_t)task->findings_left_out));
	json_object_set_new(object, "error", admin_json_text(task->error));
	return object;
}

static struct error *list_tasks(struct admin_request *request)
{
	struct task_entry *tasks;
	size_t count;
	json_t *list = json_array();
	struct error *err = task_list(&request->op, engine_of(request), &tasks, &count);
	for (size_t i = 0; !err && i < count; i++)
		json_array_append_new(list, task_json(&request->op, &tasks[i]));
	request->answer = json_pack("{s:o}", "tasks", list);
	return err;
}

static struct error *list_kinds(struct admin_request *request)
{
	json_t *list = json_array();
	for (size_t i = 0; i < task_kind_count; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:b, s:s}", "kind", task_kinds[i].name, "account",
				      task_kinds[i].takes_account, "help", task_kinds[i].help));
	request->answer = json_pack("{s:o}", "kinds", list);
	return NULL;
}

static struct error *parse_id(struct admin_request *request, struct uuid *ret_id)
{
	if (uuid_parse(request->parts[2], ret_id))
		return NULL;
	return op_fail(&request->op, ERR_INVALID, "a task is named by its UUID");
}

static struct error *answer_task(struct admin_request *request, struct uuid id)
{
	struct task_entry entry;
	TRY(task_get(&request->op, engine_of(request), id, &entry));
	request->answer = task_json(&request->op, &entry);
	return NULL;
}

static struct error *show_task(struct admin_request *request)
{
	struct uuid id;
	TRY(parse_id(request, &id));
	return answer_task(request, id);
}

static struct error *read_request(struct admin_request *request, struct task_request *ret_task)
{
	*ret_task = (struct task_request){0};
	TRY(admin_text_field(request, "kind", &ret_task->kind));
	if (json_object_get(request->body, "subject")) {
		struct user_info user;
		TRY(admin_text_field(request, "subject", &ret_task->subject));
		TRY(user_get(&request->op, request->context->accounts, ret_task->subject, &user));
		ret_task->subject = user.address;
	}
	if (json_object_get(request->body, "rate")) {
		uint64_t rate;
		TRY(admin_number_field(request, "rate", &rate));
		if (rate > UINT32_MAX)
			return op_fail(&request->op, ERR_INVALID, "the rate is too high");
		ret_task->rate = (uint32_t)rate;
	}
	return NULL;
}

static struct error *submit_task(struct admin_request *request)
{
	struct task_request task;
	struct uuid id;
	TRY(read_request(request, &task));
	TRY(task_submit(&request->op, engine_of(request), &task, &id));
	task_runner_wake(request->context->tasks);
	request->answer = json_pack("{s:s}", "id", uuid_text(&request->op.arena, id));
	return NULL;
}

static struct error *cancel_task(struct admin_request *request)
{
	struct uuid id;
	TRY(parse_id(request, &id));
	return task_cancel(&request->op, engine_of(request), id);
}

const struct admin_route admin_task_routes[] = {
	{"GET", "v1/task-kinds", list_kinds},
	{"GET", "v1/tasks", list_tasks},
	{"POST", "v1/tasks", submit_task},
	{"GET", "v1/tasks/?", show_task},
	{"POST", "v1/tasks/?/cancel", cancel_task},
};
const size_t admin_task_route_count = ARRAY_SIZE(admin_task_routes);
