#include "format/header.h"

/* The next line with its line break. */
static struct slice take_line(struct slice *rest)
{
	size_t end = slice_find_char(*rest, '\n');
	struct slice line = slice_range(*rest, 0, end + 1);
	*rest = slice_from(*rest, line.len);
	return line;
}

static bool line_is_empty(struct slice line)
{
	return line.len == 0 || line.ptr[0] == '\n' ||
	       (line.len >= 2 && line.ptr[0] == '\r' && line.ptr[1] == '\n');
}

static struct slice without_line_break(struct slice line)
{
	if (line.len && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

size_t header_length(struct slice message)
{
	struct slice rest = message;
	while (rest.len) {
		struct slice line = take_line(&rest);
		if (line_is_empty(line))
			return message.len - rest.len;
	}
	return message.len;
}

static bool line_continues(struct slice rest)
{
	return rest.len && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t');
}

/* The name before the colon; empty when what stands there cannot be one. */
static struct slice name_of(struct slice line, size_t colon)
{
	if (colon == line.len)
		return slice_range(line, 0, 0);
	size_t end = colon;
	while (end && (line.ptr[end - 1] == ' ' || line.ptr[end - 1] == '\t'))
		end--;
	for (size_t i = 0; i < end; i++)
		if (line.ptr[i] <= ' ' || line.ptr[i] == 0x7f)
			return slice_range(line, 0, 0);
	return slice_range(line, 0, end);
}

bool header_next(struct slice *rest, struct header_field *ret_field)
{
	if (rest->len == 0)
		return false;
	struct slice start = *rest;
	struct slice line = take_line(rest);
	if (line_is_empty(line)) {
		*rest = start;
		return false;
	}
	while (line_continues(*rest))
		take_line(rest);

	struct slice raw = slice_range(start, 0, start.len - rest->len);
	size_t colon = slice_find_char(line, ':');
	struct slice name = name_of(line, colon);
	struct slice text = without_line_break(raw);
	ret_field->name = name;
	ret_field->value = name.len ? slice_from(text, colon + 1) : text;
	ret_field->raw = raw;
	return true;
}

bool header_find(struct slice header, struct slice name, struct header_field *ret_field)
{
	struct slice rest = header;
	struct header_field field;
	while (header_next(&rest, &field)) {
		if (slice_equal_nocase(field.name, name)) {
			*ret_field = field;
			return true;
		}
	}
	return false;
}

struct slice header_unfold(struct arena *arena, struct slice value)
{
	value = slice_trim(value);
	if (slice_find_char(value, '\n') == value.len && slice_find_char(value, '\r') == value.len)
		return value;
	char *text = arena_alloc_raw(arena, value.len);
	size_t len = 0;
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] != '\r' && value.ptr[i] != '\n')
			text[len++] = value.ptr[i];
	return slice_of(text, len);
}

bool header_is_within(struct slice header, struct header_limits limits)
{
	if (header.len > limits.bytes)
		return false;
	struct slice rest = header;
	struct header_field field;
	size_t count = 0;
	while (header_next(&rest, &field))
		if (++count > limits.fields)
			return false;
	return true;
}
