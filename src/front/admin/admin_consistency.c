#include "base/clock.h"
#include "commit/commit.h"
#include "consistency/levels.h"
#include "consistency/nodes.h"
#include "front/admin/admin_private.h"
#include "mailbox/store.h"

/* ---- levels ---- */

static struct error *require_levels(struct admin_request *request)
{
	if (request->context->has_levels)
		return NULL;
	return op_fail(&request->op, ERR_NOT_FOUND, "the engine %s has no consistency levels",
		request->context->engine);
}

static json_t *level_json(const struct levels_status *status)
{
	static const char *const pins[] = {[FALLBACK_FREE] = "no",
		[FALLBACK_PINNED_PRIMARY] = "primary",
		[FALLBACK_PINNED_FALLBACK] = "fallback"};
	bool is_planned = status->next_probe_ms != UINT64_MAX;
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:s, s:I}", "kind", status->kind,
		"primary", level_name(status->primary), "fallback", level_name(status->fallback),
		"in_force", level_name(status->in_force), "in_force_ms",
		(json_int_t)status->in_force_ms, "next_probe_ms",
		is_planned ? json_integer((json_int_t)status->next_probe_ms) : json_null(),
		"pinned", pins[status->pin], "failures", (json_int_t)status->failures);
}

static struct error *get_levels(struct admin_request *request)
{
	struct levels_status status[FALLBACK_KIND_COUNT];
	TRY(require_levels(request));
	levels_get_status(mail_store_engine(request->context->store), status);
	json_t *list = json_array();
	for (size_t i = 0; i < FALLBACK_KIND_COUNT; i++)
		json_array_append_new(list, level_json(&status[i]));
	request->answer = json_pack("{s:o}", "levels", list);
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
	struct slice level;
	TRY(kind_of(request, &kind));
	TRY(admin_text_field(request, "level", &level));
	bool to_primary = slice_equal(level, SLICE("primary"));
	if (!to_primary && !slice_equal(level, SLICE("fallback")))
		return op_fail(&request->op, ERR_INVALID, "level is primary or fallback");
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

/* ---- nodes ---- */

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

const struct admin_route admin_consistency_routes[] = {
	{"GET", "v1/consistency", get_levels, false},
	{"PUT", "v1/consistency/?", put_pin, false},
	{"DELETE", "v1/consistency/?", delete_pin, false},
	{"GET", "v1/uncertain", list_uncertain, false},
	{"GET", "v1/uncertain/?", show_uncertain, false},
	{"POST", "v1/uncertain/?/resolve", resolve_uncertain, false},
	{"GET", "v1/nodes", list_nodes, false},
};
const size_t admin_consistency_route_count = ARRAY_SIZE(admin_consistency_routes);
