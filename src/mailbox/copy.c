#include "mailbox/store_private.h"

#include "base/clock.h"

/* COPY and MOVE within an account: one commit for each thousand messages. A MOVE is done chunk by
 * chunk, each atomic. A COPY must be all or nothing: if it takes more than one commit, an intent
 * says what has been copied so far, and is removed by the last one; what is left of it is expunged.
 */

struct copying {
	struct mail_store *store;
	struct mailbox_id from;
	struct mailbox_id to;
	struct uid_set wanted; /* what is still to be done */
	bool is_move;
	struct copy_result *result;

	struct copy_pieces pieces; /* of a COPY */

	/* Of the commit being planned. */
	struct message *messages;
	size_t count;
	uint32_t first_uid;
	uint64_t modseq;
	uint32_t uidvalidity;
	bool rows_are_behind;
};

/* The first messages of `wanted` that are there. */
static struct error *choose(struct op *op, struct copying *c, struct commit_plan *plan)
{
	struct snapshot *snapshot;
	struct uid_set chosen;
	uint64_t count = 0;
	uid_set_init(&chosen, &op->arena);
	TRY(plan_snapshot(op, c->store, plan, c->from, &snapshot));
	c->pieces.is_last = true;
	for (size_t i = 0; i < c->wanted.count && c->pieces.is_last; i++) {
		struct uid_range range = c->wanted.ranges[i];
		uint32_t at = snapshot_lower_bound(snapshot, range.first);
		for (; at < snapshot_count(snapshot); at++) {
			uint32_t uid = snapshot_at(snapshot, at).uid;
			if (uid > range.last)
				break;
			if (count == CHUNK_OF_MESSAGES) {
				c->pieces.is_last = false;
				break;
			}
			uid_set_add(&chosen, uid);
			count++;
		}
	}
	struct error *err = read_known(op, c->store, plan, snapshot, &chosen, &c->messages,
		&c->count, &c->rows_are_behind);
	snapshot_unref(snapshot);
	return err;
}

/* The keyword bits of one mailbox, as those of another; what does not fit there is dropped. */
static struct error *translate_keywords(struct op *op, const struct keyword_names *names,
	struct account_mailbox *target, struct keyword_set *inout_keywords)
{
	if (keyword_set_is_empty(inout_keywords))
		return NULL;
	struct slice wanted[KEYWORDS_MAX];
	size_t count = 0;
	for (unsigned bit = 0; bit < names->count; bit++)
		if (keyword_set_has(inout_keywords, bit))
			wanted[count++] = names->names[bit];
	return plan_keywords(op, target, wanted, count, true, inout_keywords);
}

static struct error *put_in_target(
	struct op *op, struct copying *c, struct commit_plan *plan, struct buf *entry)
{
	const struct account_mailbox *source = plan_mailbox(plan, c->from);
	struct account_mailbox *row = plan_change_mailbox(plan, c->to);
	struct keyword_names names;
	if (!keyword_names_decode(&op->arena, source->keywords, &names))
		return op_fail(op, ERR_CORRUPT, "the keywords of a mailbox cannot be read");
	if (UINT32_MAX - row->uidnext < c->count)
		return op_fail(op, ERR_LIMIT, "the mailbox has given out every UID");
	c->first_uid = row->uidnext;
	c->uidvalidity = row->uidvalidity;
	for (size_t i = 0; i < c->count; i++) {
		struct message message = c->messages[i];
		if (!message.first_uid) {
			message.first_uidvalidity = source->uidvalidity;
			message.first_uid = message.uid;
		}
		message.uid = row->uidnext++;
		message.modseq = plan_modseq(plan);
		message.save_date_us = clock_realtime_us();
		TRY(translate_keywords(op, &names, row, &message.keywords));
		count_message(row, message.flags, message.size, +1);
		struct mailbox_message stored;
		message_to_row(&op->arena, &message, &stored);
		log_entry_append(entry, c->to, message.uid, row->uidvalidity, &stored);
	}
	row->highest_modseq = plan_modseq(plan);
	return NULL;
}

