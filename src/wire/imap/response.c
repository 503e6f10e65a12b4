#include "wire/imap/response.h"

#include "base/buf.h"

/* Lists within lists, in what is passed over. */
#define DEPTH_MOST 64

/* ---- Cutting ---- */

static struct slice without_crlf(struct slice line)
{
	if (slice_ends_with(line, SLICE("\n")))
		line.len--;
	if (slice_ends_with(line, SLICE("\r")))
		line.len--;
	return line;
}

/* A line that ends with "{N}" goes on with so many bytes and another line. */
static bool ends_with_literal(struct slice line, uint64_t *ret_size)
{
	line = without_crlf(line);
	if (!slice_ends_with(line, SLICE("}")))
		return false;
	line.len--;
	if (slice_ends_with(line, SLICE("+")))
		line.len--;
	size_t digits = line.len;
	while (digits && ascii_is_digit(line.ptr[digits - 1]))
		digits--;
	return digits && line.ptr[digits - 1] == '{' &&
	       slice_parse_u64(slice_from(line, digits), ret_size);
}

static enum imap_status status_of(struct slice word)
{
	static const struct {
		struct slice name;
		enum imap_status status;
	} names[] = {{SLICE_INIT("OK"), IMAP_STATUS_OK}, {SLICE_INIT("NO"), IMAP_STATUS_NO},
		{SLICE_INIT("BAD"), IMAP_STATUS_BAD}, {SLICE_INIT("BYE"), IMAP_STATUS_BYE},
		{SLICE_INIT("PREAUTH"), IMAP_STATUS_PREAUTH}};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (slice_equal_nocase(word, names[i].name))
			return names[i].status;
	return IMAP_STATUS_NONE;
}

/* Takes the word before the next space, or all. */
static struct slice take_word(struct slice *rest)
{
	size_t end = slice_find_char(*rest, ' ');
	struct slice word = slice_range(*rest, 0, end);
	*rest = slice_from(*rest, end + 1);
	return word;
}

/* Text for people may end with "{5}" and mean nothing by it. */
static bool may_have_literals(struct slice line)
{
	line = without_crlf(line);
	if (!slice_starts_with(line, SLICE("* ")))
		return false;
	line = slice_from(line, 2);
	return status_of(take_word(&line)) == IMAP_STATUS_NONE;
}

enum imap_cut imap_cut(struct imap_cutter *cutter, const struct imap_limits_of_source *limits,
	struct slice bytes, size_t *ret_len)
{
	for (;;) {
		uint64_t size;
		/* Within a literal: its end is not there yet. */
		if (cutter->at > bytes.len)
			return IMAP_CUT_MORE;
		size_t end = cutter->at + slice_find_char(slice_from(bytes, cutter->at), '\n');
		bool is_whole = end < bytes.len;
		size_t line_end = is_whole ? end + 1 : bytes.len;
		if (cutter->text_bytes + (line_end - cutter->begin) > limits->text_bytes)
			return IMAP_CUT_TOO_LONG;
		cutter->at = line_end;
		if (!is_whole)
			return IMAP_CUT_MORE;
		struct slice line = slice_range(bytes, cutter->begin, line_end);
		cutter->text_bytes += line.len;
		if (!may_have_literals(bytes) || !ends_with_literal(line, &size)) {
			*ret_len = line_end;
			return IMAP_CUT_WHOLE;
		}
		if (size > limits->literal_bytes || ++cutter->literals > limits->literals)
			return IMAP_CUT_BIG_LITERAL;
		cutter->at = cutter->begin = line_end + (size_t)size;
	}
}

/* ---- Responses ---- */

static void take_status(struct slice rest, struct imap_response *response)
{
	response->rest = rest;
	if (!slice_starts_with(rest, SLICE("[")))
		return;
	size_t end = slice_find_char(rest, ']');
	if (end == rest.len)
		return;
	response->code = slice_range(rest, 1, end);
	response->rest = slice_trim(slice_from(rest, end + 1));
}

bool imap_response_parse(struct slice bytes, struct imap_response *ret_response)
{
	struct imap_response response = {0};
	struct slice rest = without_crlf(bytes);
	response.tag = take_word(&rest);
	if (!response.tag.len)
		return false;
	if (slice_equal(response.tag, SLICE("+"))) {
		response.rest = rest;
		*ret_response = response;
		return true;
	}
	struct slice behind = rest;
	struct slice word = take_word(&behind);
	response.status = status_of(word);
	if (response.status != IMAP_STATUS_NONE) {
		take_status(behind, &response);
		*ret_response = response;
		return true;
	}
	if (!slice_equal(response.tag, SLICE("*")) || !word.len)
		return false;
	response.has_number = slice_parse_u32(word, &response.number);
	response.name = response.has_number ? take_word(&behind) : word;
	response.rest = behind;
	*ret_response = response;
	return response.name.len != 0;
}

