#include "format/search_texts.h"

#include <unicode/uchar.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/digest.h"
#include "format/charset.h"
#include "format/encoded_word.h"
#include "format/find_text.h"
#include "format/header.h"
#include "format/mime.h"

/* To be raised with every change of what texts are made of a message. */
#define RULES_VERSION 3

static const struct {
	struct slice name;
	enum text_field field;
} named_fields[] = {
	{SLICE_INIT("Subject"), TEXT_SUBJECT},
	{SLICE_INIT("From"), TEXT_FROM},
	{SLICE_INIT("To"), TEXT_TO},
	{SLICE_INIT("Cc"), TEXT_CC},
	{SLICE_INIT("Bcc"), TEXT_BCC},
};

enum text_field text_field_of(struct slice name)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_fields); i++)
		if (slice_equal_nocase(name, named_fields[i].name))
			return named_fields[i].field;
	return TEXT_OTHER_FIELDS;
}

struct making {
	struct buf texts[TEXT_FIELD_COUNT]; /* on the heap: the arena is released between parts */
	size_t left;
	bool is_cut;
};

static bool add_text(
	struct making *making, enum text_field field, struct arena *arena, struct slice text)
{
	struct slice folded = SLICE_NONE;
	if (text.len <= making->left)
		folded = utf8_fold(arena, text);
	if (text.len > making->left || folded.len > making->left) {
		making->is_cut = true;
		return false;
	}
	buf_append(&making->texts[field], folded);
	buf_append_char(&making->texts[field], '\n');
	making->left -= folded.len;
	return true;
}

/* The whole field, since a needle may begin in its name. Its value by itself differs from what it
 * is within the whole where bytes are broken. */
static bool add_field(struct making *making, struct arena *arena, const struct header_field *field)
{
	enum text_field to = text_field_of(field->name);
	struct slice whole = encoded_words_decode(arena, field->raw);
	struct slice value = encoded_words_decode(arena, field->value);
	if (!add_text(making, to, arena, whole))
		return false;
	bool is_in_whole = utf8_contains(arena, whole, utf8_fold(arena, value));
	return is_in_whole || add_text(making, to, arena, value);
}

static bool add_body_text(void *context, struct arena *arena, struct slice text)
{
	return add_text(context, TEXT_BODY, arena, text);
}

void search_texts_make(struct arena *arena, struct slice message, size_t header_length,
	size_t limit, struct search_texts *ret_texts)
{
	struct making making = {.left = limit};
	struct slice header = slice_range(message, 0, header_length);
	struct header_field field;
	while (!making.is_cut && header_next(&header, &field)) {
		struct arena_mark mark = arena_mark(arena);
		add_field(&making, arena, &field);
		arena_release(arena, mark);
	}
	if (!making.is_cut)
		body_texts_visit(arena, message, add_body_text, &making);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
		ret_texts->fields[i] = arena_dup(arena, buf_as_slice(&making.texts[i]));
		buf_done(&making.texts[i]);
	}
	ret_texts->is_whole = !making.is_cut;
	ret_texts->attached = SLICE_NONE;
	ret_texts->attached_state = 0;
}

uint64_t search_texts_fingerprint(const struct search_texts *texts)
{
	uint64_t hash = texts->is_whole;
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		hash = XXH64(texts->fields[i].len ? texts->fields[i].ptr : "", texts->fields[i].len,
			hash);
	return hash & INT64_MAX;
}

uint32_t search_texts_rules(void)
{
	struct {
		uint64_t version, depth, parts;
		UVersionInfo icu, unicode;
	} rules = {
		.version = RULES_VERSION, .depth = mime_limits.depth, .parts = mime_limits.parts};
	uint8_t digest[SHA256_SIZE];
	u_getVersion(rules.icu);
	u_getUnicodeVersion(rules.unicode);
	sha256_of(slice_of(&rules, sizeof(rules)), digest);
	uint32_t id = (uint32_t)digest[0] << 16 | (uint32_t)digest[1] << 8 | digest[2];
	return id | 1U << 24;
}
