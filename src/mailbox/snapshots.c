#include "mailbox/map.h"
#include "mailbox/store_private.h"

#include <stdlib.h>

/* Snapshots are made from mailbox_map and the log above it, kept in a cache, and brought up to date
 * by the log alone. */

struct cached_snapshot {
	struct snapshot *snapshot; /* one reference */
	struct cached_snapshot *newer;
	struct cached_snapshot *older;
	size_t bytes;
};

#define CACHE_BYTES MIB(512)

void snapshot_cache_init(struct mail_store *store)
{
	for (size_t i = 0; i < SNAPSHOT_SHARDS; i++) {
		mutex_init(&store->shards[i].lock);
		hash_map_init(&store->shards[i].snapshots);
	}
}

static void unlink_cached(struct snapshot_shard *shard, struct cached_snapshot *cached)
{
	*(cached->newer ? &cached->newer->older : &shard->newest) = cached->older;
	*(cached->older ? &cached->older->newer : &shard->oldest) = cached->newer;
	cached->newer = cached->older = NULL;
}

static void link_newest(struct snapshot_shard *shard, struct cached_snapshot *cached)
{
	cached->older = shard->newest;
	if (shard->newest)
		shard->newest->newer = cached;
	else
		shard->oldest = cached;
	shard->newest = cached;
}

static void drop_cached(struct snapshot_shard *shard, struct cached_snapshot *cached)
{
	unlink_cached(shard, cached);
	hash_map_remove(&shard->snapshots, ID_SLICE(cached->snapshot->mailbox));
	shard->bytes -= cached->bytes;
	snapshot_unref(cached->snapshot);
	free(cached);
}

void snapshot_cache_done(struct mail_store *store)
{
	for (size_t i = 0; i < SNAPSHOT_SHARDS; i++) {
		struct snapshot_shard *shard = &store->shards[i];
		while (shard->oldest)
			drop_cached(shard, shard->oldest);
		hash_map_done(&shard->snapshots);
		mutex_done(&shard->lock);
	}
}

static struct snapshot_shard *shard_of(struct mail_store *store, struct mailbox_id mailbox)
{
	return &store->shards[mailbox.uuid.bytes[15] % SNAPSHOT_SHARDS];
}

static struct snapshot *find_cached(struct mail_store *store, struct mailbox_id mailbox)
{
	struct snapshot_shard *shard = shard_of(store, mailbox);
	AUTO_LOCK(&shard->lock);
	struct cached_snapshot *cached = hash_map_find(&shard->snapshots, ID_SLICE(mailbox));
	if (!cached)
		return NULL;
	unlink_cached(shard, cached);
	link_newest(shard, cached);
	return snapshot_ref(cached->snapshot);
}

/* Keeps the newer of what is there and this one. */
static void keep(struct mail_store *store, struct snapshot *snapshot)
{
	struct snapshot_shard *shard = shard_of(store, snapshot->mailbox);
	AUTO_LOCK(&shard->lock);
	struct cached_snapshot *cached =
		hash_map_find(&shard->snapshots, ID_SLICE(snapshot->mailbox));
	if (cached && cached->snapshot->as_of >= snapshot->as_of)
		return;
	if (cached)
		drop_cached(shard, cached);
	cached = HEAP_NEW(struct cached_snapshot);
	cached->snapshot = snapshot_ref(snapshot);
	cached->bytes = snapshot_memory(snapshot);
	hash_map_put(&shard->snapshots, ID_SLICE(snapshot->mailbox), cached);
	link_newest(shard, cached);
	shard->bytes += cached->bytes;
	while (shard->bytes > CACHE_BYTES / SNAPSHOT_SHARDS && shard->oldest != cached)
		drop_cached(shard, shard->oldest);
}

/* The mailbox's own numbers, copied. */
struct mailbox_numbers {
	struct mailbox_id mailbox;
	struct account_mailbox row;
	uint64_t modseq; /* of the account */
	uint64_t mapped;
};

static struct error *copy_numbers(struct op *op, const struct head *head, void *context)
{
	struct mailbox_numbers *numbers = context;
	const struct head_mailbox *mailbox = head_mailbox(head, numbers->mailbox);
	if (!mailbox)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	numbers->row = mailbox->row;
	numbers->row.path = arena_dup(&op->arena, mailbox->row.path);
	numbers->row.keywords = arena_dup(&op->arena, mailbox->row.keywords);
	numbers->modseq = head->state.modseq;
	numbers->mapped = head->state.mapped;
	return NULL;
}

