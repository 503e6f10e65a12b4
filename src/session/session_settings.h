#pragma once

/* What sessions and lanes can be told. */

#include "base/setting.h"

extern const struct setting session_settings[];
extern const size_t session_setting_count;
