#include "wire/s3/xml.h"

#define NAME_MAX_LENGTH 128

void xml_init(struct xml *xml, struct arena *arena, struct slice document)
{
	*xml = (struct xml){.rest = document, .arena = arena};
	if (slice_starts_with(document, SLICE("\xef\xbb\xbf")))
		xml->rest = slice_from(document, 3);
}

/* Takes everything up to and including `end`; false when it is not there. */
static bool take_until(struct slice *rest, struct slice end, struct slice *ret_part)
{
	size_t at = slice_find(*rest, end);
	if (at == rest->len)
		return false;
	*ret_part = slice_range(*rest, 0, at);
	*rest = slice_from(*rest, at + end.len);
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_all_blank(struct slice text)
{
	return slice_trim(text).len == 0;
}

/* "ns:Name attribute=..." -> "Name"; *ret_rest: what follows the name. */
static bool take_name(struct slice tag, struct slice *ret_name, struct slice *ret_rest)
{
	size_t end = 0;
	while (end < tag.len && !is_blank(tag.ptr[end]) && tag.ptr[end] != '/')
		end++;
	struct slice name = slice_range(tag, 0, end);
	size_t colon = slice_find_char(name, ':');
	if (colon < name.len)
		name = slice_from(name, colon + 1);
	*ret_name = name;
	*ret_rest = slice_from(tag, end);
	return name.len > 0 && name.len <= NAME_MAX_LENGTH &&
	       slice_find_char(name, '<') == name.len;
}

/* A tag up to its '>', which may stand in a quoted attribute too. */
static bool take_tag(struct slice *rest, struct slice *ret_tag)
{
	char quote = 0;
	for (size_t i = 0; i < rest->len; i++) {
		char c = rest->ptr[i];
		if (quote) {
			quote = c == quote ? 0 : quote;
		} else if (c == '"' || c == '\'') {
			quote = c;
		} else if (c == '>') {
			*ret_tag = slice_range(*rest, 0, i);
			*rest = slice_from(*rest, i + 1);
			return true;
		}
	}
	return false;
}

static enum xml_event close_element(struct xml *xml, struct slice name)
{
	if (!xml->depth || !slice_equal(xml->open[xml->depth - 1], name))
		return XML_BROKEN;
	xml->depth--;
	xml->name = name;
	return XML_CLOSE;
}

static enum xml_event open_element(struct xml *xml, struct slice tag)
{
	struct slice name, rest;
	bool is_second_root = xml->is_started && !xml->depth;
	if (!take_name(tag, &name, &rest) || xml->depth == XML_DEPTH_MAX || is_second_root)
		return XML_BROKEN;
	xml->is_started = true;
	xml->is_closing = slice_ends_with(rest, SLICE("/"));
	xml->open[xml->depth++] = name;
	xml->name = name;
	return XML_OPEN;
}

static void append_utf8(struct buf *out, uint32_t code)
{
	if (code < 0x80) {
		buf_append_char(out, (char)code);
	} else if (code < 0x800) {
		buf_u8(out, (uint8_t)(0xc0 | code >> 6));
		buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else if (code < 0x10000) {
		buf_u8(out, (uint8_t)(0xe0 | code >> 12));
		buf_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	} else {
		buf_u8(out, (uint8_t)(0xf0 | code >> 18));
		buf_u8(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_u8(out, (uint8_t)(0x80 | (code & 0x3f)));
	}
}

/* "#38" or "#x26" */
static bool parse_character(struct slice entity, uint32_t *ret_code)
{
	bool is_hex = slice_starts_with_nocase(entity, SLICE("#x"));
	struct slice digits = slice_from(entity, is_hex ? 2 : 1);
	uint32_t code = 0;
	if (!digits.len || digits.len > 7)
		return false;
	for (size_t i = 0; i < digits.len; i++) {
		char c = ascii_lower(digits.ptr[i]);
		if (!ascii_is_digit(c) && !(is_hex && c >= 'a' && c <= 'f'))
			return false;
		code = code * (is_hex ? 16 : 10) +
		       (uint32_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*ret_code = code;
	return code && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000);
}

static bool append_entity(struct buf *out, struct slice entity)
{
	static const struct {
		struct slice name;
		char c;
	} known[] = {{SLICE_INIT("amp"), '&'}, {SLICE_INIT("lt"), '<'}, {SLICE_INIT("gt"), '>'},
		{SLICE_INIT("quot"), '"'}, {SLICE_INIT("apos"), '\''}};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (slice_equal(entity, known[i].name)) {
			buf_append_char(out, known[i].c);
			return true;
		}
	uint32_t code;
	if (!slice_starts_with(entity, SLICE("#")) || !parse_character(entity, &code))
		return false;
	append_utf8(out, code);
	return true;
}

static bool decode(struct xml *xml, struct slice text)
{
	xml->text = text;
	if (slice_find_char(text, '&') == text.len)
		return true;
	struct buf out = buf_in(xml->arena);
	while (text.len) {
		size_t at = slice_find_char(text, '&');
		buf_append(&out, slice_range(text, 0, at));
		text = slice_from(text, at);
		if (!text.len)
			break;
		size_t end = slice_find_char(slice_range(text, 0, 12), ';');
		if (end == MIN_OF(text.len, 12) || !append_entity(&out, slice_range(text, 1, end)))
			return false;
		text = slice_from(text, end + 1);
	}
	xml->text = buf_as_slice(&out);
	return true;
}

/* Comments and the like. False: the document is broken. *ret_event: XML_TEXT for CDATA, else
 * XML_END for "nothing to tell". */
static bool take_special(struct xml *xml, enum xml_event *ret_event)
{
	struct slice skipped;
	*ret_event = XML_END;
	if (slice_starts_with(xml->rest, SLICE("<?")))
		return take_until(&xml->rest, SLICE("?>"), &skipped);
	if (slice_starts_with(xml->rest, SLICE("<!--"))) {
		xml->rest = slice_from(xml->rest, 4);
		return take_until(&xml->rest, SLICE("-->"), &skipped);
	}
	if (!slice_starts_with(xml->rest, SLICE("<![CDATA[")) || !xml->depth)
		return false;
	xml->rest = slice_from(xml->rest, 9);
	*ret_event = XML_TEXT;
	return take_until(&xml->rest, SLICE("]]>"), &xml->text);
}

static enum xml_event take_element(struct xml *xml)
{
	struct slice tag, name, rest;
	xml->rest = slice_from(xml->rest, 1);
	if (!take_tag(&xml->rest, &tag))
		return XML_BROKEN;
	if (!slice_starts_with(tag, SLICE("/")))
		return open_element(xml, tag);
	if (!take_name(slice_from(tag, 1), &name, &rest) || !is_all_blank(rest))
		return XML_BROKEN;
	return close_element(xml, name);
}

/* What stands before the next '<'. */
static enum xml_event take_text(struct xml *xml)
{
	size_t end = slice_find_char(xml->rest, '<');
	struct slice text = slice_range(xml->rest, 0, end);
	xml->rest = slice_from(xml->rest, end);
	if (!xml->depth)
		return is_all_blank(text) ? XML_END : XML_BROKEN;
	return decode(xml, text) ? XML_TEXT : XML_BROKEN;
}

static enum xml_event next(struct xml *xml)
{
	if (xml->is_closing) {
		xml->is_closing = false;
		return close_element(xml, xml->open[xml->depth - 1]);
	}
	while (xml->rest.len) {
		enum xml_event event;
		bool is_special = slice_starts_with(xml->rest, SLICE("<?")) ||
				  slice_starts_with(xml->rest, SLICE("<!"));
		if (is_special && !take_special(xml, &event))
			return XML_BROKEN;
		if (!is_special && xml->rest.ptr[0] == '<')
			return take_element(xml);
		if (!is_special)
			event = take_text(xml);
		if (event != XML_END)
			return event;
	}
	return xml->is_started && !xml->depth ? XML_END : XML_BROKEN;
}

enum xml_event xml_next(struct xml *xml)
{
	enum xml_event event = next(xml);
	if (event == XML_BROKEN || event == XML_END) {
		xml->rest = SLICE("");
		xml->is_started = event == XML_END;
		xml->depth = 0;
	}
	return event;
}

void xml_escape(struct buf *out, struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		switch (text.ptr[i]) {
		case '&':
			buf_append(out, SLICE("&amp;"));
			break;
		case '<':
			buf_append(out, SLICE("&lt;"));
			break;
		case '>':
			buf_append(out, SLICE("&gt;"));
			break;
		default:
			buf_append_char(out, text.ptr[i]);
		}
	}
}
