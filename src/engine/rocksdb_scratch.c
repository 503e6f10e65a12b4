#include "engine/rocksdb_scratch.h"

#include "base/scratch.h"
#include "base/test.h"
#include "engine/rocksdb.h"

struct engine *rocksdb_scratch_new(void)
{
	static const struct rocksdb_limits small = {
		.write_buffer_bytes = KIB(256), .cache_bytes = MIB(4), .open_files = 64};
	struct engine *engine;
	AUTO_OP(op, "test");
	assert_null(rocksdb_engine_open(
		&op, scratch_path(&op.arena), &small, (struct rocksdb_owner){0}, &engine));
	return engine;
}
