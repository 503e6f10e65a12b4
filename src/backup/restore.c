#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "backup/folder.h"

struct restoring {
	const struct backup_folder *folder;
	const char *target;
	const char *last;
	const struct file_watch *watch;
};

static struct error *must_be_empty(struct op *op, const char *path)
{
	bool is_empty;
	TRY(file_is_empty_folder(op, path, &is_empty));
	if (is_empty)
		return file_make_folder(op, path);
	return op_fail(
		op, ERR_EXISTS, "%s is not empty: a restore wants a directory of its own", path);
}

/* Holds no number, so that nobody takes the directory for whole. */
static struct error *bar(struct op *op, const struct restoring *r)
{
	static const char text[] = "a restore has not come to its end here\n";
	const char *path = arena_printf(&op->arena, "%s/%s", r->target, r->last);
	int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (file < 0)
		return file_fail(op, "make", path);
	bool is_written =
		write(file, text, strlen(text)) == (ssize_t)strlen(text) && fsync(file) == 0;
	struct error *err = is_written ? NULL : file_fail(op, "write", path);
	close(file);
	return err ? err : file_sync(op, r->target);
}

static struct error *make_parents(struct op *op, const struct restoring *r, struct slice path)
{
	for (size_t i = 0; i < path.len; i++)
		if (path.ptr[i] == '/')
			TRY(file_make_folder(op,
				arena_printf(&op->arena, "%s/%.*s", r->target, (int)i, path.ptr)));
	return NULL;
}

static struct error *restore_file(
	struct op *op, const struct restoring *r, const struct backup_file *file, const char *to)
{
	uint64_t size;
	char hex[SHA256_HEX_SIZE + 1];
	const char *object = backup_folder_object(&op->arena, r->folder, file->sha256);
	struct error *err = file_digest(op, object, to, r->watch, &size, hex);
	if (err && err->kind == ERR_NOT_FOUND)
		return op_fail(op, ERR_CORRUPT, SLICE_FMT " is missing in the backup (object %s)",
			SLICE_ARG(file->path), object);
	TRY(err);
	if (size == file->size && slice_equal(file->sha256, slice_from_cstr(hex)))
		return NULL;
	return op_fail(op, ERR_CORRUPT, SLICE_FMT " is damaged in the backup (object %s)",
		SLICE_ARG(file->path), object);
}

static struct error *restore_last(
	struct op *op, const struct restoring *r, const struct backup_file *file)
{
	const char *path = arena_printf(&op->arena, "%s/%s", r->target, r->last);
	const char *temporary = arena_printf(&op->arena, "%s.new", path);
	TRY(restore_file(op, r, file, temporary));
	TRY(file_sync_all(op, r->target));
	if (rename(temporary, path) != 0)
		return file_fail(op, "name", path);
	return file_sync(op, r->target);
}

static struct error *restore_files(
	struct op *op, const struct restoring *r, const struct backup_manifest *manifest)
{
	const struct backup_file *last = NULL;
	for (size_t i = 0; i < manifest->count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		const struct backup_file *file = &manifest->files[i];
		if (slice_equal(file->path, slice_from_cstr(r->last))) {
			last = file;
			continue;
		}
		TRY(make_parents(op, r, file->path));
		TRY(restore_file(op, r, file,
			arena_printf(
				&op->arena, "%s/" SLICE_FMT, r->target, SLICE_ARG(file->path))));
		arena_release(&op->arena, mark);
	}
	if (!last)
		return op_fail(op, ERR_CORRUPT, "%s is missing in the backup", r->last);
	return restore_last(op, r, last);
}

struct error *backup_restore(struct op *op, const struct backup_folder *folder,
	const struct backup_manifest *manifest, const char *target, const char *last,
	const struct file_watch *watch)
{
	const struct restoring r = {
		.folder = folder, .target = target, .last = last, .watch = watch};
	TRY(must_be_empty(op, target));
	TRY(bar(op, &r));
	return restore_files(op, &r, manifest);
}
