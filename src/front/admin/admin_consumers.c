/* Consumers of accounts' logs, what they gave up on, and what the bus does for them. */

#include "base/clock.h"
#include "base/metric.h"
#include "bus/bus.h"
#include "consumer/consumer.h"
#include "consumer/usage.h"
#include "front/admin/admin_private.h"
#include "mailbox/log_entry.h"

/* Of one request on many letters; what is left is for the next one. */
#define GROUP_NS (5 * NS_PER_S)
#define GROUP_PAGE 100

static const struct admin_field consumer_fields[] = {
	{"name", ADMIN_TEXT, "Its name"},
	{"waiting", ADMIN_NUMBER, "Accounts that it is behind with, as far as this node knows"},
	{"retrying", ADMIN_NUMBER, "Of them those whose next event has failed"},
	{"oldest_ms", ADMIN_NUMBER, "How long the first of them waits"},
	{"dead_letters", ADMIN_NUMBER, "Events that were given up on"},
	{"done", ADMIN_NUMBER, "Events that this node has brought to their effect"},
	{"failures", ADMIN_NUMBER, "Tries that failed, on this node"},
	{"gaps", ADMIN_NUMBER,
		"Accounts whose log did not reach back to the cursor, so that events were missed"},
	{0},
};
static const struct admin_field consumers_fields[] = {
	{"consumers", ADMIN_LIST, "Those of this node", .fields = consumer_fields}, {0}};
#define LETTER_FIELDS                                                             \
	{"id", ADMIN_TEXT, "Its name"}, {"consumer", ADMIN_TEXT, "Whose it is"},  \
		{"account", ADMIN_UUID, "The account"},                           \
		{"address", ADMIN_TEXT, "As it was called then"},                 \
		{"modseq", ADMIN_NUMBER, "The event: the MODSEQ of the commit"},  \
		{"operation", ADMIN_UUID, "The operation that made it"},          \
		{"attempts", ADMIN_NUMBER, "How often it was tried"},             \
		{"first_failed_us", ADMIN_TIME, "The first time that it failed"}, \
		{"failed_us", ADMIN_TIME, "The last time"},                       \
	{                                                                         \
		"error", ADMIN_TEXT, "Why, the last time"                         \
	}
static const struct admin_field letter_fields[] = {LETTER_FIELDS, {0}};
static const struct admin_field letters_fields[] = {
	{"dead_letters", ADMIN_LIST, "The oldest day first", .fields = letter_fields}, {0}};
static const char *const changes[] = {"came", "flags", "left", "mailbox", NULL};
static const struct admin_field change_fields[] = {
	{"change", ADMIN_TEXT, "What happened", .choices = changes},
	{"mailbox", ADMIN_UUID, "Where"},
	{"uids", ADMIN_TEXT, "To which messages"},
	{0},
};
static const struct admin_field letter_whole_fields[] = {
	LETTER_FIELDS,
	{"changes", ADMIN_LIST, "What the commit did", .fields = change_fields},
	{0},
};
static const struct admin_field filter_fields[] = {
	{"consumer", ADMIN_TEXT, "Only this consumer's", ADMIN_OPTIONAL, 1, CONSUMER_NAME_MOST},
	{"domain", ADMIN_TEXT, "Only of accounts in this domain", ADMIN_OPTIONAL, 1, 320},
	{"address", ADMIN_TEXT, "Only of this account", ADMIN_OPTIONAL, 1, 320},
	{0},
};
static const struct admin_field group_fields[] = {
	{"consumer", ADMIN_TEXT, "Only this consumer's", ADMIN_OPTIONAL, 1, CONSUMER_NAME_MOST},
	{"domain", ADMIN_TEXT, "Only of accounts in this domain", ADMIN_OPTIONAL, 1, 320},
	{"address", ADMIN_TEXT, "Only of this account", ADMIN_OPTIONAL, 1, 320},
	{"after", ADMIN_TEXT, "What the request before gave as \"next\"", ADMIN_OPTIONAL, 1, 320},
	{0},
};
static const struct admin_field redelivered_fields[] = {
	{"redelivered", ADMIN_NUMBER, "Those that have had their effect now, and are gone"},
	{"failed", ADMIN_NUMBER, "Those that failed once more, and stay"},
	{"next", ADMIN_TEXT, "Where to go on; null: there are no more", ADMIN_NULLABLE},
	{0},
};
static const struct admin_field deleted_fields[] = {
	{"deleted", ADMIN_NUMBER, "Those that are gone"},
	{"next", ADMIN_TEXT, "Where to go on; null: there are no more", ADMIN_NULLABLE},
	{0},
};
static const struct admin_field usage_domain_fields[] = {
	{"domain", ADMIN_TEXT, "Its name"},
	{"accounts", ADMIN_NUMBER, "Accounts that hold any mail"},
	{"messages", ADMIN_NUMBER, "In all of them"},
	{"bytes", ADMIN_NUMBER, "In all of them"},
	{0},
};
static const struct admin_field usage_fields[] = {
	{"domains", ADMIN_LIST, "As last counted, some seconds ago", .fields = usage_domain_fields},
	{0}};
