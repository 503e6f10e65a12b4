#include "engine/rocksdb.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/sync.h"
#include "engine/rocksdb_private.h"

METRIC_COUNTER(conflicts, "engine_cas_conflicts_total", "CAS whose condition was false");
METRIC_COUNTER(full_refusals, "engine_disk_full_refusals_total",
	"Writes refused because the disk has too little room");
METRIC_HISTOGRAM(write_time, "engine_write_seconds", "Durable write batches");

/* Partitions share this many locks. */
#define LOCK_COUNT 1024

/* How long the last look at the disk's room is believed. */
#define ROOM_CHECK_NS (100 * NS_PER_MS)

enum family { FAMILY_ROWS, FAMILY_LARGE, FAMILY_COUNT };

static const char *const family_names[FAMILY_COUNT] = {
	[FAMILY_ROWS] = "default", [FAMILY_LARGE] = "large"};

struct rocksdb_engine {
	struct engine engine;
	struct rocksdb_owner owner;
	uint64_t min_free_bytes;
	char *directory;
	rocksdb_t *db;
	rocksdb_column_family_handle_t *families[FAMILY_COUNT];
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *durable;
	rocksdb_writeoptions_t *relaxed;
	rocksdb_compactionfilter_t *filter;
	rocksdb_cache_t *cache;
	atomic_bool failed;
	_Atomic uint64_t room_checked_ns;
	atomic_bool has_room;
	struct mutex locks[LOCK_COUNT];
};

static struct rocksdb_engine *self(struct engine *engine)
{
	return (struct rocksdb_engine *)engine;
}

static rocksdb_column_family_handle_t *family_of(
	const struct rocksdb_engine *rocks, const struct table *table)
{
	return rocks->families[table->large_values ? FAMILY_LARGE : FAMILY_ROWS];
}

/* ---- partition locks ---- */

/* A few stripes, taken in ascending order so that no two holders wait for each other. */
struct held_locks {
	struct rocksdb_engine *rocks;
	size_t *stripes;
	size_t count;
};

static size_t stripe_of(struct arena *arena, const struct table *table, struct slice partition)
{
	struct slice key = rocksdb_key(arena, table, partition, SLICE_NONE);
	uint64_t hash = UINT64_C(14695981039346656037);
	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ (uint8_t)key.ptr[i]) * UINT64_C(1099511628211);
	return (size_t)(hash >> 32) % LOCK_COUNT;
}

static int compare_stripes(const void *a, const void *b)
{
	size_t left = *(const size_t *)a;
	size_t right = *(const size_t *)b;
	return left < right ? -1 : left > right;
}

/* A large row's version is looked up before it is written, so its partition is locked too. */
static void locks_add(struct arena *arena, struct held_locks *locks,
	const struct mutation *mutations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mutations[i].table->large_values)
			locks->stripes[locks->count++] =
				stripe_of(arena, mutations[i].table, mutations[i].partition);
}

static void locks_take(struct held_locks *locks)
{
	qsort(locks->stripes, locks->count, sizeof(size_t), compare_stripes);
	size_t kept = 0;
	for (size_t i = 0; i < locks->count; i++)
		if (!kept || locks->stripes[kept - 1] != locks->stripes[i])
			locks->stripes[kept++] = locks->stripes[i];
	locks->count = kept;
	for (size_t i = 0; i < kept; i++)
		mutex_lock(&locks->rocks->locks[locks->stripes[i]]);
}

static void locks_release(struct held_locks *locks)
{
	while (locks->count)
		mutex_unlock(&locks->rocks->locks[locks->stripes[--locks->count]]);
}

/* ---- reading ---- */

static void free_bytes(char **bytes)
{
	rocksdb_free(*bytes);
}

