#pragma once

/* Answers of the server as tables for people. */

#include <jansson.h>

#include "base/macros.h"

struct ctl_column {
	const char *title;
	const char *path; /* "quota.bytes": fields within fields */
	/* A limit of 0 is none, and shown so. */
	enum { CTL_TEXT, CTL_NUMBER, CTL_LIMIT, CTL_SIZE, CTL_SIZE_LIMIT, CTL_DATE } kind;
};

/* One line for each item of `list`; columns end with a NULL title. */
void ctl_print_table(json_t *list, const struct ctl_column *columns);

/* One line for each field of the object: name and value. "…_us" is shown as a date, without the
 * "_us". */
void ctl_print_fields(json_t *object);

void ctl_print_json(json_t *json);
