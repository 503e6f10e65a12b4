#include "backup/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

#define PIECE MIB(1)
/* Folders within folders. */
#define DEPTH_MOST 16

struct error *file_fail(struct op *op, const char *what, const char *path)
{
	return op_fail(op, ERR_UNAVAILABLE, "cannot %s %s: %s", what, path, strerror(errno));
}

struct error *file_make_folder(struct op *op, const char *path)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return file_fail(op, "make", path);
	return NULL;
}

struct error *file_is_empty_folder(struct op *op, const char *path, bool *ret_is_empty)
{
	struct dirent *entry;
	DIR *folder = opendir(path);
	*ret_is_empty = true;
	if (!folder && errno == ENOENT)
		return NULL;
	if (!folder)
		return file_fail(op, "list", path);
	while (errno = 0, (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			*ret_is_empty = false;
	struct error *err = errno ? file_fail(op, "list", path) : NULL;
	closedir(folder);
	return err;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return remove(path);
}

struct error *file_remove_tree(struct op *op, const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
		return file_fail(op, "remove", path);
	return NULL;
}

struct error *file_copy(struct op *op, const char *from, const char *to)
{
	uint64_t size;
	char hex[SHA256_HEX_SIZE + 1];
	return file_digest(op, from, to, NULL, &size, hex);
}

static struct error *sync_with(
	struct op *op, const char *path, int (*sync)(int descriptor), const char *what)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return file_fail(op, what, path);
	struct error *err = sync(file) == 0 ? NULL : file_fail(op, what, path);
	close(file);
	return err;
}

struct error *file_sync(struct op *op, const char *path)
{
	return sync_with(op, path, fsync, "sync");
}

struct error *file_sync_all(struct op *op, const char *path)
{
	return sync_with(op, path, syncfs, "sync the file system of");
}

static struct error *write_piece(struct op *op, int file, const char *path, struct slice piece)
{
	while (piece.len) {
		ssize_t written = write(file, piece.ptr, piece.len);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return file_fail(op, "write", path);
		piece = slice_from(piece, (size_t)written);
	}
	return NULL;
}

struct copying {
	const char *from, *to;
	int in, out; /* `out` -1: nowhere */
	const struct file_watch *watch;
	struct sha256 *digest;
	uint64_t size;
};

static struct error *copy_pieces(struct op *op, struct copying *c)
{
	char *piece = arena_alloc_raw(&op->arena, PIECE);
	for (;;) {
		ssize_t got = read(c->in, piece, PIECE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return file_fail(op, "read", c->from);
		if (got == 0)
			return NULL;
		struct slice bytes = slice_of(piece, (size_t)got);
		sha256_add(c->digest, bytes);
		c->size += bytes.len;
		if (c->out >= 0)
			TRY(write_piece(op, c->out, c->to, bytes));
		if (c->watch)
			TRY(c->watch->tick(op, c->watch->context, bytes.len));
	}
}

static struct error *open_both(struct op *op, struct copying *c)
{
	c->in = open(c->from, O_RDONLY | O_CLOEXEC);
	if (c->in < 0 && errno == ENOENT)
		return op_fail(op, ERR_NOT_FOUND, "there is no %s", c->from);
	if (c->in < 0)
		return file_fail(op, "read", c->from);
	if (!c->to)
		return NULL;
	c->out = open(c->to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return c->out < 0 ? file_fail(op, "make", c->to) : NULL;
}

struct error *file_digest(struct op *op, const char *from, const char *to,
	const struct file_watch *watch, uint64_t *ret_size,
	char ret_hex[static SHA256_HEX_SIZE + 1])
{
	struct copying c = {.from = from,
		.to = to,
		.in = -1,
		.out = -1,
		.watch = watch,
		.digest = sha256_new()};
	uint8_t digest[SHA256_SIZE];
	struct error *err = open_both(op, &c);
	if (!err)
		err = copy_pieces(op, &c);
	sha256_end(c.digest, digest);
	if (c.in >= 0)
		close(c.in);
	/* A network's file system may tell only now that it has no room. */
	if (c.out >= 0 && close(c.out) != 0 && !err)
		err = file_fail(op, "write", to);
	*ret_size = c.size;
	sha256_hex(digest, ret_hex);
	return err;
}

/* ---- Walking ---- */

struct walk {
	const char *root;
	struct error *(*each)(struct op *op, void *context, const struct file_found *file);
	void *context;
};

static struct error *visit_folder(
	struct op *op, const struct walk *walk, const char *below, unsigned depth);

static struct error *visit(
	struct op *op, const struct walk *walk, const char *below, unsigned depth)
{
	struct stat status;
	const char *path = arena_printf(&op->arena, "%s/%s", walk->root, below);
	if (lstat(path, &status) != 0)
		return file_fail(op, "look at", path);
	if (S_ISDIR(status.st_mode))
		return visit_folder(op, walk, below, depth + 1);
	if (!S_ISREG(status.st_mode))
		return NULL;
	const struct file_found file = {.path = below,
		.size = (uint64_t)status.st_size,
		.mtime_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_S +
			    (uint64_t)status.st_mtim.tv_nsec,
		.inode = status.st_ino};
	return walk->each(op, walk->context, &file);
}

static struct error *visit_entries(
	struct op *op, const struct walk *walk, DIR *folder, const char *below, unsigned depth)
{
	struct dirent *entry;
	while (errno = 0, (entry = readdir(folder))) {
		struct arena_mark mark = arena_mark(&op->arena);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			slice_ends_with(slice_from_cstr(entry->d_name), SLICE(".new")))
			continue;
		TRY(visit(op, walk,
			arena_printf(&op->arena, "%s%s%s", below, *below ? "/" : "", entry->d_name),
			depth));
		arena_release(&op->arena, mark);
	}
	return errno ? file_fail(op, "list", walk->root) : NULL;
}

static struct error *visit_folder(
	struct op *op, const struct walk *walk, const char *below, unsigned depth)
{
	const char *path = arena_printf(&op->arena, "%s/%s", walk->root, below);
	if (depth > DEPTH_MOST)
		return op_fail(op, ERR_INVALID, "%s is too deep", path);
	DIR *folder = opendir(path);
	if (!folder)
		return file_fail(op, "list", path);
	struct error *err = visit_entries(op, walk, folder, below, depth);
	closedir(folder);
	return err;
}

struct error *file_walk(struct op *op, const char *folder,
	struct error *(*each)(struct op *op, void *context, const struct file_found *file),
	void *context)
{
	const struct walk walk = {.root = folder, .each = each, .context = context};
	return visit_folder(op, &walk, "", 0);
}
