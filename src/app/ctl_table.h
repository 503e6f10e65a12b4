#pragma once

/* Answers of the server as tables for people. */

#include <jansson.h>

#include "base/macros.h"

struct ctl_column {
	const char *title;
	const char *path; /* "quota.bytes": fields within fields */
	enum { CTL_TEXT, CTL_NUMBER, CTL_SIZE, CTL_DATE } kind;
};

/* One line for each item of `list`; columns end with a NULL title. */
void ctl_print_table(json_t *list, const struct ctl_column *columns);

/* One line for each field of the object: name and value. */
void ctl_print_fields(json_t *object);