/* The stored bytes of one key, copied; *ret_bytes.ptr NULL when there are none. */
static struct error *get_bytes(struct rocksdb_engine *rocks, struct op *op,
	const struct table *table, struct slice key, struct slice *ret_bytes)
{
	char *status = NULL;
	size_t len;
	__attribute__((cleanup(free_bytes))) char *bytes = rocksdb_get_cf(
		rocks->db, rocks->read, family_of(rocks, table), key.ptr, key.len, &len, &status);
	TRY(rocksdb_status(op, status, false, "read a row"));
	*ret_bytes = bytes ? arena_dup(&op->arena, slice_of(bytes, len)) : SLICE_NONE;
	return NULL;
}

/* What a reader sees of stored bytes; *ret_found false for a tombstone or an expired row. */
static struct error *read_row(struct op *op, const struct table *table, struct slice bytes,
	struct engine_row *ret_row, bool *ret_found)
{
	*ret_found = true;
	if (table->kind == TABLE_CAS) {
		ret_row->value = bytes;
		ret_row->version = 0;
		return NULL;
	}
	struct stored_value stored;
	if (!rocksdb_value_read(bytes, &stored))
		return op_fail(op, ERR_CORRUPT, "a stored row of %s cannot be read", table->name);
	*ret_found = rocksdb_value_is_live(&stored, clock_realtime_us());
	ret_row->value = stored.value;
	ret_row->version = stored.version;
	return NULL;
}

static struct error *rocks_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row)
{
	struct slice bytes;
	TRY(get_bytes(
		self(engine), op, table, rocksdb_key(&op->arena, table, partition, key), &bytes));
	if (!bytes.ptr) {
		*ret_found = false;
		return NULL;
	}
	struct engine_row row = {.key = key};
	TRY(read_row(op, table, bytes, &row, ret_found));
	if (*ret_found)
		*ret_row = row;
	return NULL;
}

/* A cursor over [from, to) in either direction: one moment of the store. The bounds belong to the
 * library's options, so they live as long as it. */
struct cursor {
	rocksdb_readoptions_t *options;
	rocksdb_iterator_t *iterator;
	bool backwards;
};

static void cursor_open(struct rocksdb_engine *rocks, struct cursor *cursor,
	const struct table *table, struct slice from, struct slice to, bool backwards)
{
	cursor->backwards = backwards;
	cursor->options = rocksdb_readoptions_create();
	rocksdb_readoptions_set_iterate_lower_bound(cursor->options, from.ptr, from.len);
	rocksdb_readoptions_set_iterate_upper_bound(cursor->options, to.ptr, to.len);
	cursor->iterator =
		rocksdb_create_iterator_cf(rocks->db, cursor->options, family_of(rocks, table));
	if (backwards)
		rocksdb_iter_seek_to_last(cursor->iterator);
	else
		rocksdb_iter_seek_to_first(cursor->iterator);
}

static void cursor_close(struct cursor *cursor)
{
	rocksdb_iter_destroy(cursor->iterator);
	rocksdb_readoptions_destroy(cursor->options);
}

static void cursor_step(struct cursor *cursor)
{
	if (cursor->backwards)
		rocksdb_iter_prev(cursor->iterator);
	else
		rocksdb_iter_next(cursor->iterator);
}

static struct slice cursor_key(const struct cursor *cursor)
{
	size_t len;
	const char *key = rocksdb_iter_key(cursor->iterator, &len);
	return slice_of(key, len);
}

static struct slice cursor_value(const struct cursor *cursor)
{
	size_t len;
	const char *value = rocksdb_iter_value(cursor->iterator, &len);
	return slice_of(value, len);
}

static struct error *cursor_status(struct op *op, const struct cursor *cursor)
{
	char *status = NULL;
	rocksdb_iter_get_error(cursor->iterator, &status);
	return rocksdb_status(op, status, false, "scan rows");
}

struct row_list {
	struct engine_rows rows;
	size_t capacity;
};

static void add_row(struct op *op, struct row_list *list, struct engine_row row)
{
	struct engine_rows *rows = &list->rows;
	if (rows->count == list->capacity) {
		size_t capacity = list->capacity ? list->capacity * 2 : 16;
		rows->rows = arena_grow(&op->arena, rows->rows, list->capacity * sizeof(row),
			capacity * sizeof(row));
		list->capacity = capacity;
	}
	rows->rows[rows->count++] = row;
}

