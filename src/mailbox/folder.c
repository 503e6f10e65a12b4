#include "mailbox/store_private.h"

#include <stdlib.h>

#include "base/clock.h"

/* The folder tree. Names are paths; every change is one commit, a rename of a whole subtree
 * included. */

#define MAILBOXES_MAX 10000

static const struct slice inbox = SLICE_INIT("INBOX");

/* INBOX in any case is INBOX, also as the first part of a longer path. */
static struct slice canonical(struct op *op, struct slice path)
{
	if (!slice_starts_with_nocase(path, inbox) ||
		(path.len > inbox.len && path.ptr[inbox.len] != '/'))
		return path;
	struct buf out = buf_in(&op->arena);
	buf_append(&out, inbox);
	buf_append(&out, slice_from(path, inbox.len));
	return buf_as_slice(&out);
}

static bool is_inbox(struct slice path)
{
	return slice_equal(path, inbox);
}

static struct error *check_path(struct op *op, struct slice path)
{
	if (!path.len || path.len > MAILBOX_PATH_MAX)
		return op_fail(
			op, ERR_INVALID, "a mailbox name has 1 to %d octets", MAILBOX_PATH_MAX);
	size_t depth = 0;
	struct slice rest = path;
	struct slice part;
	while (slice_split(&rest, '/', &part)) {
		if (!part.len)
			return op_fail(op, ERR_INVALID, "a part of the mailbox name is empty");
		if (++depth > MAILBOX_DEPTH_MAX)
			return op_fail(op, ERR_INVALID, "a mailbox name has at most %d parts",
				MAILBOX_DEPTH_MAX);
	}
	for (size_t i = 0; i < path.len; i++) {
		unsigned char c = (unsigned char)path.ptr[i];
		if (c < 0x20 || c == 0x7f || c == '*' || c == '%')
			return op_fail(op, ERR_INVALID,
				"a mailbox name has no control characters, '*' or '%%'");
	}
	return NULL;
}

/* ---- Listing ---- */

struct listing {
	struct mailbox_list *list;
	struct slice path;
	struct mailbox_status *status;
};

static void fill_status(struct op *op, const struct head *head, const struct head_mailbox *mailbox,
	struct mailbox_status *status)
{
	*status = (struct mailbox_status){.id = mailbox->id,
		.path = arena_dup(&op->arena, mailbox->row.path),
		.uidvalidity = mailbox->row.uidvalidity,
		.uidnext = mailbox->row.uidnext,
		.highest_modseq = mailbox->row.highest_modseq,
		.messages = mailbox->row.messages,
		.unseen = mailbox->row.unseen,
		.deleted = mailbox->row.deleted,
		.bytes = mailbox->row.bytes,
		.deleted_bytes = mailbox->row.deleted_bytes,
		.special_use = mailbox->row.special_use,
		.acl = arena_dup(&op->arena, mailbox->row.acl),
		.is_subscribed = hash_map_find(&head->subscriptions, mailbox->row.path) != NULL};
}

static int compare_paths(const void *left, const void *right)
{
	const struct mailbox_status *a = left;
	const struct mailbox_status *b = right;
	if (is_inbox(a->path) != is_inbox(b->path))
		return is_inbox(a->path) ? -1 : 1;
	/* '/' sorts before everything else, so that children stand behind their parent. */
	size_t common = MIN_OF(a->path.len, b->path.len);
	for (size_t i = 0; i < common; i++) {
		unsigned char x = (unsigned char)a->path.ptr[i];
		unsigned char y = (unsigned char)b->path.ptr[i];
		if (x != y)
			return x == '/' ? -1 : y == '/' ? 1 : x < y ? -1 : 1;
	}
	return a->path.len < b->path.len ? -1 : a->path.len > b->path.len;
}

static bool is_below(struct slice path, struct slice parent)
{
	return path.len > parent.len && path.ptr[parent.len] == '/' &&
	       slice_starts_with(path, parent);
}

static struct error *list_all(struct op *op, const struct head *head, void *context)
{
	struct mailbox_list *list = context;
	list->items = ARENA_ARRAY(
		&op->arena, struct mailbox_status, head->paths.count ? head->paths.count : 1);
	list->count = 0;
	void *value;
	struct hash_cursor cursor = {0};
	while (hash_map_next(&head->paths, &cursor, NULL, &value))
		fill_status(op, head, value, &list->items[list->count++]);
	return NULL;
}

