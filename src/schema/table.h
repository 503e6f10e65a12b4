#pragma once

/* What a stored table is: its keys, its rows, and who may write it. Engines are generic over these
 * declarations; nothing in an engine knows a particular table. */

#include "schema/row.h"

enum table_kind {
	/* Only ever written by CAS on its static row; rows have no versions. */
	TABLE_CAS,
	/* Never written by CAS. Each row carries a version (microseconds): the higher one wins,
	 * whatever the order of arrival; at equal versions a delete beats an insert. */
	TABLE_PLAIN,
};

enum key_part_type {
	KEY_U8,
	KEY_U32,
	KEY_U64,
	KEY_UUID,
	KEY_BYTES, /* 32 bytes fixed, or the rest: last part only */
};

struct key_part {
	const char *name;
	enum key_part_type type;
};

#define TABLE_MAX_ROW_KINDS 6
#define TABLE_MAX_KEY_PARTS 3

struct table {
	const char *name;
	uint8_t id; /* on disk for ever: never reuse one */
	enum table_kind kind;
	struct key_part partition[TABLE_MAX_KEY_PARTS];
	/* The row's key after its kind byte, by kind; a table of one kind uses kind 0. */
	struct key_part row_key[TABLE_MAX_ROW_KINDS][TABLE_MAX_KEY_PARTS];
	const struct row_type *static_row;
	const struct row_type *rows[TABLE_MAX_ROW_KINDS];
	size_t condition_columns; /* a CAS compares the first so many columns of the static row */
	uint32_t ttl_s;           /* rows vanish so long after they were written; 0: never */
	/* A quorum read that finds replicas apart does not copy what it read to them: of a part
	 * of a partition that would be a state that no commit has left. */
	bool no_read_repair;
	bool large_values; /* rows of many KiB: kept out of the way of small ones */
	/* Rows are gone soon after they were written, and one that came back would do no harm: what
	 * marks them as gone need not be kept long. */
	bool short_lived;
};

/* A row's key within its partition: a kind byte, then the parts, big-endian, so that keys sort as
 * their values. The static row has the empty key. */
struct row_key {
	struct slice bytes;
};

/* Every table there is, by id. */
const struct table *table_by_id(uint8_t id);
const struct table *const *table_all(size_t *ret_count);