static void take_from_source(
	struct op *op, struct copying *c, struct commit_plan *plan, struct buf *entry)
{
	struct account_mailbox *row = plan_change_mailbox(plan, c->from);
	struct expunged_message *gone = ARENA_ARRAY(&op->arena, struct expunged_message, c->count);
	for (size_t i = 0; i < c->count; i++) {
		gone[i] = (struct expunged_message){.uid = c->messages[i].uid,
			.message = c->messages[i].id,
			.blob = c->messages[i].blob_id};
		count_message(row, c->messages[i].flags, c->messages[i].size, -1);
	}
	row->highest_modseq = plan_modseq(plan);
	log_entry_expunge(entry, c->from, gone, c->count);
}

struct error *check_pieces(
	struct op *op, struct commit_plan *plan, const struct copy_pieces *pieces)
{
	if (!uuid_is_nil(pieces->intent) && !plan_has_intent(plan, pieces->intent))
		return op_fail(op, ERR_UNAVAILABLE, "the copy was given up and undone");
	return NULL;
}

void plan_pieces(struct op *op, const struct mail_store *store, struct commit_plan *plan,
	const struct copy_pieces *pieces, struct mailbox_id to, uint32_t first_uid, size_t count)
{
	bool is_open = !uuid_is_nil(pieces->intent);
	if (pieces->is_last) {
		if (is_open)
			plan_remove_intent(plan, pieces->intent);
		return;
	}
	struct uuid id = is_open ? pieces->intent : plan_operation(plan).uuid;
	struct uid_set all = {.arena = &op->arena};
	uid_set_add_all(&all, &pieces->copied);
	uid_set_add_range(&all, first_uid, first_uid + (uint32_t)count - 1);
	struct buf detail = buf_in(&op->arena);
	buf_append(&detail, ID_SLICE(to));
	buf_append(&detail, uuid_as_slice(&store->instance));
	buf_u64(&detail, pieces->begun_us);
	uid_set_encode(&all, &detail);
	struct account_intent intent = {.kind = INTENT_UNDO_COPY, .detail = buf_as_slice(&detail)};
	plan_put_intent(plan, id, &intent);
}

static uint64_t total_size(const struct copying *c)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < c->count; i++)
		bytes += c->messages[i].size;
	return bytes;
}

static struct error *plan_chunk(struct op *op, struct commit_plan *plan, void *context)
{
	struct copying *c = context;
	const struct account_mailbox *row;
	c->modseq = 0;
	TRY(plan_live_mailbox(op, plan, c->from, &row));
	TRY(plan_live_mailbox(op, plan, c->to, &row));
	if (!c->is_move)
		TRY(check_pieces(op, plan, &c->pieces));
	TRY(choose(op, c, plan));
	if (!c->count && uuid_is_nil(c->pieces.intent))
		return NULL;
	struct buf entry = log_entry_begin(&op->arena);
	if (c->count && !c->is_move)
		TRY(plan_take_quota(op, c->store, plan, total_size(c), c->count));
	if (c->count)
		TRY(put_in_target(op, c, plan, &entry));
	if (c->is_move)
		take_from_source(op, c, plan, &entry);
	else
		plan_pieces(op, c->store, plan, &c->pieces, c->to, c->first_uid, c->count);
	c->modseq = plan_modseq(plan);
	plan_log(plan, buf_as_slice(&entry));
	return NULL;
}

static void add_result(struct op *op, struct copying *c)
{
	struct copy_result *result = c->result;
	size_t all = result->count + c->count;
	result->from = arena_grow(&op->arena, result->from, result->count * sizeof(uint32_t),
		(all + 1) * sizeof(uint32_t));
	result->to = arena_grow(&op->arena, result->to, result->count * sizeof(uint32_t),
		(all + 1) * sizeof(uint32_t));
	for (size_t i = 0; i < c->count; i++) {
		result->from[result->count + i] = c->messages[i].uid;
		result->to[result->count + i] = c->first_uid + (uint32_t)i;
	}
	result->count = all;
	result->modseq = c->modseq;
	result->uidvalidity = c->uidvalidity;
}