struct error *mailbox_list(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_list *ret_list)
{
	TRY(commit_read(op, store->commit, account, list_all, ret_list));
	qsort(ret_list->items, ret_list->count, sizeof(*ret_list->items), compare_paths);
	for (size_t i = 0; i + 1 < ret_list->count; i++)
		ret_list->items[i].has_children =
			is_below(ret_list->items[i + 1].path, ret_list->items[i].path);
	/* INBOX stands first whatever its children are called. */
	for (size_t i = 1; i < ret_list->count; i++)
		if (is_inbox(ret_list->items[0].path))
			ret_list->items[0].has_children |=
				is_below(ret_list->items[i].path, ret_list->items[0].path);
	return NULL;
}

static struct error *find_one(struct op *op, const struct head *head, void *context)
{
	struct listing *listing = context;
	const struct head_mailbox *mailbox = head_mailbox_at(head, listing->path);
	if (!mailbox)
		return op_fail(
			op, ERR_NOT_FOUND, "no mailbox " SLICE_FMT, SLICE_ARG(listing->path));
	fill_status(op, head, mailbox, listing->status);
	struct hash_cursor cursor = {0};
	struct slice path;
	while (!listing->status->has_children && hash_map_next(&head->paths, &cursor, &path, NULL))
		listing->status->has_children = is_below(path, listing->path);
	return NULL;
}

struct error *mailbox_find(struct op *op, struct mail_store *store, struct account_id account,
	struct slice path, struct mailbox_status *ret_status)
{
	struct listing listing = {.path = canonical(op, path), .status = ret_status};
	return commit_read(op, store->commit, account, find_one, &listing);
}

struct names {
	struct slice *items;
	size_t count;
};

static struct error *list_names(struct op *op, const struct head *head, void *context)
{
	struct names *names = context;
	names->count = 0;
	names->items = ARENA_ARRAY(&op->arena, struct slice,
		head->subscriptions.count ? head->subscriptions.count : 1);
	struct hash_cursor cursor = {0};
	struct slice name;
	while (hash_map_next(&head->subscriptions, &cursor, &name, NULL))
		names->items[names->count++] = arena_dup(&op->arena, name);
	return NULL;
}

