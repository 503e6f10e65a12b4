#include "commit/commit_private.h"

#include "base/clock.h"

void plan_begin(struct commit_plan *plan, struct op *op, struct commit *commit,
	struct commit_account *account)
{
	*plan = (struct commit_plan){
		.op = op, .commit = commit, .account = account, .head = &account->head};
	plan->state = account->head.state;
	mutations_init(&plan->extras, &op->arena);
}

static void append_log(struct commit_plan *plan, const struct log_row *row)
{
	if (plan->log_count == plan->log_capacity) {
		size_t capacity = plan->log_capacity ? plan->log_capacity * 2 : 8;
		plan->logs = arena_grow(&plan->op->arena, plan->logs,
			plan->log_capacity * sizeof(struct log_row),
			capacity * sizeof(struct log_row));
		plan->log_capacity = capacity;
	}
	plan->logs[plan->log_count++] = *row;
}

static void undo_layer(struct commit_plan *plan)
{
	plan->state = plan->state_before;
	plan->mailbox_count = plan->layer;
	plan->extras.count = plan->extras_layer;
}

bool is_at_home(const struct commit *commit, const struct account_static *state)
{
	return !state->home.len || !commit->engine->datacenter.len ||
	       slice_equal(state->home, commit->engine->datacenter);
}

static bool account_is_as_wanted(struct commit_plan *plan, struct commit_change *change)
{
	bool exists = plan->head->exists || plan->log_count;
	if (exists && change->makes_account)
		change->err = op_fail(change->op, ERR_EXISTS, "the account exists");
	else if (!exists && !change->makes_account)
		change->err = op_fail(change->op, ERR_NOT_FOUND, "no such account");
	else if (exists && !is_at_home(plan->commit, &plan->state))
		change->err = op_fail(change->op, ERR_UNAVAILABLE,
			"the account is at home in data centre " SLICE_FMT,
			SLICE_ARG(plan->state.home));
	else if (!exists)
		plan->state.home = plan->commit->engine->datacenter;
	return !change->err;
}

static void begin_change(struct commit_plan *plan, struct commit_change *change)
{
	plan->state_before = plan->state;
	plan->layer = plan->mailbox_count;
	plan->extras_layer = plan->extras.count;
	plan->current = change;
	plan->modseq = MAX_OF(clock_realtime_us(), plan->state.modseq + 1);
	plan->entry = SLICE_NONE;
	change->err = NULL;
	change->modseq = 0;
}

static void log_change(struct commit_plan *plan, struct commit_change *change)
{
	struct log_row row = {.modseq = plan->modseq,
		.row = {.operation_id = change->operation.uuid,
			.previous = plan->state.modseq,
			.once_key = change->once_key,
			.entry = plan->entry}};
	append_log(plan, &row);
	plan->state.modseq = plan->modseq;
	change->modseq = plan->modseq;
}

bool plan_one(struct commit_plan *plan, struct commit_change *change)
{
	begin_change(plan, change);
	if (!account_is_as_wanted(plan, change))
		return false;
	change->err = change->plan(change->op, plan, change->context);
	if (change->err || !plan->entry.ptr) {
		undo_layer(plan);
		return false;
	}
	log_change(plan, change);
	return true;
}

void plan_empty(struct commit_plan *plan, struct commit_change *change)
{
	begin_change(plan, change);
	plan->entry = SLICE("");
	log_change(plan, change);
}

struct account_id plan_account(const struct commit_plan *plan)
{
	return plan->account->id;
}

struct operation_id plan_operation(const struct commit_plan *plan)
{
	return plan->current->operation;
}

uint64_t plan_modseq(const struct commit_plan *plan)
{
	return plan->modseq;
}

struct account_static *plan_state(struct commit_plan *plan)
{
	return &plan->state;
}

const struct head *plan_head(const struct commit_plan *plan)
{
	return plan->head;
}

static struct plan_mailbox *find_planned(struct commit_plan *plan, struct mailbox_id id)
{
	for (size_t i = plan->mailbox_count; i-- > 0;)
		if (ID_EQUAL(plan->mailboxes[i]->id, id))
			return plan->mailboxes[i];
	return NULL;
}

const struct account_mailbox *plan_mailbox(struct commit_plan *plan, struct mailbox_id id)
{
	struct plan_mailbox *planned = find_planned(plan, id);
	if (planned)
		return planned->is_removed ? NULL : &planned->row;
	const struct head_mailbox *mailbox = head_mailbox(plan->head, id);
	return mailbox ? &mailbox->row : NULL;
}

bool plan_find_path(struct commit_plan *plan, struct slice path, struct mailbox_id *ret_id)
{
	for (size_t i = plan->mailbox_count; i-- > 0;) {
		struct plan_mailbox *planned = plan->mailboxes[i];
		bool is_latest = find_planned(plan, planned->id) == planned;
		if (is_latest && !planned->is_removed && !planned->row.deleted_modseq &&
			slice_equal(planned->row.path, path)) {
			*ret_id = planned->id;
			return true;
		}
	}
	const struct head_mailbox *mailbox = head_mailbox_at(plan->head, path);
	if (!mailbox || find_planned(plan, mailbox->id))
		return false;
	*ret_id = mailbox->id;
	return true;
}

