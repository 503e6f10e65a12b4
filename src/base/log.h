#pragma once

/* Structured logs on standard error: a constant event name and typed fields, as text or JSON, one
 * line each. Passwords and content are never fields. Any thread. */

#include "base/op.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log_field {
	const char *name;
	enum { LOG_FIELD_TEXT, LOG_FIELD_U64 } type;
	struct slice text;
	uint64_t number;
};

void log_set_level(enum log_level level);
void log_set_json(bool json);
bool log_is_on(enum log_level level);

/* op may be NULL. */
void log_event(enum log_level level, struct op *op, const char *event,
	const struct log_field *fields, size_t count);

#define FIELD_SLICE(field_name, value)                                        \
	(struct log_field)                                                    \
	{                                                                     \
		.name = (field_name), .type = LOG_FIELD_TEXT, .text = (value) \
	}
#define FIELD_TEXT(field_name, value) FIELD_SLICE(field_name, slice_from_cstr(value))
#define FIELD_U64(field_name, value)                                           \
	(struct log_field)                                                     \
	{                                                                      \
		.name = (field_name), .type = LOG_FIELD_U64, .number = (value) \
	}
#define FIELD_ID(field_name, op, uuid_value) \
	FIELD_TEXT(field_name, uuid_text(&(op)->arena, uuid_value))
#define FIELD_ERROR(op, err) FIELD_TEXT("error", error_chain(&(op)->arena, err))

#define LOG_AT_(level, op, event, ...)                                                     \
	do {                                                                               \
		if (log_is_on(level)) {                                                    \
			const struct log_field fields_[] = {{0}, ##__VA_ARGS__};           \
			log_event(level, op, event, fields_ + 1, ARRAY_SIZE(fields_) - 1); \
		}                                                                          \
	} while (0)
#define log_debug(op, event, ...) LOG_AT_(LOG_LEVEL_DEBUG, op, event, ##__VA_ARGS__)
#define log_info(op, event, ...) LOG_AT_(LOG_LEVEL_INFO, op, event, ##__VA_ARGS__)
#define log_warn(op, event, ...) LOG_AT_(LOG_LEVEL_WARNING, op, event, ##__VA_ARGS__)
#define log_error(op, event, ...) LOG_AT_(LOG_LEVEL_ERROR, op, event, ##__VA_ARGS__)
