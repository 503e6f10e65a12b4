#include "engine/rocksdb.h"

struct rocksdb_limits rocksdb_limits;

const struct setting rocksdb_settings[] = {
	{
		.name = "rocksdb.write_buffer",
		.type = SETTING_BYTES,
		.target = &rocksdb_limits.write_buffer_bytes,
		.default_value = "32 MiB",
		.min = KIB(64),
		.max = MIB(4096),
		.help = "Memory in which writes are gathered before they become a file.",
	},
	{
		.name = "rocksdb.cache",
		.type = SETTING_BYTES,
		.target = &rocksdb_limits.cache_bytes,
		.default_value = "128 MiB",
		.min = MIB(1),
		.max = MIB(1024) * 1024,
		.help = "Memory for rows read from disk.",
	},
	{
		.name = "rocksdb.open_files",
		.type = SETTING_NUMBER,
		.target = &rocksdb_limits.open_files,
		.default_value = "2000",
		.min = 64,
		.max = 1000000,
		.help = "So many files of the store are kept open at most.",
	},
	{
		.name = "rocksdb.min_free",
		.type = SETTING_BYTES,
		.target = &rocksdb_limits.min_free_bytes,
		.default_value = "256 MiB",
		.min = 0,
		.max = MIB(1024) * 1024,
		.help = "With less room than this on the disk, writes are refused for the time "
			"being: what was written before keeps room to be put in order.",
	},
};
const size_t rocksdb_setting_count = ARRAY_SIZE(rocksdb_settings);
