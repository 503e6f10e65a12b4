#pragma once

/* A projection is a copy in another shape for another read pattern. What makes it is declared once,
 * as the changes of rows that a log row means. From that one declaration come the writes after a
 * commit, their retries, the overlay, the read repair and the solve task.
 *
 * An applier writes whole rows, computed from the stored row and all changes above its version, in
 * order: one change by itself would lose another applier's, because the newer version wins whole.
 */

#include "engine/engine.h"

enum row_change_kind {
	ROW_PUT,    /* the whole row is known */
	ROW_DELETE, /* the row is gone */
	ROW_EDIT,   /* the row changes: computed from what it was; an absent row stays absent */
};

struct row_change {
	const struct table *table;
	struct slice partition;
	struct slice key;
	uint64_t modseq; /* of the commit; the version of the row that results */
	enum row_change_kind kind;
	struct slice value; /* ROW_PUT */
	/* ROW_EDIT: pure; new row in the arena. */
	struct error *(*edit)(struct op *op, const struct row_change *change, struct slice old,
		struct slice *ret_value);
	const void *edit_data;
};

struct row_changes {
	struct row_change *items;
	size_t count;
	size_t capacity;
	struct arena *arena;
};

void row_changes_init(struct row_changes *changes, struct arena *arena);

/* In the order of their MODSEQs. */
void row_changes_add(struct row_changes *changes, const struct row_change *change);

/* The rows that result from the changes, as writes: reads the stored rows that edits need. */
MUST_CHECK struct error *projection_rows(struct op *op, struct engine *engine,
	const struct row_changes *changes, struct mutations *out);

/* Overlay: brings one row that was read (found false: absent) up to date with the changes of its
 * key above its version. */
MUST_CHECK struct error *projection_overlay(struct op *op, const struct row_changes *changes,
	const struct table *table, struct slice partition, struct slice key, bool *inout_found,
	struct engine_row *inout_row);

/* What a comparison of stored rows with their truth found. */
struct repair_report {
	uint64_t checked;
	uint64_t missing;  /* the truth has it, the table did not */
	uint64_t stale;    /* the table had another value */
	uint64_t orphaned; /* the table had it, the truth has not */
	uint64_t fixed;
};

void repair_report_add(struct repair_report *sum, const struct repair_report *part);

/* A row as the changes make it. */
struct made_row {
	const struct table *table;
	struct slice partition;
	struct slice key;
	uint64_t begun;   /* its first change */
	uint64_t version; /* its last one */
	bool exists;
};

struct repair_bounds {
	uint64_t applied; /* rows that changes above it make are still owed, not damaged */
	uint64_t newest;  /* the changes reach up to here: a row that is newer is not judged by them
			   */
	/* The MODSEQ of a commit that the changes reach up to, made for this repair: it wins over
	 * the damage, and every later commit wins over it. 0: only compare. */
	uint64_t version;
	/* NULL: always. False: some of its changes may be missing, so nothing is said of it. */
	bool (*is_certain)(void *context, const struct made_row *row);
	void *context;
};

/* Read repair and solve: compares the rows that the changes make with what is stored, and puts
 * right what differs. Rows whose beginning is not among the changes are left alone: for them what
 * is stored is the truth. */
MUST_CHECK struct error *projection_repair(struct op *op, struct engine *engine,
	const struct row_changes *changes, const struct repair_bounds *bounds,
	struct repair_report *inout_report);

/* How many rows this process has put right: where nobody damages any, each is a bug. */
uint64_t projection_repair_count(void);
