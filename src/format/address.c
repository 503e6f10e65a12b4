#include "format/address.h"

#include "base/buf.h"

/* A longer source route is taken for an address without one. */
#define ROUTE_MAX 1000

struct parser {
	struct arena *arena;
	struct slice rest;
	struct slice comment; /* the last one seen: "user@host (Name)" */
	struct address_list *list;
	size_t capacity;
	bool in_group;
};

static struct header_address *add(struct parser *parser, enum address_kind kind)
{
	struct address_list *list = parser->list;
	if (list->count == parser->capacity) {
		size_t capacity = MAX_OF(parser->capacity * 2, 4);
		list->items = arena_grow(parser->arena, list->items,
			parser->capacity * sizeof(*list->items), capacity * sizeof(*list->items));
		parser->capacity = capacity;
	}
	struct header_address *address = &list->items[list->count++];
	*address = (struct header_address){.kind = kind};
	return address;
}

static char peek(const struct parser *parser)
{
	return parser->rest.len ? parser->rest.ptr[0] : '\0';
}

static void skip(struct parser *parser, size_t count)
{
	parser->rest = slice_from(parser->rest, count);
}

/* A comment from its opening parenthesis on; nested ones are part of its text. */
static void take_comment(struct parser *parser)
{
	struct buf text = buf_in(parser->arena);
	size_t depth = 0;
	size_t i = 0;
	for (; i < parser->rest.len; i++) {
		char c = parser->rest.ptr[i];
		if (c == '(' && depth++ == 0)
			continue;
		if (c == ')' && --depth == 0)
			break;
		if (c == '\\' && i + 1 < parser->rest.len)
			c = parser->rest.ptr[++i];
		if (c != '\r' && c != '\n')
			buf_append_char(&text, c);
	}
	skip(parser, MIN_OF(i + 1, parser->rest.len));
	parser->comment = slice_trim(buf_as_slice(&text));
}

static void skip_space(struct parser *parser)
{
	while (parser->rest.len) {
		char c = peek(parser);
		if (c == '(')
			take_comment(parser);
		else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
			skip(parser, 1);
		else
			return;
	}
}

static struct slice take_quoted(struct parser *parser)
{
	struct buf text = buf_in(parser->arena);
	skip(parser, 1);
	while (parser->rest.len && peek(parser) != '"') {
		if (peek(parser) == '\\' && parser->rest.len > 1)
			skip(parser, 1);
		if (peek(parser) != '\r' && peek(parser) != '\n')
			buf_append_char(&text, peek(parser));
		skip(parser, 1);
	}
	skip(parser, MIN_OF(parser->rest.len, 1));
	return text.ptr ? buf_as_slice(&text) : SLICE("");
}

static bool ends_atom(char c)
{
	return memchr(" \t\r\n()<>@,;:\"[", c, 14) != NULL;
}

static struct slice take_atom(struct parser *parser)
{
	size_t len = 0;
	while (len < parser->rest.len && !ends_atom(parser->rest.ptr[len]))
		len++;
	struct slice atom = slice_range(parser->rest, 0, len);
	skip(parser, len);
	return atom;
}

/* The domain after an `@`; white space and comments inside are dropped. */
static struct slice take_domain(struct parser *parser)
{
	struct buf domain = buf_in(parser->arena);
	for (;;) {
		skip_space(parser);
		if (peek(parser) == '[') {
			size_t end = slice_find_char(parser->rest, ']');
			struct slice literal = slice_range(parser->rest, 0, end + 1);
			buf_append(&domain, literal);
			skip(parser, literal.len);
			continue;
		}
		struct slice atom = take_atom(parser);
		if (atom.len == 0)
			break;
		/* "host name" without a dot between is two things, and the second is rubbish. */
		bool dotted =
			domain.len == 0 || domain.ptr[domain.len - 1] == '.' || atom.ptr[0] == '.';
		if (dotted)
			buf_append(&domain, atom);
	}
	return domain.ptr ? buf_as_slice(&domain) : SLICE("");
}

/* Words up to something that is none. A phrase joins them with spaces; `ret_last` is the last one,
 * which is the local part if an `@` follows. */
