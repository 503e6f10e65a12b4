#pragma once

/* What one backup holds: a list of files, each with the SHA-256 by which the folder keeps its
 * bytes. It is written last, whole, and ends with a SHA-256 of itself: a backup that was cut off
 * has none. One JSON object a line. */

#include "base/hash_map.h"
#include "base/op.h"

struct backup_file {
	struct slice path; /* in the data directory */
	uint64_t size;
	uint64_t mtime_ns; /* with size and inode: by which an unchanged file is known again */
	uint64_t inode;
	struct slice sha256; /* in hex */
};

struct backup_manifest {
	const char *id; /* when it was taken, in UTC: ids ascend */
	uint64_t taken_us;
	const char *version;       /* of the program that took it */
	const char *content_store; /* as content.store names it */
	struct backup_file *files;
	size_t count;
	size_t capacity;
	uint64_t bytes;
	/* What was new, and had to be copied. */
	uint64_t copied_files;
	uint64_t copied_bytes;
};

/* Borrows the file's texts. */
void manifest_add(
	struct arena *arena, struct backup_manifest *manifest, const struct backup_file *file);

/* Durable under `path`, or not there at all; `temporary` is on the same file system. */
MUST_CHECK struct error *manifest_write(struct op *op, const struct backup_manifest *manifest,
	const char *temporary, const char *path);

/* ERR_CORRUPT: it is not as it was written. */
MUST_CHECK struct error *manifest_read(
	struct op *op, const char *path, struct backup_manifest *ret_manifest);

/* Parses the bytes of one; the texts are in the operation's arena. */
MUST_CHECK struct error *manifest_parse(
	struct op *op, struct slice text, struct backup_manifest *ret_manifest);
