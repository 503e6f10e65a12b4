#include "app/app_settings.h"

#include "base/clock.h"
#include "base/log.h"

struct app_config app_config;

static const char *const log_levels[] = {"debug", "info", "warning", "error", NULL};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
static const char *const log_formats[] = {"text", "json", NULL};

/* clang-format off */
const struct setting app_settings[] = {
	{"user", SETTING_TEXT, &app_config.user, "", 0, 0, NULL, false,
		"Whom to become once the ports are bound; needed when started as root."},
	{"data", SETTING_TEXT, &app_config.data, "/var/lib/holdfast", 0, 0, NULL, false,
		"The directory that holds everything: mail, accounts, the control socket."},
	{"log.level", SETTING_CHOICE, &app_config.log_level, "info", 0, 0, log_levels, true,
		"What is logged: events of this level and above."},
	{"log.format", SETTING_CHOICE, &app_config.log_format, "text", 0, 0, log_formats, true,
		"One line an event, for people or for machines."},
	{"tests.clock_ahead", SETTING_DURATION, &app_config.clock_ahead_ms, "0 ms", 0, 3600000, NULL, true,
		"For tests: the clock is ahead of the host's by this."},
	{"tests.clock_behind", SETTING_DURATION, &app_config.clock_behind_ms, "0 ms", 0, 3600000, NULL, true,
		"For tests: the clock is behind the host's by this."},
};
const size_t app_setting_count = ARRAY_SIZE(app_settings);
/* clang-format on */

void app_apply_settings(void)
{
	clock_set_skew_us((int64_t)(app_config.clock_ahead_ms - app_config.clock_behind_ms) * 1000);
	log_set_level((enum log_level)app_config.log_level);
	log_set_json(app_config.log_format == LOG_FORMAT_JSON);
}
