#pragma once

/* What a row store with replicas and consistency levels offers below struct engine: the same calls,
 * each with the level it goes out at, and why it failed. consistency/levels.c chooses the levels
 * and makes an engine of it. An error's kind is failure_outcome() of *ret_failure, so no caller has
 * to know the store. Any thread may call. */

#include "engine/engine.h"
#include "engine/failure.h"

struct replicated;

struct replicated_ops {
	const char *name;
	struct error *(*get)(struct replicated *store, struct op *op, const struct table *table,
		struct slice partition, struct slice key, enum level level,
		struct failure *ret_failure, bool *ret_found, struct engine_row *ret_row);
	/* NULL: one after the other. */
	struct error *(*get_many)(struct replicated *store, struct op *op,
		struct engine_read *reads, size_t count, enum level level,
		struct failure *ret_failure);
	/* All pages at one level; one moment of the partition, or an error. */
	struct error *(*scan)(struct replicated *store, struct op *op, const struct table *table,
		struct slice partition, struct slice from, struct slice to, size_t limit,
		bool backwards, enum level level, struct failure *ret_failure,
		struct engine_rows *ret_rows);
	struct error *(*write)(struct replicated *store, struct op *op,
		const struct mutation *mutations, size_t count, enum level level,
		struct failure *ret_failure);
	/* ERR_CONFLICT (with failure code NONE): not applied. */
	struct error *(*cas)(struct replicated *store, struct op *op, const struct cas *cas,
		enum level serial_level, enum level commit_level, struct failure *ret_failure,
		struct slice *ret_current);
	struct error *(*partitions)(struct replicated *store, struct op *op,
		const struct table *table, struct slice after, size_t limit, enum level level,
		struct failure *ret_failure, struct slice **ret_partitions, size_t *ret_count);
	void (*close)(struct replicated *store);
};

struct replicated {
	const struct replicated_ops *ops;
};
