#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "commit/commit.h"
#include "consistency/nodes.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

/* The process serves requests: whoever restarts what hangs asks this. */
static struct error *get_health(struct admin_request *request)
{
	request->answer = json_pack("{s:s}", "status", "alive");
	return NULL;
}

/* Mail can be taken and read: whoever sends clients here asks this. */
static struct error *get_ready(struct admin_request *request)
{
	bool is_ready = request->context->is_ready(request->context->ready_context);
	request->answer = json_pack("{s:b}", "ready", is_ready);
	request->status = is_ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
	return NULL;
}

static struct error *get_metrics(struct admin_request *request)
{
	request->content_type = "text/plain; version=0.0.4";
	metric_print_all(&request->text);
	return NULL;
}

static struct error *get_status(struct admin_request *request)
{
	const struct admin_context *context = request->context;
	request->answer = json_pack("{s:s, s:s, s:I, s:b, s:I}", "version", context->version,
		"engine", context->engine, "pid", (json_int_t)getpid(), "ready",
		context->is_ready(context->ready_context), "uncertain",
		(json_int_t)ledger_length(context->ledger));
	return NULL;
}

static json_t *uncertain_json(struct op *op, const struct ledger_entry *entry)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "operation",
		uuid_text(&op->arena, entry->operation.uuid), "account",
		uuid_text(&op->arena, entry->account.uuid), "expected_modseq",
		(json_int_t)entry->expected_modseq, "modseq", (json_int_t)entry->modseq,
		"recorded_us", (json_int_t)entry->recorded_us);
}

static struct error *list_uncertain(struct admin_request *request)
{
	struct ledger_entry *entries;
	size_t count;
	ledger_list(&request->op, request->context->ledger, &entries, &count);
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, uncertain_json(&request->op, &entries[i]));
	request->answer = json_pack("{s:o}", "uncertain", list);
	return NULL;
}

static struct error *find_uncertain(struct admin_request *request, struct ledger_entry *ret_entry)
{
	struct ledger_entry *entries;
	size_t count;
	struct uuid operation;
	if (!uuid_parse(request->parts[2], &operation))
		return op_fail(&request->op, ERR_INVALID, "an operation is named by its UUID");
	ledger_list(&request->op, request->context->ledger, &entries, &count);
	for (size_t i = 0; i < count; i++)
		if (uuid_equal(entries[i].operation.uuid, operation)) {
			*ret_entry = entries[i];
			return NULL;
		}
	return op_fail(&request->op, ERR_NOT_FOUND,
		"no such operation is uncertain on this node, or it has been resolved");
}

static struct error *show_uncertain(struct admin_request *request)
{
	struct ledger_entry entry;
	TRY(find_uncertain(request, &entry));
	request->answer = uncertain_json(&request->op, &entry);
	/* Where the account stands now says what is left to happen. */
	uint64_t modseq = 0;
	struct error *err = commit_stored_modseq(
		&request->op, mail_store_commit(request->context->store), entry.account, &modseq);
	if (err)
		json_object_set_new(request->answer, "account_modseq_error",
			json_string(error_chain(&request->op.arena, err)));
	else
		json_object_set_new(
			request->answer, "account_modseq", json_integer((json_int_t)modseq));
	return NULL;
}

static struct error *resolve_uncertain(struct admin_request *request)
{
	struct ledger_entry entry;
	bool applied;
	TRY(find_uncertain(request, &entry));
	TRY(commit_resolve(
		&request->op, mail_store_commit(request->context->store), &entry, &applied));
	request->answer = json_pack("{s:s}", "verdict", applied ? "applied" : "not_applied");
	return NULL;
}

static json_t *node_json(struct op *op, const struct node_info *node, uint64_t now_us)
{
	uint64_t age_us = now_us > node->seen_us ? now_us - node->seen_us : 0;
	return json_pack("{s:s, s:o, s:o, s:o, s:I, s:I, s:I}", "id",
		uuid_text(&op->arena, node->id), "name", admin_json_text(node->name), "data_center",
		admin_json_text(node->datacenter), "version", admin_json_text(node->version),
		"started_us", (json_int_t)node->started_us, "seen_us", (json_int_t)node->seen_us,
		"silent_s", (json_int_t)(age_us / US_PER_S));
}

static struct error *list_nodes(struct admin_request *request)
{
	struct node_info *nodes;
	size_t count;
	TRY(node_list(&request->op, mail_store_engine(request->context->store), &nodes, &count));
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(
			list, node_json(&request->op, &nodes[i], clock_realtime_us()));
	request->answer = json_pack("{s:o}", "nodes", list);
	return NULL;
}

/* Walks all content: for a quiet hour. */
static struct error *get_audit(struct admin_request *request)
{
	struct audit_report report;
	TRY(mail_store_audit(&request->op, request->context->store, &report));
	request->answer = json_pack("{s:I, s:I, s:I, s:I}", "blobs", (json_int_t)report.blobs,
		"live", (json_int_t)report.live, "waiting", (json_int_t)report.waiting, "orphaned",
		(json_int_t)report.orphaned);
	return NULL;
}

const struct admin_route admin_status_routes[] = {
	{"GET", "health", get_health, true},
	{"GET", "ready", get_ready, true},
	{"GET", "metrics", get_metrics, false},
	{"GET", "v1/status", get_status, false},
	{"GET", "v1/uncertain", list_uncertain, false},
	{"GET", "v1/uncertain/?", show_uncertain, false},
	{"POST", "v1/uncertain/?/resolve", resolve_uncertain, false},
	{"GET", "v1/nodes", list_nodes, false},
	{"GET", "v1/audit", get_audit, false},
};
const size_t admin_status_route_count = ARRAY_SIZE(admin_status_routes);
