#include "backup/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever stands in a list of files, what is read leads nowhere out of the directory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_OP(op, "fuzz");
	struct backup_manifest manifest;
	struct error *err = manifest_parse(&op, slice_of(data, size), &manifest);
	for (size_t i = 0; !err && i < manifest.count; i++) {
		struct slice path = manifest.files[i].path;
		if (path.len == 0 || path.ptr[0] == '/' || path.ptr[path.len - 1] == '/')
			__builtin_trap();
	}
	return 0;
}
