#include "mailbox/map.h"
#include "mailbox/store_private.h"

#include <stdlib.h>

#include "base/byte_cache.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

METRIC_COUNTER(work_failures, "background_failures_total", "Steps of background work that failed");

METRIC_GAUGE(summary_bytes, "summary_cache_bytes", "Summaries of messages that are in memory");

struct mail_settings mail_settings = {
	.grace_ms = 86400 * 1000, .keeps_vault = true, .summary_cache_bytes = MIB(32)};

/* A longer summary, of a message of very many parts, is read anew each time. */
#define SUMMARY_KEPT_MOST KIB(64)

#define OWED_UNDOS_MOST 100000
#define SWEEP_EVERY_NS (30 * NS_PER_S)
#define SWEEP_AGAIN_NS (2 * NS_PER_S) /* after one that failed */
#define RESOLVE_FIRST_NS (100 * NS_PER_MS)
#define RESOLVE_MOST_NS (5 * NS_PER_S)

struct mail_store *mail_store_new(
	struct engine *engine, struct ledger *ledger, struct blob_store *blobs)
{
	static const struct commit_rules rules = {
		.derive = derive_projections, .map = map_refresh, .undo = undo_append};
	struct mail_store *store = HEAP_NEW(struct mail_store);
	store->engine = engine;
	store->blobs = blobs;
	store->commit = commit_new(engine, ledger, &rules);
	store->summaries = byte_cache_new(
		mail_settings.summary_cache_bytes, SUMMARY_KEPT_MOST, &summary_bytes);
	store->instance = uuid_random();
	store->own_helper = (struct mail_helper){.store = store, .parts = 1};
	mutex_init(&store->lock);
	hash_map_init(&store->copying);
	hash_map_init(&store->owed_intents);
	snapshot_cache_init(store);
	return store;
}

void mail_store_free(struct mail_store *store)
{
	if (!store)
		return;
	snapshot_cache_done(store);
	byte_cache_free(store->summaries);
	commit_free(store->commit);
	hash_map_done(&store->copying);
	hash_map_done(&store->owed_intents);
	while (store->owed_undo_count)
		free((void *)(uintptr_t)store->owed_undos[--store->owed_undo_count].ptr);
	free(store->owed_undos);
	mutex_done(&store->lock);
	free(store);
}

void mail_store_set_quota(struct mail_store *store, quota_lookup lookup, void *context)
{
	store->quota = lookup;
	store->quota_context = context;
}

void mail_store_listen(struct mail_store *store, mailbox_listener listener, void *context)
{
	commit_listen(store->commit, listener, context);
}

struct commit *mail_store_commit(struct mail_store *store)
{
	return store->commit;
}

struct engine *mail_store_engine(struct mail_store *store)
{
	return store->engine;
}

struct blob_store *mail_store_blobs(struct mail_store *store)
{
	return store->blobs;
}

static struct error *read_owed(struct op *op, const struct head *head, void *context)
{
	(void)op;
	bool *owes = context;
	*owes = head->state.trimmed > head->state.applied;
	for (size_t i = head_tail_after(head, head->state.applied); i < head->tail_count; i++)
		*owes |= head->tail[i].row.entry.len != 0;
	return NULL;
}

struct error *account_owes(
	struct op *op, struct mail_store *store, struct account_id account, bool *ret_owes)
{
	*ret_owes = false;
	struct error *err = commit_read(op, store->commit, account, read_owed, ret_owes);
	return err && err->kind == ERR_NOT_FOUND ? NULL : err;
}

void owe_intents(struct mail_store *store, struct account_id account)
{
	AUTO_LOCK(&store->lock);
	hash_map_put(&store->owed_intents, ID_SLICE(account), store);
}

void note_copying(struct mail_store *store, struct account_id account, int change)
{
	AUTO_LOCK(&store->lock);
	intptr_t count = (intptr_t)hash_map_find(&store->copying, ID_SLICE(account)) + change;
	if (count)
		hash_map_put(&store->copying, ID_SLICE(account), (void *)count);
	else
		hash_map_remove(&store->copying, ID_SLICE(account));
}

bool is_copying(struct mail_store *store, struct account_id account)
{
	AUTO_LOCK(&store->lock);
	return hash_map_find(&store->copying, ID_SLICE(account)) != NULL;
}

static void report(struct op *op, const char *step, struct error *err)
{
	if (!err)
		return;
	metric_add(&work_failures, 1);
	/* What waits for an engine is tried again; only surprises deserve a line each time. */
	bool is_expected = err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT ||
			   err->kind == ERR_UNCERTAIN;
	if (is_expected)
		log_debug(op, "background-step-failed", FIELD_TEXT("step", step),
			FIELD_ERROR(op, err));
	else
		log_warn(op, "background-step-failed", FIELD_TEXT("step", step),
			FIELD_ERROR(op, err));
}