static struct error *collect_rows(struct op *op, const struct table *table, struct cursor *cursor,
	size_t limit, struct row_list *list)
{
	for (; list->rows.count < limit && rocksdb_iter_valid(cursor->iterator);
		cursor_step(cursor)) {
		uint8_t table_id;
		struct slice partition;
		struct engine_row row;
		bool found;
		if (!rocksdb_key_parts(cursor_key(cursor), &table_id, &partition, &row.key))
			return op_fail(
				op, ERR_CORRUPT, "a stored key of %s cannot be read", table->name);
		TRY(read_row(op, table, cursor_value(cursor), &row, &found));
		if (!found)
			continue;
		row.key = arena_dup(&op->arena, row.key);
		row.value = arena_dup(&op->arena, row.value);
		add_row(op, list, row);
	}
	return cursor_status(op, cursor);
}

static struct error *rocks_scan(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice from, struct slice to, size_t limit, bool backwards,
	enum read_level level, struct engine_rows *ret_rows)
{
	struct slice first = rocksdb_key(&op->arena, table, partition, from);
	struct slice end = to.ptr ? rocksdb_key(&op->arena, table, partition, to)
				  : rocksdb_partition_end(&op->arena, table, partition);
	struct row_list list = {0};
	if (slice_compare(first, end) < 0) {
		struct cursor cursor;
		cursor_open(self(engine), &cursor, table, first, end, backwards);
		struct error *err = collect_rows(op, table, &cursor, limit, &list);
		cursor_close(&cursor);
		if (err)
			return err;
	}
	*ret_rows = list.rows;
	return NULL;
}

/* Gathers the partitions that hold a live row, hopping over the rest of each. */
static struct error *collect_partitions(struct op *op, const struct table *table,
	struct cursor *cursor, size_t limit, struct slice *found, size_t *count)
{
	while (*count < limit && rocksdb_iter_valid(cursor->iterator)) {
		uint8_t table_id;
		struct slice partition;
		struct engine_row row;
		bool is_live;
		if (!rocksdb_key_parts(cursor_key(cursor), &table_id, &partition, &row.key))
			return op_fail(
				op, ERR_CORRUPT, "a stored key of %s cannot be read", table->name);
		TRY(read_row(op, table, cursor_value(cursor), &row, &is_live));
		if (!is_live) {
			cursor_step(cursor);
			continue;
		}
		found[*count] = arena_dup(&op->arena, partition);
		struct slice next = rocksdb_partition_end(&op->arena, table, found[*count]);
		(*count)++;
		rocksdb_iter_seek(cursor->iterator, next.ptr, next.len);
	}
	return cursor_status(op, cursor);
}

static struct error *rocks_partitions(struct engine *engine, struct op *op,
	const struct table *table, struct slice after, size_t limit, struct slice **ret_partitions,
	size_t *ret_count)
{
	struct slice first =
		after.len ? rocksdb_partition_end(&op->arena, table, after)
			  : slice_of(arena_dup(&op->arena, slice_of(&table->id, 1)).ptr, 1);
	struct slice *found = ARENA_ARRAY(&op->arena, struct slice, limit ? limit : 1);
	size_t count = 0;
	struct cursor cursor;
	cursor_open(
		self(engine), &cursor, table, first, rocksdb_table_end(&op->arena, table), false);
	struct error *err = collect_partitions(op, table, &cursor, limit, found, &count);
	cursor_close(&cursor);
	if (err)
		return err;
	*ret_partitions = found;
	*ret_count = count;
	return NULL;
}

/* ---- writing ---- */

/* A full disk met in the middle of a flush would be an error of the library's own, so writes stop
 * well before. */
static bool has_room(struct rocksdb_engine *rocks)
{
	uint64_t now_ns = clock_monotonic_ns();
	if (rocks->room_checked_ns && now_ns - rocks->room_checked_ns < ROOM_CHECK_NS)
		return rocks->has_room;
	struct statvfs disk;
	if (statvfs(rocks->directory, &disk) == 0)
		rocks->has_room = (uint64_t)disk.f_bavail * disk.f_frsize >= rocks->min_free_bytes;
	rocks->room_checked_ns = now_ns;
	return rocks->has_room;
}

