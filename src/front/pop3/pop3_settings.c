#include "front/pop3/pop3_private.h"

struct pop3_config pop3_config;
struct pop3_addresses pop3_addresses;

/* clang-format off */
const struct setting pop3_settings[] = {
	{"pop3.listen", SETTING_TEXT, &pop3_addresses.pop3, "", 0, 0, NULL, false,
		"Addresses for POP3 with STLS, such as 0.0.0.0:110, commas between; none if empty."},
	{"pop3.listen_tls", SETTING_TEXT, &pop3_addresses.pop3_tls, "", 0, 0, NULL, false,
		"Addresses for POP3 on TLS from the first byte, such as 0.0.0.0:995; none if empty."},
	{"pop3.max_line", SETTING_BYTES, &pop3_config.max_line, "12 KiB", 255, POP3_LINE_MAX, NULL, true,
		"The longest command line."},
	{"pop3.idle_timeout", SETTING_DURATION, &pop3_config.idle_timeout_ms, "10 min", 100, 86400000, NULL, true,
		"A silent client is disconnected after so long; what it marked for deletion stays."},
};
const size_t pop3_setting_count = ARRAY_SIZE(pop3_settings);
/* clang-format on */
