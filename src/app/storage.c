#include "app/storage.h"

#include "app/content.h"
#include "app/search_index.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "blob/blob_inline.h"
#include "blob/blob_sealed.h"
#include "consistency/levels.h"
#include "consumer/usage.h"
#include "consumer/webhook.h"
#include "engine/cassandra/cassandra.h"

METRIC_COUNTER(reclaimed, "reclaimed_blobs_total", "Contents removed after their grace period");
METRIC_COUNTER(unfinished_removed, "unfinished_content_removed_total",
	"Contents of which only a part was ever stored, removed");
METRIC_COUNTER(reclaim_failures, "reclaim_failures_total", "Rounds of reclaiming that failed");

#define WORK_INTERVAL_NS (100 * NS_PER_MS)
/* What is not cleaned up in this time is in the next round. */
#define CLEAN_UP_NS (10 * NS_PER_S)
#define HELP_INTERVAL_NS (20 * NS_PER_MS)

/* How long the store of rows has to show itself, each time it is asked at the start. */
#define OPEN_TIMEOUT_NS (30 * NS_PER_S)
/* While all levels are well nothing tells the prober of the first failure: it looks so often. */
#define PROBE_LOOK_NS (25 * NS_PER_MS)

enum engine_kind { ENGINE_ROCKSDB, ENGINE_CASSANDRA };

static const char *const engine_kinds[] = {
	[ENGINE_ROCKSDB] = "rocksdb", [ENGINE_CASSANDRA] = "cassandra", NULL};

static const char *const content_stores[] = {
	[CONTENT_ENGINE] = "rocksdb", [CONTENT_FILE] = "file", [CONTENT_S3] = "s3", NULL};

static struct {
	int engine_kind;   /* enum engine_kind */
	int content_store; /* enum content_store */
	uint64_t reclaim_interval_ms;
} config;

/* clang-format off */
const struct setting storage_settings[] = {
	{"engine.kind", SETTING_CHOICE, &config.engine_kind, "rocksdb", 0, 0, engine_kinds, false,
		"What stores rows: RocksDB within this process, or a Cassandra cluster that several nodes share."},
	{"content.store", SETTING_CHOICE, &config.content_store, "rocksdb", 0, 0, content_stores, false,
		"Where the bytes of messages are: in the embedded engine's blob files, each in a file of its own, or in an S3 store."},
	{"content.compression", SETTING_CHOICE, &blob_sealed_config.compression, "none", 0, 0, content_compressions, false,
		"How new content is compressed."},
	{"content.key_file", SETTING_TEXT, &blob_sealed_config.key_file, "", 0, 0, NULL, false,
		"Keys that content is encrypted with: lines of a name and 64 hexadecimal digits; the first one seals, all of them open."},
	{"content.accept_plain", SETTING_BOOL, &blob_sealed_config.accept_plain, "no", 0, 0, NULL, false,
		"With content.key_file: content that was stored without encryption is served too."},
	{"content.cache", SETTING_BYTES, &content_cache_bytes, "64 MiB", 0, 1099511627776, NULL, false,
		"Memory for content lately stored in or read from an S3 store, up to 256 KiB each; 0: none."},
	{"content.summary_cache", SETTING_BYTES, &mail_settings.summary_cache_bytes, "32 MiB", 0, 1099511627776, NULL, false,
		"Memory for envelopes and structures of messages lately shown, some 2 KiB each; 0: none."},
	{"content.inline_max", SETTING_BYTES, &content_inline_max, "0", 0, BLOB_INLINE_MOST, NULL, false,
		"New messages up to this size are kept among the rows of engine.kind instead of in content.store; 0: none."},
	{"content.grace", SETTING_DURATION, &mail_settings.grace_ms, "1 d", 7200000, 31536000000, NULL, true,
		"Content that nothing refers to any more is kept for so long, and so is deleted mail in the vault."},
	{"content.vault", SETTING_BOOL, &mail_settings.keeps_vault, "yes", 0, 0, NULL, true,
		"Deleted mail can be listed and restored by holdfastctl vault until its content is removed."},
	{"content.reclaim_interval", SETTING_DURATION, &config.reclaim_interval_ms, "1 h", 100, 604800000, NULL, true,
		"How often content past its grace is looked for."},
	{"commit.group_changes", SETTING_NUMBER, &commit_settings.group_changes, "128", 1, 1000, NULL, true,
		"Changes of one account that go into one commit at most."},
	{"commit.waiting_changes", SETTING_NUMBER, &commit_settings.waiting_changes, "1024", 1, 100000, NULL, true,
		"Changes of one account that may wait for their turn; further ones are told to come back."},
	{"commit.resolve_budget", SETTING_DURATION, &commit_settings.resolve_budget_ms, "800 ms", 0, 600000, NULL, true,
		"How long a client waits while the outcome of its change is found out."},
	{"commit.projection_delay", SETTING_DURATION, &commit_settings.projection_delay_ms, "50 ms", 0, 60000, NULL, true,
		"How long copies of what a commit did wait for further commits, where they do not go with it (Cassandra)."},
	{"commit.cached_accounts", SETTING_NUMBER, &commit_settings.cached_accounts, "5000", 16, 10000000, NULL, true,
		"Accounts whose state is kept in memory."},
};
const size_t storage_setting_count = ARRAY_SIZE(storage_settings);
/* clang-format on */

