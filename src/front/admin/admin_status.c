#include <unistd.h>

#include "base/metric.h"
#include "bus/bus.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

static const char *const lives[] = {"alive", NULL};
static const struct admin_field alive_fields[] = {
	{"status", ADMIN_TEXT, "It serves requests", .choices = lives}, {0}};
static const struct admin_field ready_fields[] = {
	{"ready", ADMIN_BOOL, "Mail can be taken and read"}, {0}};
static const char *const healths[] = {"well", "ailing", NULL};
static const struct admin_field health_fields[] = {
	{"status", ADMIN_TEXT, "Is there anything to mend?", .choices = healths},
	{"findings", ADMIN_TEXTS, "What there is, one sentence each"},
	{0},
};
static const struct admin_field status_fields[] = {
	{"version", ADMIN_TEXT, "Of the program"},
	{"engine", ADMIN_TEXT, "What stores rows"},
	{"pid", ADMIN_NUMBER, "The process"},
	{"ready", ADMIN_BOOL, "Mail can be taken and read"},
	{"uncertain", ADMIN_NUMBER, "Writes whose outcome is not known yet"},
	{"bus", ADMIN_TEXT, "What tells other nodes of changes, and how it is"},
	{0},
};
static const struct admin_field audit_fields[] = {
	{"blobs", ADMIN_NUMBER, "Contents that are stored"},
	{"live", ADMIN_NUMBER, "A message refers to them"},
	{"waiting", ADMIN_NUMBER, "Their last place has gone, and reclaim will come"},
	{"orphaned", ADMIN_NUMBER, "Neither: left by a crash between content and commit"},
	{0},
};
static const struct admin_field tidied_fields[] = {
	{"blobs", ADMIN_NUMBER, "Contents that are stored"},
	{"live", ADMIN_NUMBER, "A message refers to them"},
	{"waiting", ADMIN_NUMBER, "Their last place has gone, and reclaim will come"},
	{"orphaned", ADMIN_NUMBER, "Neither: left by a crash between content and commit"},
	{"left", ADMIN_NUMBER, "Orphaned ones that were left to reclaim now"},
	{0},
};

/* The process serves requests: whoever restarts what hangs asks this. */
static struct error *get_health(struct admin_request *request)
{
	request->answer = json_pack("{s:s}", "status", "alive");
	return NULL;
}

/* Is anything wrong that an operator should mend? */
static struct error *get_faults(struct admin_request *request)
{
	json_t *list = admin_findings_json(request);
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
	if (!is_ready)
		admin_refuse(request, MHD_HTTP_SERVICE_UNAVAILABLE, "mail cannot be taken now");
	return NULL;
}

static struct error *get_metrics(struct admin_request *request)
{
	request->content_type = "text/plain; version=0.0.4; charset=utf-8";
	metric_print_all(&request->text);
	return NULL;
}

static const char *describe_bus(struct arena *arena, struct bus *bus)
{
	struct bus_status status;
	if (!bus || !bus->reaches_others)
		return "local: no other nodes are told";
	bus_get_status(bus, arena, &status);
	unsigned long long seconds = status.for_ms / 1000;
	const char *where = status.where ? status.where : "no host yet";
	if (!status.is_connected)
		return arena_printf(arena, "%s: not connected since %llu s (%s: %s)", status.kind,
			seconds, where, status.trouble ? status.trouble : "not tried");
	return arena_printf(arena, "%s: connected since %llu s (%s)%s", status.kind, seconds, where,
		status.is_live ? "" : ", but it does not answer");
}

static struct error *get_status(struct admin_request *request)
{
	const struct admin_context *context = request->context;
	request->answer = json_pack("{s:s, s:s, s:I, s:b, s:I, s:s}", "version", context->version,
		"engine", context->engine, "pid", (json_int_t)getpid(), "ready",
		context->is_ready(context->ready_context), "uncertain",
		(json_int_t)ledger_length(context->ledger), "bus",
		describe_bus(&request->op.arena, context->bus));
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

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "health", ADMIN_OPEN, ADMIN_SCOPE_IS_OWN, 200, get_health, "Does the process live?", NULL, NULL, alive_fields},
	{"GET", "ready", ADMIN_OPEN, ADMIN_SCOPE_IS_OWN, 200, get_ready, "Can mail be taken and read? 503 while not", NULL, NULL, ready_fields},
	{"GET", "openapi.json", ADMIN_OPEN, ADMIN_SCOPE_IS_OWN, 200, admin_openapi, "This description", .content_type = "application/json"},
	{"GET", "metrics", ADMIN_READ, ADMIN_SERVER, 200, get_metrics, "What is counted, as Prometheus text", .content_type = "text/plain"},
	{"GET", "v1/health", ADMIN_READ, ADMIN_SERVER, 200, get_faults, "Is anything wrong that an operator should mend?", NULL, NULL, health_fields},
	{"GET", "v1/status", ADMIN_READ, ADMIN_SERVER, 200, get_status, "What this server is", NULL, NULL, status_fields},
	{"GET", "v1/blobs", ADMIN_OPERATE, ADMIN_SERVER, 200, get_audit, "Walks all content, and counts it by what refers to it", NULL, NULL, audit_fields},
	{"POST", "v1/blobs/tidy", ADMIN_OPERATE, ADMIN_SERVER, 200, tidy, "As that, and leaves to reclaim what is nobody's for long", NULL, NULL, tidied_fields},
};
/* clang-format on */
const struct admin_routes admin_status_routes = ADMIN_ROUTES(routes);
