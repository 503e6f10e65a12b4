#pragma once

#include <jansson.h>

#include "backup/folder.h"

/* Puts a backup (`id` NULL: the last one) into `directory`, and holds every message of it against
 * its summary, its content and the counts. *ret_told: what was found, for the caller to release;
 * also with an error where there is something to tell. ERR_CORRUPT: not all is as it was. */
MUST_CHECK struct error *ctl_restore(struct op *op, const char *config_path,
	const struct backup_folder *folder, const char *id, const char *directory,
	const struct file_watch *watch, json_t **ret_told);
