#pragma once

/* A folder of backups: `backups` holds the list of each, `objects` the bytes of their files, by
 * SHA-256, so that what several have in common is there once. One process writes at a time. */

#include "backup/file.h"
#include "backup/manifest.h"

struct backup_folder {
	const char *path;
	int lock; /* descriptor; -1: none */
};

enum backup_use { BACKUP_READS, BACKUP_WRITES };

/* To write it is made if it is not there; an empty folder is taken too. Borrows the path.
 * ERR_INVALID: it holds something else. ERR_EXISTS: another process writes there. */
MUST_CHECK struct error *backup_folder_open(
	struct op *op, const char *path, enum backup_use use, struct backup_folder *ret_folder);
void backup_folder_close(struct backup_folder *folder);

/* Of the whole backups, ascending by their time. */
MUST_CHECK struct error *backup_folder_list(struct op *op, const struct backup_folder *folder,
	const char ***ret_ids, size_t *ret_count);

/* `id` NULL: the last one. ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_CHECK struct error *backup_folder_manifest(struct op *op, const struct backup_folder *folder,
	const char *id, struct backup_manifest *ret_manifest);

const char *backup_folder_manifest_path(
	struct arena *arena, const struct backup_folder *folder, const char *id);
const char *backup_folder_object(
	struct arena *arena, const struct backup_folder *folder, struct slice sha256);
/* For what is being written; emptied when the folder is opened to write. */
const char *backup_folder_temporary(struct arena *arena, const struct backup_folder *folder);

/* ---- what is done with one ---- */

/* One tree that is copied. */
struct backup_source {
	const char *folder;
	const char *prefix; /* of its files' paths in the backup; "": none */
};

/* Copies what the folder does not have yet, and writes the list last. `manifest`: id, time, version
 * and store are given, the rest is filled in. `is_full`: nothing that is there is trusted, all is
 * read and written again. */
MUST_CHECK struct error *backup_take(struct op *op, const struct backup_folder *folder,
	const struct backup_source *sources, size_t source_count, bool is_full,
	const struct file_watch *watch, struct backup_manifest *inout_manifest);

struct backup_verdict {
	uint64_t backups;
	uint64_t files; /* each once */
	uint64_t bytes;
	uint64_t damaged; /* lists of files among them */
	uint64_t missing;
};

/* Reads every file of the backup (NULL: of all), and holds it against its SHA-256. `tell` is given
 * each fault, a sentence. */
MUST_CHECK struct error *backup_verify(struct op *op, const struct backup_folder *folder,
	const char *id, void (*tell)(const char *fault), struct backup_verdict *ret_verdict);

/* Puts the files of a backup into a folder that is not there or empty; each must have its SHA-256.
 * The file `last` comes last, and holds no number before: a folder cut off on the way is refused by
 * who opens it. ERR_EXISTS: the folder holds something. ERR_CORRUPT: the backup is damaged. */
MUST_CHECK struct error *backup_restore(struct op *op, const struct backup_folder *folder,
	const struct backup_manifest *manifest, const char *target, const char *last,
	const struct file_watch *watch);

/* Removes the list of one, and what no other needs. The bytes that are free now are counted.
 * ERR_CORRUPT: while a list cannot be read nobody knows what it needs. */
MUST_CHECK struct error *backup_remove(
	struct op *op, const struct backup_folder *folder, const char *id, uint64_t *ret_bytes);