void plan_all_mailboxes(struct op *op, struct commit_plan *plan, struct mailbox_id **ret_ids,
	const struct account_mailbox ***ret_rows, size_t *ret_count)
{
	size_t most = plan->head->mailboxes.count + plan->mailbox_count;
	*ret_ids = ARENA_ARRAY(&op->arena, struct mailbox_id, most ? most : 1);
	*ret_rows = ARENA_ARRAY(&op->arena, const struct account_mailbox *, most ? most : 1);
	*ret_count = 0;
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&plan->head->mailboxes, &cursor, NULL, &value)) {
		struct head_mailbox *mailbox = value;
		if (find_planned(plan, mailbox->id))
			continue;
		(*ret_ids)[*ret_count] = mailbox->id;
		(*ret_rows)[(*ret_count)++] = &mailbox->row;
	}
	for (size_t i = 0; i < plan->mailbox_count; i++) {
		struct plan_mailbox *planned = plan->mailboxes[i];
		if (find_planned(plan, planned->id) != planned || planned->is_removed)
			continue;
		(*ret_ids)[*ret_count] = planned->id;
		(*ret_rows)[(*ret_count)++] = &planned->row;
	}
}

static struct plan_mailbox *add_to_layer(struct commit_plan *plan, struct mailbox_id id)
{
	if (plan->mailbox_count == plan->mailbox_capacity) {
		size_t capacity = plan->mailbox_capacity ? plan->mailbox_capacity * 2 : 8;
		plan->mailboxes = arena_grow(&plan->op->arena, plan->mailboxes,
			plan->mailbox_capacity * sizeof(struct plan_mailbox *),
			capacity * sizeof(struct plan_mailbox *));
		plan->mailbox_capacity = capacity;
	}
	struct plan_mailbox *planned = ARENA_NEW(&plan->op->arena, struct plan_mailbox);
	*planned = (struct plan_mailbox){.id = id, .index = plan->mailbox_count};
	plan->mailboxes[plan->mailbox_count++] = planned;
	return planned;
}

struct account_mailbox *plan_change_mailbox(struct commit_plan *plan, struct mailbox_id id)
{
	struct plan_mailbox *planned = find_planned(plan, id);
	if (planned && planned->index >= plan->layer)
		return &planned->row;
	const struct account_mailbox *before = plan_mailbox(plan, id);
	if (!before)
		return NULL;
	struct account_mailbox row = *before;
	struct plan_mailbox *added = add_to_layer(plan, id);
	added->row = row;
	return &added->row;
}

struct account_mailbox *plan_add_mailbox(struct commit_plan *plan, struct mailbox_id id)
{
	return &add_to_layer(plan, id)->row;
}

void plan_remove_mailbox(struct commit_plan *plan, struct mailbox_id id)
{
	add_to_layer(plan, id)->is_removed = true;
}

void plan_put_intent(
	struct commit_plan *plan, struct uuid operation_id, const struct account_intent *intent)
{
	struct arena *arena = &plan->op->arena;
	mutations_put(&plan->extras, &account_table, SLICE_NONE,
		key_account_row(arena, ACCOUNT_INTENT, uuid_as_slice(&operation_id)),
		row_encode_in(arena, &account_intent_row, intent), 0);
}

void plan_remove_intent(struct commit_plan *plan, struct uuid operation_id)
{
	mutations_delete(&plan->extras, &account_table, SLICE_NONE,
		key_account_row(&plan->op->arena, ACCOUNT_INTENT, uuid_as_slice(&operation_id)), 0);
}

bool plan_has_intent(struct commit_plan *plan, struct uuid operation_id)
{
	struct slice key =
		key_account_row(&plan->op->arena, ACCOUNT_INTENT, uuid_as_slice(&operation_id));
	for (size_t i = plan->extras.count; i-- > 0;)
		if (slice_equal(plan->extras.items[i].key, key))
			return !plan->extras.items[i].is_delete;
	return hash_map_find(&plan->head->intents, uuid_as_slice(&operation_id)) != NULL;
}

void plan_subscribe(struct commit_plan *plan, struct slice name, bool subscribed)
{
	struct arena *arena = &plan->op->arena;
	struct slice key = key_account_row(arena, ACCOUNT_SUBSCRIPTION, name);
	struct account_subscription row = {.modseq = plan->modseq};
	if (subscribed)
		mutations_put(&plan->extras, &account_table, SLICE_NONE, key,
			row_encode_in(arena, &account_subscription_row, &row), 0);
	else
		mutations_delete(&plan->extras, &account_table, SLICE_NONE, key, 0);
}

bool plan_is_subscribed(struct commit_plan *plan, struct slice name)
{
	for (size_t i = plan->extras.count; i-- > 0;) {
		struct mutation *extra = &plan->extras.items[i];
		if (extra->key.ptr[0] == ACCOUNT_SUBSCRIPTION &&
			slice_equal(slice_from(extra->key, 1), name))
			return !extra->is_delete;
	}
	return hash_map_find(&plan->head->subscriptions, name) != NULL;
}

