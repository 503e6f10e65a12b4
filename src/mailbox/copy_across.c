#include "base/clock.h"
#include "mailbox/acl.h"
#include "mailbox/store_private.h"

/* COPY and MOVE by appending: what is read of the one account is stored anew in the other. */

/* Of one commit: the messages are in memory until it is done. */
#define PIECE_BYTES MIB(16)

struct across {
	struct mail_store *store;
	const struct copy_across *copy;
	const struct keyword_names *names; /* of the source */
	uint32_t *uids;                    /* what is to be copied */
	size_t count;
	size_t done;
	struct copy_pieces pieces;
	bool has_open_intent;
	struct copy_result *result;
};

/* One commit: in an operation of its own, so that its messages leave memory with it. */
struct piece {
	struct op op;
	struct append_request *requests;
	uint32_t *uids;
	size_t count;
	uint64_t bytes;
};

static void take_keywords(struct piece *piece, const struct across *a,
	const struct message *message, struct append_request *request)
{
	struct slice *names = ARENA_ARRAY(&piece->op.arena, struct slice, a->names->count + 1);
	for (unsigned bit = 0; a->copy->keeps_keywords && bit < a->names->count; bit++)
		if (keyword_set_has(&message->keywords, bit))
			names[request->keyword_count++] = a->names->names[bit];
	request->keywords = names;
}

static struct error *take_message(
	struct piece *piece, const struct across *a, const struct message *message)
{
	struct append_request *request = &piece->requests[piece->count];
	*request = (struct append_request){.account = a->copy->to_account,
		.mailbox = a->copy->to,
		.flags = message->flags & a->copy->flags,
		.internal_date_us = message->internal_date_us};
	take_keywords(piece, a, message, request);
	TRY(message_content(&piece->op, a->store, message, 0, SIZE_MAX, &request->content));
	piece->uids[piece->count++] = message->uid;
	piece->bytes += request->content.len;
	return NULL;
}

/* Messages that are gone meanwhile are passed over. */
static struct error *fill(struct piece *piece, struct across *a)
{
	struct op *op = &piece->op;
	struct uid_set uids = {.arena = &op->arena};
	struct message *messages;
	size_t count;
	size_t end = MIN_OF(a->count, a->done + APPEND_BATCH_MAX);
	piece->requests = ARENA_ARRAY(&op->arena, struct append_request, APPEND_BATCH_MAX);
	piece->uids = ARENA_ARRAY(&op->arena, uint32_t, APPEND_BATCH_MAX);
	for (size_t i = a->done; i < end; i++)
		uid_set_add(&uids, a->uids[i]);
	TRY(mailbox_messages(
		op, a->store, a->copy->from_account, a->copy->from, &uids, &messages, &count));
	for (size_t i = 0; i < count; i++) {
		if (piece->bytes >= PIECE_BYTES) {
			end = a->done;
			while (a->uids[end] < messages[i].uid)
				end++;
			break;
		}
		TRY(take_message(piece, a, &messages[i]));
	}
	a->done = end;
	return NULL;
}

static struct error *expunge_source(struct piece *piece, const struct across *a)
{
	struct op *op = &piece->op;
	struct uid_set uids = {.arena = &op->arena};
	struct expunge_result expunged;
	for (size_t i = 0; i < piece->count; i++)
		uid_set_add(&uids, piece->uids[i]);
	return mailbox_expunge(
		op, a->store, a->copy->from_account, a->copy->from, &uids, false, &expunged);
}

static void add_results(
	struct across *a, const struct piece *piece, const struct append_result *results)
{
	struct copy_result *all = a->result;
	for (size_t i = 0; i < piece->count; i++) {
		all->from[all->count] = piece->uids[i];
		all->to[all->count++] = results[i].uid;
		uid_set_add(&a->pieces.copied, results[i].uid);
	}
	all->uidvalidity = results->uidvalidity;
	all->modseq = results->modseq;
}

static struct error *run_piece(struct piece *piece, struct across *a)
{
	struct op *op = &piece->op;
	TRY(fill(piece, a));
	if (!piece->count)
		return NULL;
	a->pieces.is_last = a->done == a->count;
	struct append_result *results = ARENA_ARRAY(&op->arena, struct append_result, piece->count);
	struct append_batch batch = {.requests = piece->requests,
		.count = piece->count,
		.pieces = a->copy->is_move ? NULL : &a->pieces};
	TRY(mailbox_append_batch(op, a->store, &batch, results));
	a->has_open_intent = batch.pieces && !a->pieces.is_last;
	if (a->copy->is_move)
		TRY(expunge_source(piece, a));
	add_results(a, piece, results);
	return NULL;
}

static struct error *run_pieces(struct op *op, struct across *a)
{
	struct error *err = NULL;
	while (a->done < a->count && !err) {
		struct piece piece = {0};
		op_init(&piece.op, op->name);
		piece.op.id = op->id;
		piece.op.deadline_ns = op->deadline_ns;
		err = run_piece(&piece, a);
		if (err)
			err = op_error_copy(op, err);
		op_done(&piece.op);
	}
	return err;
}

/* The last messages were gone, so that no commit of theirs has closed the intent. */
static struct error *plan_closed(struct op *op, struct commit_plan *plan, void *context)
{
	const struct across *a = context;
	TRY(check_pieces(op, plan, &a->pieces));
	plan_remove_intent(plan, a->pieces.intent);
	plan_log(plan, SLICE(""));
	return NULL;
}

static struct error *copy_all(struct op *op, struct across *a)
{
	struct account_id to = a->copy->to_account;
	struct commit_change close = {.plan = plan_closed, .context = a};
	note_copying(a->store, to, +1);
	struct error *err = run_pieces(op, a);
	if (!err && a->has_open_intent)
		err = commit_run(op, a->store->commit, to, &close);
	note_copying(a->store, to, -1);
	if (err) {
		/* If anything was copied, or may turn out to be, its intent says so. */
		owe_intents(a->store, to);
		*a->result = (struct copy_result){0};
	}
	return err;
}

static void choose(struct op *op, struct across *a, const struct snapshot *snapshot)
{
	const struct uid_set *wanted = a->copy->uids;
	a->uids = ARENA_ARRAY(&op->arena, uint32_t, snapshot_count(snapshot) + 1);
	for (size_t i = 0; i < wanted->count; i++) {
		uint32_t at = snapshot_lower_bound(snapshot, wanted->ranges[i].first);
		for (; at < snapshot_count(snapshot); at++) {
			uint32_t uid = snapshot_at(snapshot, at).uid;
			if (uid > wanted->ranges[i].last)
				break;
			a->uids[a->count++] = uid;
		}
	}
}

struct error *mailbox_copy_across(struct op *op, struct mail_store *store,
	const struct copy_across *copy, struct copy_result *ret_result)
{
	struct snapshot *snapshot;
	struct across a = {.store = store,
		.copy = copy,
		.result = ret_result,
		.pieces = {.begun_us = clock_realtime_us(), .copied = {.arena = &op->arena}}};
	*ret_result = (struct copy_result){0};
	TRY(mailbox_snapshot(op, store, copy->from_account, copy->from, &snapshot));
	choose(op, &a, snapshot);
	ret_result->from = ARENA_ARRAY(&op->arena, uint32_t, a.count + 1);
	ret_result->to = ARENA_ARRAY(&op->arena, uint32_t, a.count + 1);
	a.names = snapshot_keyword_names(snapshot);
	struct error *err = copy->is_move ? run_pieces(op, &a) : copy_all(op, &a);
	snapshot_unref(snapshot);
	return err;
}