static struct error *refuse_when_unfit(struct rocksdb_engine *rocks, struct op *op)
{
	if (rocks->failed)
		return op_fail(op, ERR_UNAVAILABLE, "the store takes no more writes");
	if (has_room(rocks))
		return NULL;
	metric_add(&full_refusals, 1);
	return op_fail(op, ERR_UNAVAILABLE, "the disk is full");
}

static void fail_for_good(struct rocksdb_engine *rocks, struct op *op, const struct error *err)
{
	if (atomic_exchange(&rocks->failed, true))
		return;
	log_error(op, "engine-failed", FIELD_ERROR(op, err));
	if (rocks->owner.engine_failed)
		rocks->owner.engine_failed(rocks->owner.context, err->message);
}

/* Merging is not for large rows: the library keeps only whole values in its blob files. So the
 * older version is looked up; a new row is not there, which the index says without reading. */
static struct error *add_large(struct rocksdb_engine *rocks, struct op *op,
	rocksdb_writebatch_t *batch, const struct mutation *mutation, struct slice key)
{
	struct slice old_bytes;
	struct stored_value old;
	struct stored_value new;
	TRY(get_bytes(rocks, op, mutation->table, key, &old_bytes));
	struct slice bytes = rocksdb_value(&op->arena, mutation);
	if (!rocksdb_value_read(bytes, &new))
		return op_fail(op, ERR_INTERNAL, "a value was written that cannot be read");
	if (old_bytes.ptr && rocksdb_value_read(old_bytes, &old) && rocksdb_value_wins(&old, &new))
		return NULL;
	rocksdb_writebatch_put_cf(
		batch, rocks->families[FAMILY_LARGE], key.ptr, key.len, bytes.ptr, bytes.len);
	return NULL;
}

static struct error *add_mutation(struct rocksdb_engine *rocks, struct op *op,
	rocksdb_writebatch_t *batch, const struct mutation *mutation)
{
	struct slice key =
		rocksdb_key(&op->arena, mutation->table, mutation->partition, mutation->key);
	rocksdb_column_family_handle_t *family = rocks->families[FAMILY_ROWS];
	if (mutation->table->large_values)
		return add_large(rocks, op, batch, mutation, key);
	if (mutation->table->kind == TABLE_PLAIN) {
		struct slice value = rocksdb_value(&op->arena, mutation);
		rocksdb_writebatch_merge_cf(batch, family, key.ptr, key.len, value.ptr, value.len);
	} else if (mutation->is_delete) {
		rocksdb_writebatch_delete_cf(batch, family, key.ptr, key.len);
	} else {
		rocksdb_writebatch_put_cf(
			batch, family, key.ptr, key.len, mutation->value.ptr, mutation->value.len);
	}
	return NULL;
}

static struct error *add_mutations(struct rocksdb_engine *rocks, struct op *op,
	rocksdb_writebatch_t *batch, const struct mutation *mutations, size_t count)
{
	for (size_t i = 0; i < count; i++)
		TRY(add_mutation(rocks, op, batch, &mutations[i]));
	return NULL;
}

static struct error *write_batch(struct rocksdb_engine *rocks, struct op *op,
	rocksdb_writebatch_t *batch, enum engine_durability durability)
{
	uint64_t start_ns = clock_monotonic_ns();
	char *status = NULL;
	rocksdb_write(
		rocks->db, durability == DURABLE ? rocks->durable : rocks->relaxed, batch, &status);
	bool is_fatal = status && rocksdb_status_is_fatal(status, true);
	struct error *err = rocksdb_status(op, status, true, "write to the store");
	if (is_fatal)
		fail_for_good(rocks, op, err);
	metric_observe_ns(&write_time, clock_monotonic_ns() - start_ns);
	return err;
}

