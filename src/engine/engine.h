#pragma once

/* What a row store promises, in four calls, and what is known after each. An error's kind is the
 * outcome of a write:
 *   NULL             applied, durable, in every later read
 *   ERR_CONFLICT     not applied: the condition of a CAS was false (the current static row is
 * returned) ERR_UNAVAILABLE, ERR_TIMEOUT refused: certainly nothing was written, now or later
 *   ERR_UNCERTAIN    may have been applied, or may surface later
 * Any thread may call. What is returned lives in the operation's arena. */

#include "schema/table.h"

enum read_level {
	/* Sees everything that was acknowledged. */
	READ_NORMAL,
	/* At the read consistency, which may have been set so low that it does not: for what a
	 * client is only shown, and nothing is decided by. */
	READ_RELAXED,
	READ_SERIAL, /* sees every CAS that was applied, and excludes older ones still under way */
};

struct engine_row {
	struct slice key;   /* empty: the static row */
	struct slice value; /* an encoding of the table's row type */
	uint64_t version;   /* 0 in CAS tables */
	/* Its bytes are not those that were written (seal.h): `value` is empty, which no row's
	 * encoding is. */
	bool is_damaged;
};

struct engine_rows {
	struct engine_row *rows;
	size_t count;
};

/* One of several rows to be read at once. */
struct engine_read {
	const struct table *table;
	struct slice partition;
	struct slice key; /* empty: the static row */
	/* Results. */
	bool found;
	struct engine_row row;
};

/* One change of one row. */
struct mutation {
	const struct table *table;
	struct slice partition;
	struct slice key; /* empty: the static row */
	struct slice value;
	uint64_t version; /* plain tables only; 0 in CAS tables */
	bool is_delete;
};

struct mutations {
	struct mutation *items;
	size_t count;
	size_t capacity;
	struct arena *arena;
};

/* A conditional, atomic change of one partition. Each row is named once. */
struct cas {
	const struct table *table; /* a CAS table */
	struct slice partition;
	/* The static row that the condition columns are compared with; ptr NULL: there must be
	 * none. */
	struct slice expected;
	const struct mutation *mutations; /* of this partition only */
	size_t mutation_count;
	/* Of the keys from <= key < to every row that there is is deleted by the mutations, and
	 * none is put: an engine may delete the range instead. `to` empty: no such range. */
	struct slice cleared_from, cleared_to;
	/* Written atomically with them, whatever their partition: plain tables, and only where
	 * engine_is_atomic() says so. */
	const struct mutation *also;
	size_t also_count;
};

enum engine_durability {
	DURABLE, /* on disk (or at the write level) before the call returns */
	RELAXED, /* may be lost by a crash before the next durable write; never torn or reordered */
};

struct engine;

struct engine_ops {
	const char *name;
	struct error *(*get)(struct engine *engine, struct op *op, const struct table *table,
		struct slice partition, struct slice key, enum read_level level, bool *ret_found,
		struct engine_row *ret_row);
	/* NULL: one after the other is as good. */
	struct error *(*get_many)(struct engine *engine, struct op *op, struct engine_read *reads,
		size_t count, enum read_level level);
	struct error *(*scan)(struct engine *engine, struct op *op, const struct table *table,
		struct slice partition, struct slice from, struct slice to, size_t limit,
		bool backwards, enum read_level level, struct engine_rows *ret_rows);
	struct error *(*write)(struct engine *engine, struct op *op,
		const struct mutation *mutations, size_t count, enum engine_durability durability);
	struct error *(*cas)(struct engine *engine, struct op *op, const struct cas *cas,
		struct slice *ret_current);
	struct error *(*partitions)(struct engine *engine, struct op *op, const struct table *table,
		struct slice after, size_t limit, struct slice **ret_partitions, size_t *ret_count);
	/* NULL: the engine is not of this machine alone. */
	struct error *(*checkpoint)(struct engine *engine, struct op *op, const char *folder);
	void (*close)(struct engine *engine);
};

struct engine {
	const struct engine_ops *ops;
	/* Can one CAS also write plain rows of other partitions atomically? */
	bool is_atomic;
	/* May other processes write the same rows? Then cached heads are polled. */
	bool is_shared;
	/* The data centre that its CASes are decided in; empty: the engine knows none. */
	struct slice datacenter;
	/* A CAS is decided, and durable, in one of several data centres: what it did is to be
	 * written to the others before it is acknowledged. */
	bool has_remote_datacenters;
};

/* Closes and frees. */
void engine_close(struct engine *engine);

/* One row; *ret_found false when there is none. */
MUST_CHECK struct error *engine_get(struct engine *engine, struct op *op, const struct table *table,
	struct slice partition, struct slice key, enum read_level level, bool *ret_found,
	struct engine_row *ret_row);

/* The same for several rows, which need not show one moment: in the time of one where the engine is
 * a network away. On an error nothing is known of any. */
MUST_CHECK struct error *engine_get_many(struct engine *engine, struct op *op,
	struct engine_read *reads, size_t count, enum read_level level);

/* The rows of one partition with from <= key < to in key order (backwards: from the highest), at
 * most `limit` of them; to.ptr NULL: to the end. The static row is the first when `from` is empty.
 * A scan of one partition is one moment of it. */
MUST_CHECK struct error *engine_scan(struct engine *engine, struct op *op,
	const struct table *table, struct slice partition, struct slice from, struct slice to,
	size_t limit, bool backwards, enum read_level level, struct engine_rows *ret_rows);

/* Idempotent writes of plain rows, all of one durability; not atomic across partitions: after
 * ERR_UNCERTAIN any part of them may be there, and repeating them is right. */
MUST_CHECK struct error *engine_write(struct engine *engine, struct op *op,
	const struct mutation *mutations, size_t count, enum engine_durability durability);

/* See struct cas. With ERR_CONFLICT *ret_current is the static row now there (ptr NULL: none). */
MUST_CHECK struct error *engine_cas(
	struct engine *engine, struct op *op, const struct cas *cas, struct slice *ret_current);

/* Partition keys that hold rows, in an order of the engine's own, after `after` (empty: from the
 * start). For healing tasks only: it walks the table. */
MUST_CHECK struct error *engine_partitions(struct engine *engine, struct op *op,
	const struct table *table, struct slice after, size_t limit, struct slice **ret_partitions,
	size_t *ret_count);

/* Makes `folder`, which must not be there, on the same file system: all rows as they are at one
 * moment of the call, at the cost of links. Opened as an engine of its own it shows them. Not to be
 * written to: the files are shared. ERR_INVALID: this engine cannot. */
MUST_CHECK struct error *engine_checkpoint(
	struct engine *engine, struct op *op, const char *folder);

/* After a failed read at another level: may READ_RELAXED be tried? Where a client is only shown
 * what is read, when too few replicas answered. */
static inline bool engine_may_read_relaxed(const struct op *op, const struct error *err)
{
	return err && op->only_shows &&
	       (err->kind == ERR_UNAVAILABLE || err->kind == ERR_TIMEOUT) && op_time_left_ns(op);
}

static inline bool engine_is_atomic(const struct engine *engine)
{
	return engine->is_atomic;
}

/* Building mutations. Keys and values are borrowed: they live in the operation's arena. */
void mutations_init(struct mutations *list, struct arena *arena);
void mutations_put(struct mutations *list, const struct table *table, struct slice partition,
	struct slice key, struct slice value, uint64_t version);
void mutations_delete(struct mutations *list, const struct table *table, struct slice partition,
	struct slice key, uint64_t version);