static const struct admin_field usage_query_fields[] = {
	{"domain", ADMIN_TEXT, "Only this one", ADMIN_OPTIONAL, 1, 320}, {0}};
static const struct admin_field bus_fields[] = {
	{"kind", ADMIN_TEXT, "What tells other nodes of changes"},
	{"reaches_others", ADMIN_BOOL, "It reaches other processes"},
	{"connected", ADMIN_BOOL, "There is a connection to a broker"},
	{"live", ADMIN_BOOL, "What this node says to itself comes back in time"},
	{"since_us", ADMIN_TIME, "Since when it is connected, or is not", ADMIN_OPTIONAL},
	{"where", ADMIN_TEXT, "Which broker, or the one tried last", ADMIN_NULLABLE},
	{"trouble", ADMIN_TEXT, "Why it is not connected", ADMIN_NULLABLE},
	{"waiting", ADMIN_NUMBER, "Hints not yet given to the broker"},
	{"unconfirmed", ADMIN_NUMBER, "Hints that the broker has not confirmed"},
	{"counters", ADMIN_COUNTS, "Since this node started"},
	{0},
};

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* ---- Consumers ---- */

static struct error *list_consumers(struct admin_request *request)
{
	struct consumer_status *status;
	size_t count;
	json_t *list = json_array();
	consumers_status(&request->op, request->context->consumers, &status, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
				status[i].name, "waiting", (json_int_t)status[i].waiting,
				"retrying", (json_int_t)status[i].retrying, "oldest_ms",
				(json_int_t)status[i].oldest_ms, "dead_letters",
				(json_int_t)status[i].letters, "done", (json_int_t)status[i].done,
				"failures", (json_int_t)status[i].failures, "gaps",
				(json_int_t)status[i].gaps));
	request->answer = json_pack("{s:o}", "consumers", list);
	return NULL;
}

/* ---- Dead letters ---- */

static json_t *letter_json(struct op *op, const struct letter *letter)
{
	return json_pack("{s:o, s:o, s:s, s:o, s:I, s:s, s:I, s:I, s:I, s:o}", "id",
		admin_json_text(letter_name(&op->arena, letter)), "consumer",
		admin_json_text(letter->consumer), "account",
		uuid_text(&op->arena, letter->account.uuid), "address",
		admin_json_text(letter->row.address), "modseq", (json_int_t)letter->modseq,
		"operation", uuid_text(&op->arena, letter->row.operation_id), "attempts",
		(json_int_t)letter->row.attempts, "first_failed_us",
		(json_int_t)letter->row.first_failed_us, "failed_us",
		(json_int_t)letter->row.failed_us, "error",
		admin_json_text(letter->row.last_error));
}

static struct error *list_letters(struct admin_request *request)
{
	struct op *op = &request->op;
	struct letter *letters;
	size_t count;
	bool more;
	const struct letter_filter filter = {.consumer = admin_argument(request, "consumer"),
		.domain = admin_argument(request, "domain"),
		.address = admin_argument(request, "address")};
	struct admin_page page = admin_page_begin(request);
	struct error *err = letters_list(op, request->context->consumers, &filter, page.after,
		page.limit, &letters, &count, &more);
	for (size_t i = 0; !err && i < count; i++)
		admin_page_add(
			&page, letter_name(&op->arena, &letters[i]), letter_json(op, &letters[i]));
	page.has_more = !err && more;
	admin_page_end(request, &page, "dead_letters");
	return err;
}

static json_t *change_json(struct op *op, const struct log_item *item)
{
	struct uid_set uids = item->uids;
	struct buf text = buf_in(&op->arena);
	const char *change = item->kind == LOG_APPEND    ? changes[0]
			     : item->kind == LOG_FLAGS   ? changes[1]
			     : item->kind == LOG_EXPUNGE ? changes[2]
							 : changes[3];
	if (item->kind != LOG_FLAGS)
		uid_set_init(&uids, &op->arena);
	if (item->kind == LOG_APPEND)
		uid_set_add(&uids, item->uid);
	for (size_t i = 0; i < item->expunged_count; i++)
		uid_set_add(&uids, item->expunged[i].uid);
	uid_set_print(&uids, &text);
	return json_pack("{s:s, s:s, s:o}", "change", change, "mailbox",
		uuid_text(&op->arena, item->mailbox.uuid), "uids",
		admin_json_text(buf_as_slice(&text)));
}