void plan_annotate(
	struct commit_plan *plan, struct mailbox_id mailbox, struct slice name, struct slice value)
{
	struct arena *arena = &plan->op->arena;
	struct account_annotation row = {.modseq = plan->modseq, .value = value};
	mutations_put(&plan->extras, &account_table, SLICE_NONE,
		key_annotation(arena, mailbox, name),
		row_encode_in(arena, &account_annotation_row, &row), 0);
}

void plan_remove_annotation(struct commit_plan *plan, struct mailbox_id mailbox, struct slice name)
{
	mutations_delete(&plan->extras, &account_table, SLICE_NONE,
		key_annotation(&plan->op->arena, mailbox, name), 0);
}

/* The last of the plan's rows with this key, at `from` or behind it; NULL: none. */
static const struct mutation *last_extra(
	const struct commit_plan *plan, struct slice key, size_t from)
{
	for (size_t i = plan->extras.count; i-- > from;)
		if (slice_equal(plan->extras.items[i].key, key))
			return &plan->extras.items[i];
	return NULL;
}

static struct planned_annotation annotation_of(struct slice id, size_t value_bytes)
{
	struct planned_annotation annotation = {
		.name = slice_from(id, sizeof(struct uuid)), .value_bytes = value_bytes};
	memcpy(&annotation.mailbox, id.ptr, sizeof(struct uuid));
	return annotation;
}

void plan_annotations(struct op *op, struct commit_plan *plan,
	struct planned_annotation **ret_annotations, size_t *ret_count)
{
	size_t most = plan->head->annotations.count + plan->extras.count;
	struct planned_annotation *all =
		ARENA_ARRAY(&op->arena, struct planned_annotation, most + 1);
	size_t count = 0;
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&plan->head->annotations, &cursor, NULL, &value)) {
		const struct head_annotation *annotation = value;
		if (plan->extras.count == 0 ||
			!last_extra(plan,
				key_account_row(&op->arena, ACCOUNT_ANNOTATION, annotation->key),
				0))
			all[count++] = annotation_of(annotation->key, annotation->row.value.len);
	}
	for (size_t i = 0; i < plan->extras.count; i++) {
		const struct mutation *extra = &plan->extras.items[i];
		if (extra->key.ptr[0] == ACCOUNT_ANNOTATION && !extra->is_delete &&
			last_extra(plan, extra->key, i) == extra)
			all[count++] = annotation_of(slice_from(extra->key, 1), extra->value.len);
	}
	*ret_annotations = all;
	*ret_count = count;
}

void plan_log(struct commit_plan *plan, struct slice entry)
{
	plan->entry = entry;
}

enum error_kind plan_mismatch(const struct commit_plan *plan)
{
	return plan->commit->engine->is_shared ? ERR_CONFLICT : ERR_CORRUPT;
}

void plan_earlier(
	const struct commit_plan *plan, const struct log_row **ret_rows, size_t *ret_count)
{
	*ret_rows = plan->logs;
	*ret_count = plan->log_count;
}

const struct log_row *plan_find_once(const struct commit_plan *plan, struct slice once_key)
{
	for (size_t i = plan->log_count; i-- > 0;)
		if (slice_equal(plan->logs[i].row.once_key, once_key))
			return &plan->logs[i];
	for (size_t i = plan->head->tail_count; i-- > 0;)
		if (slice_equal(plan->head->tail[i].row.once_key, once_key))
			return &plan->head->tail[i];
	return NULL;
}

/* Adds a row unless a later one of the same key is there already: rows come latest first. */
static void add_latest(struct mutations *out, size_t from, const struct mutation *mutation)
{
	for (size_t i = from; i < out->count; i++)
		if (slice_equal(out->items[i].key, mutation->key))
			return;
	if (mutation->is_delete)
		mutations_delete(out, mutation->table, mutation->partition, mutation->key, 0);
	else
		mutations_put(out, mutation->table, mutation->partition, mutation->key,
			mutation->value, 0);
}

void plan_mutations(struct commit_plan *plan, struct slice partition, struct mutations *out)
{
	struct arena *arena = &plan->op->arena;
	for (size_t i = 0; i < plan->mailbox_count; i++) {
		struct plan_mailbox *planned = plan->mailboxes[i];
		if (find_planned(plan, planned->id) != planned)
			continue;
		struct slice key = key_account_row(arena, ACCOUNT_MAILBOX, ID_SLICE(planned->id));
		if (planned->is_removed)
			mutations_delete(out, &account_table, partition, key, 0);
		else
			mutations_put(out, &account_table, partition, key,
				row_encode_in(arena, &account_mailbox_row, &planned->row), 0);
	}
	size_t from = out->count;
	for (size_t i = plan->extras.count; i-- > 0;) {
		struct mutation extra = plan->extras.items[i];
		extra.partition = partition;
		add_latest(out, from, &extra);
	}
	for (size_t i = 0; i < plan->log_count; i++)
		mutations_put(out, &account_table, partition,
			key_account_log(arena, plan->logs[i].modseq),
			row_encode_in(arena, &account_log_row, &plan->logs[i].row), 0);
}
