#include "format/mime_field.h"

#include "base/buf.h"
#include "format/encoded_word.h"
#include "format/header.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* RFC 2045 5.1, but 8-bit characters pass. */
static bool is_token_char(char c)
{
	return (unsigned char)c > ' ' && c != 0x7f && !memchr("()<>@,;:\\\"/[]?=", c, 15);
}

static void skip_comment(struct slice *text)
{
	size_t depth = 0;
	size_t i = 0;
	for (; i < text->len; i++) {
		char c = text->ptr[i];
		if (c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			break;
	}
	*text = slice_from(*text, MIN_OF(i + 1, text->len));
}

static void skip_space(struct slice *text)
{
	while (text->len) {
		if (text->ptr[0] == '(')
			skip_comment(text);
		else if (is_space(text->ptr[0]))
			*text = slice_from(*text, 1);
		else
			return;
	}
}

struct slice mime_token(struct slice *text)
{
	skip_space(text);
	size_t len = 0;
	while (len < text->len && is_token_char(text->ptr[len]))
		len++;
	struct slice token = slice_range(*text, 0, len);
	*text = slice_from(*text, len);
	return token;
}

static bool take_char(struct slice *text, char c)
{
	skip_space(text);
	if (text->len == 0 || text->ptr[0] != c)
		return false;
	*text = slice_from(*text, 1);
	return true;
}

/* After the opening quote. Copies only when something must go. */
static struct slice take_quoted(struct arena *arena, struct slice *text)
{
	size_t end = 0;
	bool plain = true;
	while (end < text->len && text->ptr[end] != '"') {
		char c = text->ptr[end];
		if (c == '\\' || c == '\r' || c == '\n')
			plain = false;
		end += c == '\\' && end + 1 < text->len ? 2 : 1;
	}
	struct slice raw = slice_range(*text, 0, end);
	*text = slice_from(*text, MIN_OF(end + 1, text->len));
	if (plain)
		return raw;
	char *value = arena_alloc_raw(arena, raw.len);
	size_t len = 0;
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\\' && i + 1 < raw.len)
			i++;
		if (raw.ptr[i] != '\r' && raw.ptr[i] != '\n')
			value[len++] = raw.ptr[i];
	}
	return slice_of(value, len);
}

/* An unquoted value: as RFC 2045's token, but broken mail writes anything up to the next `;`. */
static struct slice take_bare_value(struct slice *text)
{
	skip_space(text);
	size_t len = 0;
	while (len < text->len && text->ptr[len] != ';' && !is_space(text->ptr[len]) &&
		text->ptr[len] != '(')
		len++;
	struct slice value = slice_range(*text, 0, len);
	*text = slice_from(*text, len);
	return value;
}

static bool take_parameter(
	struct arena *arena, struct slice *text, struct slice *ret_name, struct slice *ret_value)
{
	while (text->len) {
		if (!take_char(text, ';')) {
			/* Rubbish: go to the next separator. */
			*text = slice_from(*text, slice_find_char(*text, ';'));
			continue;
		}
		struct slice name = mime_token(text);
		if (name.len == 0 || !take_char(text, '='))
			continue;
		*ret_name = name;
		*ret_value =
			take_char(text, '"') ? take_quoted(arena, text) : take_bare_value(text);
		return true;
	}
	return false;
}

/* A piece of a parameter that came in several (RFC 2231 3). */
struct piece {
	struct mime_parameter *whole;
	uint32_t number;
	bool is_encoded;
	struct slice value;
};

struct pieces {
	struct piece items[MIME_PARAMETERS_MAX];
	size_t count;
};

/* "name*1*" → "name", piece 1, encoded. False for a name without a piece number. */
static bool split_continuation(struct slice name, struct slice *ret_base, struct piece *ret_piece)
{
	bool is_encoded = slice_ends_with(name, SLICE("*"));
	struct slice text = is_encoded ? slice_range(name, 0, name.len - 1) : name;
	size_t star = slice_find_char(text, '*');
	if (star == 0 || star == text.len ||
		!slice_parse_u32(slice_from(text, star + 1), &ret_piece->number))
		return false;
	*ret_base = slice_range(text, 0, star);
	ret_piece->is_encoded = is_encoded;
	return true;
}

/* In the order of their numbers; those of equal numbers as they came. */
static void add_piece(struct pieces *pieces, struct piece piece)
{
	size_t at = pieces->count++;
	for (; at && pieces->items[at - 1].number > piece.number; at--)
		pieces->items[at] = pieces->items[at - 1];
	pieces->items[at] = piece;
}

static struct mime_parameter *find_whole(const struct pieces *pieces, struct slice name)
{
	for (size_t i = 0; i < pieces->count; i++)
		if (slice_equal_nocase(pieces->items[i].whole->name, name))
			return pieces->items[i].whole;
	return NULL;
}

static bool is_whole(const struct pieces *pieces, const struct mime_parameter *parameter)
{
	for (size_t i = 0; i < pieces->count; i++)
		if (pieces->items[i].whole == parameter)
			return true;
	return false;
}

/* A plain piece among encoded ones: its percent signs are no escapes. */
static void append_escaped(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '%')
			buf_append(out, SLICE("%25"));
		else
			buf_append_char(out, text.ptr[i]);
	}
}

