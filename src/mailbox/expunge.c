#include "mailbox/store_private.h"

struct expunging {
	struct mail_store *store;
	struct mailbox_id mailbox;
	const struct uid_set *uids; /* NULL: all */
	bool only_deleted;
	bool of_removed_mailbox; /* whose counts are settled already */
	struct uuid intent;      /* not nil: only as long as it stands */
	struct uid_set gone;     /* by this commit */
	uint64_t modseq;
	bool is_complete; /* nothing is left to do */
	bool rows_are_behind;
};

static bool is_wanted(const struct expunging *e, const struct snapshot_message *message)
{
	return (!e->only_deleted || message->flags & FLAG_DELETED) &&
	       (!e->uids || uid_set_contains(e->uids, message->uid));
}

/* The next so many messages to go. */
static void choose(struct op *op, struct expunging *e, const struct snapshot *snapshot)
{
	uid_set_init(&e->gone, &op->arena);
	uint64_t count = 0;
	uint32_t at = e->uids && e->uids->count
			      ? snapshot_lower_bound(snapshot, e->uids->ranges[0].first)
			      : 0;
	for (; at < snapshot_count(snapshot) && count < CHUNK_OF_MESSAGES; at++) {
		struct snapshot_message message = snapshot_at(snapshot, at);
		if (!is_wanted(e, &message))
			continue;
		uid_set_add(&e->gone, message.uid);
		count++;
	}
	e->is_complete = count < CHUNK_OF_MESSAGES;
}

static struct error *delete_messages(struct op *op, struct mail_store *store,
	struct commit_plan *plan, const struct snapshot *snapshot, bool of_removed_mailbox,
	const struct uid_set *uids, struct buf *entry, bool *ret_behind)
{
	struct message *messages;
	size_t count;
	struct mailbox_id mailbox = snapshot_mailbox(snapshot);
	TRY(read_known(op, store, plan, snapshot, uids, &messages, &count, ret_behind));
	struct account_mailbox *row = plan_change_mailbox(plan, mailbox);
	struct account_static *state = plan_state(plan);
	struct expunged_message *expunged = ARENA_ARRAY(&op->arena, struct expunged_message, count);
	for (size_t i = 0; i < count; i++) {
		expunged[i] = (struct expunged_message){.uid = messages[i].uid,
			.message = messages[i].id,
			.blob = messages[i].blob_id,
			.internal_date_us = messages[i].internal_date_us,
			.flags = messages[i].flags};
		if (of_removed_mailbox)
			continue;
		count_message(row, messages[i].flags, messages[i].size, -1);
		state->used_bytes -= messages[i].size;
		state->used_count--;
	}
	row->highest_modseq = plan_modseq(plan);
	log_entry_deletion(entry, mailbox, row->path, mail_settings.keeps_vault, expunged, count);
	return NULL;
}

struct error *plan_deletion(struct op *op, struct mail_store *store, struct commit_plan *plan,
	const struct snapshot *snapshot, const struct uid_set *uids, struct buf *entry)
{
	bool is_behind;
	return delete_messages(op, store, plan, snapshot, false, uids, entry, &is_behind);
}

