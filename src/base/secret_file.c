#include "base/secret_file.h"

#include <errno.h>
#include <stdio.h>

#define LENGTH_MOST 1023

struct error *secret_file_read(struct op *op, const char *path, const char **ret_secret)
{
	char line[LENGTH_MOST + 3]; /* its end and one more show that it is too long */
	*ret_secret = NULL;
	FILE *file = fopen(path, "re");
	if (!file)
		return op_fail(op, ERR_INVALID, "cannot read %s: %s", path, strerror(errno));
	bool is_there = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	size_t length = is_there ? strcspn(line, "\r\n") : 0;
	if (length && length <= LENGTH_MOST)
		*ret_secret = arena_cstr(&op->arena, slice_of(line, length));
	explicit_bzero(line, sizeof(line));
	return *ret_secret ? NULL
			   : op_fail(op, ERR_INVALID, "the first line of %s is no secret", path);
}
