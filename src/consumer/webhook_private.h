#pragma once

/* What the files of webhooks share. */

#include "consumer/webhook.h"

struct webhook_config {
	const char *hooks;
	const char *ca_file;
	uint64_t connect_ms, timeout_ms;
	uint64_t workers;
};

extern struct webhook_config webhook_config;
