#include <stdlib.h>

#include "base/clock.h"
#include "commit/commit.h"
#include "consistency/levels.h"
#include "consistency/nodes.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

/* ---- levels ---- */

static const char *const pin_names[] = {[FALLBACK_FREE] = "no",
	[FALLBACK_PINNED_PRIMARY] = "primary",
	[FALLBACK_PINNED_FALLBACK] = "fallback",
	NULL};

static const struct admin_field level_fields[] = {
	{"kind", ADMIN_TEXT, "Queries of which kind: read, write or delete"},
	{"primary", ADMIN_TEXT, "The level that is wanted"},
	{"fallback", ADMIN_TEXT, "The one to go out at while that fails; \"none\": there is none"},
	{"in_force", ADMIN_TEXT, "The one they go out at now"},
	{"in_force_ms", ADMIN_NUMBER, "For how long, in milliseconds"},
	{"next_probe_ms", ADMIN_NUMBER, "When the primary level is tried next; null: not planned",
		ADMIN_NULLABLE},
	{"pinned", ADMIN_TEXT, "Held by hand", .choices = pin_names},
	{"failures", ADMIN_NUMBER, "Failures of the primary level so far"},
	{0},
};
const struct admin_field admin_levels_fields[] = {
	{"levels", ADMIN_LIST, "One for each kind", .fields = level_fields}, {0}};
static const char *const pin_choices[] = {"primary", "fallback", NULL};
static const struct admin_field pin_fields[] = {
	{"level", ADMIN_TEXT, "Which one to hold", .choices = pin_choices}, {0}};

static struct error *require_levels(struct admin_request *request)
{
	if (request->context->has_levels)
		return NULL;
	return op_fail(&request->op, ERR_NOT_FOUND, "the engine %s has no consistency levels",
		request->context->engine);
}

static json_t *level_json(const struct levels_status *status)
{
	bool is_planned = status->next_probe_ms != UINT64_MAX;
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:s, s:I}", "kind", status->kind,
		"primary", level_name(status->primary), "fallback", level_name(status->fallback),
		"in_force", level_name(status->in_force), "in_force_ms",
		(json_int_t)status->in_force_ms, "next_probe_ms",
		is_planned ? json_integer((json_int_t)status->next_probe_ms) : json_null(),
		"pinned", pin_names[status->pin], "failures", (json_int_t)status->failures);
}

json_t *admin_levels_json(struct engine *engine)
{
	struct levels_status status[FALLBACK_KIND_COUNT];
	levels_get_status(engine, status);
	json_t *list = json_array();
	for (size_t i = 0; i < FALLBACK_KIND_COUNT; i++)
		json_array_append_new(list, level_json(&status[i]));
	return list;
}

static struct error *get_levels(struct admin_request *request)
{
	TRY(require_levels(request));
	request->answer = json_pack(
		"{s:o}", "levels", admin_levels_json(mail_store_engine(request->context->store)));
	return NULL;
}

static struct error *kind_of(struct admin_request *request, enum fallback_kind *ret_kind)
{
	TRY(require_levels(request));
	if (levels_kind_by_name(request->parts[2], ret_kind))
		return NULL;
	return op_fail(&request->op, ERR_NOT_FOUND, "a kind is read, write or delete");
}

static struct error *put_pin(struct admin_request *request)
{
	enum fallback_kind kind;
	TRY(kind_of(request, &kind));
	bool to_primary = slice_equal(admin_text_field(request, "level"), SLICE("primary"));
	return levels_pin(&request->op, mail_store_engine(request->context->store), kind,
		to_primary ? FALLBACK_PINNED_PRIMARY : FALLBACK_PINNED_FALLBACK);
}

static struct error *delete_pin(struct admin_request *request)
{
	enum fallback_kind kind;
	TRY(kind_of(request, &kind));
	levels_release(mail_store_engine(request->context->store), kind);
	return NULL;
}

/* ---- uncertain writes ---- */

static const struct admin_field uncertain_fields[] = {
	{"operation", ADMIN_UUID, "The operation"},
	{"account", ADMIN_UUID, "Whose mail it would change"},
	{"expected_modseq", ADMIN_NUMBER, "What the account's MODSEQ had to be"},
	{"modseq", ADMIN_NUMBER, "What it would have become"},
	{"recorded_us", ADMIN_TIME, "Since when it is not known"},
	{0},
};
static const struct admin_field uncertains_fields[] = {
	{"uncertain", ADMIN_LIST, "By operation", .fields = uncertain_fields}, {0}};
