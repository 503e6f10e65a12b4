#pragma once

/* What the parts of the RocksDB engine share. */

#include <rocksdb/c.h>

#include "engine/engine.h"

/* ---- rows: how keys and values stand in the library ---- */

/* Key: table id, length of the partition key, partition key, row key. Rows of a partition stand
 * together in the order of their keys, and no partition's prefix is a prefix of another's. */
struct slice rocksdb_key(struct arena *arena, const struct table *table, struct slice partition,
	struct slice row_key);

/* The smallest key that no row of the partition, or of the table, is above. */
struct slice rocksdb_partition_end(
	struct arena *arena, const struct table *table, struct slice partition);
struct slice rocksdb_table_end(struct arena *arena, const struct table *table);

/* Splits a stored key; false when it breaks the rule above. */
bool rocksdb_key_parts(struct slice key, uint8_t *ret_table_id, struct slice *ret_partition,
	struct slice *ret_row_key);

/* The value of a plain row: what it is, its version, when it may be forgotten. Rows of CAS tables
 * are stored bare. */
struct stored_value {
	bool is_delete;
	uint64_t version;
	uint64_t expires_us; /* 0: never; of a tombstone: when no older write can arrive any more */
	struct slice value;
};

struct slice rocksdb_value(struct arena *arena, const struct mutation *mutation);
bool rocksdb_value_read(struct slice bytes, struct stored_value *ret_value);

/* Would the second, arriving later, leave the first in place? The rule of struct table. */
bool rocksdb_value_wins(const struct stored_value *first, const struct stored_value *second);

bool rocksdb_value_is_live(const struct stored_value *value, uint64_t now_us);

rocksdb_mergeoperator_t *rocksdb_version_merge(void);

/* Drops tombstones and rows whose time has passed. */
rocksdb_compactionfilter_t *rocksdb_expiry_filter(void);

/* ---- outcomes: the library's status texts, told apart in one place ---- */

/* `is_write`: once a write was handed over, only what certainly left nothing is a refusal. */
enum error_kind rocksdb_outcome(const char *status, bool is_write);

/* Does this status mean that the library can no longer be trusted with writes? */
bool rocksdb_status_is_fatal(const char *status, bool is_write);

/* Takes and frees the library's text; NULL when there is none. */
struct error *rocksdb_status(struct op *op, char *status, bool is_write, const char *what);
