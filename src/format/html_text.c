#include "format/html_text.h"

#include "base/buf.h"
#include "format/html_entity.h"

/* Text goes on through these; every other tag ends what stands before it. */
static const struct slice inline_tags[] = {
	SLICE_INIT("a"),
	SLICE_INIT("abbr"),
	SLICE_INIT("acronym"),
	SLICE_INIT("b"),
	SLICE_INIT("bdi"),
	SLICE_INIT("bdo"),
	SLICE_INIT("big"),
	SLICE_INIT("cite"),
	SLICE_INIT("code"),
	SLICE_INIT("del"),
	SLICE_INIT("em"),
	SLICE_INIT("font"),
	SLICE_INIT("i"),
	SLICE_INIT("img"),
	SLICE_INIT("ins"),
	SLICE_INIT("kbd"),
	SLICE_INIT("label"),
	SLICE_INIT("mark"),
	SLICE_INIT("q"),
	SLICE_INIT("s"),
	SLICE_INIT("samp"),
	SLICE_INIT("small"),
	SLICE_INIT("span"),
	SLICE_INIT("strike"),
	SLICE_INIT("strong"),
	SLICE_INIT("sub"),
	SLICE_INIT("sup"),
	SLICE_INIT("tt"),
	SLICE_INIT("u"),
	SLICE_INIT("var"),
	SLICE_INIT("wbr"),
};

static const struct slice told_attributes[] = {
	SLICE_INIT("alt"),
	SLICE_INIT("href"),
	SLICE_INIT("title"),
};