static struct error *numbers_now(struct op *op, struct mail_store *store, struct account_id account,
	struct commit_plan *plan, struct mailbox_numbers *numbers)
{
	if (!plan)
		return commit_read(op, store->commit, account, copy_numbers, numbers);
	const struct account_mailbox *row = plan_mailbox(plan, numbers->mailbox);
	if (!row)
		return op_fail(op, ERR_NOT_FOUND, "no such mailbox");
	numbers->row = *row;
	numbers->modseq = plan_state(plan)->modseq;
	numbers->mapped = plan_head(plan)->state.mapped;
	return NULL;
}

static struct error *log_after(struct op *op, struct mail_store *store, struct account_id account,
	struct commit_plan *plan, uint64_t modseq, struct log_row **ret_rows, size_t *ret_count,
	bool *ret_complete)
{
	return plan ? plan_log_since(op, plan, modseq, ret_rows, ret_count, ret_complete)
		    : commit_log_since(op, store->commit, account, modseq, ret_rows, ret_count,
			      ret_complete);
}

static struct error *apply_rows(struct op *op, struct snapshot_builder *builder,
	const struct builder_scope *scope, const struct log_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(builder_apply(op, builder, scope, &rows[i]));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

/* Up to here each chunk of the map has what the log says; 0 if one is missing. So a hole in the log
 * is none for a map that was made anew since. */
static uint64_t map_has(const struct mailbox_numbers *numbers, const struct builder_scope *scope)
{
	uint32_t last = (numbers->row.uidnext - 1) >> MAILBOX_MAP_CHUNK_BITS;
	uint64_t has = UINT64_MAX;
	for (uint32_t chunk = 0; chunk <= last; chunk++)
		has = MIN_OF(has, chunk < scope->chunk_count ? scope->as_of[chunk] : 0);
	return MIN_OF(has, numbers->modseq);
}

/* From the map and the log above it. */
static struct error *build_from_map(struct op *op, struct mail_store *store,
	struct account_id account, struct commit_plan *plan, struct mailbox_numbers *numbers,
	struct snapshot_builder *builder, uint64_t *ret_as_of)
{
	struct builder_scope scope = {.mailbox = numbers->mailbox, .last_uid = UINT32_MAX};
	uint64_t *as_of;
	struct log_row *rows;
	size_t count;
	bool complete;
	TRY(map_load(op, store->engine, numbers->mailbox, builder, &as_of, &scope.chunk_count));
	scope.as_of = as_of;
	uint64_t has = MAX_OF(numbers->mapped, map_has(numbers, &scope));
	TRY(log_after(op, store, account, plan, has, &rows, &count, &complete));
	if (!complete)
		return op_fail(op, ERR_CORRUPT, "the log does not reach back to the map");
	TRY(apply_rows(op, builder, &scope, rows, count));
	*ret_as_of = count ? rows[count - 1].modseq : numbers->modseq;
	return NULL;
}

/* From an older snapshot and the log above it; *ret_done false when the log does not reach back. */
static struct error *build_from_snapshot(struct op *op, struct mail_store *store,
	struct account_id account, struct commit_plan *plan, const struct mailbox_numbers *numbers,
	const struct snapshot *base, struct snapshot_builder *builder, uint64_t *ret_as_of,
	bool *ret_done)
{
	struct builder_scope scope = {.mailbox = numbers->mailbox, .last_uid = UINT32_MAX};
	struct log_row *rows;
	size_t count;
	TRY(log_after(op, store, account, plan, base->as_of, &rows, &count, ret_done));
	if (!*ret_done)
		return NULL;
	TRY(apply_rows(op, builder, &scope, rows, count));
	*ret_as_of = count ? rows[count - 1].modseq : base->as_of;
	return NULL;
}

static struct error *build(struct op *op, struct mail_store *store, struct account_id account,
	struct commit_plan *plan, struct mailbox_numbers *numbers, const struct snapshot *base,
	struct snapshot **ret_snapshot)
{
	struct snapshot_builder builder;
	uint64_t as_of = 0;
	bool done = false;
	struct error *err = NULL;
	builder_begin(&builder, base);
	if (base)
		err = build_from_snapshot(
			op, store, account, plan, numbers, base, &builder, &as_of, &done);
	if (!err && !done) {
		builder_drop(&builder);
		builder_begin(&builder, NULL);
		err = build_from_map(op, store, account, plan, numbers, &builder, &as_of);
	}
	/* The log may have grown since the numbers were read: ask again, they must fit. */
	if (!err && as_of > numbers->modseq)
		err = numbers_now(op, store, account, plan, numbers);
	if (!err)
		err = builder_finish(
			op, &builder, numbers->mailbox, &numbers->row, as_of, ret_snapshot);
	builder_drop(&builder);
	return err;
}

static struct error *snapshot_now(struct op *op, struct mail_store *store,
	struct account_id account, struct commit_plan *plan, struct mailbox_id mailbox,
	struct snapshot **ret_snapshot)
{
	struct mailbox_numbers numbers = {.mailbox = mailbox};
	struct snapshot *base = find_cached(store, mailbox);
	struct error *err = NULL;
	for (int attempt = 0; attempt < 16; attempt++) {
		err = numbers_now(op, store, account, plan, &numbers);
		if (err)
			break;
		/* Nothing has happened to this mailbox since. */
		if (base && base->as_of >= numbers.row.highest_modseq &&
			base->uidnext == numbers.row.uidnext &&
			base->highest_modseq == numbers.row.highest_modseq &&
			base->is_deleted == (numbers.row.deleted_modseq != 0)) {
			*ret_snapshot = base;
			return NULL;
		}
		struct snapshot *built;
		err = build(op, store, account, plan, &numbers, base, &built);
		if (err)
			break;
		/* Numbers and messages are of one moment when they agree. */
		bool same_moment = numbers.row.highest_modseq <= built->as_of &&
				   numbers.modseq >= built->as_of &&
				   built->count == numbers.row.messages;
		if (same_moment || numbers.row.deleted_modseq) {
			snapshot_unref(base);
			*ret_snapshot = built;
			return NULL;
		}
		err = op_fail(op, ERR_CORRUPT,
			"a mailbox counts %u messages at %llu (its own %llu) and holds %u at %llu",
			numbers.row.messages, (unsigned long long)numbers.modseq,
			(unsigned long long)numbers.row.highest_modseq, built->count,
			(unsigned long long)built->as_of);
		snapshot_unref(built);
		if (plan) {
			/* Either the head is behind what other nodes have written, or it is damage.
			 */
			err->kind = plan_mismatch(plan);
			break;
		}
		if (attempt == 8) {
			snapshot_unref(base);
			base = NULL;
		}
	}
	snapshot_unref(base);
	return err;
}

struct error *mailbox_snapshot(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, struct snapshot **ret_snapshot)
{
	struct error *err = snapshot_now(op, store, account, NULL, mailbox, ret_snapshot);
	/* A map that cannot be read, or does not hold what is counted, is made anew from the rows.
	 */
	bool is_healed;
	if (err && err->kind == ERR_CORRUPT) {
		TRY(heal_account(op, store, account, &is_healed));
		if (is_healed)
			err = snapshot_now(op, store, account, NULL, mailbox, ret_snapshot);
	}
	TRY(err);
	keep(store, *ret_snapshot);
	return NULL;
}

struct error *plan_snapshot(struct op *op, struct mail_store *store, struct commit_plan *plan,
	struct mailbox_id mailbox, struct snapshot **ret_snapshot)
{
	const struct log_row *earlier;
	size_t count;
	plan_earlier(plan, &earlier, &count);
	TRY(snapshot_now(op, store, plan_account(plan), plan, mailbox, ret_snapshot));
	/* With changes of the group in it, it is not true yet, and not kept. */
	if (!count)
		keep(store, *ret_snapshot);
	return NULL;
}

struct error *snapshot_of_map(struct op *op, struct mail_store *store, struct account_id account,
	struct mailbox_id mailbox, struct snapshot **ret_snapshot)
{
	struct mailbox_numbers numbers = {.mailbox = mailbox};
	TRY(numbers_now(op, store, account, NULL, &numbers));
	return build(op, store, account, NULL, &numbers, NULL, ret_snapshot);
}

struct snapshot *snapshot_cached(struct mail_store *store, struct mailbox_id mailbox)
{
	return find_cached(store, mailbox);
}
