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

/* Length of the well-formed UTF-8 sequence at `at`; 0 if there is none. */
static size_t sequence_length(struct slice text, size_t at)
{
	const unsigned char *s = (const unsigned char *)text.ptr + at;
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (!length || s[0] > 0xf4 || length > text.len - at)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for what it says, a surrogate, or past the last code point. */
	bool is_wrong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
			(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
	return is_wrong ? 0 : length;
}

static void append_quoted(struct buf *line, struct slice text)
{
	buf_append_char(line, '"');
	for (size_t i = 0, length; i < text.len; i += MAX_OF(length, 1)) {
		unsigned char c = (unsigned char)text.ptr[i];
		length = sequence_length(text, i);
		if (c == '"' || c == '\\')
			buf_printf(line, "\\%c", c);
		else if (!length || c < 0x20 || c == 0x7f)
			buf_printf(line, "\\u%04x", c);
		else
			buf_append(line, slice_range(text, i, i + length));
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
