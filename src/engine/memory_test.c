#include "engine/contract.h"
#include "engine/memory.h"

static struct engine *open_atomic(void)
{
	return memory_engine_new(true);
}

static struct engine *open_weak(void)
{
	return memory_engine_new(false);
}

int main(void)
{
	int failed = engine_contract_run("engine memory, atomic", open_atomic, NULL);
	failed += engine_contract_run("engine memory, one partition at a time", open_weak, NULL);
	return failed;
}