static struct error *rocks_write(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability)
{
	struct rocksdb_engine *rocks = self(engine);
	TRY(refuse_when_unfit(rocks, op));
	struct held_locks locks = {
		.rocks = rocks, .stripes = ARENA_ARRAY(&op->arena, size_t, count)};
	locks_add(&op->arena, &locks, mutations, count);
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	locks_take(&locks);
	struct error *err = add_mutations(rocks, op, batch, mutations, count);
	if (!err)
		err = write_batch(rocks, op, batch, durability);
	locks_release(&locks);
	rocksdb_writebatch_destroy(batch);
	return err;
}

static struct error *check_condition(struct rocksdb_engine *rocks, struct op *op,
	const struct cas *cas, struct slice *ret_current)
{
	struct slice current;
	TRY(get_bytes(rocks, op, cas->table,
		rocksdb_key(&op->arena, cas->table, cas->partition, SLICE_NONE), &current));
	if (cas->expected.ptr ? current.ptr && row_columns_equal(cas->table->static_row,
						       cas->table->condition_columns, current,
						       cas->expected)
			      : !current.ptr)
		return NULL;
	metric_add(&conflicts, 1);
	*ret_current = current;
	return op_fail(op, ERR_CONFLICT, "the row of %s has changed", cas->table->name);
}

static struct error *rocks_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current)
{
	struct rocksdb_engine *rocks = self(engine);
	TRY(refuse_when_unfit(rocks, op));
	struct held_locks locks = {.rocks = rocks,
		.stripes = ARENA_ARRAY(&op->arena, size_t, cas->also_count + 1),
		.count = 1};
	locks.stripes[0] = stripe_of(&op->arena, cas->table, cas->partition);
	locks_add(&op->arena, &locks, cas->also, cas->also_count);
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	locks_take(&locks);
	struct error *err = check_condition(rocks, op, cas, ret_current);
	if (!err)
		err = add_mutations(rocks, op, batch, cas->mutations, cas->mutation_count);
	if (!err)
		err = add_mutations(rocks, op, batch, cas->also, cas->also_count);
	if (!err)
		err = write_batch(rocks, op, batch, DURABLE);
	locks_release(&locks);
	rocksdb_writebatch_destroy(batch);
	return err;
}

/* ---- checkpoints ---- */

/* What stands in the log alone is written out first: else a backup would hold all of the log each
 * time. A failed flush is an error of the library's own, as everywhere. */
static struct error *rocks_checkpoint(struct engine *engine, struct op *op, const char *folder)
{
	struct rocksdb_engine *rocks = self(engine);
	char *status = NULL;
	TRY(refuse_when_unfit(rocks, op));
	rocksdb_checkpoint_t *checkpoint = rocksdb_checkpoint_object_create(rocks->db, &status);
	if (!status)
		rocksdb_checkpoint_create(checkpoint, folder, 0, &status);
	if (checkpoint)
		rocksdb_checkpoint_object_destroy(checkpoint);
	return rocksdb_status(
		op, status, false, arena_printf(&op->arena, "make a checkpoint in %s", folder));
}

/* ---- opening and closing ---- */

static void rocks_close(struct engine *engine)
{
	struct rocksdb_engine *rocks = self(engine);
	for (int i = 0; i < FAMILY_COUNT; i++)
		if (rocks->families[i])
			rocksdb_column_family_handle_destroy(rocks->families[i]);
	if (rocks->db)
		rocksdb_close(rocks->db);
	rocksdb_readoptions_destroy(rocks->read);
	rocksdb_writeoptions_destroy(rocks->durable);
	rocksdb_writeoptions_destroy(rocks->relaxed);
	rocksdb_compactionfilter_destroy(rocks->filter);
	rocksdb_cache_destroy(rocks->cache);
	for (size_t i = 0; i < LOCK_COUNT; i++)
		mutex_done(&rocks->locks[i]);
	free(rocks->directory);
	free(rocks);
}

static const struct engine_ops rocksdb_ops = {
	.name = "rocksdb",
	.get = rocks_get,
	.scan = rocks_scan,
	.write = rocks_write,
	.cas = rocks_cas,
	.partitions = rocks_partitions,
	.checkpoint = rocks_checkpoint,
	.close = rocks_close,
};

