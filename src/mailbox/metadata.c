#include "mailbox/store_private.h"

#include <stdlib.h>

/* Metadata (RFC 5464). It stands among the account's own rows, because it goes with its mailbox, in
 * one commit, and is told of by the account's log; so there is a bound to all of it. */

/* Of one command: a commit must not become larger than an engine takes. */
#define CHANGE_BYTES_MAX KIB(32)
/* What an entry costs beside its name and value. */
#define ENTRY_OVERHEAD 64

struct metadata_limits metadata_limits = {
	.value_bytes = KIB(8), .entries = 100, .account_bytes = KIB(256)};

static int compare_entries(const void *left, const void *right)
{
	const struct metadata_entry *a = left;
	const struct metadata_entry *b = right;
	int order = memcmp(&a->mailbox, &b->mailbox, sizeof(a->mailbox));
	return order ? order : slice_compare(a->name, b->name);
}

static struct error *copy_all(struct op *op, const struct head *head, void *context)
{
	struct metadata_list *list = context;
	list->count = 0;
	list->items = ARENA_ARRAY(&op->arena, struct metadata_entry, head->annotations.count + 1);
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&head->annotations, &cursor, NULL, &value)) {
		const struct head_annotation *annotation = value;
		struct metadata_entry *entry = &list->items[list->count++];
		*entry = (struct metadata_entry){
			.name = arena_dup(
				&op->arena, slice_from(annotation->key, sizeof(struct mailbox_id))),
			.value = arena_dup(&op->arena, annotation->row.value)};
		memcpy(&entry->mailbox, annotation->key.ptr, sizeof(entry->mailbox));
	}
	return NULL;
}

struct error *mailbox_metadata(struct op *op, struct mail_store *store, struct account_id account,
	struct metadata_list *ret_list)
{
	TRY(commit_read(op, store->commit, account, copy_all, ret_list));
	qsort(ret_list->items, ret_list->count, sizeof(*ret_list->items), compare_entries);
	return NULL;
}