void owe_undo(struct mail_store *store, struct slice detail)
{
	AUTO_LOCK(&store->lock);
	if (store->owed_undo_count >= OWED_UNDOS_MOST)
		return; /* left to the audit */
	if (store->owed_undo_count == store->owed_undo_capacity) {
		store->owed_undo_capacity = store->owed_undo_capacity * 2 + 16;
		store->owed_undos = heap_realloc(
			store->owed_undos, store->owed_undo_capacity * sizeof(struct slice));
	}
	store->owed_undos[store->owed_undo_count++] = slice_of(heap_cstr(detail), detail.len);
}

static bool take_owed_undo(struct mail_store *store, struct slice *ret_detail)
{
	AUTO_LOCK(&store->lock);
	if (!store->owed_undo_count)
		return false;
	*ret_detail = store->owed_undos[--store->owed_undo_count];
	return true;
}

static void work_on_undos(struct op *op, struct mail_store *store)
{
	struct slice detail;
	struct error *err = NULL;
	while (!err && take_owed_undo(store, &detail)) {
		struct arena_mark mark = arena_mark(&op->arena);
		err = undo_append(op, store->engine, detail);
		if (err)
			owe_undo(store, detail);
		report(op, "undo", err);
		arena_release(&op->arena, mark);
		free((void *)(uintptr_t)detail.ptr);
	}
}

static bool take_owed_intents(struct mail_store *store, struct account_id *ret_account)
{
	AUTO_LOCK(&store->lock);
	struct hash_cursor cursor = {0};
	struct slice key;
	if (!hash_map_next(&store->owed_intents, &cursor, &key, NULL) ||
		!uuid_from_slice(key, &ret_account->uuid))
		return false;
	hash_map_remove(&store->owed_intents, ID_SLICE(*ret_account));
	return true;
}

static void work_on_intents(struct op *op, struct mail_store *store)
{
	struct account_id failed[64];
	size_t failures = 0;
	struct account_id account;
	while (failures < ARRAY_SIZE(failed) && take_owed_intents(store, &account)) {
		struct error *err = drive_intents(op, store, account);
		if (err && err->kind != ERR_NOT_FOUND)
			failed[failures++] = account;
		report(op, "intents", err);
	}
	for (size_t i = 0; i < failures; i++)
		owe_intents(store, failed[i]);
}

/* A restart forgets which accounts have open intents: the notes for the sweeper say. */
static struct error *find_intents(struct op *op, struct mail_store *store)
{
	struct dirty_walk walk = {0};
	struct account_id account;
	for (;;) {
		bool more;
		TRY(dirty_next(op, store, &walk, &account, &more));
		if (!more)
			return NULL;
		owe_intents(store, account);
	}
}

/* False when it could not be done to the end. */
static bool sweep(struct op *op, struct mail_store *store)
{
	struct error *err = commit_sweep(op, store->commit);
	report(op, "sweep", err);
	if (err)
		return false;
	err = find_intents(op, store);
	report(op, "find-intents", err);
	return !err;
}

void mail_helper_work(struct op *op, struct mail_helper *helper)
{
	struct commit *commit = helper->store->commit;
	commit_apply_owed(op, commit);
	if (!ledger_length(commit_ledger(commit)) || clock_monotonic_ns() < helper->next_resolve_ns)
		return;
	struct error *err = commit_resolve_owed(op, commit, helper->part, helper->parts);
	report(op, "resolve", err);
	helper->resolve_pause_ns =
		err ? MIN_OF(MAX_OF(helper->resolve_pause_ns * 2, RESOLVE_FIRST_NS),
			      RESOLVE_MOST_NS)
		    : 0;
	helper->next_resolve_ns = clock_monotonic_ns() + helper->resolve_pause_ns;
}

struct mail_helper *mail_helper_new(struct mail_store *store, unsigned part, unsigned parts)
{
	struct mail_helper *helper = HEAP_NEW(struct mail_helper);
	*helper = (struct mail_helper){.store = store, .part = part, .parts = parts};
	store->has_helpers = true;
	return helper;
}

void mail_helper_free(struct mail_helper *helper)
{
	free(helper);
}

void mail_store_work(struct op *op, struct mail_store *store)
{
	uint64_t now = clock_monotonic_ns();
	if (!store->has_helpers)
		mail_helper_work(op, &store->own_helper);
	if (now >= store->next_sweep_ns) {
		store->next_sweep_ns = now + (sweep(op, store) ? SWEEP_EVERY_NS : SWEEP_AGAIN_NS);
	}
	work_on_intents(op, store);
	work_on_undos(op, store);
}
