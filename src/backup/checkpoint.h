#pragma once

/* Checkpoints: the data of a running server as it was at one moment, under the data directory, for
 * whoever copies it elsewhere. Each is held for a while and has to be renewed; meanwhile no content
 * is removed. A restart drops all of them. Any thread. */

#include "engine/engine.h"

struct checkpoints;

struct checkpoints_options {
	struct engine *engine; /* borrowed */
	const char *data;      /* the data directory */
	const char *rows;      /* what the engine's folder is called in it */
	/* Files that are copied before the rows are taken; what is not there is left out.
	 * NULL-ended. */
	const char *const *files;
	const char *content; /* the folder of content in it; NULL: content is not in files */
	const char *content_store;
};

/* Borrows the texts. Removes what an earlier process has left. */
MUST_CHECK struct error *checkpoints_open(
	struct op *op, const struct checkpoints_options *options, struct checkpoints **ret_points);
void checkpoints_close(struct checkpoints *points);

struct checkpoint {
	struct uuid id;
	const char *folder;  /* absolute, in the arena */
	const char *content; /* the folder of content, absolute; NULL: it is not in files */
	const char *content_store;
	uint64_t taken_us;
	uint64_t held_until_us; /* unless it is renewed */
};

/* Everything acknowledged before the call is in it. ERR_EXISTS: so many are held already.
 * ERR_INVALID: this server's rows are not its own. */
MUST_CHECK struct error *checkpoints_take(
	struct op *op, struct checkpoints *points, struct checkpoint *ret_point);

/* ERR_NOT_FOUND: it is not held any more; what was copied from it may lack something. */
MUST_CHECK struct error *checkpoints_renew(
	struct op *op, struct checkpoints *points, struct uuid id, struct checkpoint *ret_point);

/* Removes it. ERR_NOT_FOUND. */
MUST_CHECK struct error *checkpoints_drop(
	struct op *op, struct checkpoints *points, struct uuid id);

/* In the order they were taken in. */
void checkpoints_list(
	struct op *op, struct checkpoints *points, struct checkpoint **ret_list, size_t *ret_count);

/* A round that removes content begins; false while a checkpoint is held, and NULL holds nothing.
 * None is taken before it has ended. */
MUST_CHECK bool checkpoints_begin_removal(struct checkpoints *points);
void checkpoints_end_removal(struct checkpoints *points);
