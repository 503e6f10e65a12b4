#include "backup/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* Says what the folder is; also what is locked. */
#define MARK "holdfast-backups"
#define SUFFIX ".json"

static const char *below(struct arena *arena, const struct backup_folder *folder, const char *name)
{
	return arena_printf(arena, "%s/%s", folder->path, name);
}

const char *backup_folder_manifest_path(
	struct arena *arena, const struct backup_folder *folder, const char *id)
{
	return arena_printf(arena, "%s/backups/%s" SUFFIX, folder->path, id);
}

const char *backup_folder_object(
	struct arena *arena, const struct backup_folder *folder, struct slice sha256)
{
	return arena_printf(
		arena, "%s/objects/%.2s/" SLICE_FMT, folder->path, sha256.ptr, SLICE_ARG(sha256));
}

const char *backup_folder_temporary(struct arena *arena, const struct backup_folder *folder)
{
	return below(arena, folder, "unfinished/file");
}

static struct error *make_mark(struct op *op, const struct backup_folder *folder)
{
	bool is_empty;
	TRY(file_is_empty_folder(op, folder->path, &is_empty));
	if (!is_empty)
		return op_fail(op, ERR_INVALID,
			"%s holds something else: name a folder that is empty or is not there",
			folder->path);
	TRY(file_make_folder(op, folder->path));
	const char *path = below(&op->arena, folder, MARK);
	int mark = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (mark < 0)
		return file_fail(op, "make", path);
	bool is_written = write(mark, "1\n", 2) == 2 && fsync(mark) == 0;
	struct error *err = is_written ? NULL : file_fail(op, "write", path);
	close(mark);
	return err;
}

static struct error *open_mark(struct op *op, struct backup_folder *folder, enum backup_use use)
{
	const char *path = below(&op->arena, folder, MARK);
	folder->lock = open(path, O_RDONLY | O_CLOEXEC);
	if (folder->lock < 0 && errno == ENOENT && use == BACKUP_WRITES) {
		TRY(make_mark(op, folder));
		folder->lock = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (folder->lock < 0 && errno == ENOENT)
		return op_fail(op, ERR_INVALID, "%s is no folder of backups", folder->path);
	if (folder->lock < 0)
		return file_fail(op, "read", path);
	if (flock(folder->lock, (use == BACKUP_WRITES ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0)
		return NULL;
	if (errno == EWOULDBLOCK)
		return op_fail(op, ERR_EXISTS, "another process is at work in %s", folder->path);
	return file_fail(op, "lock", path);
}

static struct error *make_parts(struct op *op, const struct backup_folder *folder)
{
	TRY(file_remove_tree(op, below(&op->arena, folder, "unfinished")));
	TRY(file_make_folder(op, below(&op->arena, folder, "unfinished")));
	TRY(file_make_folder(op, below(&op->arena, folder, "objects")));
	TRY(file_make_folder(op, below(&op->arena, folder, "backups")));
	return file_sync(op, folder->path);
}

struct error *backup_folder_open(
	struct op *op, const char *path, enum backup_use use, struct backup_folder *ret_folder)
{
	struct backup_folder folder = {.path = path, .lock = -1};
	struct error *err = open_mark(op, &folder, use);
	if (!err && use == BACKUP_WRITES)
		err = make_parts(op, &folder);
	if (err) {
		backup_folder_close(&folder);
		return err;
	}
	*ret_folder = folder;
	return NULL;
}

void backup_folder_close(struct backup_folder *folder)
{
	if (folder->lock >= 0)
		close(folder->lock);
	folder->lock = -1;
}

static int compare_texts(const void *left, const void *right)
{
	return strcmp(*(const char *const *)left, *(const char *const *)right);
}

struct error *backup_folder_list(
	struct op *op, const struct backup_folder *folder, const char ***ret_ids, size_t *ret_count)
{
	struct dirent *entry;
	const char *path = below(&op->arena, folder, "backups");
	DIR *lists = opendir(path);
	*ret_ids = NULL;
	*ret_count = 0;
	if (!lists)
		return file_fail(op, "list", path);
	while (errno = 0, (entry = readdir(lists))) {
		struct slice name = slice_from_cstr(entry->d_name);
		if (!slice_ends_with(name, SLICE(SUFFIX)))
			continue;
		name.len -= strlen(SUFFIX);
		*ret_ids = arena_grow(&op->arena, *ret_ids, *ret_count * sizeof(**ret_ids),
			(*ret_count + 1) * sizeof(**ret_ids));
		(*ret_ids)[(*ret_count)++] = arena_cstr(&op->arena, name);
	}
	struct error *err = errno ? file_fail(op, "list", path) : NULL;
	closedir(lists);
	if (err)
		return err;
	if (*ret_count)
		qsort(*ret_ids, *ret_count, sizeof(**ret_ids), compare_texts);
	return NULL;
}

struct error *backup_folder_manifest(struct op *op, const struct backup_folder *folder,
	const char *id, struct backup_manifest *ret_manifest)
{
	const char **ids;
	size_t count;
	size_t at = 0;
	TRY(backup_folder_list(op, folder, &ids, &count));
	if (!count)
		return op_fail(op, ERR_NOT_FOUND, "%s holds no backup", folder->path);
	while (id && at < count && strcmp(ids[at], id) != 0)
		at++;
	if (at == count)
		return op_fail(op, ERR_NOT_FOUND, "%s holds no backup %s", folder->path, id);
	id = id ? id : ids[count - 1];
	struct error *err = manifest_read(
		op, backup_folder_manifest_path(&op->arena, folder, id), ret_manifest);
	return err ? op_wrap(op, err, "the backup %s", id) : NULL;
}