static struct error *plan_gone(struct op *op, struct expunging *e, struct commit_plan *plan,
	const struct snapshot *snapshot)
{
	struct buf entry = log_entry_begin(&op->arena);
	TRY(delete_messages(op, e->store, plan, snapshot, e->of_removed_mailbox, &e->gone, &entry,
		&e->rows_are_behind));
	e->modseq = plan_modseq(plan);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

static struct error *plan_expunge(struct op *op, struct commit_plan *plan, void *context)
{
	struct expunging *e = context;
	const struct account_mailbox *row = plan_mailbox(plan, e->mailbox);
	struct snapshot *snapshot;
	e->modseq = 0;
	if (!row || (row->deleted_modseq != 0) != e->of_removed_mailbox)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	/* What the intent was to undo has been finished after all. */
	if (!uuid_is_nil(e->intent) && !plan_has_intent(plan, e->intent))
		return NULL;
	TRY(plan_snapshot(op, e->store, plan, e->mailbox, &snapshot));
	choose(op, e, snapshot);
	struct error *err = uid_set_is_empty(&e->gone) ? NULL : plan_gone(op, e, plan, snapshot);
	snapshot_unref(snapshot);
	return err;
}

static struct error *expunge_all(struct op *op, struct expunging *e, struct account_id account,
	struct expunge_result *result)
{
	do {
		struct commit_change change = {.plan = plan_expunge, .context = e};
		TRY(commit_healed(op, e->store, account, &change, &e->rows_are_behind));
		if (!e->modseq)
			break;
		for (size_t i = 0; i < e->gone.count; i++)
			uid_set_add_range(
				&result->expunged, e->gone.ranges[i].first, e->gone.ranges[i].last);
		result->modseq = e->modseq;
	} while (!e->is_complete);
	return NULL;
}

struct error *mailbox_expunge(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, const struct uid_set *uids, bool only_deleted,
	struct expunge_result *ret_result)
{
	struct expunging e = {
		.store = store, .mailbox = mailbox, .uids = uids, .only_deleted = only_deleted};
	*ret_result = (struct expunge_result){0};
	uid_set_init(&ret_result->expunged, &op->arena);
	return expunge_all(op, &e, account, ret_result);
}

struct error *expunge_for_intent(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, const struct uid_set *uids, struct uuid intent)
{
	struct expunging e = {.store = store, .mailbox = mailbox, .uids = uids, .intent = intent};
	struct expunge_result result = {0};
	uid_set_init(&result.expunged, &op->arena);
	return expunge_all(op, &e, account, &result);
}

/* ---- Removed mailboxes ---- */

struct removal {
	struct mailbox_id mailbox;
	struct uuid intent;
};

static struct error *plan_forget(struct op *op, struct commit_plan *plan, void *context)
{
	struct removal *removal = context;
	if (!plan_mailbox(plan, removal->mailbox))
		return NULL;
	plan_remove_mailbox(plan, removal->mailbox);
	plan_remove_intent(plan, removal->intent);
	struct buf entry = log_entry_begin(&op->arena);
	log_entry_mailbox(&entry, removal->mailbox);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

/* The map's rows of a mailbox whose messages are all gone. */
static struct error *remove_map(struct op *op, struct mail_store *store, struct mailbox_id mailbox)
{
	struct slice partition = key_id(&op->arena, mailbox.uuid);
	struct engine_rows rows;
	TRY(engine_scan(store->engine, op, &mailbox_map_table, partition, SLICE_NONE, SLICE_NONE,
		SIZE_MAX, false, READ_NORMAL, &rows));
	struct mutations gone;
	mutations_init(&gone, &op->arena);
	for (size_t i = 0; i < rows.count; i++)
		mutations_delete(&gone, &mailbox_map_table, partition, rows.rows[i].key,
			rows.rows[i].version + 1);
	return engine_write(store->engine, op, gone.items, gone.count, DURABLE);
}

static struct error *finish_removal(struct op *op, struct mail_store *store,
	struct account_id account, const struct removal *removal)
{
	struct expunging e = {
		.store = store, .mailbox = removal->mailbox, .of_removed_mailbox = true};
	struct expunge_result result = {0};
	struct commit_change forget = {.plan = plan_forget, .context = (void *)removal};
	uid_set_init(&result.expunged, &op->arena);
	struct error *err = expunge_all(op, &e, account, &result);
	if (err && err->kind != ERR_NOT_FOUND)
		return err;
	TRY(remove_map(op, store, removal->mailbox));
	return commit_run(op, store->commit, account, &forget);
}

/* ---- Intents ---- */

struct open_intent {
	struct uuid id;
	uint8_t kind;
	struct slice detail;
};

struct intent_list {
	struct open_intent *items;
	size_t count;
};

static struct error *copy_intents(struct op *op, const struct head *head, void *context)
{
	struct intent_list *list = context;
	list->count = 0;
	list->items = ARENA_ARRAY(
		&op->arena, struct open_intent, head->intents.count ? head->intents.count : 1);
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&head->intents, &cursor, NULL, &value)) {
		struct head_intent *intent = value;
		list->items[list->count++] = (struct open_intent){.id = intent->operation_id,
			.kind = intent->row.kind,
			.detail = arena_dup(&op->arena, intent->row.detail)};
	}
	return NULL;
}

static struct error *drive_intent(struct op *op, struct mail_store *store,
	struct account_id account, const struct open_intent *intent)
{
	struct removal removal = {.intent = intent->id};
	struct reader reader = reader_of(intent->detail);
	if (!uuid_from_slice(reader_bytes(&reader, sizeof(struct uuid)), &removal.mailbox.uuid))
		return op_fail(op, ERR_CORRUPT, "an intent does not name its mailbox");
	switch ((enum intent_kind)intent->kind) {
	case INTENT_REMOVE_MAILBOX:
		return finish_removal(op, store, account, &removal);
	case INTENT_UNDO_COPY:
		return undo_copy(op, store, account, intent->id, removal.mailbox, &reader);
	}
	return op_fail(op, ERR_CORRUPT, "an intent of unknown kind %u", intent->kind);
}

struct error *drive_intents(struct op *op, struct mail_store *store, struct account_id account)
{
	struct intent_list list;
	TRY(commit_read(op, store->commit, account, copy_intents, &list));
	for (size_t i = 0; i < list.count; i++)
		TRY(drive_intent(op, store, account, &list.items[i]));
	return NULL;
}