static void join_pieces(
	struct arena *arena, const struct pieces *pieces, struct mime_parameter *whole)
{
	struct buf value = buf_in(arena);
	bool is_encoded = false;
	for (size_t i = 0; i < pieces->count; i++)
		is_encoded |= pieces->items[i].whole == whole && pieces->items[i].is_encoded;
	for (size_t i = 0; i < pieces->count; i++) {
		const struct piece *piece = &pieces->items[i];
		if (piece->whole != whole)
			continue;
		if (is_encoded && !piece->is_encoded)
			append_escaped(&value, piece->value);
		else
			buf_append(&value, piece->value);
	}
	whole->value = buf_as_slice(&value);
	if (is_encoded) {
		struct buf name = buf_in(arena);
		buf_append(&name, whole->name);
		buf_append_char(&name, '*');
		whole->name = buf_as_slice(&name);
	}
}

struct mime_parameter *mime_parameters(struct arena *arena, struct slice text)
{
	struct mime_parameter *first = NULL;
	struct mime_parameter **end = &first;
	struct slice name, value;
	struct pieces *pieces = NULL;
	size_t count = 0;
	text = slice_from(text, slice_find_char(text, ';'));
	while (count++ < MIME_PARAMETERS_MAX && take_parameter(arena, &text, &name, &value)) {
		struct piece piece = {.value = value};
		bool is_piece = split_continuation(name, &name, &piece);
		if (is_piece && !pieces)
			pieces = ARENA_NEW(arena, struct pieces);
		struct mime_parameter *parameter = is_piece ? find_whole(pieces, name) : NULL;
		if (!parameter) {
			parameter = ARENA_NEW(arena, struct mime_parameter);
			parameter->name = name;
			parameter->value = value;
			*end = parameter;
			end = &parameter->next;
		}
		piece.whole = parameter;
		if (is_piece)
			add_piece(pieces, piece);
	}
	for (struct mime_parameter *p = first; pieces && p; p = p->next)
		if (is_whole(pieces, p))
			join_pieces(arena, pieces, p);
	return first;
}

struct slice mime_parameter_bytes(
	struct arena *arena, const struct mime_parameter *first, struct slice name)
{
	const struct mime_parameter *plain = mime_parameter_find(first, name);
	if (plain)
		return plain->value;
	for (const struct mime_parameter *p = first; p; p = p->next) {
		struct slice charset, bytes;
		if (slice_ends_with(p->name, SLICE("*")) &&
			slice_equal_nocase(slice_range(p->name, 0, p->name.len - 1), name))
			return encoded_parameter_split(arena, p->value, &charset, &bytes)
				       ? bytes
				       : p->value;
	}
	return SLICE_NONE;
}

static void read_type(struct arena *arena, struct slice value, struct mime_part *part)
{
	struct slice text = value;
	struct slice type = mime_token(&text);
	struct slice subtype = take_char(&text, '/') ? mime_token(&text) : SLICE_NONE;
	if (type.len == 0 || subtype.len == 0) {
		/* Unreadable: RFC 2045 5.2 says text/plain; "text" alone is common and is that. */
		part->type = SLICE("text");
		part->subtype = SLICE("plain");
	} else {
		part->type = type;
		part->subtype = subtype;
	}
	part->parameters = mime_parameters(arena, text);
}

static void read_disposition(struct arena *arena, struct slice value, struct mime_part *part)
{
	struct slice text = value;
	part->disposition = mime_token(&text);
	if (part->disposition.len)
		part->disposition_parameters = mime_parameters(arena, text);
}

static void read_encoding(struct arena *arena, struct slice value, struct mime_part *part)
{
	(void)arena;
	struct slice encoding = mime_token(&value);
	if (encoding.len)
		part->encoding = encoding;
}

#define READ_TEXT(member)                                                                          \
	static void read_##member(struct arena *arena, struct slice value, struct mime_part *part) \
	{                                                                                          \
		part->member = header_unfold(arena, value);                                        \
	}
READ_TEXT(id)
READ_TEXT(description)
READ_TEXT(md5)
READ_TEXT(language)
READ_TEXT(location)

static const struct {
	struct slice name;
	void (*read)(struct arena *arena, struct slice value, struct mime_part *part);
} content_fields[] = {
	{SLICE_INIT("Type"), read_type},
	{SLICE_INIT("Transfer-Encoding"), read_encoding},
	{SLICE_INIT("Disposition"), read_disposition},
	{SLICE_INIT("ID"), read_id},
	{SLICE_INIT("Description"), read_description},
	{SLICE_INIT("MD5"), read_md5},
	{SLICE_INIT("Language"), read_language},
	{SLICE_INIT("Location"), read_location},
};

static void set_defaults(bool default_message, struct mime_part *part)
{
	part->type = default_message ? SLICE("message") : SLICE("text");
	part->subtype = default_message ? SLICE("rfc822") : SLICE("plain");
	part->encoding = SLICE("7BIT");
}

void mime_read_fields(
	struct arena *arena, struct slice header, bool default_message, struct mime_part *part)
{
	set_defaults(default_message, part);
	struct header_field field;
	unsigned seen = 0;
	while (header_next(&header, &field)) {
		if (!slice_starts_with_nocase(field.name, SLICE("Content-")))
			continue;
		struct slice name = slice_from(field.name, 8);
		for (unsigned i = 0; i < ARRAY_SIZE(content_fields); i++) {
			/* Of repeated fields the first counts. */
			if ((seen & 1U << i) || !slice_equal_nocase(name, content_fields[i].name))
				continue;
			seen |= 1U << i;
			content_fields[i].read(arena, field.value, part);
			break;
		}
	}
}
