#include "front/smtp/smtp_private.h"

struct smtp_config smtp_config;
struct smtp_addresses smtp_addresses;

/* clang-format off */
const struct setting smtp_settings[] = {
	{"smtp.listen", SETTING_TEXT, &smtp_addresses.smtp, "", 0, 0, NULL, false,
		"Addresses for SMTP from other servers, such as 0.0.0.0:25, commas between; none if empty."},
	{"submission.listen", SETTING_TEXT, &smtp_addresses.submission, "", 0, 0, NULL, false,
		"Addresses for submission with STARTTLS, such as 0.0.0.0:587; none if empty."},
	{"submission.listen_tls", SETTING_TEXT, &smtp_addresses.submission_tls, "", 0, 0, NULL, false,
		"Addresses for submission on TLS from the first byte, such as 0.0.0.0:465; none if empty."},
	{"lmtp.listen", SETTING_TEXT, &smtp_addresses.lmtp, "", 0, 0, NULL, false,
		"Addresses for LMTP, such as 127.0.0.1:24; whoever reaches them may deliver. None if empty."},
	{"smtp.max_recipients", SETTING_NUMBER, &smtp_config.max_recipients, "1000", 1, 100000, NULL, true,
		"Recipients of one mail; further ones are told to wait for another."},
	{"smtp.max_line", SETTING_BYTES, &smtp_config.max_line, "12 KiB", 1000, SMTP_LINE_MAX, NULL, true,
		"The longest command line."},
	{"smtp.max_message", SETTING_BYTES, &smtp_config.max_message_bytes, "50 MiB", 65536, 2147483648, NULL, true,
		"The largest mail accepted."},
	{"smtp.max_header_fields", SETTING_NUMBER, &smtp_config.max_header_fields, "1000", 10, 1000000, NULL, true,
		"Fields in the header of a mail."},
	{"smtp.max_header", SETTING_BYTES, &smtp_config.max_header_bytes, "1 MiB", 1024, 67108864, NULL, true,
		"The largest header of a mail."},
	{"smtp.max_hops", SETTING_NUMBER, &smtp_config.max_hops, "100", 5, 10000, NULL, true,
		"Received fields in a mail; with more it is going round in circles."},
	{"smtp.max_errors", SETTING_NUMBER, &smtp_config.max_errors, "20", 1, 100000, NULL, true,
		"Refused commands in one connection before it is closed."},
	{"smtp.idle_timeout", SETTING_DURATION, &smtp_config.idle_timeout_ms, "5 min", 100, 3600000, NULL, true,
		"A silent client is disconnected after so long."},
};
const size_t smtp_setting_count = ARRAY_SIZE(smtp_settings);
/* clang-format on */
