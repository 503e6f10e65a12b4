#include "base/test.h"

#include <unistd.h>

#include "blob/contract.h"
#include "engine/memory.h"

static struct engine *engine;
static char folder[64] = "/tmp/holdfast-blob-test-XXXXXX";
static int folders;

static struct blob_store *in_the_engine(struct op *op)
{
	engine_close(engine);
	engine = memory_engine_new(true);
	return blob_engine_new(engine);
}

static struct blob_store *in_files(struct op *op)
{
	struct blob_store *blobs;
	assert_null(
		blob_file_open(op, arena_printf(&op->arena, "%s/%d", folder, folders++), &blobs));
	return blobs;
}

int main(void)
{
	int failed = blob_contract_run("blob in the engine", in_the_engine);
	engine_close(engine);
	if (!mkdtemp(folder))
		return 1;
	failed += blob_contract_run("blob in files", in_files);
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	failed += system(command) != 0; /* NOLINT: the test's own folder */
	return failed;
}