struct metadata_list metadata_of(const struct metadata_list *list, struct mailbox_id mailbox)
{
	size_t low = 0;
	size_t high = list->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (memcmp(&list->items[middle].mailbox, &mailbox, sizeof(mailbox)) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	struct metadata_list part = {list->items + low, 0};
	while (low + part.count < list->count && ID_EQUAL(part.items[part.count].mailbox, mailbox))
		part.count++;
	return part;
}

/* ---- Changing ---- */

static struct error *does_not_fit(
	struct op *op, struct metadata_change *change, enum metadata_fault fault, const char *why)
{
	change->fault = fault;
	return op_fail(op, ERR_LIMIT, "%s", why);
}

static struct error *check_sizes(struct op *op, struct metadata_change *change)
{
	size_t bytes = 0;
	for (size_t i = 0; i < change->count; i++) {
		const struct metadata_entry *entry = &change->entries[i];
		if (entry->name.len > METADATA_NAME_MAX)
			return op_fail(op, ERR_INVALID,
				"the name of an entry has at most %d octets", METADATA_NAME_MAX);
		if (entry->value.len > metadata_limits.value_bytes)
			return does_not_fit(op, change, METADATA_TOO_LARGE, "a value is too large");
		bytes += entry->value.len;
	}
	if (bytes > MAX_OF(CHANGE_BYTES_MAX, metadata_limits.value_bytes))
		return op_fail(op, ERR_LIMIT, "too much for one command");
	return NULL;
}

/* All bytes as they are in the plan, and the entries of one mailbox. */
static void measure(struct op *op, struct commit_plan *plan, struct mailbox_id mailbox,
	uint64_t *ret_bytes, uint64_t *ret_beside)
{
	struct planned_annotation *all;
	size_t count;
	*ret_bytes = *ret_beside = 0;
	plan_annotations(op, plan, &all, &count);
	for (size_t i = 0; i < count; i++) {
		*ret_bytes += all[i].name.len + all[i].value_bytes + ENTRY_OVERHEAD;
		*ret_beside += ID_EQUAL(all[i].mailbox, mailbox);
	}
}

/* With the entries of this change already in the plan. */
static struct error *check_room(
	struct op *op, struct commit_plan *plan, struct metadata_change *change)
{
	uint64_t bytes, beside;
	measure(op, plan, change->mailbox, &bytes, &beside);
	if (beside > metadata_limits.entries)
		return does_not_fit(op, change, METADATA_TOO_MANY, "there are too many entries");
	if (bytes > metadata_limits.account_bytes)
		return does_not_fit(
			op, change, METADATA_TOO_MANY, "the account has too much metadata");
	return NULL;
}

static struct error *plan_metadata(struct op *op, struct commit_plan *plan, void *context)
{
	struct metadata_change *change = context;
	const struct account_mailbox *row;
	struct buf names = buf_in(&op->arena);
	bool only_removes = true;
	change->fault = METADATA_FITS;
	if (!uuid_is_nil(change->mailbox.uuid) && !change->is_elsewhere)
		TRY(plan_live_mailbox(op, plan, change->mailbox, &row));
	for (size_t i = 0; i < change->count; i++) {
		const struct metadata_entry *entry = &change->entries[i];
		if (entry->is_absent)
			plan_remove_annotation(plan, change->mailbox, entry->name);
		else
			plan_annotate(plan, change->mailbox, entry->name, entry->value);
		only_removes &= entry->is_absent;
		buf_slice(&names, entry->name);
	}
	if (!only_removes)
		TRY(check_room(op, plan, change));
	struct buf entry = log_entry_begin(&op->arena);
	if (change->sets_special_use) {
		plan_change_mailbox(plan, change->mailbox)->special_use = change->special_use;
		log_entry_mailbox(&entry, change->mailbox);
	}
	if (names.len)
		log_entry_metadata(&entry, change->mailbox, buf_as_slice(&names));
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mailbox_change_metadata(struct op *op, struct mail_store *store,
	struct account_id account, struct metadata_change *change)
{
	struct commit_change commit = {
		.plan = plan_metadata, .context = change, .is_promised = true};
	TRY(check_sizes(op, change));
	TRY(commit_run(op, store->commit, account, &commit));
	change->modseq = commit.modseq;
	return NULL;
}

void plan_copied_metadata(struct op *op, struct commit_plan *plan, struct buf *entry,
	const struct metadata_list *metadata, struct mailbox_id to)
{
	struct buf names = buf_in(&op->arena);
	uint64_t bytes, beside;
	uint64_t more = 0;
	measure(op, plan, to, &bytes, &beside);
	for (size_t i = 0; i < metadata->count; i++)
		more += metadata->items[i].name.len + metadata->items[i].value.len + ENTRY_OVERHEAD;
	if (!more || more > CHANGE_BYTES_MAX || bytes + more > metadata_limits.account_bytes)
		return;
	for (size_t i = 0; i < metadata->count; i++) {
		plan_annotate(plan, to, metadata->items[i].name, metadata->items[i].value);
		buf_slice(&names, metadata->items[i].name);
	}
	log_entry_metadata(entry, to, buf_as_slice(&names));
}

void plan_forget_metadata(struct op *op, struct commit_plan *plan, const struct mailbox_id *mailbox)
{
	struct planned_annotation *all;
	size_t count;
	plan_annotations(op, plan, &all, &count);
	for (size_t i = 0; i < count; i++)
		if (!mailbox || ID_EQUAL(all[i].mailbox, *mailbox))
			plan_remove_annotation(plan, all[i].mailbox, all[i].name);
}

/* ---- News ---- */

static struct error *read_modseq(struct op *op, const struct head *head, void *context)
{
	(void)op;
	*(uint64_t *)context = head->state.modseq;
	return NULL;
}

static void add_news(struct op *op, struct metadata_news *news, size_t *capacity,
	const struct log_item *item, uint64_t modseq)
{
	if (news->count == *capacity) {
		size_t larger = *capacity * 2 + 8;
		news->items = arena_grow(&op->arena, news->items, *capacity * sizeof(*news->items),
			larger * sizeof(*news->items));
		*capacity = larger;
	}
	news->items[news->count++] =
		(struct metadata_change_seen){modseq, item->mailbox, item->names};
}

struct error *mailbox_metadata_since(struct op *op, struct mail_store *store,
	struct account_id account, uint64_t modseq, struct metadata_news *ret_news)
{
	struct log_row *rows;
	size_t count;
	size_t capacity = 0;
	bool is_complete; /* where the log does not reach back, the client is told less */
	*ret_news = (struct metadata_news){0};
	TRY(commit_read(op, store->commit, account, read_modseq, &ret_news->modseq));
	if (ret_news->modseq <= modseq)
		return NULL;
	TRY(commit_log_since(op, store->commit, account, modseq, &rows, &count, &is_complete));
	for (size_t i = 0; i < count; i++) {
		struct log_item item;
		if (!rows[i].row.entry.len)
			continue;
		struct log_reader log = log_entry_read(op, rows[i].row.entry);
		while (log_reader_next(&log, &item))
			if (item.kind == LOG_METADATA)
				add_news(op, ret_news, &capacity, &item, rows[i].modseq);
		TRY(log.err);
	}
	if (count)
		ret_news->modseq = rows[count - 1].modseq;
	return NULL;
}
