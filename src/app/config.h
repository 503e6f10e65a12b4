#pragma once

/* The configuration file: YAML, sections of keys, each the name of a setting's row. Nothing is
 * known of a setting but its row, so an unknown key, a bad value and a default are all found here.
 * One thread. */

#include "base/setting.h"

struct setting_group {
	const struct setting *rows;
	const size_t *count;
};

struct config;

/* `groups` outlive the config. */
struct config *config_new(const struct setting_group *groups, size_t group_count);
void config_free(struct config *config);

/* The file that is read when none is named, if it is there. */
extern const char config_usual_path[];

/* The one that is named must be there; the usual one need not: then NULL. */
const char *config_find(const char *named);

/* Reads the file and stores every setting: what the file says, or the default. ERR_INVALID: the
 * message begins with file:line, and no setting has changed. `path` NULL: defaults only. */
MUST_CHECK struct error *config_load(struct op *op, struct config *config, const char *path);

/* Reads it again and stores what may change while running; *ret_waiting names (in the arena) the
 * changed settings that wait for a restart, or is "". */
MUST_CHECK struct error *config_reload(
	struct op *op, struct config *config, const char **ret_waiting);

/* The value in force, as text: what the file says, or the default. */
const char *config_value(const struct config *config, const char *setting_name);

/* ERR_INVALID with file:line of the setting: for checks that need more than the value's own text.
 */
MUST_CHECK struct error *config_fault(
	struct op *op, const struct config *config, const char *setting_name, const char *what);

/* Calls `visit` with each row, in the order of the groups. */
void config_each(const struct config *config,
	void (*visit)(void *context, const struct setting *row), void *context);
