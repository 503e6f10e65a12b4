#include "blob/blob.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One file a blob, in two levels of 256 folders by its last two bytes (the first ones are the time,
 * and would put all of a day together). A file is written under another name, synced, renamed, and
 * its folder synced: it is there whole or not at all. */

static const struct slice magic = SLICE_INIT("holdblob");
#define HEADER_SIZE (8 + SHA256_SIZE)

struct blob_file {
	struct blob_store store;
	char *folder;
};

static const struct blob_file *self(struct blob_store *store)
{
	return (const struct blob_file *)store;
}

static const char *folder_of(struct op *op, struct blob_store *store, struct blob_id id)
{
	return arena_printf(&op->arena, "%s/%02x/%02x", self(store)->folder, id.uuid.bytes[15],
		id.uuid.bytes[14]);
}

static const char *path_of(struct op *op, struct blob_store *store, struct blob_id id)
{
	return arena_printf(
		&op->arena, "%s/%s", folder_of(op, store, id), uuid_text(&op->arena, id.uuid));
}

static struct error *fail_io(
	struct op *op, enum error_kind kind, const char *what, const char *path)
{
	return op_fail(op, kind, "cannot %s %s: %s", what, path, strerror(errno));
}

static struct error *sync_folder(struct op *op, const char *path)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0 || fsync(folder) != 0) {
		struct error *err = fail_io(op, ERR_UNCERTAIN, "sync", path);
		if (folder >= 0)
			close(folder);
		return err;
	}
	close(folder);
	return NULL;
}

/* Makes both levels; each new entry is synced in its parent. */
static struct error *make_folders(struct op *op, struct blob_store *store, struct blob_id id)
{
	const char *first =
		arena_printf(&op->arena, "%s/%02x", self(store)->folder, id.uuid.bytes[15]);
	const char *second = folder_of(op, store, id);
	const char *const levels[] = {first, second};
	const char *parent = self(store)->folder;
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (mkdir(levels[i], 0700) == 0)
			TRY(sync_folder(op, parent));
		else if (errno != EEXIST)
			return fail_io(op, ERR_UNAVAILABLE, "make", levels[i]);
		parent = levels[i];
	}
	return NULL;
}

