#pragma once

/* What concerns the process as a whole. */

#include "base/setting.h"

struct app_config {
	const char *user;
	const char *data;
	int log_level; /* enum log_level */
	int log_format;
};

extern struct app_config app_config;
extern const struct setting app_settings[];
extern const size_t app_setting_count;

/* Makes the log what the settings say. */
void app_apply_log_settings(void);
