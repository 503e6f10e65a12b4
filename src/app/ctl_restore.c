#include "app/ctl_restore.h"

#include "app/server.h"
#include "app/storage.h"
#include "base/log.h"

struct check {
	uint64_t accounts;
	uint64_t messages;
	struct solve_report report;
	struct op *op;
	const struct file_watch *watch;
};

static bool count_rows(void *context, size_t rows)
{
	struct check *check = context;
	check->messages += rows;
	return !check->watch->tick(check->op, check->watch->context, 0);
}

static struct error *check_account(
	struct op *op, struct storage *storage, struct slice key, struct check *check)
{
	struct account_id account;
	const struct solve_scope scope = {
		.parts = SOLVE_COUNTS | SOLVE_CONTENT, .pace = count_rows, .pace_context = check};
	if (!uuid_from_slice(slice_range(key, 0, sizeof(struct uuid)), &account.uuid))
		return op_fail(op, ERR_CORRUPT, "the key of an account is too short");
	check->accounts++;
	return mail_store_solve_parts(op, storage->mails, account, &scope, &check->report);
}

static struct error *check_accounts(struct op *op, struct storage *storage, struct check *check)
{
	struct buf after = buf_heap();
	struct error *err = NULL;
	for (;;) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct slice *keys;
		size_t count;
		err = engine_partitions(storage->engine, op, &account_table, buf_as_slice(&after),
			1, &keys, &count);
		if (!err && count)
			err = check_account(op, storage, keys[0], check);
		if (err || !count)
			break;
		after.len = 0;
		buf_append(&after, keys[0]);
		arena_release(&op->arena, mark);
	}
	buf_done(&after);
	return err;
}

static bool is_whole(const struct solve_report *report)
{
	return !report->content_lost && !report->rows_lost && !report->counts_wrong;
}

static json_t *check_json(const struct backup_manifest *manifest, const struct check *check)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "backup", manifest->id,
		"taken_us", (json_int_t)manifest->taken_us, "files", (json_int_t)manifest->count,
		"bytes", (json_int_t)manifest->bytes, "accounts", (json_int_t)check->accounts,
		"messages", (json_int_t)check->messages, "content_lost",
		(json_int_t)check->report.content_lost, "rows_lost",
		(json_int_t)check->report.rows_lost, "counts_wrong",
		(json_int_t)check->report.counts_wrong);
}

static struct error *check_directory(struct op *op, const char *config_path, const char *directory,
	const struct backup_manifest *manifest, struct check *check)
{
	struct data_directory data = {.lock = -1};
	struct storage storage = {0};
	struct config *config = server_config_new();
	struct error *err = config_load(op, config, config_find(config_path));
	if (!err)
		err = data_directory_open(op, directory, &data);
	if (!err) {
		err = storage_open_copy(op, &data, manifest->content_store, &storage);
		if (!err)
			err = check_accounts(op, &storage, check);
		storage_close(&storage);
	}
	data_directory_close(&data);
	config_free(config);
	return err;
}

struct error *ctl_restore(struct op *op, const char *config_path,
	const struct backup_folder *folder, const char *id, const char *directory,
	const struct file_watch *watch, json_t **ret_told)
{
	struct backup_manifest manifest;
	struct check check = {.op = op, .watch = watch};
	log_set_level(LOG_LEVEL_WARNING);
	TRY(backup_folder_manifest(op, folder, id, &manifest));
	TRY(backup_restore(op, folder, &manifest, directory, DATA_FORMAT_FILE, watch));
	struct error *err = check_directory(op, config_path, directory, &manifest, &check);
	if (err)
		return op_wrap(op, err, "%s was restored, and cannot be checked", directory);
	*ret_told = check_json(&manifest, &check);
	if (is_whole(&check.report))
		return NULL;
	return op_fail(
		op, ERR_CORRUPT, "%s was restored, and not every message is as it was", directory);
}
