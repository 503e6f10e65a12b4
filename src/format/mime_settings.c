#include "format/mime.h"

#include "base/setting.h"

struct mime_limits mime_limits = {.depth = MIME_DEPTH_MAX, .parts = MIME_PARTS_MAX};

/* clang-format off */
const struct setting mime_settings[] = {
	{"mime.max_depth", SETTING_NUMBER, &mime_limits.depth, "100", 2, MIME_DEPTH_MAX, NULL, false,
		"How deep the parts of a mail are looked into; what is deeper is one piece of bytes."},
	{"mime.max_parts", SETTING_NUMBER, &mime_limits.parts, "10000", 1, MIME_PARTS_MAX, NULL, false,
		"How many parts of a mail are told apart; the rest belongs to the last one."},
};
const size_t mime_setting_count = ARRAY_SIZE(mime_settings);
/* clang-format on */
