#include "app/app_settings.h"

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
};
const size_t app_setting_count = ARRAY_SIZE(app_settings);
/* clang-format on */

void app_apply_log_settings(void)
{
	log_set_level((enum log_level)app_config.log_level);
	log_set_json(app_config.log_format == LOG_FORMAT_JSON);
}
