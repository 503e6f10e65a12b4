#include <errno.h>
#include <stdio.h>

#include "base/secret_file.h"
#include "consumer/webhook_private.h"

struct webhook_config webhook_config = {.connect_ms = 3000, .timeout_ms = 10000, .workers = 4};

/* clang-format off */
const struct setting webhook_settings[] = {
	{"webhook.hooks", SETTING_TEXT, &webhook_config.hooks, "", 0, 0, NULL, false,
		"Who is told of changes by HTTP: a file with a line for each, its name, URL, file with the key that signs, and events (delivered,moved,flagged,expunged)."},
	{"webhook.ca_file", SETTING_TEXT, &webhook_config.ca_file, "", 0, 0, NULL, false,
		"Certificates that receivers' ones may be signed by; empty: the system's."},
	{"webhook.connect_timeout", SETTING_DURATION, &webhook_config.connect_ms, "3 s", 10, 600000, NULL, false,
		"How long a connection to a receiver may take."},
	{"webhook.timeout", SETTING_DURATION, &webhook_config.timeout_ms, "10 s", 10, 600000, NULL, false,
		"How long a receiver may take for one event in all."},
	{"webhook.workers", SETTING_NUMBER, &webhook_config.workers, "4", 1, 64, NULL, false,
		"Requests that are under way to one receiver at the same time, each of another account."},
};
const size_t webhook_setting_count = ARRAY_SIZE(webhook_settings);
/* clang-format on */

#define HOOKS_FILE_MOST KIB(64)
#define NAME_MOST 40

static const struct {
	struct slice name;
	enum webhook_event event;
} events[] = {{SLICE_INIT("delivered"), WEBHOOK_DELIVERED}, {SLICE_INIT("moved"), WEBHOOK_MOVED},
	{SLICE_INIT("flagged"), WEBHOOK_FLAGGED}, {SLICE_INIT("expunged"), WEBHOOK_EXPUNGED}};

static bool is_name(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		if (!(c >= 'a' && c <= 'z') && !ascii_is_digit(c) && c != '-')
			return false;
	}
	return name.len && name.len <= NAME_MOST;
}

/* A key in the URL would be in every log between here and there: there is no place for one. */
static bool is_url(struct slice url)
{
	size_t begin = slice_starts_with(url, SLICE("http://"))    ? 7
		       : slice_starts_with(url, SLICE("https://")) ? 8
								   : 0;
	struct slice host = slice_from(url, begin);
	host = slice_range(host, 0, slice_find_char(host, '/'));
	for (size_t i = 0; i < url.len; i++)
		if (url.ptr[i] <= ' ' || url.ptr[i] > '~')
			return false;
	return begin && host.len && slice_find_char(host, '@') == host.len;
}

static bool parse_events(struct slice list, unsigned *ret_events)
{
	struct slice word;
	*ret_events = 0;
	while (slice_split(&list, ',', &word)) {
		unsigned event = 0;
		for (size_t i = 0; i < ARRAY_SIZE(events); i++)
			if (slice_equal(word, events[i].name))
				event = events[i].event;
		if (!event)
			return false;
		*ret_events |= event;
	}
	return *ret_events != 0;
}

static bool next_word(struct slice *line, struct slice *ret_word)
{
	*line = slice_trim(*line);
	size_t end = 0;
	while (end < line->len && line->ptr[end] != ' ' && line->ptr[end] != '\t')
		end++;
	*ret_word = slice_range(*line, 0, end);
	*line = slice_from(*line, end);
	return ret_word->len > 0;
}

static struct error *parse_line(
	struct op *op, struct slice line, size_t number, struct webhook_options *ret_options)
{
	struct slice list = SLICE_NONE;
	struct webhook_options options = {0};
	const char *fault = NULL;
	(void)next_word(&line, &options.name);
	(void)next_word(&line, &options.url);
	(void)next_word(&line, &options.secret_file);
	if (!next_word(&line, &list) || slice_trim(line).len)
		fault = "four words are wanted: name, URL, file with the key, events";
	else if (!is_name(options.name))
		fault = "a name is up to 40 small letters, digits and '-'";
	else if (!is_url(options.url))
		fault = "the URL must be http:// or https://, without a user";
	else if (!parse_events(list, &options.events))
		fault = "events are delivered, moved, flagged, expunged, with commas between them";
	*ret_options = options;
	return fault ? op_fail(op, ERR_INVALID, "line %zu: %s", number, fault) : NULL;
}

struct error *webhooks_parse(struct op *op, struct slice text,
	struct webhook_options ret_options[static WEBHOOKS_MOST], size_t *ret_count)
{
	struct slice line;
	size_t count = 0;
	for (size_t number = 1; slice_split(&text, '\n', &line); number++) {
		line = slice_trim(line);
		if (!line.len || line.ptr[0] == '#')
			continue;
		if (count == WEBHOOKS_MOST)
			return op_fail(
				op, ERR_INVALID, "line %zu: more than %d", number, WEBHOOKS_MOST);
		TRY(parse_line(op, line, number, &ret_options[count]));
		for (size_t i = 0; i < count; i++)
			if (slice_equal(ret_options[i].name, ret_options[count].name))
				return op_fail(op, ERR_INVALID,
					"line %zu: the name is there before", number);
		count++;
	}
	*ret_count = count;
	return NULL;
}

static struct error *read_file(struct op *op, const char *path, struct slice *ret_text)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return op_fail(op, ERR_INVALID, "%s cannot be read: %s", path, strerror(errno));
	char *bytes = arena_alloc_raw(&op->arena, HOOKS_FILE_MOST + 1);
	size_t length = fread(bytes, 1, HOOKS_FILE_MOST + 1, file);
	bool is_bad = ferror(file) || length > HOOKS_FILE_MOST;
	(void)fclose(file);
	if (is_bad)
		return op_fail(op, ERR_INVALID, "%s cannot be read, or is too long", path);
	*ret_text = slice_of(bytes, length);
	return NULL;
}

struct error *webhooks_read(
	struct op *op, struct webhook_options ret_options[static WEBHOOKS_MOST], size_t *ret_count)
{
	struct slice text;
	const char *path = webhook_config.hooks;
	*ret_count = 0;
	if (!path || !*path)
		return NULL;
	TRY(read_file(op, path, &text));
	struct error *err = webhooks_parse(op, text, ret_options, ret_count);
	for (size_t i = 0; !err && i < *ret_count; i++) {
		const char *secret;
		err = secret_file_read(
			op, arena_cstr(&op->arena, ret_options[i].secret_file), &secret);
	}
	return err ? op_fail(op, ERR_INVALID, "%s: %s", path, error_chain(&op->arena, err)) : NULL;
}