/* What is behind the last message done. */
static struct uid_set rest_of(struct op *op, const struct uid_set *wanted, uint32_t done)
{
	struct uid_set rest = {.arena = &op->arena};
	for (size_t i = 0; i < wanted->count; i++)
		if (wanted->ranges[i].last > done)
			uid_set_add_range(&rest, MAX_OF(wanted->ranges[i].first, done + 1),
				wanted->ranges[i].last);
	return rest;
}

static struct error *copy_chunks(struct op *op, struct copying *c, struct account_id account)
{
	do {
		struct commit_change change = {.plan = plan_chunk, .context = c};
		TRY(commit_healed(op, c->store, account, &change, &c->rows_are_behind));
		if (!c->modseq)
			return NULL;
		if (c->count) {
			add_result(op, c);
			c->wanted = rest_of(op, &c->wanted, c->messages[c->count - 1].uid);
			uid_set_add_range(&c->pieces.copied, c->first_uid,
				c->first_uid + (uint32_t)c->count - 1);
		}
		if (uuid_is_nil(c->pieces.intent))
			c->pieces.intent = change.operation.uuid;
	} while (!c->pieces.is_last);
	return NULL;
}

static struct error *copy_or_move(struct op *op, struct mail_store *store,
	struct account_id account, struct mailbox_id from, const struct uid_set *uids,
	struct mailbox_id to, bool is_move, struct copy_result *ret_result)
{
	struct copying c = {.store = store,
		.from = from,
		.to = to,
		.wanted = *uids,
		.is_move = is_move,
		.result = ret_result,
		.pieces = {.begun_us = clock_realtime_us(), .copied = {.arena = &op->arena}}};
	*ret_result = (struct copy_result){0};
	if (is_move)
		return copy_chunks(op, &c, account);
	note_copying(store, account, +1);
	struct error *err = copy_chunks(op, &c, account);
	note_copying(store, account, -1);
	if (err) {
		/* If anything was copied, or may turn out to be, its intent says so. */
		owe_intents(store, account);
		*ret_result = (struct copy_result){0};
	}
	return err;
}

struct error *mailbox_copy(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id from, const struct uid_set *uids, struct mailbox_id to,
	struct copy_result *ret_result)
{
	return copy_or_move(op, store, account, from, uids, to, false, ret_result);
}

struct error *mailbox_move(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id from, const struct uid_set *uids, struct mailbox_id to,
	struct copy_result *ret_result)
{
	return copy_or_move(op, store, account, from, uids, to, true, ret_result);
}

/* ---- Undoing a COPY ---- */

/* A COPY begun by another node so long ago is not under way any more. */
#define ABANDONED_US (2 * 3600 * US_PER_S)

struct undoing {
	struct uuid intent;
};

static struct error *plan_undone(struct op *op, struct commit_plan *plan, void *context)
{
	(void)op;
	struct undoing *undoing = context;
	if (!plan_has_intent(plan, undoing->intent))
		return NULL;
	plan_remove_intent(plan, undoing->intent);
	plan_log(plan, SLICE(""));
	return NULL;
}

struct error *undo_copy(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid intent, struct mailbox_id target, struct reader *rest)
{
	struct uid_set copied;
	struct undoing undoing = {.intent = intent};
	struct commit_change change = {.plan = plan_undone, .context = &undoing};
	struct uuid instance;
	bool has_instance = uuid_from_slice(reader_bytes(rest, sizeof(instance)), &instance);
	uint64_t begun_us = reader_u64(rest);
	bool is_ours = has_instance && uuid_equal(instance, store->instance);
	if (is_ours ? is_copying(store, account)
		    : store->engine->is_shared && clock_realtime_us() - begun_us < ABANDONED_US)
		return NULL;
	if (!has_instance || !uid_set_decode(&op->arena, rest, &copied))
		return op_fail(op, ERR_CORRUPT, "an intent does not say what was copied");
	struct error *err = expunge_for_intent(op, store, account, target, &copied, intent);
	if (err && err->kind != ERR_NOT_FOUND)
		return err;
	return commit_run(op, store->commit, account, &change);
}