/* A server's tables must be the ones that this program knows, before it touches them. */
static struct error *check_schema(
	struct op *op, struct cql_cluster *cluster, const struct cassandra_options *options)
{
	struct slice *differences;
	size_t count;
	TRY(cassandra_schema_check(op, cluster, options, &differences, &count));
	if (!count)
		return NULL;
	return op_fail(op, ERR_INVALID,
		"Cassandra: " SLICE_FMT "%s; `holdfastctl schema create` makes it so",
		SLICE_ARG(differences[0]), count > 1 ? ", and more" : "");
}

static struct error *open_cassandra(
	struct op *op, const struct data_directory *data, struct storage *storage)
{
	struct cassandra_options options;
	struct levels_config levels;
	const char *setting;
	struct cql_cluster *cluster;
	storage->datacenter = levels_data_centre();
	op->deadline_ns = clock_monotonic_ns() + OPEN_TIMEOUT_NS;
	TRY(cassandra_read_settings(op, storage->datacenter, &options));
	TRY(levels_config_read(op, &levels, &setting));
	TRY(data_directory_node_id(op, data, &levels.node_id));
	TRY(cql_cluster_open(op, &options.cql, &cluster));
	struct error *err = check_schema(op, cluster, &options);
	if (err) {
		cql_cluster_close(cluster);
		return err;
	}
	storage->cluster = cluster;
	storage->cassandra = (struct cassandra_options){
		.keyspace = options.keyspace, .replication = options.replication};
	storage->engine = levels_engine_new(cassandra_store_new(cluster, &options), &levels);
	storage->engine->datacenter = slice_from_cstr(storage->datacenter);
	storage->engine->has_remote_datacenters = strchr(options.replication, ',') != NULL;
	return NULL;
}

/* Engines come up in any order: a cluster that does not answer yet is waited for. */
static struct error *wait_for_cassandra(struct op *op, const struct data_directory *data,
	struct storage *storage, bool (*is_told_to_stop)(void))
{
	bool was_logged = false;
	for (;;) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct error *err = open_cassandra(op, data, storage);
		op->deadline_ns = 0;
		if (!err)
			return NULL;
		bool may_come = err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT;
		if (!may_come || is_told_to_stop())
			return err;
		if (!was_logged)
			log_warn(op, "waiting-for-cassandra", FIELD_ERROR(op, err));
		was_logged = true;
		arena_release(&op->arena, mark);
		clock_sleep_ns(NS_PER_S);
	}
}

static struct error *check_webhooks(struct op *op, const char **ret_setting)
{
	struct webhook_options hooks[WEBHOOKS_MOST];
	size_t count;
	*ret_setting = "webhook.hooks";
	return webhooks_read(op, hooks, &count);
}