static struct error *find_letter(struct admin_request *request, struct letter *ret_letter)
{
	return letter_get(&request->op, request->context->consumers, request->parts[2], ret_letter);
}

static struct error *show_letter(struct admin_request *request)
{
	struct letter letter;
	struct log_item item;
	TRY(find_letter(request, &letter));
	json_t *list = json_array();
	struct log_reader log = log_entry_read(&request->op, letter.row.payload);
	while (log_reader_next(&log, &item))
		json_array_append_new(list, change_json(&request->op, &item));
	request->answer = letter_json(&request->op, &letter);
	json_object_set_new(request->answer, "changes", list);
	return log.err;
}

static struct error *redeliver_one(
	struct admin_request *request, const struct letter *letter, bool *ret_done)
{
	struct consumer_outcome outcome;
	TRY(letter_redeliver(&request->op, request->context->consumers, letter, &outcome));
	*ret_done = outcome.delivery == DELIVERY_DONE || outcome.delivery == DELIVERY_NOTHING;
	return NULL;
}

static struct error *redeliver_letter(struct admin_request *request)
{
	bool is_done;
	struct letter letter;
	TRY(find_letter(request, &letter));
	TRY(redeliver_one(request, &letter, &is_done));
	request->answer =
		json_pack("{s:i, s:i, s:n}", "redelivered", is_done, "failed", !is_done, "next");
	return NULL;
}

static struct error *delete_letter(struct admin_request *request)
{
	struct letter letter;
	TRY(find_letter(request, &letter));
	return letter_delete(&request->op, request->context->consumers, &letter);
}

/* What is done to many, until there are no more or it has taken long enough. */
struct group {
	struct error *(*run)(
		struct admin_request *request, const struct letter *letter, bool *ret_done);
	uint64_t done, failed;
	struct slice last; /* empty: there are no more */
};

static struct error *run_group(struct admin_request *request, struct group *group)
{
	struct op *op = &request->op;
	uint64_t until_ns = clock_monotonic_ns() + GROUP_NS;
	const struct letter_filter filter = {.consumer = admin_text_field(request, "consumer"),
		.domain = admin_text_field(request, "domain"),
		.address = admin_text_field(request, "address")};
	group->last = admin_text_field(request, "after");
	for (bool more = true; more;) {
		struct letter *letters;
		size_t count;
		TRY(letters_list(op, request->context->consumers, &filter, group->last, GROUP_PAGE,
			&letters, &count, &more));
		for (size_t i = 0; i < count; i++) {
			bool is_done;
			struct error *err = group->run(request, &letters[i], &is_done);
			/* What was done is told; the next request meets the error again. */
			if (err && group->done + group->failed)
				return NULL;
			TRY(err);
			group->done += is_done;
			group->failed += !is_done;
			group->last = letter_name(&op->arena, &letters[i]);
			if (clock_monotonic_ns() >= until_ns)
				return NULL;
		}
	}
	group->last = SLICE_NONE;
	return NULL;
}

static json_t *next_json(const struct group *group)
{
	return group->last.len ? admin_json_text(group->last) : json_null();
}

/* Letters of a consumer that this node has not are in nobody's way. */
static struct error *redeliver_of_group(
	struct admin_request *request, const struct letter *letter, bool *ret_done)
{
	struct error *err = redeliver_one(request, letter, ret_done);
	if (!err || err->kind != ERR_NOT_FOUND)
		return err;
	*ret_done = false;
	return NULL;
}

static struct error *redeliver_letters(struct admin_request *request)
{
	struct group group = {.run = redeliver_of_group};
	TRY(run_group(request, &group));
	request->answer = json_pack("{s:I, s:I, s:o}", "redelivered", (json_int_t)group.done,
		"failed", (json_int_t)group.failed, "next", next_json(&group));
	return NULL;
}

static struct error *delete_one(
	struct admin_request *request, const struct letter *letter, bool *ret_done)
{
	*ret_done = true;
	return letter_delete(&request->op, request->context->consumers, letter);
}

static struct error *delete_letters(struct admin_request *request)
{
	struct group group = {.run = delete_one};
	TRY(run_group(request, &group));
	request->answer = json_pack(
		"{s:I, s:o}", "deleted", (json_int_t)group.done, "next", next_json(&group));
	return NULL;
}