static void set_table_options(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(
		table, rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
}

/* The options own the merge operator once it is set, so each has its own. */
static rocksdb_options_t *family_options(
	struct rocksdb_engine *rocks, const struct rocksdb_limits *limits, enum family family)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_create_missing_column_families(options, 1);
	rocksdb_options_set_paranoid_checks(options, 1);
	rocksdb_options_set_max_open_files(options, (int)limits->open_files);
	rocksdb_options_set_max_total_wal_size(options, limits->write_buffer_bytes * 4);
	rocksdb_options_set_db_write_buffer_size(options, limits->write_buffer_bytes * 2);
	rocksdb_options_set_keep_log_file_num(options, 4);
	rocksdb_options_set_max_log_file_size(options, MIB(4));
	rocksdb_options_set_info_log_level(options, 2);
	/* After a power cut the unsynced end of the log may be damaged; all before it is whole. */
	rocksdb_options_set_wal_recovery_mode(options, 2);
	rocksdb_options_set_write_buffer_size(options, limits->write_buffer_bytes);
	rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	rocksdb_options_set_compaction_filter(options, rocks->filter);
	set_table_options(options, rocks->cache);
	if (family == FAMILY_LARGE) {
		rocksdb_options_set_enable_blob_files(options, 1);
		rocksdb_options_set_min_blob_size(options, 512);
		rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
		rocksdb_options_set_enable_blob_gc(options, 1);
	} else {
		rocksdb_options_set_merge_operator(options, rocksdb_version_merge());
		/* A row rewritten over and over is folded as it is written, not at each read. */
		rocksdb_options_set_max_successive_merges(options, 16);
	}
	return options;
}

static struct error *open_database(
	struct rocksdb_engine *rocks, struct op *op, const struct rocksdb_limits *limits)
{
	rocksdb_options_t *options[FAMILY_COUNT];
	for (int i = 0; i < FAMILY_COUNT; i++)
		options[i] = family_options(rocks, limits, (enum family)i);
	char *status = NULL;
	rocks->db = rocksdb_open_column_families(options[FAMILY_ROWS], rocks->directory,
		FAMILY_COUNT, family_names, (const rocksdb_options_t *const *)options,
		rocks->families, &status);
	for (int i = 0; i < FAMILY_COUNT; i++)
		rocksdb_options_destroy(options[i]);
	if (status && (strstr(status, "lock hold by") || strstr(status, "lock file"))) {
		rocksdb_free(status);
		return op_fail(op, ERR_EXISTS, "another process has %s open", rocks->directory);
	}
	return rocksdb_status(op, status, false,
		arena_printf(&op->arena, "open the store in %s", rocks->directory));
}

struct error *rocksdb_engine_open(struct op *op, const char *directory,
	const struct rocksdb_limits *limits, struct rocksdb_owner owner, struct engine **ret_engine)
{
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		return op_fail(op, ERR_UNAVAILABLE, "cannot make %s: %m", directory);
	struct rocksdb_engine *rocks = HEAP_NEW(struct rocksdb_engine);
	rocks->engine = (struct engine){.ops = &rocksdb_ops, .is_atomic = true};
	rocks->owner = owner;
	rocks->min_free_bytes = limits->min_free_bytes;
	rocks->directory = heap_cstr(slice_from_cstr(directory));
	rocks->has_room = true;
	for (size_t i = 0; i < LOCK_COUNT; i++)
		mutex_init(&rocks->locks[i]);
	rocks->cache = rocksdb_cache_create_lru(limits->cache_bytes);
	rocks->filter = rocksdb_expiry_filter();
	rocks->read = rocksdb_readoptions_create();
	rocks->durable = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(rocks->durable, 1);
	rocks->relaxed = rocksdb_writeoptions_create();
	struct error *err = open_database(rocks, op, limits);
	if (err) {
		rocks_close(&rocks->engine);
		return err;
	}
	*ret_engine = &rocks->engine;
	return NULL;
}