static struct error *open_consumers(struct op *op, struct storage *storage)
{
	struct consumer consumer;
	struct webhook_options hooks[WEBHOOKS_MOST];
	size_t count;
	storage->consumers = consumers_new(storage->mails);
	if (usage_is_wanted()) {
		usage_consumer(storage->mails, &consumer);
		consumers_add(storage->consumers, &consumer);
	}
	TRY(webhooks_read(op, hooks, &count));
	for (size_t i = 0; i < count; i++) {
		webhook_consumer(storage->mails, &hooks[i], &consumer);
		consumers_add(storage->consumers, &consumer);
	}
	return NULL;
}

struct error *storage_check(struct op *op, const char **ret_setting)
{
	struct cassandra_options options;
	struct levels_config levels;
	TRY(content_check(op, (enum content_store)config.content_store, ret_setting));
	TRY(search_index_check(op, ret_setting));
	TRY(check_webhooks(op, ret_setting));
	if (config.engine_kind != ENGINE_CASSANDRA)
		return NULL;
	*ret_setting = "consistency.data_centre";
	if (!levels_data_centre())
		return op_fail(op, ERR_INVALID,
			"the local data centre must be named: it is never guessed");
	TRY(levels_config_read(op, &levels, ret_setting));
	*ret_setting = "cassandra.contact_points";
	return cassandra_read_settings(op, levels_data_centre(), &options);
}

static struct error *open_rows(struct op *op, const struct data_directory *data,
	struct rocksdb_owner owner, struct storage *storage)
{
	/* What is written from now on has seals. */
	TRY(data_directory_need_format(op, data, DATA_FORMAT_SEALED));
	return rocksdb_engine_open(op, data_directory_file(&op->arena, data, DATA_ROWS),
		&rocksdb_limits, owner, &storage->engine);
}

static struct error *open_mail(
	struct op *op, const struct data_directory *data, struct storage *storage)
{
	TRY(ledger_open(op, data_directory_file(&op->arena, data, DATA_LEDGER), &storage->ledger));
	TRY(content_open(op, (enum content_store)config.content_store, data, storage->engine,
		&storage->blobs));
	storage->mails = mail_store_new(storage->engine, storage->ledger, storage->blobs);
	storage->accounts = accounts_new(storage->mails);
	return NULL;
}

/* The search index is not among them: it is made anew. */
static struct error *open_checkpoints(
	struct op *op, const struct data_directory *data, struct storage *storage)
{
	static const char *const files[] = {DATA_LEDGER, DATA_NODE, DATA_FORMAT_FILE, NULL};
	const struct checkpoints_options options = {.engine = storage->engine,
		.data = data->path,
		.rows = DATA_ROWS,
		.files = files,
		.content = config.content_store == CONTENT_FILE ? DATA_CONTENT : NULL,
		.content_store = content_stores[config.content_store]};
	return checkpoints_open(op, &options, &storage->checkpoints);
}

struct error *storage_open(struct op *op, const struct data_directory *data,
	struct rocksdb_owner owner, bool (*is_told_to_stop)(void), struct storage *storage)
{
	mutex_init(&storage->lock);
	condition_init(&storage->stopping);
	if (config.engine_kind == ENGINE_CASSANDRA)
		TRY(wait_for_cassandra(op, data, storage, is_told_to_stop));
	else
		TRY(open_rows(op, data, owner, storage));
	TRY(open_mail(op, data, storage));
	TRY(open_checkpoints(op, data, storage));
	TRY(open_consumers(op, storage));
	return search_index_open(op, data, storage->mails, !storage->cluster, &storage->search);
}

struct error *storage_open_copy(struct op *op, const struct data_directory *data,
	const char *content_store, struct storage *storage)
{
	mutex_init(&storage->lock);
	condition_init(&storage->stopping);
	int store = 0;
	while (content_stores[store] && strcmp(content_stores[store], content_store) != 0)
		store++;
	if (!content_stores[store])
		return op_fail(op, ERR_INVALID,
			"content is kept in \"%s\", which is not known here", content_store);
	config.engine_kind = ENGINE_ROCKSDB;
	config.content_store = store;
	TRY(open_rows(op, data, (struct rocksdb_owner){0}, storage));
	return open_mail(op, data, storage);
}

