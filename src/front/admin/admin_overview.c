/* One answer to "is anything wrong?", for the page. */

#include "base/clock.h"
#include "base/metric.h"
#include "consistency/nodes.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"
#include "net/net.h"
#include "task/task.h"

static const struct admin_field node_fields[] = {
	{"name", ADMIN_TEXT, "The name it goes by"},
	{"data_center", ADMIN_TEXT, "Where it is"},
	{"version", ADMIN_TEXT, "Of the program"},
	{"silent_s", ADMIN_NUMBER, "Seconds since it last said that it is there"},
	{0},
};
static const struct admin_field overview_fields[] = {
	{"version", ADMIN_TEXT, "Of the program"},
	{"engine", ADMIN_TEXT, "What stores rows"},
	{"name", ADMIN_TEXT, "This node"},
	{"ready", ADMIN_BOOL, "Mail can be taken and read"},
	{"now_us", ADMIN_TIME, "By this node's clock"},
	{"findings", ADMIN_TEXTS, "What there is to mend"},
	{"has_levels", ADMIN_BOOL, "The engine has consistency levels: v1/consistency"},
	{"repaired_us", ADMIN_TIME,
		"When the last repair of the keyspace has ended; null: no cluster, or never",
		ADMIN_NULLABLE},
	{"uncertain", ADMIN_NUMBER, "Writes whose outcome is not known yet"},
	{"uncertain_since_us", ADMIN_TIME, "Since when the oldest is not; null: there is none",
		ADMIN_NULLABLE},
	{"accounts_owed", ADMIN_NUMBER, "Accounts whose copies are behind their log"},
	{"has_index", ADMIN_BOOL, "There is a search index"},
	{"index_waiting", ADMIN_NUMBER, "Accounts whose index is behind their log"},
	{"dead_letters", ADMIN_NUMBER, "Events that were given up on"},
	{"sessions", ADMIN_NUMBER, "Sessions of this node"},
	{"tasks_running", ADMIN_NUMBER, "Tasks that run, on any node"},
	{"tasks_waiting", ADMIN_NUMBER, "Tasks that wait"},
	{"tasks_failed", ADMIN_NUMBER, "Tasks in the list that failed"},
	{"nodes", ADMIN_LIST, "Those that serve from the same store", .fields = node_fields},
	{0},
};

static json_int_t counted(const char *name)
{
	const struct metric *metric = metric_find(name);
	int64_t value = metric ? metric_value(metric) : 0;
	return value > 0 ? (json_int_t)value : 0;
}

json_t *admin_findings_json(struct admin_request *request)
{
	const struct admin_context *context = request->context;
	struct slice *findings;
	size_t count = 0;
	json_t *list = json_array();
	struct error *err =
		context->find_faults(&request->op, context->faults_context, &findings, &count);
	/* That the stores cannot be asked is an answer too. */
	if (err)
		json_array_append_new(list, json_string(error_chain(&request->op.arena, err)));
	for (size_t i = 0; !err && i < count; i++)
		json_array_append_new(list, admin_json_text(findings[i]));
	return list;
}

/* What cannot be read now is left out, and said among the findings. */
static void add_failure(struct op *op, json_t *answer, const struct error *err)
{
	if (err)
		json_array_append_new(json_object_get(answer, "findings"),
			json_string(error_chain(&op->arena, err)));
}

static json_t *time_or_null(json_int_t time_us)
{
	return time_us ? json_integer(time_us) : json_null();
}

static json_t *nodes_json(struct op *op, struct engine *engine, json_t *answer)
{
	struct node_info *nodes;
	size_t count;
	json_t *list = json_array();
	uint64_t now_us = clock_realtime_us();
	struct error *err = node_list(op, engine, &nodes, &count);
	add_failure(op, answer, err);
	for (size_t i = 0; !err && i < count; i++) {
		uint64_t silent_us = now_us - MIN_OF(now_us, nodes[i].seen_us);
		json_array_append_new(list,
			json_pack("{s:o, s:o, s:o, s:I}", "name", admin_json_text(nodes[i].name),
				"data_center", admin_json_text(nodes[i].datacenter), "version",
				admin_json_text(nodes[i].version), "silent_s",
				(json_int_t)(silent_us / US_PER_S)));
	}
	return list;
}

static void add_tasks(struct op *op, struct engine *engine, json_t *answer)
{
	struct task_entry *tasks;
	size_t count;
	json_int_t by_state[TASK_CANCELLED + 1] = {0};
	struct error *err = task_list(op, engine, &tasks, &count);
	add_failure(op, answer, err);
	for (size_t i = 0; !err && i < count; i++)
		if (tasks[i].task.state <= TASK_CANCELLED)
			by_state[tasks[i].task.state]++;
	json_object_set_new(answer, "tasks_running", json_integer(by_state[TASK_RUNNING]));
	json_object_set_new(answer, "tasks_waiting", json_integer(by_state[TASK_QUEUED]));
	json_object_set_new(answer, "tasks_failed", json_integer(by_state[TASK_FAILED]));
}

static struct error *get_overview(struct admin_request *request)
{
	const struct admin_context *context = request->context;
	struct engine *engine = mail_store_engine(context->store);
	/* They ask the stores, and so come before what is counted of these. */
	json_t *findings = admin_findings_json(request);
	request->answer = json_pack(
		"{s:s, s:s, s:s, s:b, s:I, s:o, s:b, s:o, s:I, s:o, s:I, s:b, s:I}", "version",
		context->version, "engine", context->engine, "name", net_server_name(), "ready",
		context->is_ready(context->ready_context), "now_us",
		(json_int_t)clock_realtime_us(), "findings", findings, "has_levels",
		context->has_levels, "repaired_us",
		time_or_null(counted("holdfast_cassandra_repaired_microseconds")), "uncertain",
		(json_int_t)ledger_length(context->ledger), "uncertain_since_us",
		time_or_null(counted("holdfast_ledger_oldest_recorded_microseconds")),
		"accounts_owed", counted("holdfast_projection_accounts_owed"), "has_index",
		context->search != NULL, "index_waiting",
		counted("holdfast_index_accounts_waiting"));
	json_object_set_new(
		request->answer, "dead_letters", json_integer(counted("holdfast_dead_letters")));
	json_object_set_new(
		request->answer, "sessions", json_integer(counted("holdfast_sessions")));
	add_tasks(&request->op, engine, request->answer);
	json_object_set_new(
		request->answer, "nodes", nodes_json(&request->op, engine, request->answer));
	return NULL;
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/overview", ADMIN_READ, ADMIN_SERVER, 200, get_overview, "Is anything wrong? In one answer", NULL, NULL, overview_fields},
};
/* clang-format on */
const struct admin_routes admin_overview_routes = ADMIN_ROUTES(routes);
