#include "base/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

static _Atomic int threshold = LOG_LEVEL_INFO;
static _Atomic bool as_json;

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_ERROR] = "error",
};

void log_set_level(enum log_level level)
{
	threshold = level;
}

void log_set_json(bool json)
{
	as_json = json;
}

bool log_is_on(enum log_level level)
{
	return (int)level >= threshold;
}

static void append_quoted(struct buf *line, struct slice text)
{
	buf_append_char(line, '"');
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == '"' || c == '\\')
			buf_printf(line, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(line, "\\u%04x", c);
		else
			buf_append_char(line, (char)c);
	}
	buf_append_char(line, '"');
}

static bool is_plain(struct slice text)
{
	if (!text.len)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '=' || c == '\\')
			return false;
	}
	return true;
}

static void append_time(struct buf *line)
{
	uint64_t now_us = clock_realtime_us();
	time_t seconds = (time_t)(now_us / US_PER_S);
	struct tm when;
	gmtime_r(&seconds, &when);
	char text[32];
	size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &when);
	buf_append(line, slice_of(text, len));
	buf_printf(line, ".%03uZ", (unsigned)(now_us / 1000 % 1000));
}

static void append_field(struct buf *line, bool json, struct log_field field)
{
	if (json)
		buf_printf(line, ",\"%s\":", field.name);
	else
		buf_printf(line, " %s=", field.name);
	if (field.type == LOG_FIELD_U64)
		buf_printf(line, "%llu", (unsigned long long)field.number);
	else if (json || !is_plain(field.text))
		append_quoted(line, field.text);
	else
		buf_append(line, field.text);
}

void log_event(enum log_level level, struct op *op, const char *event,
	const struct log_field *fields, size_t count)
{
	if (!log_is_on(level))
		return;
	bool json = as_json;
	struct buf line = buf_heap();
	if (json)
		buf_append(&line, SLICE("{\"time\":\""));
	append_time(&line);
	if (json)
		buf_printf(
			&line, "\",\"level\":\"%s\",\"event\":\"%s\"", level_names[level], event);
	else
		buf_printf(&line, " %-7s %s", level_names[level], event);
	for (size_t i = 0; i < count; i++)
		append_field(&line, json, fields[i]);
	if (op) {
		char id[UUID_TEXT_LENGTH + 1];
		uuid_format(&op->id, id);
		append_field(&line, json, FIELD_TEXT("doing", op->name));
		append_field(&line, json, FIELD_TEXT("op", id));
	}
	buf_append(&line, json ? SLICE("}\n") : SLICE("\n"));
	/* One write per line, so that lines of threads do not mix; a full pipe loses the line. */
	ssize_t written = write(STDERR_FILENO, line.ptr, line.len);
	(void)written;
	buf_done(&line);
}
