#include <unistd.h>

#include "base/metric.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

/* The process serves requests: whoever restarts what hangs asks this. */
static struct error *get_health(struct admin_request *request)
{
	request->answer = json_pack("{s:s}", "status", "alive");
	return NULL;
}

/* Is anything wrong that an operator should mend? */
static struct error *get_faults(struct admin_request *request)
{
	const struct admin_context *context = request->context;
	struct slice *findings;
	size_t count;
	json_t *list = json_array();
	struct error *err =
		context->find_faults(&request->op, context->faults_context, &findings, &count);
	if (err) {
		/* That the stores cannot be asked is an answer too. */
		json_array_append_new(list, json_string(error_chain(&request->op.arena, err)));
		count = 0;
	}
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, admin_json_text(findings[i]));
	bool is_well = json_array_size(list) == 0;
	request->answer =
		json_pack("{s:s, s:o}", "status", is_well ? "well" : "ailing", "findings", list);
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

static void answer_audit(struct admin_request *request, const struct audit_report *report)
{
	request->answer = json_pack("{s:I, s:I, s:I, s:I}", "blobs", (json_int_t)report->blobs,
		"live", (json_int_t)report->live, "waiting", (json_int_t)report->waiting,
		"orphaned", (json_int_t)report->orphaned);
}

/* Walks all content: for a quiet hour. */
static struct error *get_audit(struct admin_request *request)
{
	struct audit_report report;
	TRY(mail_store_audit(&request->op, request->context->store, &report));
	answer_audit(request, &report);
	return NULL;
}

static struct error *tidy(struct admin_request *request)
{
	struct audit_report report;
	TRY(mail_store_tidy(
		&request->op, request->context->store, mail_settings.grace_ms * 1000, &report));
	answer_audit(request, &report);
	json_object_set_new(request->answer, "left", json_integer((json_int_t)report.left));
	return NULL;
}

const struct admin_route admin_status_routes[] = {
	{"GET", "health", get_health, true},
	{"GET", "ready", get_ready, true},
	{"GET", "metrics", get_metrics, false},
	{"GET", "v1/health", get_faults, false},
	{"GET", "v1/status", get_status, false},
	{"GET", "v1/audit", get_audit, false},
	{"POST", "v1/audit", tidy, false},
};
const size_t admin_status_route_count = ARRAY_SIZE(admin_status_routes);