/* ---- Usage ---- */

static struct error *add_usage(
	struct admin_request *request, struct admin_page *page, struct slice domain)
{
	struct usage_total total;
	if (!admin_page_wants(page, domain))
		return NULL;
	TRY(usage_of_domain(&request->op, request->context->store, domain, &total));
	admin_page_add(page, domain,
		json_pack("{s:o, s:I, s:I, s:I}", "domain", admin_json_text(domain), "accounts",
			(json_int_t)total.accounts, "messages", (json_int_t)total.messages, "bytes",
			(json_int_t)total.bytes));
	return NULL;
}

static struct error *add_domains(struct admin_request *request, struct admin_page *page)
{
	struct op *op = &request->op;
	struct domain_info one, *domains = &one;
	size_t count = 1;
	struct slice asked = admin_argument(request, "domain");
	if (asked.len)
		TRY(domain_get(op, request->context->accounts, asked, &one));
	else
		TRY(domain_list(op, request->context->accounts, &domains, &count));
	for (size_t i = 0; i < count; i++)
		TRY(add_usage(request, page, domains[i].name));
	return NULL;
}

static struct error *get_usage(struct admin_request *request)
{
	struct admin_page page = admin_page_begin(request);
	struct error *err = add_domains(request, &page);
	admin_page_end(request, &page, "domains");
	return err;
}

/* ---- The bus ---- */

static json_t *bus_counters(void)
{
	static const char *const names[] = {
		"published", "confirmed", "refused", "returned", "dropped", "received", "connects"};
	json_t *object = json_object();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char name[64];
		(void)snprintf(name, sizeof(name), "holdfast_bus_%s_total", names[i]);
		const struct metric *metric = metric_find(name);
		json_object_set_new(object, names[i],
			json_integer(metric ? (json_int_t)metric_value(metric) : 0));
	}
	return object;
}

static struct error *get_bus(struct admin_request *request)
{
	struct bus_status status;
	struct bus *bus = request->context->bus;
	bus_get_status(bus, &request->op.arena, &status);
	request->answer = json_pack("{s:s, s:b, s:b, s:b, s:o, s:o, s:I, s:I, s:o}", "kind",
		status.kind, "reaches_others", bus->reaches_others, "connected",
		status.is_connected, "live", status.is_live, "where", text_or_null(status.where),
		"trouble", text_or_null(status.trouble), "waiting", (json_int_t)status.waiting,
		"unconfirmed", (json_int_t)status.unconfirmed, "counters", bus_counters());
	if (bus->reaches_others)
		json_object_set_new(request->answer, "since_us",
			json_integer((json_int_t)(clock_realtime_us() - status.for_ms * 1000)));
	return NULL;
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/consumers", ADMIN_READ, ADMIN_SERVER, 200, list_consumers, "Who follows the accounts' logs, and how far they are behind", NULL, NULL, consumers_fields},
	{"GET", "v1/dead-letters", ADMIN_READ, ADMIN_SERVER, 200, list_letters, "Events that were given up on", filter_fields, NULL, letters_fields, NULL, true},
	{"GET", "v1/dead-letters/{letter}", ADMIN_READ, ADMIN_SERVER, 200, show_letter, "One of them, and what it is about", NULL, NULL, letter_whole_fields},
	{"POST", "v1/dead-letters/{letter}/redeliver", ADMIN_OPERATE, ADMIN_SERVER, 200, redeliver_letter, "Tries it once more; it goes when that was right", NULL, NULL, redelivered_fields},
	{"DELETE", "v1/dead-letters/{letter}", ADMIN_OPERATE, ADMIN_SERVER, 204, delete_letter, "Forgets it"},
	{"POST", "v1/redeliver-dead-letters", ADMIN_OPERATE, ADMIN_SERVER, 200, redeliver_letters, "Tries many once more, for some seconds", NULL, group_fields, redelivered_fields},
	{"POST", "v1/delete-dead-letters", ADMIN_OPERATE, ADMIN_SERVER, 200, delete_letters, "Forgets many", NULL, group_fields, deleted_fields},
	{"GET", "v1/usage", ADMIN_READ, ADMIN_QUERY_DOMAIN, 200, get_usage, "How much mail domains hold", usage_query_fields, NULL, usage_fields, NULL, true},
	{"GET", "v1/bus", ADMIN_READ, ADMIN_SERVER, 200, get_bus, "What tells other nodes of changes, and how it is", NULL, NULL, bus_fields},
};
/* clang-format on */
const struct admin_routes admin_consumer_routes = ADMIN_ROUTES(routes);
