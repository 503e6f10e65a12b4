#include "mailbox/store_private.h"

struct flagging {
	struct mail_store *store;
	struct mailbox_id mailbox;
	const struct uid_set *uids;
	const struct flag_change *change;
	uint32_t from_uid; /* what is below is done */

	/* Of the commit being planned. */
	struct uid_set changed;
	struct uid_set modified;
	uint64_t modseq;
	uint64_t count;
	uint32_t next_uid; /* 0: this commit is the last */
	bool rows_are_behind;
};

/* What the change does to one message; false: nothing. */
static bool changes_message(const struct flag_change *change, const struct keyword_set *wanted,
	const struct snapshot *snapshot, const struct snapshot_message *message,
	uint16_t *ret_flags)
{
	uint16_t flags = message->flags;
	struct keyword_set keywords = *snapshot_keywords(snapshot, message);
	flags_apply(change->mode, change->flags & FLAGS_ALL, wanted, &flags, &keywords);
	*ret_flags = flags;
	return flags != message->flags ||
	       !keyword_set_equal(&keywords, snapshot_keywords(snapshot, message));
}

/* Sizes are not in the snapshot; only \Deleted needs them. */
static struct error *count_deleted_bytes(struct op *op, struct flagging *f,
	struct commit_plan *plan, const struct snapshot *snapshot, struct account_mailbox *row,
	const struct uid_set *set, int direction)
{
	struct message *messages;
	size_t count;
	if (uid_set_is_empty(set))
		return NULL;
	TRY(read_known(op, f->store, plan, snapshot, set, &messages, &count, &f->rows_are_behind));
	for (size_t i = 0; i < count; i++)
		row->deleted_bytes += (uint64_t)direction * messages[i].size;
	return NULL;
}

struct counted {
	struct uid_set deleted;   /* \Deleted comes */
	struct uid_set undeleted; /* \Deleted goes */
};

static void count_flags(struct account_mailbox *row, uint16_t before, uint16_t after, uint32_t uid,
	struct counted *counted)
{
	uint16_t come = after & (uint16_t)~before;
	uint16_t gone = before & (uint16_t)~after;
	row->unseen -= (come & FLAG_SEEN) != 0;
	row->unseen += (gone & FLAG_SEEN) != 0;
	row->deleted += (come & FLAG_DELETED) != 0;
	row->deleted -= (gone & FLAG_DELETED) != 0;
	if (come & FLAG_DELETED)
		uid_set_add(&counted->deleted, uid);
	if (gone & FLAG_DELETED)
		uid_set_add(&counted->undeleted, uid);
}

static void walk_wanted(struct flagging *f, const struct snapshot *snapshot,
	const struct keyword_set *wanted, struct account_mailbox *row, struct counted *counted)
{
	const struct flag_change *change = f->change;
	for (size_t i = 0; i < f->uids->count; i++) {
		struct uid_range range = f->uids->ranges[i];
		uint32_t first = MAX_OF(range.first, f->from_uid);
		for (uint32_t at = snapshot_lower_bound(snapshot, first);
			at < snapshot_count(snapshot); at++) {
			struct snapshot_message message = snapshot_at(snapshot, at);
			uint16_t flags;
			if (message.uid > range.last)
				break;
			if (f->count == CHUNK_OF_MESSAGES) {
				f->next_uid = message.uid;
				return;
			}
			if (change->has_unchanged_since &&
				message.modseq > change->unchanged_since) {
				uid_set_add(&f->modified, message.uid);
				continue;
			}
			if (!changes_message(change, wanted, snapshot, &message, &flags))
				continue;
			uid_set_add(&f->changed, message.uid);
			f->count++;
			count_flags(row, message.flags, flags, message.uid, counted);
		}
	}
}

static struct error *plan_on_snapshot(struct op *op, struct flagging *f, struct commit_plan *plan,
	const struct snapshot *snapshot)
{
	struct account_mailbox *row = plan_change_mailbox(plan, f->mailbox);
	struct keyword_set wanted;
	struct counted counted;
	/* Taking a keyword away that the mailbox does not know adds nothing to its list. */
	struct account_mailbox scratch = *row;
	TRY(plan_keywords(op, f->change->mode == FLAGS_REMOVE ? &scratch : row, f->change->keywords,
		f->change->keyword_count, f->change->mode == FLAGS_REMOVE, &wanted));
	uid_set_init(&f->changed, &op->arena);
	uid_set_init(&f->modified, &op->arena);
	uid_set_init(&counted.deleted, &op->arena);
	uid_set_init(&counted.undeleted, &op->arena);
	f->modseq = f->count = 0;
	f->next_uid = 0;
	walk_wanted(f, snapshot, &wanted, row, &counted);
	if (uid_set_is_empty(&f->changed))
		return NULL;
	TRY(count_deleted_bytes(op, f, plan, snapshot, row, &counted.deleted, +1));
	TRY(count_deleted_bytes(op, f, plan, snapshot, row, &counted.undeleted, -1));
	row->highest_modseq = f->modseq = plan_modseq(plan);
	struct buf entry = log_entry_begin(&op->arena);
	log_entry_flags(&entry, f->mailbox, f->change->mode, f->change->flags & FLAGS_ALL, &wanted,
		&f->changed);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

static struct error *plan_flags(struct op *op, struct commit_plan *plan, void *context)
{
	struct flagging *f = context;
	const struct account_mailbox *row;
	struct snapshot *snapshot;
	TRY(plan_live_mailbox(op, plan, f->mailbox, &row));
	TRY(plan_snapshot(op, f->store, plan, f->mailbox, &snapshot));
	struct error *err = plan_on_snapshot(op, f, plan, snapshot);
	snapshot_unref(snapshot);
	return err;
}

static void join(struct uid_set *all, const struct uid_set *part)
{
	for (size_t i = 0; i < part->count; i++)
		uid_set_add_range(all, part->ranges[i].first, part->ranges[i].last);
}

struct error *mailbox_change_flags(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id mailbox, const struct uid_set *uids,
	const struct flag_change *change, struct flag_result *ret_result)
{
	struct flagging f = {.store = store, .mailbox = mailbox, .uids = uids, .change = change};
	*ret_result = (struct flag_result){0};
	uid_set_init(&ret_result->changed, &op->arena);
	uid_set_init(&ret_result->modified, &op->arena);
	do {
		struct commit_change commit_change = {
			.plan = plan_flags, .context = &f, .is_promised = true};
		TRY(commit_healed(op, store, account, &commit_change, &f.rows_are_behind));
		join(&ret_result->changed, &f.changed);
		join(&ret_result->modified, &f.modified);
		ret_result->modseq = f.modseq ? f.modseq : ret_result->modseq;
		f.from_uid = f.next_uid;
	} while (f.next_uid);
	return NULL;
}
