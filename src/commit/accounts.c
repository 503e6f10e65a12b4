#include "commit/commit_private.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/metric.h"
#include "base/world.h"

#define LOAD_AGAIN_MOST 4

METRIC_GAUGE(cached_accounts, "cached_accounts", "Accounts whose head is kept in memory");

static struct account_shard *shard_of(struct commit *commit, struct account_id id)
{
	return &commit->shards[id.uuid.bytes[14] % ACCOUNT_SHARDS];
}

static void unlink_account(struct account_shard *shard, struct commit_account *account)
{
	*(account->newer ? &account->newer->older : &shard->newest) = account->older;
	*(account->older ? &account->older->newer : &shard->oldest) = account->newer;
	account->newer = account->older = NULL;
}

static void link_newest(struct account_shard *shard, struct commit_account *account)
{
	account->older = shard->newest;
	if (shard->newest)
		shard->newest->newer = account;
	else
		shard->oldest = account;
	shard->newest = account;
}

static void free_account(struct commit_account *account)
{
	head_done(&account->head);
	mutex_done(&account->lock);
	condition_done(&account->led_no_more);
	free(account);
	metric_add(&cached_accounts, -1);
}

static void evict_old(struct account_shard *shard)
{
	size_t most = commit_settings.cached_accounts / ACCOUNT_SHARDS + 1;
	for (struct commit_account *account = shard->oldest;
		account && shard->accounts.count > most;) {
		struct commit_account *newer = account->newer;
		if (!account->references) {
			hash_map_remove(&shard->accounts, ID_SLICE(account->id));
			unlink_account(shard, account);
			free_account(account);
		}
		account = newer;
	}
}

struct commit_account *account_get(struct commit *commit, struct account_id id)
{
	struct account_shard *shard = shard_of(commit, id);
	AUTO_LOCK(&shard->lock);
	struct commit_account *account = hash_map_find(&shard->accounts, ID_SLICE(id));
	if (account) {
		unlink_account(shard, account);
	} else {
		evict_old(shard);
		account = HEAP_NEW(struct commit_account);
		account->id = id;
		mutex_init(&account->lock);
		condition_init(&account->led_no_more);
		head_init(&account->head);
		account->queue_end = &account->queue;
		hash_map_put(&shard->accounts, ID_SLICE(id), account);
		metric_add(&cached_accounts, 1);
	}
	link_newest(shard, account);
	account->references++;
	return account;
}

void account_put(struct commit *commit, struct commit_account *account)
{
	struct account_shard *shard = shard_of(commit, account->id);
	AUTO_LOCK(&shard->lock);
	account->references--;
}

void account_lead(struct commit_account *account)
{
	while (account->is_led)
		condition_wait(&account->led_no_more, &account->lock);
	account->is_led = true;
}

void account_follow(struct commit_account *account)
{
	account->is_led = false;
	condition_broadcast(&account->led_no_more);
	/* Of those who wait to commit, the first is enough: it takes the others along. */
	if (account->queue)
		condition_signal(&account->queue->wake);
}

struct error *account_reload(
	struct op *op, struct commit *commit, struct commit_account *account, enum read_level level)
{
	struct head fresh;
	head_init(&fresh);
	struct slice partition = key_account(&op->arena, account->id, 0);
	uint64_t now_ns = clock_monotonic_ns();
	if (is_planted(BUG_TORN_HEAD))
		level = READ_NORMAL;
	struct error *err = head_load(op, commit->engine, partition, level, &fresh);
	/* Replicas are read one after another while others commit: what does not fit together is
	 * read again before it is called damaged. */
	for (int again = 0; err && err->kind == ERR_CORRUPT && commit->engine->is_shared &&
			    again < LOAD_AGAIN_MOST;
		again++)
		err = head_load(op, commit->engine, partition, READ_SERIAL, &fresh);
	mutex_lock(&account->lock);
	struct head old = account->head;
	account->head = fresh;
	if (!err)
		account->looked_ns = MAX_OF(account->looked_ns, now_ns);
	mutex_unlock(&account->lock);
	head_done(&old);
	return err;
}

struct commit *commit_new(
	struct engine *engine, struct ledger *ledger, const struct commit_rules *rules)
{
	struct commit *commit = HEAP_NEW(struct commit);
	commit->engine = engine;
	commit->ledger = ledger;
	commit->rules = *rules;
	for (size_t i = 0; i < ACCOUNT_SHARDS; i++) {
		mutex_init(&commit->shards[i].lock);
		hash_map_init(&commit->shards[i].accounts);
	}
	mutex_init(&commit->owed_lock);
	hash_map_init(&commit->owed);
	return commit;
}

void commit_free(struct commit *commit)
{
	if (!commit)
		return;
	for (size_t i = 0; i < ACCOUNT_SHARDS; i++) {
		struct account_shard *shard = &commit->shards[i];
		while (shard->oldest) {
			struct commit_account *account = shard->oldest;
			/* Unlinking moves `oldest` on, which the analyzer does not see. */
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			unlink_account(shard, account);
			free_account(account);
		}
		hash_map_done(&shard->accounts);
		mutex_done(&shard->lock);
	}
	owed_free(commit);
	mutex_done(&commit->owed_lock);
	free(commit);
}

void commit_listen(struct commit *commit,
	void (*listener)(void *context, struct account_id account, uint64_t modseq), void *context)
{
	commit->listener = listener;
	commit->listener_context = context;
}

void commit_follow(struct commit *commit,
	bool (*is_behind)(void *context, struct account_id account), void *context)
{
	struct commit_follower *free_one = NULL;
	for (size_t i = COMMIT_FOLLOWERS_MOST; i-- > 0;) {
		struct commit_follower *follower = &commit->followers[i];
		if (follower->is_behind && follower->context == context)
			follower->is_behind = NULL;
		free_one = follower->is_behind ? free_one : follower;
	}
	assert(free_one || !is_behind);
	if (is_behind)
		*free_one = (struct commit_follower){is_behind, context};
}

struct engine *commit_engine(struct commit *commit)
{
	return commit->engine;
}

struct ledger *commit_ledger(struct commit *commit)
{
	return commit->ledger;
}

void commit_forget_heads(struct commit *commit)
{
	for (size_t i = 0; i < ACCOUNT_SHARDS; i++) {
		struct account_shard *shard = &commit->shards[i];
		AUTO_LOCK(&shard->lock);
		for (struct commit_account *account = shard->oldest; account;
			account = account->newer) {
			mutex_lock(&account->lock);
			account_lead(account);
			head_done(&account->head);
			head_init(&account->head);
			account_follow(account);
			mutex_unlock(&account->lock);
		}
	}
}