static bool write_all(int file, struct slice bytes)
{
	while (bytes.len) {
		ssize_t written = write(file, bytes.ptr, bytes.len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return false;
		bytes = slice_from(bytes, (size_t)written);
	}
	return true;
}

static struct error *file_put(struct blob_store *store, struct op *op, struct blob_id id,
	struct slice content, struct slice sha256, struct mutations *staged)
{
	(void)staged;
	const char *path = path_of(op, store, id);
	const char *temporary = arena_printf(&op->arena, "%s.new", path);
	TRY(make_folders(op, store, id));
	int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		return fail_io(op, ERR_UNAVAILABLE, "make", temporary);
	bool written = write_all(file, magic) && write_all(file, sha256) &&
		       write_all(file, content) && fdatasync(file) == 0;
	struct error *err = written ? NULL : fail_io(op, ERR_UNAVAILABLE, "write", temporary);
	close(file);
	if (!err && rename(temporary, path) != 0)
		err = fail_io(op, ERR_UNAVAILABLE, "name", path);
	if (err) {
		unlink(temporary);
		return err;
	}
	return sync_folder(op, folder_of(op, store, id));
}

static struct error *read_part(struct op *op, int file, const char *path, uint64_t from,
	uint64_t length, struct slice *ret_bytes)
{
	char *bytes = arena_alloc_raw(&op->arena, length);
	for (uint64_t done = 0; done < length;) {
		ssize_t got = pread(file, bytes + done, length - done, (off_t)(from + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_io(op, ERR_UNAVAILABLE, "read", path);
		if (got == 0)
			return op_fail(op, ERR_CORRUPT, "%s is shorter than it was", path);
		done += (uint64_t)got;
	}
	*ret_bytes = slice_of(bytes, length);
	return NULL;
}

static struct error *read_open(struct op *op, int file, const char *path, uint64_t offset,
	uint64_t length, struct slice *ret_bytes)
{
	struct stat status;
	struct slice header;
	if (fstat(file, &status) != 0)
		return fail_io(op, ERR_UNAVAILABLE, "look at", path);
	TRY(read_part(op, file, path, 0, MIN_OF(status.st_size, HEADER_SIZE), &header));
	if (header.len != HEADER_SIZE || !slice_starts_with(header, magic))
		return op_fail(op, ERR_CORRUPT, "%s is no blob", path);
	uint64_t size = (uint64_t)status.st_size - HEADER_SIZE;
	uint64_t from = MIN_OF(offset, size);
	uint64_t count = MIN_OF(length, size - from);
	TRY(read_part(op, file, path, HEADER_SIZE + from, count, ret_bytes));
	if (count != size)
		return NULL;
	uint8_t digest[SHA256_SIZE];
	sha256_of(*ret_bytes, digest);
	if (!slice_equal(slice_of(digest, sizeof(digest)), slice_from(header, magic.len)))
		return op_fail(op, ERR_CORRUPT, "%s does not have its checksum", path);
	return NULL;
}

static struct error *file_read(struct blob_store *store, struct op *op, struct blob_id id,
	uint64_t offset, uint64_t length, struct slice *ret_bytes)
{
	const char *path = path_of(op, store, id);
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return errno == ENOENT ? op_fail(op, ERR_NOT_FOUND, "no content %s",
						 uuid_text(&op->arena, id.uuid))
				       : fail_io(op, ERR_UNAVAILABLE, "open", path);
	struct error *err = read_open(op, file, path, offset, length, ret_bytes);
	close(file);
	return err;
}

static struct error *file_remove(struct blob_store *store, struct op *op, struct blob_id id)
{
	const char *path = path_of(op, store, id);
	if (unlink(path) != 0 && errno != ENOENT)
		return fail_io(op, ERR_UNAVAILABLE, "remove", path);
	return NULL;
}

/* The order of the listing is that of the folders: last byte, last but one, then the id. */
static int place_compare(struct blob_id a, struct blob_id b)
{
	for (int i = 15; i >= 14; i--)
		if (a.uuid.bytes[i] != b.uuid.bytes[i])
			return a.uuid.bytes[i] < b.uuid.bytes[i] ? -1 : 1;
	return uuid_compare(a.uuid, b.uuid);
}

static int compare_ids(const void *left, const void *right)
{
	return place_compare(*(const struct blob_id *)left, *(const struct blob_id *)right);
}

static void list_folder(struct op *op, const char *path, const struct blob_id *after,
	struct blob_id **inout_ids, size_t *inout_count)
{
	DIR *folder = opendir(path);
	size_t from = *inout_count;
	if (!folder)
		return;
	struct dirent *entry;
	while ((entry = readdir(folder))) {
		struct blob_id id;
		if (!uuid_parse(slice_from_cstr(entry->d_name), &id.uuid) ||
			(after && place_compare(id, *after) <= 0))
			continue;
		*inout_ids = arena_grow(&op->arena, *inout_ids, *inout_count * sizeof(id),
			(*inout_count + 1) * sizeof(id));
		(*inout_ids)[(*inout_count)++] = id;
	}
	closedir(folder);
	if (*inout_count > from)
		qsort(*inout_ids + from, *inout_count - from, sizeof(struct blob_id), compare_ids);
}

static struct error *file_list(struct blob_store *store, struct op *op, struct slice after,
	size_t limit, struct blob_id **ret_ids, size_t *ret_count)
{
	struct blob_id last = {0};
	bool has_last = after.len && uuid_from_slice(after, &last.uuid);
	unsigned first = has_last ? (unsigned)last.uuid.bytes[15] << 8 | last.uuid.bytes[14] : 0;
	*ret_ids = NULL;
	*ret_count = 0;
	for (unsigned place = first; place < 65536 && *ret_count < limit; place++)
		list_folder(op,
			arena_printf(&op->arena, "%s/%02x/%02x", self(store)->folder, place >> 8,
				place & 0xff),
			has_last && place == first ? &last : NULL, ret_ids, ret_count);
	*ret_count = MIN_OF(*ret_count, limit);
	return NULL;
}

static void file_close(struct blob_store *store)
{
	free(((struct blob_file *)store)->folder);
	free(store);
}

static const struct blob_ops file_ops = {
	.name = "file",
	.put = file_put,
	.read = file_read,
	.remove = file_remove,
	.list = file_list,
	.close = file_close,
};

struct error *blob_file_open(struct op *op, const char *folder, struct blob_store **ret_store)
{
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return fail_io(op, ERR_UNAVAILABLE, "make", folder);
	struct blob_file *store = HEAP_NEW(struct blob_file);
	store->store = (struct blob_store){.ops = &file_ops, .is_apart = true};
	store->folder = heap_cstr(slice_from_cstr(folder));
	*ret_store = &store->store;
	return NULL;
}
