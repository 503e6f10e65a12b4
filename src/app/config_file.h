#pragma once

/* The shape of the configuration file, without knowing a setting: a mapping of names to values or
 * to sections, a section being a mapping of names to values. Everything else that YAML can say is
 * refused, with the line where it stands. */

#include <stdio.h>

#include "base/op.h"

struct config_reader {
	bool (*is_section)(void *context, struct slice name);
	/* "section.key" or "key". An error gets "file:line: " put before it. */
	struct error *(*value)(
		struct op *op, void *context, struct slice name, struct slice value, size_t line);
	void *context;
};

MUST_CHECK struct error *config_file_read(
	struct op *op, const char *path, FILE *file, const struct config_reader *reader);