const char *storage_engine_name(void)
{
	return engine_kinds[config.engine_kind];
}

const char *storage_datacenter(const struct storage *storage)
{
	return storage->datacenter ? storage->datacenter : "";
}

#define FAULTS_MOST 64

static void find_levels(struct op *op, struct storage *storage, struct slice *list, size_t *count)
{
	struct levels_status status[FALLBACK_KIND_COUNT];
	levels_get_status(storage->engine, status);
	for (size_t i = 0; i < FALLBACK_KIND_COUNT; i++)
		if (status[i].in_force != status[i].primary)
			list[(*count)++] = slice_from_cstr(arena_printf(&op->arena,
				"%ss go out at %s instead of %s, for %llu s", status[i].kind,
				level_name(status[i].in_force), level_name(status[i].primary),
				(unsigned long long)(status[i].in_force_ms / 1000)));
}

static void find_consumers(
	struct op *op, struct storage *storage, struct slice *list, size_t *count)
{
	struct consumer_status *status;
	size_t consumers;
	uint64_t letters = consumers_letters(storage->consumers);
	if (letters)
		list[(*count)++] = slice_from_cstr(arena_printf(&op->arena,
			"%llu event%s given up on: holdfastctl dead-letter list",
			(unsigned long long)letters, letters == 1 ? "" : "s"));
	consumers_status(op, storage->consumers, &status, &consumers);
	for (size_t i = 0; i < consumers; i++)
		if (status[i].gaps)
			list[(*count)++] = slice_from_cstr(arena_printf(&op->arena,
				"%s has missed events of %llu accounts, whose log does not reach "
				"back to its cursor (consumer-gap in the log)",
				status[i].name, (unsigned long long)status[i].gaps));
}

struct error *storage_find_faults(
	struct op *op, void *context, struct slice **ret_findings, size_t *ret_count)
{
	struct storage *storage = context;
	struct slice *list = ARENA_ARRAY(&op->arena, struct slice, FAULTS_MOST + 1);
	size_t count = 0;
	size_t uncertain = ledger_length(storage->ledger);
	if (uncertain)
		list[count++] = slice_from_cstr(arena_printf(
			&op->arena, "the outcome of %zu changes is not known yet", uncertain));
	if (search_is_failing(storage->search))
		list[count++] = SLICE("search indexes cannot be written (index-behind in the log): "
				      "searches read the messages");
	find_consumers(op, storage, list, &count);
	if (storage->cluster) {
		struct slice *findings;
		size_t found;
		find_levels(op, storage, list, &count);
		TRY(cassandra_health(op, storage->cluster, &storage->cassandra, &findings, &found));
		for (size_t i = 0; i < found && count < FAULTS_MOST; i++)
			list[count++] = findings[i];
	}
	*ret_findings = list;
	*ret_count = count;
	return NULL;
}

static void reclaim(struct storage *storage)
{
	AUTO_OP(op, "reclaim");
	size_t removed = 0;
	/* Whoever copies a checkpoint will come for its content. */
	if (!checkpoints_begin_removal(storage->checkpoints))
		return;
	size_t unfinished = 0;
	struct error *err =
		mail_store_reclaim(&op, storage->mails, mail_settings.grace_ms * 1000, &removed);
	op.deadline_ns = clock_monotonic_ns() + CLEAN_UP_NS;
	if (!err)
		err = blob_clean_up(storage->blobs, &op,
			clock_realtime_us() - mail_settings.grace_ms * 1000, &unfinished);
	checkpoints_end_removal(storage->checkpoints);
	metric_add(&reclaimed, (int64_t)removed);
	metric_add(&unfinished_removed, (int64_t)unfinished);
	if (err) {
		metric_add(&reclaim_failures, 1);
		log_warn(&op, "reclaim-failed", FIELD_ERROR(&op, err));
	}
}

