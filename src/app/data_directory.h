#pragma once

/* The directory that holds a server's data: one process at a time, and a number that says how what
 * is in it is laid out. */

#include "base/op.h"
#include "base/uuid.h"

#define DATA_FORMAT 1

struct data_directory {
	const char *path;
	int lock; /* descriptor of the locked file; -1: not open */
};

/* Makes the directory (mode 0700) when it is not there, and locks it. ERR_EXISTS: another process
 * has it. ERR_INVALID: its format is not ours. */
MUST_CHECK struct error *data_directory_open(
	struct op *op, const char *path, struct data_directory *ret_directory);
void data_directory_close(struct data_directory *directory);

/* "path/name", in the arena. */
const char *data_directory_file(
	struct arena *arena, const struct data_directory *directory, const char *name);

/* The id that this directory has had since it was first used by a node. */
MUST_CHECK struct error *data_directory_node_id(
	struct op *op, const struct data_directory *directory, struct uuid *ret_id);
