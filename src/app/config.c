#include "app/config.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/config_file.h"
#include "base/hash_map.h"

/* What the file said of one row. */
struct entry {
	const struct setting *row;
	char *value; /* as it stands in the file; NULL: not there */
	size_t line;
	char *read_value; /* of the reading under way */
	size_t read_line;
};

struct config {
	struct entry *entries;
	size_t count;
	struct hash_map by_name;
	char *path;
};

struct config *config_new(const struct setting_group *groups, size_t group_count)
{
	struct config *config = HEAP_NEW(struct config);
	hash_map_init(&config->by_name);
	for (size_t i = 0; i < group_count; i++)
		config->count += *groups[i].count;
	config->entries = heap_alloc(config->count * sizeof(struct entry));
	size_t at = 0;
	for (size_t i = 0; i < group_count; i++) {
		for (size_t j = 0; j < *groups[i].count; j++) {
			struct entry *entry = &config->entries[at++];
			entry->row = &groups[i].rows[j];
			hash_map_put(&config->by_name, slice_from_cstr(entry->row->name), entry);
		}
	}
	return config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->count; i++) {
		free(config->entries[i].value);
		free(config->entries[i].read_value);
	}
	hash_map_done(&config->by_name);
	free(config->entries);
	free(config->path);
	free(config);
}

void config_each(const struct config *config,
	void (*visit)(void *context, const struct setting *row), void *context)
{
	for (size_t i = 0; i < config->count; i++)
		visit(context, config->entries[i].row);
}

/* Would the value do? It is stored beside the target. Any text does. */
static struct error *check_value(struct op *op, const struct setting *row, struct slice value)
{
	union {
		bool yes;
		uint64_t number;
		int choice;
	} scratch = {0};
	struct setting copy = *row;
	copy.target = &scratch;
	return row->type == SETTING_TEXT ? NULL : setting_store(op, &copy, value);
}

static struct error *take_value(
	struct op *op, void *context, struct slice name, struct slice value, size_t line)
{
	struct config *config = context;
	struct entry *entry = hash_map_find(&config->by_name, name);
	if (!entry)
		return op_fail(
			op, ERR_INVALID, "there is no setting \"" SLICE_FMT "\"", SLICE_ARG(name));
	if (entry->read_value)
		return op_fail(op, ERR_INVALID, "\"" SLICE_FMT "\" stands here a second time",
			SLICE_ARG(name));
	TRY(check_value(op, entry->row, value));
	entry->read_value = heap_cstr(value);
	entry->read_line = line;
	return NULL;
}

static bool is_section(void *context, struct slice name)
{
	struct config *config = context;
	for (size_t i = 0; i < config->count; i++) {
		struct slice row = slice_from_cstr(config->entries[i].row->name);
		if (slice_starts_with(row, name) && row.len > name.len && row.ptr[name.len] == '.')
			return true;
	}
	return false;
}

static struct error *read_values(struct op *op, struct config *config, const char *path)
{
	for (size_t i = 0; i < config->count; i++) {
		free(config->entries[i].read_value);
		config->entries[i].read_value = NULL;
		config->entries[i].read_line = 0;
	}
	if (!path)
		return NULL;
	FILE *file = fopen(path, "re");
	if (!file)
		return op_fail(op, ERR_INVALID, "%s:1: cannot be read: %s", path, strerror(errno));
	const struct config_reader reader = {
		.is_section = is_section, .value = take_value, .context = config};
	struct error *err = config_file_read(op, path, file, &reader);
	fclose(file);
	return err;
}

static struct slice effective(const struct setting *row, const char *value)
{
	return slice_from_cstr(value ? value : row->default_value);
}

static void keep_value(struct entry *entry)
{
	free(entry->value);
	entry->value = entry->read_value;
	entry->line = entry->read_line;
	entry->read_value = NULL;
}

const char config_usual_path[] = "/etc/holdfast/holdfast.conf";

const char *config_find(const char *named)
{
	return !named && access(config_usual_path, F_OK) == 0 ? config_usual_path : named;
}

struct error *config_load(struct op *op, struct config *config, const char *path)
{
	TRY(read_values(op, config, path));
	config->path = path ? heap_cstr(slice_from_cstr(path)) : NULL;
	for (size_t i = 0; i < config->count; i++) {
		struct entry *entry = &config->entries[i];
		TRY(setting_store(op, entry->row, effective(entry->row, entry->read_value)));
		keep_value(entry);
	}
	return NULL;
}

struct error *config_reload(struct op *op, struct config *config, const char **ret_waiting)
{
	const char *waiting = "";
	TRY(read_values(op, config, config->path));
	for (size_t i = 0; i < config->count; i++) {
		struct entry *entry = &config->entries[i];
		struct slice now = effective(entry->row, entry->read_value);
		if (slice_equal(now, effective(entry->row, entry->value)))
			continue;
		if (!entry->row->reloadable) {
			waiting = arena_printf(&op->arena, "%s%s%s", waiting, *waiting ? ", " : "",
				entry->row->name);
			continue;
		}
		TRY(setting_store(op, entry->row, now));
		keep_value(entry);
	}
	*ret_waiting = waiting;
	return NULL;
}

const char *config_value(const struct config *config, const char *setting_name)
{
	const struct entry *entry = hash_map_find(&config->by_name, slice_from_cstr(setting_name));
	assert(entry);
	return entry->value ? entry->value : entry->row->default_value;
}

struct error *config_fault(
	struct op *op, const struct config *config, const char *setting_name, const char *what)
{
	const struct entry *entry = hash_map_find(&config->by_name, slice_from_cstr(setting_name));
	return op_fail(op, ERR_INVALID, "%s:%zu: %s: %s", config->path ? config->path : "defaults",
		entry && entry->line ? entry->line : 1, setting_name, what);
}