static int compare_names(const void *left, const void *right)
{
	return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

struct error *mailbox_subscriptions(struct op *op, struct mail_store *store,
	struct account_id account, struct slice **ret_names, size_t *ret_count)
{
	struct names names;
	TRY(commit_read(op, store->commit, account, list_names, &names));
	qsort(names.items, names.count, sizeof(*names.items), compare_names);
	*ret_names = names.items;
	*ret_count = names.count;
	return NULL;
}

static struct error *read_usage(struct op *op, const struct head *head, void *context)
{
	struct account_static *state = context;
	*state = head->state;
	state->address = arena_dup(&op->arena, head->state.address);
	return NULL;
}

static struct error *quota_of(struct op *op, struct mail_store *store, struct account_id account,
	const struct account_static *state, struct quota *ret_quota)
{
	*ret_quota =
		(struct quota){.used_bytes = state->used_bytes, .used_count = state->used_count};
	if (!store->quota)
		return NULL;
	return store->quota(op, store->quota_context, account, state->address,
		&ret_quota->limit_bytes, &ret_quota->limit_count);
}

struct error *mailbox_quota(
	struct op *op, struct mail_store *store, struct account_id account, struct quota *ret_quota)
{
	struct account_static state;
	TRY(commit_read(op, store->commit, account, read_usage, &state));
	return quota_of(op, store, account, &state, ret_quota);
}

static bool has_room(const struct quota *quota, uint64_t size)
{
	bool bytes_full =
		quota->limit_bytes && (quota->used_bytes >= quota->limit_bytes ||
					      size > quota->limit_bytes - quota->used_bytes);
	bool count_full = quota->limit_count && quota->used_count >= quota->limit_count;
	return !bytes_full && !count_full;
}

struct error *mailbox_has_room(struct op *op, struct mail_store *store, struct account_id account,
	uint64_t size, bool *ret_has_room)
{
	struct account_static state;
	struct quota quota;
	TRY(commit_read_known(op, store->commit, account, read_usage, &state));
	TRY(quota_of(op, store, account, &state, &quota));
	if (!has_room(&quota, size))
		TRY(mailbox_quota(op, store, account, &quota));
	*ret_has_room = has_room(&quota, size);
	return NULL;
}

/* ---- Creating ---- */

struct creation {
	struct slice path;
	uint32_t special_use;
	struct mailbox_id id;
	const struct metadata_list *metadata; /* that it is to begin with; NULL: none */
};

static uint32_t next_uidvalidity(struct commit_plan *plan)
{
	struct account_static *state = plan_state(plan);
	uint32_t seconds = (uint32_t)(clock_realtime_us() / US_PER_S);
	state->uidvalidity_last = MAX_OF(seconds, state->uidvalidity_last + 1);
	return state->uidvalidity_last;
}

/* RFC 4314 4: of the nearest mailbox above. */
static struct slice inherited_acl(struct op *op, struct commit_plan *plan, struct slice path)
{
	for (size_t at = path.len; at-- > 0;) {
		struct mailbox_id parent;
		if (path.ptr[at] == '/' && plan_find_path(plan, slice_range(path, 0, at), &parent))
			return arena_dup(&op->arena, plan_mailbox(plan, parent)->acl);
	}
	return SLICE_NONE;
}

static void add_mailbox(struct op *op, struct commit_plan *plan, struct buf *entry,
	struct mailbox_id id, struct slice path, uint32_t special_use)
{
	struct slice acl = inherited_acl(op, plan, path);
	struct account_mailbox *row = plan_add_mailbox(plan, id);
	*row = (struct account_mailbox){.path = path,
		.uidvalidity = next_uidvalidity(plan),
		.uidnext = 1,
		.highest_modseq = plan_modseq(plan),
		.special_use = special_use,
		.created_modseq = plan_modseq(plan),
		.acl = acl};
	log_entry_mailbox(entry, id);
	log_acl(op, entry, id, acl, true);
}

static struct error *check_room(struct op *op, struct commit_plan *plan, size_t more)
{
	if (plan_head(plan)->mailboxes.count + more > MAILBOXES_MAX)
		return op_fail(op, ERR_LIMIT, "an account has at most %d mailboxes", MAILBOXES_MAX);
	return NULL;
}

/* Missing parents are made too, from the top. */
static void add_parents(
	struct op *op, struct commit_plan *plan, struct buf *entry, struct slice path)
{
	for (size_t at = 0; at < path.len; at++) {
		struct mailbox_id existing;
		struct slice parent = slice_range(path, 0, at);
		if (path.ptr[at] == '/' && !plan_find_path(plan, parent, &existing))
			add_mailbox(op, plan, entry, (struct mailbox_id){uuid_v7()}, parent, 0);
	}
}

static struct error *plan_create(struct op *op, struct commit_plan *plan, void *context)
{
	struct creation *creation = context;
	struct mailbox_id existing;
	if (plan_find_path(plan, creation->path, &existing))
		return op_fail(op, ERR_EXISTS, "the mailbox exists");
	TRY(check_room(op, plan, MAILBOX_DEPTH_MAX));
	struct buf entry = log_entry_begin(&op->arena);
	add_parents(op, plan, &entry, creation->path);
	add_mailbox(op, plan, &entry, creation->id, creation->path, creation->special_use);
	if (creation->metadata)
		plan_copied_metadata(op, plan, &entry, creation->metadata, creation->id);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mailbox_create(struct op *op, struct mail_store *store, struct account_id account,
	struct slice path, uint32_t special_use, struct mailbox_id *ret_id)
{
	struct creation creation = {
		.path = canonical(op, path), .special_use = special_use, .id.uuid = uuid_v7()};
	TRY(check_path(op, creation.path));
	struct commit_change change = {.plan = plan_create, .context = &creation};
	TRY(commit_run(op, store->commit, account, &change));
	if (ret_id)
		*ret_id = creation.id;
	return NULL;
}

/* ---- Deleting ---- */

struct deletion {
	struct slice path;
	const struct mailbox_id *expected; /* NULL: whichever has the path */
};

/* Whoever decided by the mailbox that he saw means that one, not one that has its name by now. */
static struct error *find_expected(struct op *op, struct commit_plan *plan, struct slice path,
	const struct mailbox_id *expected, struct mailbox_id *ret_id)
{
	if (!plan_find_path(plan, path, ret_id) || (expected && !ID_EQUAL(*ret_id, *expected)))
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	return NULL;
}

static void plan_removal(
	struct op *op, struct commit_plan *plan, struct buf *entry, struct mailbox_id id)
{
	struct account_mailbox *row = plan_change_mailbox(plan, id);
	struct account_static *state = plan_state(plan);
	state->used_bytes -= row->bytes;
	state->used_count -= row->messages;
	row->bytes = row->deleted_bytes = 0;
	row->messages = row->unseen = row->deleted = 0;
	row->highest_modseq = row->deleted_modseq = plan_modseq(plan);
	struct account_intent intent = {
		.kind = INTENT_REMOVE_MAILBOX, .detail = arena_dup(&op->arena, ID_SLICE(id))};
	/* The mailbox's id names the intent: one removal, one intent. */
	plan_put_intent(plan, id.uuid, &intent);
	log_entry_mailbox(entry, id);
	log_acl(op, entry, id, row->acl, false);
	row->acl = SLICE_NONE;
}

static struct error *plan_delete(struct op *op, struct commit_plan *plan, void *context)
{
	struct deletion *deletion = context;
	struct mailbox_id id;
	struct mailbox_id *ids;
	const struct account_mailbox **rows;
	size_t count;
	TRY(find_expected(op, plan, deletion->path, deletion->expected, &id));
	plan_all_mailboxes(op, plan, &ids, &rows, &count);
	for (size_t i = 0; i < count; i++)
		if (!rows[i]->deleted_modseq && is_below(rows[i]->path, deletion->path))
			return op_fail(op, ERR_INVALID, "the mailbox has others below it");
	struct buf entry = log_entry_begin(&op->arena);
	plan_removal(op, plan, &entry, id);
	plan_forget_metadata(op, plan, &id);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mailbox_delete(struct op *op, struct mail_store *store, struct account_id account,
	struct slice path, const struct mailbox_id *expected)
{
	struct deletion deletion = {.path = canonical(op, path), .expected = expected};
	struct commit_change change = {.plan = plan_delete, .context = &deletion};
	if (is_inbox(deletion.path))
		return op_fail(op, ERR_INVALID, "INBOX cannot be deleted");
	TRY(commit_run(op, store->commit, account, &change));
	/* The mailbox is gone; its rows are cleaned up behind everybody's back. */
	owe_intents(store, account);
	return NULL;
}

static struct error *plan_delete_all(struct op *op, struct commit_plan *plan, void *context)
{
	(void)context;
	struct mailbox_id *ids;
	const struct account_mailbox **rows;
	size_t count;
	struct buf entry = log_entry_begin(&op->arena);
	plan_all_mailboxes(op, plan, &ids, &rows, &count);
	for (size_t i = 0; i < count; i++)
		if (!rows[i]->deleted_modseq)
			plan_removal(op, plan, &entry, ids[i]);
	plan_forget_metadata(op, plan, NULL);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mail_store_empty_account(
	struct op *op, struct mail_store *store, struct account_id account)
{
	struct commit_change change = {.plan = plan_delete_all};
	TRY(commit_run(op, store->commit, account, &change));
	owe_intents(store, account);
	return NULL;
}

/* ---- Renaming ---- */

struct renaming {
	struct slice from;
	const struct mailbox_id *expected; /* as in struct deletion */
	struct slice to;
};

static struct error *plan_rename(struct op *op, struct commit_plan *plan, void *context)
{
	struct renaming *renaming = context;
	struct mailbox_id *ids;
	struct mailbox_id id;
	const struct account_mailbox **rows;
	size_t count;
	TRY(find_expected(op, plan, renaming->from, renaming->expected, &id));
	if (plan_find_path(plan, renaming->to, &id))
		return op_fail(op, ERR_EXISTS, "the mailbox exists");
	TRY(check_room(op, plan, MAILBOX_DEPTH_MAX));
	struct buf entry = log_entry_begin(&op->arena);
	plan_all_mailboxes(op, plan, &ids, &rows, &count);
	/* Children first as they are now: a new parent must not be taken for one of them. */
	for (size_t i = 0; i < count; i++) {
		bool is_itself = slice_equal(rows[i]->path, renaming->from);
		if (rows[i]->deleted_modseq ||
			(!is_itself && !is_below(rows[i]->path, renaming->from)))
			continue;
		struct buf path = buf_in(&op->arena);
		buf_append(&path, renaming->to);
		buf_append(&path, slice_from(rows[i]->path, renaming->from.len));
		TRY(check_path(op, buf_as_slice(&path)));
		struct account_mailbox *row = plan_change_mailbox(plan, ids[i]);
		row->path = buf_as_slice(&path);
		log_entry_mailbox(&entry, ids[i]);
	}
	add_parents(op, plan, &entry, renaming->to);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

/* INBOX stays, with its id, UIDVALIDITY, metadata and children; its messages move (RFC 9051 6.3.6),
 * and its metadata is copied (RFC 5464 4.1). */
static struct error *rename_inbox(
	struct op *op, struct mail_store *store, struct account_id account, struct slice to)
{
	struct mailbox_status status;
	struct metadata_list all_metadata, metadata;
	struct creation creation = {.path = to, .id.uuid = uuid_v7(), .metadata = &metadata};
	struct commit_change change = {.plan = plan_create, .context = &creation};
	struct copy_result result;
	struct uid_set all = {.arena = &op->arena};
	uid_set_add_range(&all, 1, UINT32_MAX);
	TRY(mailbox_find(op, store, account, inbox, &status));
	TRY(mailbox_metadata(op, store, account, &all_metadata));
	metadata = metadata_of(&all_metadata, status.id);
	TRY(commit_run(op, store->commit, account, &change));
	return mailbox_move(op, store, account, status.id, &all, creation.id, &result);
}

struct error *mailbox_rename(struct op *op, struct mail_store *store, struct account_id account,
	struct slice from, const struct mailbox_id *expected, struct slice to)
{
	struct renaming renaming = {
		.from = canonical(op, from), .expected = expected, .to = canonical(op, to)};
	struct commit_change change = {.plan = plan_rename, .context = &renaming};
	TRY(check_path(op, renaming.to));
	if (is_below(renaming.to, renaming.from))
		return op_fail(op, ERR_INVALID, "a mailbox cannot be moved below itself");
	if (is_inbox(renaming.from))
		return rename_inbox(op, store, account, renaming.to);
	return commit_run(op, store->commit, account, &change);
}

/* ---- Subscribing ---- */

struct subscription {
	struct slice path;
	bool subscribed;
};

static struct error *plan_subscription(struct op *op, struct commit_plan *plan, void *context)
{
	struct subscription *subscription = context;
	if (plan_is_subscribed(plan, subscription->path) == subscription->subscribed)
		return NULL;
	if (subscription->subscribed && plan_head(plan)->subscriptions.count >= MAILBOXES_MAX)
		return op_fail(op, ERR_LIMIT, "at most %d subscriptions", MAILBOXES_MAX);
	plan_subscribe(plan, subscription->path, subscription->subscribed);
	struct buf entry = log_entry_begin(&op->arena);
	log_entry_mailbox(&entry, (struct mailbox_id){0});
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mailbox_subscribe(struct op *op, struct mail_store *store, struct account_id account,
	struct slice path, bool subscribed)
{
	struct subscription subscription = {.path = canonical(op, path), .subscribed = subscribed};
	struct commit_change change = {
		.plan = plan_subscription, .context = &subscription, .is_promised = true};
	TRY(check_path(op, subscription.path));
	return commit_run(op, store->commit, account, &change);
}

/* ---- Making an account ---- */

static struct error *plan_account_made(struct op *op, struct commit_plan *plan, void *context)
{
	static const struct {
		struct slice path;
		uint32_t special_use;
	} usual[] = {
		{SLICE_INIT("INBOX"), 0},
		{SLICE_INIT("Archive"), SPECIAL_ARCHIVE},
		{SLICE_INIT("Drafts"), SPECIAL_DRAFTS},
		{SLICE_INIT("Junk"), SPECIAL_JUNK},
		{SLICE_INIT("Sent"), SPECIAL_SENT},
		{SLICE_INIT("Trash"), SPECIAL_TRASH},
	};
	struct buf entry = log_entry_begin(&op->arena);
	plan_state(plan)->address = *(const struct slice *)context;
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++) {
		add_mailbox(op, plan, &entry, (struct mailbox_id){uuid_v7()}, usual[i].path,
			usual[i].special_use);
		plan_subscribe(plan, usual[i].path, true);
	}
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

struct error *mail_store_make_account(
	struct op *op, struct mail_store *store, struct account_id account, struct slice address)
{
	struct commit_change change = {
		.plan = plan_account_made, .context = &address, .makes_account = true};
	return commit_run(op, store->commit, account, &change);
}
