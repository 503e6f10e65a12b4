#pragma once

/* The embedded engine: rows in one RocksDB, through its C API. A CAS is a lock on the partition and
 * one write batch; commits of different partitions share an fsync inside the library.
 *
 * Once the library has met an error of its own (a failed write, flush or compaction), what it holds
 * in memory is not to be trusted: the engine refuses every further write and asks its owner, once,
 * to end the process. Opening the directory again verifies it. */

#include "base/setting.h"
#include "engine/engine.h"

struct rocksdb_limits {
	uint64_t write_buffer_bytes;
	uint64_t cache_bytes;
	uint64_t open_files;
	uint64_t min_free_bytes; /* with less room on the disk, writes are refused */
};

/* What the configuration file says. */
extern struct rocksdb_limits rocksdb_limits;
extern const struct setting rocksdb_settings[];
extern const size_t rocksdb_setting_count;

/* Called at most once, from any thread, with what went wrong. */
struct rocksdb_owner {
	void (*engine_failed)(void *context, const char *reason);
	void *context;
};

/* Opens the directory, which is made when it is not there. ERR_EXISTS when another process has it.
 */
MUST_CHECK struct error *rocksdb_engine_open(struct op *op, const char *directory,
	const struct rocksdb_limits *limits, struct rocksdb_owner owner,
	struct engine **ret_engine);
