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

/* Offset of the first of these characters; text.len if there is none. */
static size_t find_any(struct slice text, struct slice characters)
{
	size_t at = 0;
	while (at < text.len && !memchr(characters.ptr, text.ptr[at], characters.len))
		at++;
	return at;
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
		struct slice rest = parser->rest;
		struct slice atom = take_atom(parser);
		if (atom.len == 0)
			break;
		/* "host name" without a dot between is two things. */
		bool dotted =
			domain.len == 0 || domain.ptr[domain.len - 1] == '.' || atom.ptr[0] == '.';
		if (!dotted) {
			parser->rest = rest;
			break;
		}
		buf_append(&domain, atom);
	}
	return domain.ptr ? buf_as_slice(&domain) : SLICE("");
}

struct words {
	struct slice phrase; /* joined by spaces; SLICE_NONE without any */
	struct slice local;  /* the last of them with what dots tie to it: "a . b" is a.b */
	size_t before;       /* so much of the phrase is none of the local part */
};

/* Words up to something that is none. */
static struct words take_words(struct parser *parser)
{
	struct buf phrase = buf_in(parser->arena);
	struct buf local = buf_in(parser->arena);
	size_t before = 0;
	bool is_dot = false;
	for (;;) {
		skip_space(parser);
		struct slice word = peek(parser) == '"' ? take_quoted(parser) : take_atom(parser);
		if (!word.ptr || (word.len == 0 && word.ptr == parser->rest.ptr))
			break;
		if (!is_dot && !slice_starts_with(word, SLICE("."))) {
			local.len = 0;
			before = phrase.len;
		}
		is_dot = slice_equal(word, SLICE("."));
		buf_append(&phrase, phrase.len ? SLICE(" ") : SLICE(""));
		buf_append(&phrase, word);
		buf_append(&local, word);
	}
	return (struct words){phrase.ptr ? buf_as_slice(&phrase) : SLICE_NONE,
		local.ptr ? buf_as_slice(&local) : SLICE(""), before};
}

/* All words as a local part. */
static struct slice as_local(struct words words)
{
	if (!words.phrase.ptr)
		return SLICE("");
	return words.before ? words.phrase : words.local;
}

/* After the `<`, up to and with the `>`. */
static void take_angle(struct parser *parser, struct header_address *address)
{
	do {
		skip(parser, 1);
		skip_space(parser);
	} while (peek(parser) == '<');
	if (peek(parser) == '@') {
		struct slice near = slice_range(parser->rest, 0, ROUTE_MAX);
		size_t colon = slice_find_char(near, ':');
		if (colon < slice_find_char(near, '>')) {
			address->route = slice_range(near, 0, colon);
			skip(parser, colon + 1);
		}
	}
	address->local = as_local(take_words(parser));
	address->host = SLICE("");
	if (peek(parser) == '@') {
		skip(parser, 1);
		address->host = take_domain(parser);
	}
	/* A missing `>` must not swallow the next address. */
	size_t end = find_any(parser->rest, SLICE(">,"));
	bool is_closed = end < parser->rest.len && parser->rest.ptr[end] == '>';
	skip(parser, end + is_closed);
}

/* An address has ended. What is left before the next separator is rubbish, unless it has an `@`:
 * then it is an address whose comma is missing. */
static void end_address(struct parser *parser)
{
	skip_space(parser);
	while (peek(parser) == '>') {
		skip(parser, 1);
		skip_space(parser);
	}
	size_t near = find_any(parser->rest, SLICE("@,;"));
	if (near && near < parser->rest.len && parser->rest.ptr[near] == '@')
		return;
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

static void take_bare(struct parser *parser, struct words words)
{
	struct header_address *address = add(parser, ADDRESS_MAILBOX);
	address->host = SLICE("");
	address->local = as_local(words);
	if (peek(parser) == '@') {
		skip(parser, 1);
		address->local = words.local;
		address->host = take_domain(parser);
		if (words.before)
			address->name = slice_range(words.phrase, 0, words.before);
	}
	end_address(parser);
	if (!address->name.ptr && parser->comment.len)
		address->name = parser->comment;
}

static void take_address(struct parser *parser)
{
	parser->comment = SLICE_NONE;
	struct words words = take_words(parser);
	if (peek(parser) == ':') {
		begin_group(parser, words.phrase);
	} else if (peek(parser) == '<') {
		struct header_address *address = add(parser, ADDRESS_MAILBOX);
		if (words.phrase.len)
			address->name = words.phrase;
		take_angle(parser, address);
		end_address(parser);
		if (!address->name.ptr && parser->comment.len)
			address->name = parser->comment;
	} else if (words.phrase.ptr || peek(parser) == '@') {
		take_bare(parser, words);
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
