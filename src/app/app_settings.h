#pragma once

/* What concerns the process as a whole. */

#include "base/setting.h"

struct app_config {
	const char *user;
	const char *data;
	int log_level; /* enum log_level */
	int log_format;
	uint64_t clock_ahead_ms, clock_behind_ms; /* for tests */
};

extern struct app_config app_config;
extern const struct setting app_settings[];
extern const size_t app_setting_count;

/* Makes the log and the clock what the settings say. */
void app_apply_settings(void);