struct document {
	struct slice rest;
	struct buf text;
	struct buf aside; /* what goes behind the text */
	bool has_no_ends; /* no tag ends in what is left: `<` is a character */
	bool wants_space; /* white space was seen, and nothing behind it yet */
	bool is_line_begun;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name_char(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == ':' || c == '_';
}

static bool is_listed(struct slice name, const struct slice *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (slice_equal_nocase(name, names[i]))
			return true;
	return false;
}

static void put_space(struct document *document)
{
	document->wants_space = document->is_line_begun;
}

static void put(struct document *document, struct slice bytes)
{
	if (document->wants_space)
		buf_append_char(&document->text, ' ');
	document->wants_space = false;
	document->is_line_begun = true;
	buf_append(&document->text, bytes);
}

static void end_line(struct document *document)
{
	if (document->is_line_begun)
		buf_append_char(&document->text, '\n');
	document->is_line_begun = false;
	document->wants_space = false;
}

static struct slice take(struct slice *rest, size_t length)
{
	struct slice taken = slice_range(*rest, 0, length);
	*rest = slice_from(*rest, length);
	return taken;
}

static struct slice take_name(struct slice *rest)
{
	size_t length = 0;
	while (length < rest->len && is_name_char(rest->ptr[length]))
		length++;
	return take(rest, length);
}

static void skip_spaces(struct slice *rest)
{
	size_t length = 0;
	while (length < rest->len && is_space(rest->ptr[length]))
		length++;
	take(rest, length);
}

static struct slice take_value(struct slice *rest)
{
	size_t length = 0;
	char quote = rest->len ? rest->ptr[0] : '\0';
	if (quote == '"' || quote == '\'') {
		take(rest, 1);
		struct slice value = take(rest, slice_find_char(*rest, quote));
		take(rest, 1);
		return value;
	}
	while (length < rest->len && !is_space(rest->ptr[length]) && rest->ptr[length] != '>')
		length++;
	return take(rest, length);
}

/* Character references are decoded, white space stays as it is. */
static void put_aside(struct document *document, struct slice value)
{
	while (value.len) {
		size_t plain = slice_find_char(value, '&');
		buf_append(&document->aside, take(&value, plain));
		char utf8[HTML_ENTITY_UTF8_MAX];
		size_t length, utf8_len;
		if (value.len && html_entity_decode(value, &length, utf8, &utf8_len)) {
			take(&value, length);
			buf_append(&document->aside, slice_of(utf8, utf8_len));
		} else {
			buf_append(&document->aside, take(&value, 1));
		}
	}
	buf_append_char(&document->aside, '\n');
}

/* Attributes up to and with the `>`; false when none follows. */
static bool take_attributes(struct document *document, struct slice *rest)
{
	while (rest->len) {
		skip_spaces(rest);
		if (rest->len && rest->ptr[0] == '>') {
			take(rest, 1);
			return true;
		}
		struct slice name = take_name(rest);
		if (!name.len) {
			take(rest, 1);
			continue;
		}
		skip_spaces(rest);
		if (!rest->len || rest->ptr[0] != '=')
			continue;
		take(rest, 1);
		skip_spaces(rest);
		struct slice value = take_value(rest);
		if (is_listed(name, told_attributes, ARRAY_SIZE(told_attributes)))
			put_aside(document, value);
	}
	return false;
}

/* Behind what is no text: "</name" ends it, or the document does. */
static void skip_element(struct slice *rest, struct slice name)
{
	while (rest->len) {
		take(rest, slice_find_char(*rest, '<'));
		struct slice tag = slice_from(*rest, 2);
		if (slice_starts_with(*rest, SLICE("</")) && slice_starts_with_nocase(tag, name))
			return;
		take(rest, 1);
	}
}

static void skip_behind(struct slice *rest, struct slice end)
{
	take(rest, slice_find(*rest, end) + end.len);
}

/* At a `<`. False when it is no tag, but a character. */
static bool take_tag(struct document *document)
{
	struct slice rest = slice_from(document->rest, 1);
	bool is_end = rest.len && rest.ptr[0] == '/';
	if (document->has_no_ends)
		return false;
	if (slice_starts_with(rest, SLICE("!--"))) {
		skip_behind(&rest, SLICE("-->"));
		document->rest = rest;
		return true;
	}
	if (rest.len && (rest.ptr[0] == '!' || rest.ptr[0] == '?')) {
		skip_behind(&rest, SLICE(">"));
		document->rest = rest;
		return true;
	}
	if (is_end)
		take(&rest, 1);
	if (!rest.len || !ascii_is_alpha(rest.ptr[0]))
		return false;
	struct slice name = take_name(&rest);
	if (!take_attributes(document, &rest)) {
		document->has_no_ends = true;
		return false;
	}
	if (!is_end && (slice_equal_nocase(name, SLICE("script")) ||
			       slice_equal_nocase(name, SLICE("style"))))
		skip_element(&rest, name);
	if (!is_listed(name, inline_tags, ARRAY_SIZE(inline_tags)))
		end_line(document);
	document->rest = rest;
	return true;
}

static void take_reference(struct document *document)
{
	char utf8[HTML_ENTITY_UTF8_MAX];
	size_t length, utf8_len;
	if (html_entity_decode(document->rest, &length, utf8, &utf8_len)) {
		take(&document->rest, length);
		put(document, slice_of(utf8, utf8_len));
	} else {
		put(document, take(&document->rest, 1));
	}
}

static void take_plain(struct document *document)
{
	size_t length = 0;
	struct slice rest = document->rest;
	while (length < rest.len && !is_space(rest.ptr[length]) && rest.ptr[length] != '<' &&
		rest.ptr[length] != '&')
		length++;
	put(document, take(&document->rest, length));
}

struct slice html_to_text(struct arena *arena, struct slice html)
{
	struct document document = {.rest = html, .text = buf_in(arena), .aside = buf_in(arena)};
	while (document.rest.len) {
		char c = document.rest.ptr[0];
		if (is_space(c)) {
			skip_spaces(&document.rest);
			put_space(&document);
		} else if (c == '<') {
			if (!take_tag(&document))
				put(&document, take(&document.rest, 1));
		} else if (c == '&') {
			take_reference(&document);
		} else {
			take_plain(&document);
		}
	}
	end_line(&document);
	buf_append(&document.text, buf_as_slice(&document.aside));
	return buf_as_slice(&document.text);
}
