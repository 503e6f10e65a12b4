#include "mailbox/flags.h"

const struct message_flag_name message_flag_names[MESSAGE_FLAG_COUNT] = {
	{SLICE_INIT("\\Seen"), FLAG_SEEN}, {SLICE_INIT("\\Answered"), FLAG_ANSWERED},
	{SLICE_INIT("\\Flagged"), FLAG_FLAGGED}, {SLICE_INIT("\\Deleted"), FLAG_DELETED},
	{SLICE_INIT("\\Draft"), FLAG_DRAFT}};

uint16_t message_flag_named(struct slice name)
{
	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if (slice_equal_nocase(name, message_flag_names[i].name))
			return message_flag_names[i].flag;
	return 0;
}

bool keyword_is_valid(struct slice name)
{
	if (!name.len || name.len > KEYWORD_LENGTH_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((uint8_t)name.ptr[i] <= ' ' || (uint8_t)name.ptr[i] >= 0x7f ||
			strchr("(){%*\"\\]", name.ptr[i]))
			return false;
	return true;
}

struct slice keyword_set_encode(struct arena *arena, const struct keyword_set *set)
{
	uint8_t bytes[KEYWORDS_MAX / 8];
	size_t len = 0;
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (uint8_t)(set->bits[i / 8] >> (i % 8 * 8));
		if (bytes[i])
			len = i + 1;
	}
	return arena_dup(arena, slice_of(bytes, len));
}

bool keyword_set_decode(struct slice bytes, struct keyword_set *ret_set)
{
	if (bytes.len > KEYWORDS_MAX / 8)
		return false;
	*ret_set = (struct keyword_set){0};
	for (size_t i = 0; i < bytes.len; i++)
		ret_set->bits[i / 8] |= (uint64_t)(uint8_t)bytes.ptr[i] << (i % 8 * 8);
	return true;
}

struct slice keyword_names_encode(struct arena *arena, const struct keyword_names *names)
{
	struct buf out = buf_in(arena);
	buf_varint(&out, names->count);
	for (size_t i = 0; i < names->count; i++)
		buf_slice(&out, names->names[i]);
	return buf_as_slice(&out);
}

bool keyword_names_decode(struct arena *arena, struct slice bytes, struct keyword_names *ret_names)
{
	*ret_names = (struct keyword_names){0};
	if (!bytes.len)
		return true;
	struct reader reader = reader_of(bytes);
	uint64_t count = reader_varint(&reader);
	if (count > KEYWORDS_MAX)
		return false;
	ret_names->names = ARENA_ARRAY(arena, struct slice, count ? count : 1);
	for (uint64_t i = 0; i < count; i++)
		ret_names->names[i] = reader_slice(&reader);
	ret_names->count = (size_t)count;
	return reader_is_complete(&reader);
}

int keyword_names_find(const struct keyword_names *names, struct slice name)
{
	for (size_t i = 0; i < names->count; i++)
		if (slice_equal_nocase(names->names[i], name))
			return (int)i;
	return -1;
}
