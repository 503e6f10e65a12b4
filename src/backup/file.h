#pragma once

/* Files and folders as backups handle them: an error names the path. Any thread. */

#include "base/digest.h"
#include "base/op.h"

/* ERR_UNAVAILABLE with the path and what the system said. */
struct error *file_fail(struct op *op, const char *what, const char *path);

/* Mode 0700; one that is there is fine. */
MUST_CHECK struct error *file_make_folder(struct op *op, const char *path);

/* *ret_is_empty true also when nothing is there. */
MUST_CHECK struct error *file_is_empty_folder(struct op *op, const char *path, bool *ret_is_empty);

/* Nothing there is fine. Follows no links. */
MUST_CHECK struct error *file_remove_tree(struct op *op, const char *path);

/* Copies to a new file, mode 0600. ERR_NOT_FOUND: there is no `from`. */
MUST_CHECK struct error *file_copy(struct op *op, const char *from, const char *to);

/* Makes a file's bytes durable; of a folder, what was written and renamed in it. */
MUST_CHECK struct error *file_sync(struct op *op, const char *path);

/* Everything on the file system of this folder. */
MUST_CHECK struct error *file_sync_all(struct op *op, const char *path);

/* Called for each piece: an error ends the copying. */
struct file_watch {
	struct error *(*tick)(struct op *op, void *context, uint64_t bytes);
	/* Asked before what was copied is called whole: is it? NULL: it is. */
	struct error *(*confirm)(struct op *op, void *context);
	void *context;
};

/* Reads `from` to its end: writes what is read to `to` (NULL: nowhere), and its SHA-256 in hex to
 * ret_hex. `to` must not be there; it is not synced. ERR_NOT_FOUND: there is no `from`. */
MUST_CHECK struct error *file_digest(struct op *op, const char *from, const char *to,
	const struct file_watch *watch, uint64_t *ret_size,
	char ret_hex[static SHA256_HEX_SIZE + 1]);

struct file_found {
	const char *path; /* below where the walk began */
	uint64_t size;
	uint64_t mtime_ns;
	uint64_t inode;
};

/* Calls `each` for every regular file below the folder, in no order. The operation's arena is
 * released after each file. What is being written (".new") is passed over: nothing refers to it
 * yet, and it may have got its name by now. */
MUST_CHECK struct error *file_walk(struct op *op, const char *folder,
	struct error *(*each)(struct op *op, void *context, const struct file_found *file),
	void *context);
