#include "format/section.h"

#include "format/header.h"

static const struct mime_part *child_at(const struct mime_part *part, uint32_t number)
{
	const struct mime_part *child = part->first_child;
	for (uint32_t i = 1; child && i < number; i++)
		child = child->next;
	return number ? child : NULL;
}

/* Part `number` of a message: its parts if it is a multipart, else its only body is part 1. */
static const struct mime_part *part_of_message(const struct mime_part *message, uint32_t number)
{
	if (message->kind == MIME_MULTIPART)
		return child_at(message, number);
	return number == 1 ? message : NULL;
}

const struct mime_part *section_part(
	const struct mime_part *root, const uint32_t *parts, size_t part_count)
{
	const struct mime_part *part = root;
	for (size_t i = 0; part && i < part_count; i++) {
		if (i == 0)
			part = part_of_message(root, parts[0]);
		else if (part->kind == MIME_MESSAGE)
			part = part_of_message(part->first_child, parts[i]);
		else
			part = child_at(part, parts[i]);
	}
	return part;
}

static bool is_picked(const struct section *section, struct slice name)
{
	for (size_t i = 0; i < section->field_count; i++)
		if (slice_equal_nocase(section->fields[i], name))
			return section->text == SECTION_FIELDS;
	return section->text == SECTION_FIELDS_NOT;
}

struct slice section_pick_fields(
	struct arena *arena, struct slice header, const struct section *section)
{
	char *picked = arena_alloc_raw(arena, header.len + 2);
	size_t len = 0;
	struct slice rest = header;
	struct header_field field;
	while (header_next(&rest, &field)) {
		if (!is_picked(section, field.name))
			continue;
		memcpy(picked + len, field.raw.ptr, field.raw.len);
		len += field.raw.len;
	}
	/* The empty line as the message has it; a message that is all header gets one of ours. */
	struct slice end = rest.len ? rest : SLICE("\r\n");
	memcpy(picked + len, end.ptr, MIN_OF(end.len, 2));
	return slice_of(picked, len + MIN_OF(end.len, 2));
}

bool section_locate(struct arena *arena, struct slice message, const struct mime_part *root,
	const struct section *section, struct slice *ret_bytes)
{
	const struct mime_part *part = section_part(root, section->parts, section->part_count);
	if (!part)
		return false;
	if (section->text == SECTION_ALL) {
		*ret_bytes = section->part_count ? mime_body(part, message) : message;
		return true;
	}
	if (section->text == SECTION_MIME) {
		*ret_bytes = mime_header(part, message);
		return section->part_count > 0;
	}
	/* The others speak of a message: the outer one, or one within. */
	if (section->part_count) {
		if (part->kind != MIME_MESSAGE)
			return false;
		part = part->first_child;
	}
	if (section->text == SECTION_TEXT)
		*ret_bytes = mime_body(part, message);
	else if (section->text == SECTION_HEADER)
		*ret_bytes = mime_header(part, message);
	else
		*ret_bytes = section_pick_fields(arena, mime_header(part, message), section);
	return true;
}
