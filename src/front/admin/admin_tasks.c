#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "task/runner.h"
#include "task/task.h"

/* Work that goes on behind the request that asked for it. */

static const char *const states[] = {"queued", "running", "done", "failed", "cancelled", NULL};

static const struct admin_field task_fields[] = {
	{"id", ADMIN_UUID, "The task"},
	{"kind", ADMIN_TEXT, "What it does"},
	{"subject", ADMIN_TEXT, "What it is about; empty: all"},
	{"source", ADMIN_TEXT, "Where it reads from; empty: here"},
	{"state", ADMIN_TEXT, "How it is", .choices = states},
	{"cancelling", ADMIN_BOOL, "It was told to stop"},
	{"rate", ADMIN_NUMBER, "Rows in a second at the most; 0: the setting's"},
	{"runs", ADMIN_NUMBER, "How often it was taken up"},
	{"node", ADMIN_TEXT, "Who runs it"},
	{"created_us", ADMIN_TIME, "When it was submitted", ADMIN_OPTIONAL},
	{"started_us", ADMIN_TIME, "When it was first taken up", ADMIN_OPTIONAL},
	{"ended_us", ADMIN_TIME, "When it ended", ADMIN_OPTIONAL},
	{"lease_until_us", ADMIN_TIME, "When another node may take it up", ADMIN_OPTIONAL},
	{"counts", ADMIN_COUNTS, "What it has counted"},
	{"findings", ADMIN_TEXTS, "What it has found"},
	{"findings_left_out", ADMIN_NUMBER, "Further ones, which are in the log alone"},
	{"error", ADMIN_TEXT, "Why it failed, or is tried again"},
	{0},
};
static const struct admin_field tasks_fields[] = {
	{"tasks", ADMIN_LIST, "The oldest first", .fields = task_fields}, {0}};
static const struct admin_field kind_fields[] = {
	{"kind", ADMIN_TEXT, "Its name"},
	{"account", ADMIN_BOOL, "It can be of one account"},
	{"help", ADMIN_TEXT, "What it does"},
	{0},
};
static const struct admin_field kinds_fields[] = {
	{"kinds", ADMIN_LIST, "What can be done", .fields = kind_fields}, {0}};
static const struct admin_field new_task_fields[] = {
	{"kind", ADMIN_TEXT, "What to do", 0, 1, 40},
	{"subject", ADMIN_TEXT,
		"The one account, ADDRESS, or of its index ADDRESS/MAILBOX, or "
		"ADDRESS/MAILBOX;UID=N; all without it",
		ADMIN_OPTIONAL, 1, 1400},
	{"rate", ADMIN_NUMBER, "Rows in a second at the most; 0: the setting's", ADMIN_OPTIONAL, 0,
		UINT32_MAX},
	{0},
};
static const struct admin_field id_fields[] = {{"id", ADMIN_UUID, "The task"}, {0}};

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
	json_object_set_new(object, "source", admin_json_text(task->source));
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
	struct admin_page page = admin_page_begin(request);
	struct error *err = task_list(&request->op, engine_of(request), &tasks, &count);
	for (size_t i = 0; !err && i < count; i++) {
		/* Ids ascend with the time they were made at. */
		struct slice name = slice_from_cstr(uuid_text(&request->op.arena, tasks[i].id));
		if (admin_page_wants(&page, name))
			admin_page_add(&page, name, task_json(&request->op, &tasks[i]));
	}
	admin_page_end(request, &page, "tasks");
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
	return op_fail(&request->op, ERR_NOT_FOUND, "a task is named by its UUID");
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

/* As the account and the mailbox are called, which must be there. */
static struct error *find_subject(struct admin_request *request, struct slice *inout_subject)
{
	struct op *op = &request->op;
	struct user_info user;
	struct mailbox_status mailbox;
	struct task_subject subject = task_subject_parse(*inout_subject);
	TRY(user_get(op, request->context->accounts, subject.address, &user));
	subject.address = user.address;
	if (subject.path.len) {
		TRY(mailbox_find(
			op, request->context->store, user.account, subject.path, &mailbox));
		subject.path = mailbox.path;
	}
	*inout_subject = task_subject_print(&op->arena, &subject);
	return NULL;
}

static struct error *read_request(struct admin_request *request, struct task_request *ret_task)
{
	*ret_task = (struct task_request){.kind = admin_text_field(request, "kind"),
		.rate = (uint32_t)admin_number_field(request, "rate")};
	if (!json_object_get(request->body, "subject"))
		return NULL;
	ret_task->subject = admin_text_field(request, "subject");
	TRY(find_subject(request, &ret_task->subject));
	return NULL;
}

static struct error *submit_task(struct admin_request *request)
{
	struct task_request task;
	struct uuid id;
	TRY(read_request(request, &task));
	TRY(task_submit(&request->op, engine_of(request), &task, &id));
	task_runner_wake(request->context->tasks);
	const char *name = uuid_text(&request->op.arena, id);
	admin_made(request, "/v1/tasks/", slice_from_cstr(name));
	request->answer = json_pack("{s:s}", "id", name);
	return NULL;
}

static struct error *cancel_task(struct admin_request *request)
{
	struct uuid id;
	TRY(parse_id(request, &id));
	return task_cancel(&request->op, engine_of(request), id);
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/task-kinds", ADMIN_READ, ADMIN_SERVER, 200, list_kinds, "What can be done as a task", NULL, NULL, kinds_fields},
	{"GET", "v1/tasks", ADMIN_READ, ADMIN_SERVER, 200, list_tasks, "Tasks that wait, run, and have ended", NULL, NULL, tasks_fields, NULL, true},
	{"POST", "v1/tasks", ADMIN_OPERATE, ADMIN_SERVER, 201, submit_task, "Has something done behind this request", NULL, new_task_fields, id_fields},
	{"GET", "v1/tasks/{task}", ADMIN_READ, ADMIN_SERVER, 200, show_task, "One task", NULL, NULL, task_fields},
	{"POST", "v1/tasks/{task}/cancel", ADMIN_OPERATE, ADMIN_SERVER, 204, cancel_task, "Stops it; what it has put right stays so"},
};
/* clang-format on */
const struct admin_routes admin_task_routes = ADMIN_ROUTES(routes);