/* False when it is time to stop. */
static bool wait_for_next(struct storage *storage, uint64_t until_ns)
{
	AUTO_LOCK(&storage->lock);
	while (!storage->is_stopping &&
		condition_wait_until(&storage->stopping, &storage->lock, until_ns))
		;
	return !storage->is_stopping;
}

static void *work(void *argument)
{
	struct storage *storage = argument;
	while (wait_for_next(storage, clock_monotonic_ns() + WORK_INTERVAL_NS)) {
		AUTO_OP(op, "background");
		mail_store_work(&op, storage->mails);
		struct error *err = accounts_hold_used(&op, storage->accounts);
		if (err)
			log_info(&op, "names-not-held", FIELD_ERROR(&op, err));
	}
	return NULL;
}

/* By itself: a content store that hangs must not hold up what is owed to rows. */
static void *reclaim_now_and_then(void *argument)
{
	struct storage *storage = argument;
	uint64_t reclaimed_ns = clock_monotonic_ns();
	while (wait_for_next(storage, clock_monotonic_ns() + WORK_INTERVAL_NS)) {
		if (clock_monotonic_ns() - reclaimed_ns < config.reclaim_interval_ms * NS_PER_MS)
			continue;
		reclaim(storage);
		reclaimed_ns = clock_monotonic_ns();
	}
	return NULL;
}

static void *probe(void *argument)
{
	struct storage *storage = argument;
	uint64_t due_ns = 0;
	while (wait_for_next(storage, MIN_OF(due_ns, clock_monotonic_ns() + PROBE_LOOK_NS))) {
		AUTO_OP(op, "probe");
		due_ns = levels_probe(&op, storage->engine);
	}
	return NULL;
}

static void *help(void *argument)
{
	struct storage_helper *helper = argument;
	while (wait_for_next(helper->storage, clock_monotonic_ns() + HELP_INTERVAL_NS)) {
		AUTO_OP(op, "helper");
		mail_helper_work(&op, helper->helper);
	}
	return NULL;
}

/* Where each write is a round trip, one thread could not keep up with many accounts. */
static void start_cluster_work(struct storage *storage)
{
	thread_start(&storage->prober, "prober", probe, storage);
	for (unsigned i = 0; i < STORAGE_HELPERS; i++)
		storage->helpers[i] = (struct storage_helper){.storage = storage,
			.helper = mail_helper_new(storage->mails, i, STORAGE_HELPERS)};
	for (unsigned i = 0; i < STORAGE_HELPERS; i++)
		thread_start(&storage->helpers[i].thread, "helper", help, &storage->helpers[i]);
}

void storage_start(struct storage *storage)
{
	storage->is_working = true;
	search_start(storage->search);
	consumers_start(storage->consumers);
	if (storage->cluster)
		start_cluster_work(storage);
	thread_start(&storage->worker, "background", work, storage);
	thread_start(&storage->reclaimer, "reclaim", reclaim_now_and_then, storage);
}

static void stop_working(struct storage *storage)
{
	mutex_lock(&storage->lock);
	storage->is_stopping = true;
	condition_broadcast(&storage->stopping);
	mutex_unlock(&storage->lock);
	thread_join(storage->worker);
	thread_join(storage->reclaimer);
	if (!storage->cluster)
		return;
	thread_join(storage->prober);
	for (unsigned i = 0; i < STORAGE_HELPERS; i++) {
		thread_join(storage->helpers[i].thread);
		mail_helper_free(storage->helpers[i].helper);
	}
}

void storage_close(struct storage *storage)
{
	if (storage->is_working)
		stop_working(storage);
	consumers_free(storage->consumers);
	checkpoints_close(storage->checkpoints);
	search_free(storage->search);
	accounts_free(storage->accounts);
	mail_store_free(storage->mails);
	blob_store_close(storage->blobs);
	ledger_close(storage->ledger);
	engine_close(storage->engine);
}