bool imap_code_number(struct slice code, struct slice name, uint32_t *ret_number)
{
	struct slice word = take_word(&code);
	return slice_equal_nocase(word, name) && slice_parse_u32(slice_trim(code), ret_number);
}

bool imap_has_word(struct slice words, struct slice word)
{
	while (words.len)
		if (slice_equal_nocase(take_word(&words), word))
			return true;
	return false;
}

/* ---- Values ---- */

static bool take_char(struct slice *rest, char c)
{
	if (!rest->len || rest->ptr[0] != c)
		return false;
	*rest = slice_from(*rest, 1);
	return true;
}

static void skip_spaces(struct slice *rest)
{
	while (take_char(rest, ' '))
		;
}

static bool take_literal(struct slice *rest, struct slice *ret_bytes)
{
	uint64_t size;
	size_t end = slice_find_char(*rest, '\n');
	if (end == rest->len || !ends_with_literal(slice_range(*rest, 0, end + 1), &size) ||
		size > rest->len - end - 1)
		return false;
	*ret_bytes = slice_of(rest->ptr + end + 1, (size_t)size);
	*rest = slice_from(*rest, end + 1 + (size_t)size);
	return true;
}

/* `arena` NULL: what it says is not wanted. */
static bool take_quoted(struct arena *arena, struct slice *rest, struct slice *ret_text)
{
	struct buf text = arena ? buf_in(arena) : buf_heap();
	for (size_t i = 1; i < rest->len; i++) {
		char c = rest->ptr[i];
		if (c == '"') {
			*ret_text = arena ? buf_as_slice(&text) : SLICE_NONE;
			if (!ret_text->ptr)
				*ret_text = SLICE("");
			*rest = slice_from(*rest, i + 1);
			return true;
		}
		if (c == '\r' || c == '\n')
			return false;
		if (c == '\\' && ++i == rest->len)
			return false;
		if (arena)
			buf_append_char(&text, rest->ptr[i]);
	}
	return false;
}

static bool is_atom_char(char c)
{
	return (uint8_t)c > ' ' && c != 0x7f && !strchr("()\"", c);
}

/* More than the RFC calls an atom: what servers write where one stands. */
static bool take_atom(struct slice *rest, struct slice *ret_atom)
{
	size_t end = 0;
	while (end < rest->len && is_atom_char(rest->ptr[end]))
		end++;
	*ret_atom = slice_range(*rest, 0, end);
	*rest = slice_from(*rest, end);
	return end != 0;
}

/* An astring or nstring; ret_text->ptr NULL for NIL. */
static bool take_string(struct arena *arena, struct slice *rest, struct slice *ret_text)
{
	if (rest->len && rest->ptr[0] == '"')
		return take_quoted(arena, rest, ret_text);
	if (rest->len && (rest->ptr[0] == '{' || slice_starts_with(*rest, SLICE("~{"))))
		return take_literal(rest, ret_text);
	if (!take_atom(rest, ret_text))
		return false;
	if (slice_equal_nocase(*ret_text, SLICE("NIL")))
		*ret_text = SLICE_NONE;
	return true;
}

/* One value of any kind. */
static bool skip_value(struct slice *rest)
{
	unsigned depth = 0;
	struct slice text;
	do {
		skip_spaces(rest);
		if (take_char(rest, '(')) {
			if (++depth > DEPTH_MOST)
				return false;
		} else if (depth && take_char(rest, ')')) {
			depth--;
		} else if (!take_string(NULL, rest, &text)) {
			return false;
		}
	} while (depth);
	return true;
}

/* "(\Seen $Junk)". Beyond the most they are passed over. */
static bool take_words(
	struct arena *arena, struct slice *rest, struct slice **ret_words, size_t *ret_count)
{
	struct slice word;
	*ret_words = ARENA_ARRAY(arena, struct slice, IMAP_FLAGS_MOST);
	*ret_count = 0;
	if (!take_char(rest, '('))
		return false;
	for (;;) {
		skip_spaces(rest);
		if (take_char(rest, ')'))
			return true;
		if (!take_atom(rest, &word))
			return false;
		if (*ret_count < IMAP_FLAGS_MOST)
			(*ret_words)[(*ret_count)++] = word;
	}
}

/* ---- FETCH ---- */

/* "BODY[]", "BODY[HEADER.FIELDS (DATE)]<0>". */
static bool take_item_name(struct slice *rest, struct slice *ret_name)
{
	size_t end = 0;
	bool in_section = false;
	while (end < rest->len && (in_section || is_atom_char(rest->ptr[end]))) {
		if (rest->ptr[end] == '[')
			in_section = true;
		else if (rest->ptr[end] == ']')
			in_section = false;
		end++;
	}
	*ret_name = slice_range(*rest, 0, end);
	*rest = slice_from(*rest, end);
	return end != 0 && !in_section;
}

