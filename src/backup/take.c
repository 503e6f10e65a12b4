#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/folder.h"

/* What the last whole backup names is on the disk, synced before its list was written. Other bytes
 * that are there may be what a backup that was cut off has left, and are written again. */

struct taking {
	const struct backup_folder *folder;
	const struct file_watch *watch;
	struct backup_manifest *manifest;
	struct op own;               /* its arena holds the list */
	struct backup_manifest last; /* in it too */
	struct hash_map by_path;     /* of `last` -> struct backup_file */
	struct hash_map by_sha256;   /* of `last`, and what was written by now -> the same */
	const struct backup_source *source;
};

static bool is_there(struct op *op, const struct taking *t, const struct backup_file *file)
{
	struct stat status;
	return stat(backup_folder_object(&op->arena, t->folder, file->sha256), &status) == 0 &&
	       S_ISREG(status.st_mode) && (uint64_t)status.st_size == file->size;
}

static bool is_unchanged(struct op *op, const struct taking *t, struct slice path,
	const struct file_found *found, const struct backup_file **ret_file)
{
	const struct backup_file *file = hash_map_find(&t->by_path, path);
	*ret_file = file;
	return file && file->size == found->size && file->mtime_ns == found->mtime_ns &&
	       file->inode == found->inode && is_there(op, t, file);
}

/* Takes the temporary file away, in one way or the other. */
static struct error *keep_object(
	struct op *op, struct taking *t, const char *temporary, const struct backup_file *file)
{
	const char *object = backup_folder_object(&op->arena, t->folder, file->sha256);
	if (hash_map_find(&t->by_sha256, file->sha256) && is_there(op, t, file))
		return unlink(temporary) == 0 ? NULL : file_fail(op, "remove", temporary);
	TRY(file_make_folder(op,
		arena_printf(&op->arena, "%s/objects/%.2s", t->folder->path, file->sha256.ptr)));
	/* Earlier backups may name what is there: a power cut must not leave less in its place. */
	if (access(object, F_OK) == 0)
		TRY(file_sync(op, temporary));
	if (rename(temporary, object) != 0)
		return file_fail(op, "name", object);
	t->manifest->copied_files++;
	t->manifest->copied_bytes += file->size;
	return NULL;
}

static struct error *copy_file(
	struct op *op, struct taking *t, const struct file_found *found, struct backup_file *file)
{
	char hex[SHA256_HEX_SIZE + 1];
	uint64_t size;
	const char *from = arena_printf(&op->arena, "%s/%s", t->source->folder, found->path);
	const char *temporary = backup_folder_temporary(&op->arena, t->folder);
	TRY(file_digest(op, from, temporary, t->watch, &size, hex));
	if (size != found->size)
		return op_fail(op, ERR_UNAVAILABLE, "%s has changed while it was read", from);
	file->sha256 = arena_dup(&t->own.arena, slice_of(hex, SHA256_HEX_SIZE));
	return keep_object(op, t, temporary, file);
}

static struct error *take_file(struct op *op, void *context, const struct file_found *found)
{
	struct taking *t = context;
	const struct backup_file *before;
	const char *prefix = t->source->prefix;
	struct slice path = slice_from_cstr(
		arena_printf(&t->own.arena, "%s%s%s", prefix, *prefix ? "/" : "", found->path));
	struct backup_file file = {.path = path,
		.size = found->size,
		.mtime_ns = found->mtime_ns,
		.inode = found->inode};
	if (is_unchanged(op, t, path, found, &before)) {
		file.sha256 = before->sha256;
		if (t->watch)
			TRY(t->watch->tick(op, t->watch->context, 0));
	} else {
		TRY(copy_file(op, t, found, &file));
	}
	manifest_add(&t->own.arena, t->manifest, &file);
	/* The value only says that it is there: the list may move. */
	hash_map_put(&t->by_sha256, file.sha256, t);
	return NULL;
}

static struct error *know_last(struct op *op, struct taking *t)
{
	struct error *err = backup_folder_manifest(&t->own, t->folder, NULL, &t->last);
	/* There is none, or none that can be read: all is new. */
	if (err && (err->kind == ERR_NOT_FOUND || err->kind == ERR_CORRUPT))
		return NULL;
	if (err)
		return op_error_copy(op, err);
	for (size_t i = 0; i < t->last.count; i++) {
		struct backup_file *file = &t->last.files[i];
		hash_map_put(&t->by_path, file->path, file);
		hash_map_put(&t->by_sha256, file->sha256, file);
	}
	return NULL;
}

static struct error *take(struct op *op, struct taking *t, const struct backup_source *sources,
	size_t source_count, bool is_full)
{
	if (!is_full)
		TRY(know_last(op, t));
	for (size_t i = 0; i < source_count; i++) {
		t->source = &sources[i];
		TRY(file_walk(op, sources[i].folder, take_file, t));
	}
	TRY(file_sync_all(op, t->folder->path));
	if (t->watch && t->watch->confirm)
		TRY(t->watch->confirm(op, t->watch->context));
	return manifest_write(op, t->manifest, backup_folder_temporary(&op->arena, t->folder),
		backup_folder_manifest_path(&op->arena, t->folder, t->manifest->id));
}

struct error *backup_take(struct op *op, const struct backup_folder *folder,
	const struct backup_source *sources, size_t source_count, bool is_full,
	const struct file_watch *watch, struct backup_manifest *inout_manifest)
{
	struct taking t = {.folder = folder, .watch = watch, .manifest = inout_manifest};
	op_init(&t.own, "backup");
	hash_map_init(&t.by_path);
	hash_map_init(&t.by_sha256);
	struct error *err = take(op, &t, sources, source_count, is_full);
	hash_map_done(&t.by_path);
	hash_map_done(&t.by_sha256);
	op_done(&t.own);
	/* Its texts went with the arena. */
	inout_manifest->files = NULL;
	return err;
}
