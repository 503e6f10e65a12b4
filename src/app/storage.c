#include "app/storage.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"

METRIC_COUNTER(reclaimed, "reclaimed_blobs_total", "Contents removed after their grace period");
METRIC_COUNTER(reclaim_failures, "reclaim_failures_total", "Rounds of reclaiming that failed");

#define WORK_INTERVAL_NS (100 * NS_PER_MS)

enum content_store { CONTENT_ROCKSDB, CONTENT_FILE };

static const char *const content_stores[] = {
	[CONTENT_ROCKSDB] = "rocksdb", [CONTENT_FILE] = "file", NULL};

static struct {
	int content_store; /* enum content_store */
	uint64_t grace_ms;
	uint64_t reclaim_interval_ms;
} config;

/* clang-format off */
const struct setting storage_settings[] = {
	{"content.store", SETTING_CHOICE, &config.content_store, "rocksdb", 0, 0, content_stores, false,
		"Where the bytes of messages are: in the embedded engine's blob files, or each in a file of its own."},
	{"content.grace", SETTING_DURATION, &config.grace_ms, "1 d", 7200000, 31536000000, NULL, true,
		"Content that nothing refers to any more is kept for so long."},
	{"content.reclaim_interval", SETTING_DURATION, &config.reclaim_interval_ms, "1 h", 100, 604800000, NULL, true,
		"How often content past its grace is looked for."},
	{"commit.group_changes", SETTING_NUMBER, &commit_settings.group_changes, "128", 1, 1000, NULL, true,
		"Changes of one account that go into one commit at most."},
	{"commit.waiting_changes", SETTING_NUMBER, &commit_settings.waiting_changes, "1024", 1, 100000, NULL, true,
		"Changes of one account that may wait for their turn; further ones are told to come back."},
	{"commit.resolve_budget", SETTING_DURATION, &commit_settings.resolve_budget_ms, "5 s", 0, 600000, NULL, true,
		"How long a client waits while the outcome of its change is found out."},
	{"commit.cached_accounts", SETTING_NUMBER, &commit_settings.cached_accounts, "5000", 16, 10000000, NULL, true,
		"Accounts whose state is kept in memory."},
};
const size_t storage_setting_count = ARRAY_SIZE(storage_settings);
/* clang-format on */

struct error *storage_open(struct op *op, const struct data_directory *data,
	struct rocksdb_owner owner, struct storage *storage)
{
	mutex_init(&storage->lock);
	condition_init(&storage->stopping);
	TRY(rocksdb_engine_open(op, data_directory_file(&op->arena, data, "rows"), &rocksdb_limits,
		owner, &storage->engine));
	TRY(ledger_open(op, data_directory_file(&op->arena, data, "ledger"), &storage->ledger));
	if (config.content_store == CONTENT_FILE)
		TRY(blob_file_open(
			op, data_directory_file(&op->arena, data, "content"), &storage->blobs));
	else
		storage->blobs = blob_engine_new(storage->engine);
	storage->mails = mail_store_new(storage->engine, storage->ledger, storage->blobs);
	storage->accounts = accounts_new(storage->mails);
	return NULL;
}

const char *storage_datacenter(const struct storage *storage)
{
	return storage->datacenter ? storage->datacenter : "";
}

static void reclaim(struct storage *storage)
{
	AUTO_OP(op, "reclaim");
	size_t removed = 0;
	struct error *err =
		mail_store_reclaim(&op, storage->mails, config.grace_ms * 1000, &removed);
	metric_add(&reclaimed, (int64_t)removed);
	if (err) {
		metric_add(&reclaim_failures, 1);
		log_warn(&op, "reclaim-failed", FIELD_ERROR(&op, err));
	}
}

/* False when it is time to stop. */
static bool wait_for_next(struct storage *storage)
{
	AUTO_LOCK(&storage->lock);
	uint64_t until_ns = clock_monotonic_ns() + WORK_INTERVAL_NS;
	while (!storage->is_stopping &&
		condition_wait_until(&storage->stopping, &storage->lock, until_ns))
		;
	return !storage->is_stopping;
}

static void *work(void *argument)
{
	struct storage *storage = argument;
	uint64_t reclaimed_ns = clock_monotonic_ns();
	while (wait_for_next(storage)) {
		AUTO_OP(op, "background");
		mail_store_work(&op, storage->mails);
		uint64_t now_ns = clock_monotonic_ns();
		if (now_ns - reclaimed_ns < config.reclaim_interval_ms * NS_PER_MS)
			continue;
		reclaim(storage);
		reclaimed_ns = now_ns;
	}
	return NULL;
}

void storage_start(struct storage *storage)
{
	storage->is_working = true;
	thread_start(&storage->worker, "background", work, storage);
}

static void stop_working(struct storage *storage)
{
	mutex_lock(&storage->lock);
	storage->is_stopping = true;
	condition_signal(&storage->stopping);
	mutex_unlock(&storage->lock);
	thread_join(storage->worker);
}

void storage_close(struct storage *storage)
{
	if (storage->is_working)
		stop_working(storage);
	accounts_free(storage->accounts);
	mail_store_free(storage->mails);
	blob_store_close(storage->blobs);
	ledger_close(storage->ledger);
	engine_close(storage->engine);
}