static const struct admin_field whole_uncertain_fields[] = {
	{"operation", ADMIN_UUID, "The operation"},
	{"account", ADMIN_UUID, "Whose mail it would change"},
	{"expected_modseq", ADMIN_NUMBER, "What the account's MODSEQ had to be"},
	{"modseq", ADMIN_NUMBER, "What it would have become"},
	{"recorded_us", ADMIN_TIME, "Since when it is not known"},
	{"account_modseq", ADMIN_NUMBER, "Where the account stands now", ADMIN_OPTIONAL},
	{"account_modseq_error", ADMIN_TEXT, "Why that cannot be told", ADMIN_OPTIONAL},
	{0},
};
static const char *const verdicts[] = {"applied", "not_applied", NULL};
static const struct admin_field verdict_fields[] = {
	{"verdict", ADMIN_TEXT, "What the store says of it", .choices = verdicts}, {0}};

static json_t *uncertain_json(struct op *op, const struct ledger_entry *entry)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "operation",
		uuid_text(&op->arena, entry->operation.uuid), "account",
		uuid_text(&op->arena, entry->account.uuid), "expected_modseq",
		(json_int_t)entry->expected_modseq, "modseq", (json_int_t)entry->modseq,
		"recorded_us", (json_int_t)entry->recorded_us);
}

static int compare_operations(const void *left, const void *right)
{
	const struct ledger_entry *a = left;
	const struct ledger_entry *b = right;
	return uuid_compare(a->operation.uuid, b->operation.uuid);
}

static struct error *list_uncertain(struct admin_request *request)
{
	struct ledger_entry *entries;
	size_t count;
	struct admin_page page = admin_page_begin(request);
	ledger_list(&request->op, request->context->ledger, &entries, &count);
	if (count)
		qsort(entries, count, sizeof(*entries), compare_operations);
	for (size_t i = 0; i < count; i++) {
		struct slice name =
			slice_from_cstr(uuid_text(&request->op.arena, entries[i].operation.uuid));
		if (admin_page_wants(&page, name))
			admin_page_add(&page, name, uncertain_json(&request->op, &entries[i]));
	}
	admin_page_end(request, &page, "uncertain");
	return NULL;
}

static struct error *find_uncertain(struct admin_request *request, struct ledger_entry *ret_entry)
{
	struct ledger_entry *entries;
	size_t count;
	struct uuid operation;
	if (!uuid_parse(request->parts[2], &operation))
		return op_fail(&request->op, ERR_NOT_FOUND, "an operation is named by its UUID");
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

/* ---- nodes ---- */

static const struct admin_field node_fields[] = {
	{"id", ADMIN_UUID, "Of the node's data directory"},
	{"name", ADMIN_TEXT, "The name it goes by"},
	{"data_center", ADMIN_TEXT, "Where it is; empty: the engine knows of none"},
	{"version", ADMIN_TEXT, "Of the program"},
	{"started_us", ADMIN_TIME, "When it began"},
	{"seen_us", ADMIN_TIME, "When it last said that it is there"},
	{"silent_s", ADMIN_NUMBER, "Seconds since then"},
	{0},
};
static const struct admin_field nodes_fields[] = {
	{"nodes", ADMIN_LIST, "By id", .fields = node_fields}, {0}};

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
	struct admin_page page = admin_page_begin(request);
	struct error *err =
		node_list(&request->op, mail_store_engine(request->context->store), &nodes, &count);
	for (size_t i = 0; !err && i < count; i++) {
		struct slice name = slice_from_cstr(uuid_text(&request->op.arena, nodes[i].id));
		if (admin_page_wants(&page, name))
			admin_page_add(&page, name,
				node_json(&request->op, &nodes[i], clock_realtime_us()));
	}
	admin_page_end(request, &page, "nodes");
	return err;
}

/* clang-format off */
static const struct admin_route routes[] = {
	{"GET", "v1/consistency", ADMIN_READ, ADMIN_SERVER, 200, get_levels, "The consistency levels in force", NULL, NULL, admin_levels_fields},
	{"PUT", "v1/consistency/{kind}/pin", ADMIN_OPERATE, ADMIN_SERVER, 204, put_pin, "Holds queries of a kind at one of their levels", NULL, pin_fields},
	{"DELETE", "v1/consistency/{kind}/pin", ADMIN_OPERATE, ADMIN_SERVER, 204, delete_pin, "Lets them change by themselves again"},
	{"GET", "v1/uncertain", ADMIN_READ, ADMIN_SERVER, 200, list_uncertain, "Writes of this node whose outcome is not known yet", NULL, NULL, uncertains_fields, NULL, true},
	{"GET", "v1/uncertain/{operation}", ADMIN_READ, ADMIN_SERVER, 200, show_uncertain, "One of them", NULL, NULL, whole_uncertain_fields},
	{"POST", "v1/uncertain/{operation}/resolve", ADMIN_OPERATE, ADMIN_SERVER, 200, resolve_uncertain, "Finds out now", NULL, NULL, verdict_fields},
	{"GET", "v1/nodes", ADMIN_READ, ADMIN_SERVER, 200, list_nodes, "The nodes that serve from the same store", NULL, NULL, nodes_fields, NULL, true},
};
/* clang-format on */
const struct admin_routes admin_consistency_routes = ADMIN_ROUTES(routes);
