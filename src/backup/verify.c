#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/folder.h"

struct verifying {
	const struct backup_folder *folder;
	void (*tell)(const char *fault);
	struct backup_verdict *verdict;
	struct hash_map seen; /* SHA-256 -> anything */
};

static struct error *verify_file(
	struct op *op, struct verifying *v, const char *id, const struct backup_file *file)
{
	uint64_t size;
	char hex[SHA256_HEX_SIZE + 1];
	if (hash_map_put(&v->seen, file->sha256, v))
		return NULL;
	v->verdict->files++;
	v->verdict->bytes += file->size;
	struct error *err = file_digest(op,
		backup_folder_object(&op->arena, v->folder, file->sha256), NULL, NULL, &size, hex);
	if (err && err->kind != ERR_NOT_FOUND && err->kind != ERR_UNAVAILABLE)
		return err;
	bool is_missing = err && err->kind == ERR_NOT_FOUND;
	if (!err && size == file->size && slice_equal(file->sha256, slice_from_cstr(hex)))
		return NULL;
	v->verdict->missing += is_missing;
	v->verdict->damaged += !is_missing;
	v->tell(arena_printf(&op->arena, "%s: " SLICE_FMT " (object " SLICE_FMT ") %s%s", id,
		SLICE_ARG(file->path), SLICE_ARG(file->sha256),
		is_missing ? "is missing" : "is damaged",
		err && !is_missing ? arena_printf(&op->arena, ": %s", err->message) : ""));
	return NULL;
}

static struct error *verify_one(struct op *op, struct verifying *v, const char *id)
{
	struct backup_manifest manifest;
	struct error *err = backup_folder_manifest(op, v->folder, id, &manifest);
	if (err && err->kind != ERR_CORRUPT)
		return err;
	v->verdict->backups++;
	if (err) {
		v->verdict->damaged++;
		v->tell(error_chain(&op->arena, err));
		return NULL;
	}
	for (size_t i = 0; i < manifest.count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(verify_file(op, v, id, &manifest.files[i]));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static struct error *verify(struct op *op, struct verifying *v, const char *id)
{
	const char **ids;
	size_t count;
	if (id)
		return verify_one(op, v, id);
	TRY(backup_folder_list(op, v->folder, &ids, &count));
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		TRY(verify_one(op, v, ids[i]));
		arena_release(&op->arena, mark);
	}
	return NULL;
}

struct error *backup_verify(struct op *op, const struct backup_folder *folder, const char *id,
	void (*tell)(const char *fault), struct backup_verdict *ret_verdict)
{
	struct verifying v = {.folder = folder, .tell = tell, .verdict = ret_verdict};
	*ret_verdict = (struct backup_verdict){0};
	hash_map_init(&v.seen);
	struct error *err = verify(op, &v, id);
	hash_map_done(&v.seen);
	return err;
}

/* ---- Removing ---- */

struct sweeping {
	const struct backup_folder *folder;
	struct hash_map needed;
	uint64_t bytes;
};

static struct error *need_files(struct op *op, struct sweeping *s, const char *but)
{
	const char **ids;
	size_t count;
	TRY(backup_folder_list(op, s->folder, &ids, &count));
	for (size_t i = 0; i < count; i++) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct backup_manifest manifest;
		if (strcmp(ids[i], but) == 0)
			continue;
		TRY(backup_folder_manifest(op, s->folder, ids[i], &manifest));
		for (size_t at = 0; at < manifest.count; at++)
			hash_map_put(&s->needed, manifest.files[at].sha256, s);
		arena_release(&op->arena, mark);
	}
	return NULL;
}

static struct error *sweep_object(struct op *op, void *context, const struct file_found *found)
{
	struct sweeping *s = context;
	const char *slash = strrchr(found->path, '/');
	if (hash_map_find(&s->needed, slice_from_cstr(slash ? slash + 1 : found->path)))
		return NULL;
	const char *path = arena_printf(&op->arena, "%s/objects/%s", s->folder->path, found->path);
	if (unlink(path) != 0)
		return file_fail(op, "remove", path);
	s->bytes += found->size;
	return NULL;
}

/* The list goes first: what has none is no backup. */
static struct error *remove_and_sweep(struct op *op, struct sweeping *s, const char *id)
{
	const char *list = backup_folder_manifest_path(&op->arena, s->folder, id);
	TRY(need_files(op, s, id));
	if (unlink(list) != 0)
		return errno == ENOENT ? op_fail(op, ERR_NOT_FOUND, "%s holds no backup %s",
						 s->folder->path, id)
				       : file_fail(op, "remove", list);
	TRY(file_sync(op, arena_printf(&op->arena, "%s/backups", s->folder->path)));
	return file_walk(
		op, arena_printf(&op->arena, "%s/objects", s->folder->path), sweep_object, s);
}

struct error *backup_remove(
	struct op *op, const struct backup_folder *folder, const char *id, uint64_t *ret_bytes)
{
	struct sweeping s = {.folder = folder};
	if (strchr(id, '/'))
		return op_fail(op, ERR_NOT_FOUND, "%s holds no backup %s", folder->path, id);
	hash_map_init(&s.needed);
	struct error *err = remove_and_sweep(op, &s, id);
	hash_map_done(&s.needed);
	*ret_bytes = s.bytes;
	return err;
}