static bool take_number(struct slice *rest, uint64_t *ret_number)
{
	struct slice atom;
	return take_atom(rest, &atom) && slice_parse_u64(atom, ret_number);
}

static bool take_item(
	struct arena *arena, struct slice *rest, struct slice name, struct imap_fetched *fetched)
{
	uint64_t number;
	if (slice_equal_nocase(name, SLICE("UID"))) {
		if (!take_number(rest, &number) || !number || number > UINT32_MAX)
			return false;
		fetched->uid = (uint32_t)number;
		return true;
	}
	if (slice_equal_nocase(name, SLICE("RFC822.SIZE"))) {
		fetched->has_size = take_number(rest, &fetched->size);
		return fetched->has_size;
	}
	if (slice_equal_nocase(name, SLICE("FLAGS"))) {
		fetched->has_flags = true;
		return take_words(arena, rest, &fetched->flags, &fetched->flag_count);
	}
	if (slice_equal_nocase(name, SLICE("INTERNALDATE")))
		return take_string(arena, rest, &fetched->internal_date);
	if (slice_equal_nocase(name, SLICE("BODY[]"))) {
		fetched->has_body = true;
		return take_string(arena, rest, &fetched->body);
	}
	return skip_value(rest);
}

bool imap_fetched_parse(struct arena *arena, struct slice rest, struct imap_fetched *ret_fetched)
{
	struct slice name;
	*ret_fetched = (struct imap_fetched){0};
	if (!take_char(&rest, '('))
		return false;
	for (;;) {
		skip_spaces(&rest);
		if (take_char(&rest, ')'))
			return rest.len == 0;
		if (!take_item_name(&rest, &name))
			return false;
		skip_spaces(&rest);
		if (!take_item(arena, &rest, name, ret_fetched))
			return false;
	}
}

/* ---- LIST, SEARCH, NAMESPACE ---- */

static bool take_delimiter(struct arena *arena, struct slice *rest, char *ret_delimiter)
{
	struct slice text;
	skip_spaces(rest);
	if (!take_string(arena, rest, &text) || text.len > 1)
		return false;
	*ret_delimiter = (char)(text.len ? text.ptr[0] : 0);
	return true;
}

bool imap_listed_parse(struct arena *arena, struct slice rest, struct imap_listed *ret_listed)
{
	*ret_listed = (struct imap_listed){0};
	if (!take_words(arena, &rest, &ret_listed->attributes, &ret_listed->attribute_count) ||
		!take_delimiter(arena, &rest, &ret_listed->delimiter))
		return false;
	skip_spaces(&rest);
	/* A mailbox may be called NIL. */
	bool is_nil = slice_starts_with_nocase(rest, SLICE("NIL"));
	struct slice name = rest;
	if (!take_string(arena, &rest, &ret_listed->name))
		return false;
	if (is_nil && !ret_listed->name.ptr)
		ret_listed->name = slice_range(name, 0, 3);
	return ret_listed->name.len != 0;
}

bool imap_search_next(struct slice *inout_rest, uint32_t *ret_number)
{
	skip_spaces(inout_rest);
	return inout_rest->len && slice_parse_u32(take_word(inout_rest), ret_number) && *ret_number;
}

static bool take_namespaces(struct arena *arena, struct slice *rest,
	struct imap_namespace items[IMAP_NAMESPACES_MOST], size_t *ret_count)
{
	struct slice nil;
	*ret_count = 0;
	skip_spaces(rest);
	if (!take_char(rest, '('))
		return take_atom(rest, &nil) && slice_equal_nocase(nil, SLICE("NIL"));
	while (skip_spaces(rest), !take_char(rest, ')')) {
		struct imap_namespace one;
		if (!take_char(rest, '(') || !take_string(arena, rest, &one.prefix) ||
			!take_delimiter(arena, rest, &one.delimiter))
			return false;
		while (skip_spaces(rest), !take_char(rest, ')'))
			if (!skip_value(rest))
				return false;
		if (*ret_count < IMAP_NAMESPACES_MOST)
			items[(*ret_count)++] = one;
	}
	return true;
}

bool imap_namespaces_parse(
	struct arena *arena, struct slice rest, struct imap_namespaces *ret_namespaces)
{
	*ret_namespaces = (struct imap_namespaces){0};
	for (size_t kind = 0; kind < ARRAY_SIZE(ret_namespaces->counts); kind++)
		if (!take_namespaces(arena, &rest, ret_namespaces->items[kind],
			    &ret_namespaces->counts[kind]))
			return false;
	return true;
}