static struct slice take_words(struct parser *parser, struct slice *ret_last, size_t *ret_before)
{
	struct buf phrase = buf_in(parser->arena);
	*ret_last = SLICE_NONE;
	*ret_before = 0;
	for (;;) {
		skip_space(parser);
		struct slice word = peek(parser) == '"' ? take_quoted(parser) : take_atom(parser);
		if (!word.ptr || (word.len == 0 && word.ptr == parser->rest.ptr))
			break;
		*ret_before = phrase.len;
		if (phrase.len)
			buf_append_char(&phrase, ' ');
		buf_append(&phrase, word);
		*ret_last = word;
	}
	return phrase.ptr ? buf_as_slice(&phrase) : SLICE_NONE;
}

/* After the `<`, up to and with the `>`. */
static void take_angle(struct parser *parser, struct header_address *address)
{
	skip(parser, 1);
	skip_space(parser);
	if (peek(parser) == '@') {
		struct slice near = slice_range(parser->rest, 0, ROUTE_MAX);
		size_t colon = slice_find_char(near, ':');
		if (colon < slice_find_char(near, '>')) {
			address->route = slice_range(near, 0, colon);
			skip(parser, colon + 1);
		}
	}
	struct slice last;
	size_t before;
	struct slice words = take_words(parser, &last, &before);
	address->local = words.ptr ? words : SLICE("");
	address->host = SLICE("");
	if (peek(parser) == '@') {
		skip(parser, 1);
		address->host = take_domain(parser);
	}
	/* A missing `>` must not swallow the next address. */
	struct slice near = slice_range(parser->rest, 0, slice_find_char(parser->rest, ','));
	skip(parser, MIN_OF(slice_find_char(near, '>') + 1, near.len));
}

/* What is left before the next separator is rubbish. */
static void skip_to_separator(struct parser *parser)
{
	skip_space(parser);
	while (parser->rest.len && peek(parser) != ',' && peek(parser) != ';') {
		if (peek(parser) == '"')
			take_quoted(parser);
		else
			skip(parser, 1);
		skip_space(parser);
	}
}

static void begin_group(struct parser *parser, struct slice name)
{
	skip(parser, 1);
	if (parser->in_group)
		return;
	add(parser, ADDRESS_GROUP_BEGIN)->name = name.ptr ? name : SLICE("");
	parser->in_group = true;
}

static void take_bare(struct parser *parser, struct slice words, struct slice last, size_t before)
{
	bool has_host = peek(parser) == '@';
	if (!has_host && !words.ptr)
		return;
	struct header_address *address = add(parser, ADDRESS_MAILBOX);
	address->local = has_host ? last : words;
	if (!address->local.ptr)
		address->local = SLICE("");
	address->host = SLICE("");
	if (has_host) {
		skip(parser, 1);
		address->host = take_domain(parser);
		if (before)
			address->name = slice_range(words, 0, before);
	}
	skip_to_separator(parser);
	if (!address->name.ptr && parser->comment.len)
		address->name = parser->comment;
}

static void take_address(struct parser *parser)
{
	struct slice last;
	size_t before;
	parser->comment = SLICE_NONE;
	struct slice words = take_words(parser, &last, &before);
	if (peek(parser) == ':') {
		begin_group(parser, words);
	} else if (peek(parser) == '<') {
		struct header_address *address = add(parser, ADDRESS_MAILBOX);
		if (words.len)
			address->name = words;
		take_angle(parser, address);
		skip_to_separator(parser);
		if (!address->name.ptr && parser->comment.len)
			address->name = parser->comment;
	} else {
		take_bare(parser, words, last, before);
		skip_to_separator(parser);
	}
}

void address_list_parse(struct arena *arena, struct slice text, struct address_list *ret_list)
{
	*ret_list = (struct address_list){0};
	struct parser parser = {.arena = arena, .rest = text, .list = ret_list};
	while (parser.rest.len && ret_list->count < ADDRESSES_MAX) {
		skip_space(&parser);
		char c = peek(&parser);
		if (parser.rest.len && (c == ',' || c == ';')) {
			if (c == ';' && parser.in_group) {
				add(&parser, ADDRESS_GROUP_END);
				parser.in_group = false;
			}
			skip(&parser, 1);
		} else if (parser.rest.len) {
			size_t before = parser.rest.len;
			take_address(&parser);
			/* A NUL or a stray bracket that no rule takes. */
			if (parser.rest.len == before)
				skip(&parser, 1);
		}
	}
	if (parser.in_group)
		add(&parser, ADDRESS_GROUP_END);
}
