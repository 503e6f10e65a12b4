#include "app/ctl_table.h"

#include <libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"

static json_t *field_at(json_t *item, const char *path)
{
	const char *dot;
	while (item && (dot = strchr(path, '.'))) {
		json_t *next = NULL;
		const char *name;
		json_t *value;
		json_object_foreach(item, name,
			value) if (strlen(name) == (size_t)(dot - path) &&
				   strncmp(name, path, (size_t)(dot - path)) == 0) next = value;
		item = next;
		path = dot + 1;
	}
	return item ? json_object_get(item, path) : NULL;
}

static const char *size_text(struct arena *arena, json_int_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double size = (double)bytes;
	size_t unit = 0;
	while (size >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		size /= 1024;
		unit++;
	}
	return arena_printf(arena, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

static const char *date_text(struct arena *arena, json_int_t us)
{
	time_t seconds = (time_t)(us / (json_int_t)US_PER_S);
	struct tm parts;
	char *text = arena_alloc(arena, 32);
	localtime_r(&seconds, &parts);
	strftime(text, 32, "%Y-%m-%d %H:%M:%S", &parts);
	return text;
}

static const char *list_text(struct arena *arena, json_t *list)
{
	const char *all = "";
	size_t at;
	json_t *item;
	json_array_foreach(list, at, item) all =
		arena_printf(arena, "%s%s%s", all, at ? ", " : "", json_string_value(item));
	return all;
}

static const char *value_text(struct arena *arena, json_t *value, int kind)
{
	if (json_is_array(value))
		return json_array_size(value) ? list_text(arena, value) : "-";
	if (json_is_boolean(value))
		return json_is_true(value) ? "yes" : "no";
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_real(value))
		return arena_printf(arena, "%.3f", json_real_value(value));
	if (!json_is_integer(value))
		return "";
	json_int_t number = json_integer_value(value);
	if (kind == CTL_DATE)
		return date_text(arena, number);
	if ((kind == CTL_LIMIT || kind == CTL_SIZE_LIMIT) && number == 0)
		return "-";
	if (kind == CTL_SIZE || kind == CTL_SIZE_LIMIT)
		return size_text(arena, number);
	return arena_printf(arena, "%lld", (long long)number);
}

static void add_cell(struct libscols_line *line, size_t at, const char *text)
{
	if (scols_line_set_data(line, at, text)) {
		fputs("holdfastctl: out of memory\n", stderr);
		abort();
	}
}

static struct libscols_table *table_new(bool has_titles)
{
	scols_init_debug(0);
	struct libscols_table *table = scols_new_table();
	if (!table) {
		fputs("holdfastctl: out of memory\n", stderr);
		abort();
	}
	scols_table_enable_noheadings(table, !has_titles);
	return table;
}

void ctl_print_table(json_t *list, const struct ctl_column *columns)
{
	struct arena arena;
	arena_init(&arena);
	struct libscols_table *table = table_new(true);
	for (size_t i = 0; columns[i].title; i++)
		scols_table_new_column(table, columns[i].title, 0,
			columns[i].kind == CTL_TEXT || columns[i].kind == CTL_DATE
				? 0
				: SCOLS_FL_RIGHT);
	size_t at;
	json_t *item;
	json_array_foreach(list, at, item)
	{
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t i = 0; columns[i].title; i++)
			add_cell(line, i,
				value_text(
					&arena, field_at(item, columns[i].path), columns[i].kind));
	}
	scols_print_table(table);
	scols_unref_table(table);
	arena_done(&arena);
}

static void add_fields(
	struct arena *arena, struct libscols_table *table, json_t *object, const char *prefix)
{
	const char *name;
	json_t *value;
	json_object_foreach(object, name, value)
	{
		const char *full = arena_printf(arena, "%s%s", prefix, name);
		if (json_is_object(value)) {
			add_fields(arena, table, value, arena_printf(arena, "%s.", full));
			continue;
		}
		struct slice title = slice_from_cstr(full);
		int kind = CTL_NUMBER;
		if (slice_starts_with(title, SLICE("quota.")) ||
			slice_starts_with(title, SLICE("limit.")))
			kind = CTL_LIMIT;
		if (slice_ends_with(title, SLICE("_us"))) {
			title = slice_range(title, 0, title.len - strlen("_us"));
			kind = CTL_DATE;
		}
		struct libscols_line *line = scols_table_new_line(table, NULL);
		add_cell(line, 0, arena_cstr(arena, title));
		add_cell(line, 1, value_text(arena, value, kind));
	}
}

void ctl_print_fields(json_t *object)
{
	struct arena arena;
	arena_init(&arena);
	struct libscols_table *table = table_new(false);
	scols_table_new_column(table, "NAME", 0, 0);
	scols_table_new_column(table, "VALUE", 0, 0);
	add_fields(&arena, table, object, "");
	scols_print_table(table);
	scols_unref_table(table);
	arena_done(&arena);
}

void ctl_print_json(json_t *json)
{
	char *text = json_dumps(json, JSON_INDENT(2));
	printf("%s\n", text ? text : "{}");
	free(text);
}
