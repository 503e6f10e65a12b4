#pragma once

/* The directory that holds a server's data: one process at a time, and a number that says how what
 * is in it is laid out. */

#include "base/op.h"
#include "base/uuid.h"

/* What this program reads. */
#define DATA_FORMAT 3

/* What each feature needs of a program that reads the directory after it was used. */
enum data_format { DATA_FORMAT_FIRST = 1, DATA_FORMAT_INLINE = 2, DATA_FORMAT_SEALED = 3 };

/* What else a server keeps in it. */
#define DATA_ROWS "rows"       /* of the embedded engine */
#define DATA_LEDGER "ledger"   /* consistency/ledger.h */
#define DATA_CONTENT "content" /* with content.store: file */
#define DATA_NODE "NODE"
#define DATA_FORMAT_FILE "FORMAT"

struct data_directory {
	const char *path;
	int lock; /* descriptor of the locked file; -1: not open */
};

/* Makes the directory (mode 0700) when it is not there, and locks it. ERR_EXISTS: another process
 * has it. ERR_INVALID: its format is not ours. */
MUST_CHECK struct error *data_directory_open(
	struct op *op, const char *path, struct data_directory *ret_directory);

/* From now on programs that do not read so high a format refuse the directory. Does nothing when
 * that is so already. */
MUST_CHECK struct error *data_directory_need_format(
	struct op *op, const struct data_directory *directory, enum data_format format);
void data_directory_close(struct data_directory *directory);

/* "path/name", in the arena. */
const char *data_directory_file(
	struct arena *arena, const struct data_directory *directory, const char *name);

/* The id that this directory has had since it was first used by a node. */
MUST_CHECK struct error *data_directory_node_id(
	struct op *op, const struct data_directory *directory, struct uuid *ret_id);
