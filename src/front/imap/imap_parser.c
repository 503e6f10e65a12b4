#include "front/imap/imap_parser.h"

#include "format/charset.h"
#include "format/utf7.h"
#include "mailbox/mailbox.h"
#include "session/session.h"

struct error *imap_bad_error(struct op *op, struct imap_args *args, const char *what)
{
	args->is_bad = true;
	return op_fail(op, ERR_INVALID, "%s", what);
}

static bool is_atom_char(char c)
{
	return (unsigned char)c > ' ' && (unsigned char)c < 0x7f && !memchr("(){%*\"\\]", c, 8);
}

/* astring-char: `]` as well; 8-bit where names are UTF-8. */
static bool is_astring_char(const struct imap_args *args, char c)
{
	return is_atom_char(c) || c == ']' || ((unsigned char)c >= 0x80 && args->has_utf8);
}

static struct slice take(struct imap_args *args, size_t len)
{
	struct slice taken = slice_range(args->rest, 0, len);
	args->rest = slice_from(args->rest, len);
	return taken;
}

bool imap_args_begin(struct slice line, struct imap_args *ret_args, struct slice *ret_name)
{
	*ret_args = (struct imap_args){.line = line, .rest = line};
	if (slice_ends_with(ret_args->rest, SLICE("\n")))
		ret_args->rest.len--;
	if (slice_ends_with(ret_args->rest, SLICE("\r")))
		ret_args->rest.len--;
	size_t len = 0;
	while (len < ret_args->rest.len && ret_args->rest.ptr[len] != '+' &&
		(is_atom_char(ret_args->rest.ptr[len]) || ret_args->rest.ptr[len] == ']'))
		len++;
	ret_args->tag = take(ret_args, len);
	if (len == 0 || !imap_take_char(ret_args, ' '))
		return false;
	if (slice_starts_with_nocase(ret_args->rest, SLICE("UID "))) {
		take(ret_args, 4);
		ret_args->is_uid = true;
	}
	*ret_name = take(ret_args, slice_find_char(ret_args->rest, ' '));
	return ret_name->len > 0;
}

bool imap_next_is(const struct imap_args *args, char c)
{
	return args->rest.len && args->rest.ptr[0] == c;
}

bool imap_at_end(const struct imap_args *args)
{
	return args->rest.len == 0;
}

bool imap_take_char(struct imap_args *args, char c)
{
	if (!imap_next_is(args, c))
		return false;
	take(args, 1);
	return true;
}

bool imap_take_word(struct imap_args *args, struct slice word)
{
	if (!slice_starts_with_nocase(args->rest, word))
		return false;
	if (args->rest.len > word.len && is_atom_char(args->rest.ptr[word.len]))
		return false;
	take(args, word.len);
	return true;
}

struct error *imap_end(struct op *op, struct imap_args *args)
{
	if (args->rest.len)
		return imap_bad(op, args, "Too many arguments");
	return NULL;
}

struct error *imap_space(struct op *op, struct imap_args *args)
{
	if (!imap_take_char(args, ' '))
		return imap_bad(
			op, args, args->rest.len ? "A space is missing" : "Too few arguments");
	return NULL;
}

struct error *imap_atom(struct op *op, struct imap_args *args, struct slice *ret_atom)
{
	size_t len = 0;
	while (len < args->rest.len && is_atom_char(args->rest.ptr[len]))
		len++;
	if (len == 0)
		return imap_bad(op, args, "An atom is missing");
	*ret_atom = take(args, len);
	return NULL;
}

static struct error *take_quoted(struct op *op, struct imap_args *args, struct slice *ret_text)
{
	size_t end = 1;
	bool escaped = false;
	while (end < args->rest.len && args->rest.ptr[end] != '"') {
		char c = args->rest.ptr[end];
		if (c == '\r' || c == '\n' || c == '\0')
			return imap_bad(op, args, "A quoted string may not hold line breaks");
		escaped |= c == '\\';
		end += c == '\\' ? 2 : 1;
	}
	if (end >= args->rest.len)
		return imap_bad(op, args, "A quoted string is not closed");
	struct slice raw = slice_range(take(args, end + 1), 1, end);
	if (!escaped) {
		*ret_text = raw;
		return NULL;
	}
	char *text = arena_alloc_raw(&op->arena, raw.len);
	size_t len = 0;
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.ptr[i] == '\\' && ++i < raw.len && raw.ptr[i] != '"' && raw.ptr[i] != '\\')
			return imap_bad(op, args, "A quoted string has a wrong escape");
		text[len++] = raw.ptr[i];
	}
	*ret_text = slice_of(text, len);
	return NULL;
}

static struct error *take_body(
	struct op *op, struct imap_args *args, size_t size, struct slice *ret_text, bool *ret_found)
{
	size_t offset = (size_t)(args->rest.ptr - args->line.ptr);
	*ret_found = false;
	for (size_t i = 0; i < args->body_count; i++) {
		if (args->bodies[i].line_offset != offset)
			continue;
		TRY(spool_view(op, args->bodies[i].spool, ret_text));
		*ret_found = true;
		if (ret_text->len != size)
			return op_fail(op, ERR_INTERNAL, "The literal is not as long as announced");
		return NULL;
	}
	return NULL;
}

/* At "{n}" or "{n+}" and its line break; the bytes follow, or stand in a body. */
static struct error *take_literal(
	struct op *op, struct imap_args *args, bool may_hold_nul, struct slice *ret_text)
{
	size_t close = slice_find_char(args->rest, '}');
	struct slice digits = slice_range(args->rest, 1, close);
	if (slice_ends_with(digits, SLICE("+")))
		digits.len--;
	uint64_t size;
	if (close == args->rest.len || !slice_parse_u64(digits, &size))
		return imap_bad(op, args, "A literal has no size");
	take(args, close + 1);
	imap_take_char(args, '\r');
	if (!imap_take_char(args, '\n'))
		return imap_bad(op, args, "A literal's size must end its line");
	bool is_body = false;
	if (size <= SIZE_MAX)
		TRY(take_body(op, args, (size_t)size, ret_text, &is_body));
	if (is_body)
		return NULL;
	if (size > args->rest.len)
		return imap_bad(op, args, "A literal is cut off");
	*ret_text = take(args, (size_t)size);
	if (!may_hold_nul && memchr(ret_text->ptr, 0, ret_text->len))
		return imap_bad(op, args, "A literal may not hold NUL");
	return NULL;
}

struct error *imap_string(struct op *op, struct imap_args *args, struct slice *ret_text)
{
	if (imap_next_is(args, '"'))
		return take_quoted(op, args, ret_text);
	if (slice_starts_with(args->rest, SLICE("~{")))
		take(args, 1);
	if (imap_next_is(args, '{'))
		return take_literal(op, args, false, ret_text);
	return imap_bad(op, args, "A string is missing");
}

struct error *imap_value(struct op *op, struct imap_args *args, struct slice *ret_value)
{
	if (!slice_starts_with(args->rest, SLICE("~{")))
		return imap_string(op, args, ret_value);
	take(args, 1);
	return take_literal(op, args, true, ret_value);
}

struct error *imap_astring(struct op *op, struct imap_args *args, struct slice *ret_text)
{
	size_t len = 0;
	while (len < args->rest.len && is_astring_char(args, args->rest.ptr[len]))
		len++;
	if (len == 0)
		return imap_string(op, args, ret_text);
	*ret_text = take(args, len);
	return NULL;
}

struct error *imap_u64(struct op *op, struct imap_args *args, uint64_t *ret_number)
{
	size_t len = 0;
	while (len < args->rest.len && ascii_is_digit(args->rest.ptr[len]))
		len++;
	if (!slice_parse_u64(slice_range(args->rest, 0, len), ret_number))
		return imap_bad(op, args, "A number is missing or too large");
	take(args, len);
	return NULL;
}

struct error *imap_u32(struct op *op, struct imap_args *args, uint32_t *ret_number)
{
	uint64_t number;
	TRY(imap_u64(op, args, &number));
	if (number > UINT32_MAX)
		return imap_bad(op, args, "A number is too large");
	*ret_number = (uint32_t)number;
	return NULL;
}

struct error *imap_name_to_path(
	struct op *op, struct imap_args *args, struct slice name, struct slice *ret_path)
{
	struct slice utf8 = name;
	if (!args->has_utf8 && !utf7_to_utf8(&op->arena, name, &utf8))
		return op_fail(op, ERR_INVALID, "The mailbox name is not valid modified UTF-7");
	if (!utf8_to_nfc(&op->arena, utf8, ret_path))
		return op_fail(op, ERR_INVALID, "The mailbox name is not valid UTF-8");
	/* A delimiter at the end says that there will be children (RFC 9051 6.3.4). */
	if (ret_path->len > 1 && slice_ends_with(*ret_path, SLICE("/")))
		ret_path->len--;
	if (slice_equal_nocase(*ret_path, SLICE("INBOX")))
		*ret_path = SLICE("INBOX");
	return NULL;
}

struct error *imap_mailbox(struct op *op, struct imap_args *args, struct slice *ret_path)
{
	struct slice name;
	TRY(imap_astring(op, args, &name));
	if (name.len > MAILBOX_PATH_MAX * 3)
		return op_fail(op, ERR_INVALID, "The mailbox name is too long");
	return imap_name_to_path(op, args, name, ret_path);
}

struct error *imap_list_pattern(struct op *op, struct imap_args *args, struct slice *ret_pattern)
{
	struct slice name;
	size_t len = 0;
	while (len < args->rest.len &&
		(is_astring_char(args, args->rest.ptr[len]) || args->rest.ptr[len] == '%' ||
			args->rest.ptr[len] == '*'))
		len++;
	if (len)
		name = take(args, len);
	else
		TRY(imap_string(op, args, &name));
	if (name.len > MAILBOX_PATH_MAX * 3)
		return op_fail(op, ERR_INVALID, "The pattern is too long");
	/* What is no valid name matches nothing, but is no reason to refuse the list. */
	struct slice utf8 = name;
	if (!args->has_utf8 && !utf7_to_utf8(&op->arena, name, &utf8))
		utf8 = name;
	if (!utf8_to_nfc(&op->arena, utf8, ret_pattern))
		*ret_pattern = utf8;
	return NULL;
}

static void push(struct op *op, struct imap_words *words, size_t *capacity, struct slice item)
{
	if (words->count == *capacity) {
		size_t larger = MAX_OF(*capacity * 2, 8);
		words->items = arena_grow(&op->arena, words->items,
			*capacity * sizeof(struct slice), larger * sizeof(struct slice));
		*capacity = larger;
	}
	words->items[words->count++] = item;
}

struct error *imap_astring_list(struct op *op, struct imap_args *args, struct imap_words *ret_words)
{
	*ret_words = (struct imap_words){0};
	size_t capacity = 0;
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "A list is missing");
	while (!imap_take_char(args, ')')) {
		struct slice item;
		if (ret_words->count)
			TRY(imap_space(op, args));
		TRY(imap_astring(op, args, &item));
		if (ret_words->count >= IMAP_ITEMS_MAX)
			return imap_bad(op, args, "A list is too long");
		push(op, ret_words, &capacity, item);
	}
	return NULL;
}

static const struct {
	struct slice name;
	uint16_t flag;
} system_flags[] = {
	{SLICE_INIT("Seen"), FLAG_SEEN}, {SLICE_INIT("Answered"), FLAG_ANSWERED},
	{SLICE_INIT("Flagged"), FLAG_FLAGGED}, {SLICE_INIT("Deleted"), FLAG_DELETED},
	{SLICE_INIT("Draft"), FLAG_DRAFT},
	{SLICE_INIT("Recent"), 0}, /* the server's alone: asked for in vain (RFC 3501 2.3.2) */
};

static struct error *take_system_flag(struct op *op, struct imap_args *args, uint16_t *flags)
{
	struct slice name;
	TRY(imap_atom(op, args, &name));
	for (size_t i = 0; i < ARRAY_SIZE(system_flags); i++) {
		if (slice_equal_nocase(name, system_flags[i].name)) {
			*flags |= system_flags[i].flag;
			return NULL;
		}
	}
	return imap_bad(op, args, "There is no such system flag");
}

struct error *imap_flag_list(
	struct op *op, struct imap_args *args, bool bare, struct imap_flags *ret_flags)
{
	struct imap_words keywords = {0};
	size_t capacity = 0;
	uint16_t flags = 0;
	bool in_list = imap_take_char(args, '(');
	if (!in_list && !bare)
		return imap_bad(op, args, "A list of flags is missing");
	for (bool first = true; in_list ? !imap_take_char(args, ')') : !imap_at_end(args) || first;
		first = false) {
		struct slice keyword;
		if (!first)
			TRY(imap_space(op, args));
		if (imap_take_char(args, '\\')) {
			TRY(take_system_flag(op, args, &flags));
			continue;
		}
		TRY(imap_atom(op, args, &keyword));
		if (keyword.len > KEYWORD_LENGTH_MAX || keywords.count >= KEYWORDS_MAX)
			return op_fail(op, ERR_LIMIT, "Too many keywords, or one too long");
		push(op, &keywords, &capacity, keyword);
	}
	*ret_flags = (struct imap_flags){flags, keywords.items, keywords.count};
	return NULL;
}

static struct error *take_sequence_number(
	struct op *op, struct imap_args *args, uint32_t *ret_number)
{
	*ret_number = 0;
	if (imap_take_char(args, '*'))
		return NULL;
	TRY(imap_u32(op, args, ret_number));
	if (*ret_number == 0)
		return imap_bad(op, args, "There is no message 0");
	return NULL;
}

struct error *imap_sequence(
	struct op *op, struct imap_args *args, struct imap_sequence *ret_sequence)
{
	*ret_sequence = (struct imap_sequence){0};
	size_t capacity = 0;
	if (imap_take_char(args, '$')) {
		ret_sequence->is_saved = true;
		return NULL;
	}
	do {
		struct uid_range range;
		TRY(take_sequence_number(op, args, &range.first));
		range.last = range.first;
		if (imap_take_char(args, ':'))
			TRY(take_sequence_number(op, args, &range.last));
		if (ret_sequence->count >= IMAP_ITEMS_MAX)
			return imap_bad(op, args, "The set has too many parts");
		if (ret_sequence->count == capacity) {
			size_t larger = MAX_OF(capacity * 2, 4);
			ret_sequence->ranges = arena_grow(&op->arena, ret_sequence->ranges,
				capacity * sizeof(range), larger * sizeof(range));
			capacity = larger;
		}
		ret_sequence->ranges[ret_sequence->count++] = range;
	} while (imap_take_char(args, ','));
	return NULL;
}

static struct error *take_page_end(
	struct op *op, struct imap_args *args, bool is_from_end, uint32_t *ret_number)
{
	if (is_from_end && !imap_take_char(args, '-'))
		return imap_bad(op, args, "Both ends of a page are counted from one side");
	TRY(imap_u32(op, args, ret_number));
	return *ret_number ? NULL : imap_bad(op, args, "A page is counted from 1");
}

struct error *imap_page_range(struct op *op, struct imap_args *args, struct imap_page *ret_page)
{
	*ret_page = (struct imap_page){.is_wanted = true, .is_from_end = imap_next_is(args, '-')};
	TRY(take_page_end(op, args, ret_page->is_from_end, &ret_page->first));
	if (!imap_take_char(args, ':'))
		return imap_bad(op, args, "A page has two ends");
	return take_page_end(op, args, ret_page->is_from_end, &ret_page->last);
}

void imap_page_bounds(
	const struct imap_page *page, uint64_t count, uint64_t *ret_from, uint64_t *ret_to)
{
	uint64_t low = MIN_OF(page->first, page->last), high = MAX_OF(page->first, page->last);
	uint64_t from = MIN_OF(low - 1, count), to = MIN_OF(high, count);
	*ret_from = page->is_from_end ? count - to : from;
	*ret_to = page->is_from_end ? count - from : to;
}

void imap_page_print(const struct imap_page *page, struct buf *out)
{
	const char *sign = page->is_from_end ? "-" : "";
	buf_printf(out, "%s%u:%s%u", sign, page->first, sign, page->last);
}

struct error *imap_skip_value(struct op *op, struct imap_args *args)
{
	size_t depth = 0;
	for (;;) {
		struct slice text;
		if (imap_take_char(args, '(')) {
			if (++depth > IMAP_NESTING_MAX)
				return imap_bad(op, args, "Too many parentheses");
			continue;
		}
		if (depth && imap_take_char(args, ')'))
			depth--;
		else
			TRY(imap_astring(op, args, &text));
		while (depth && imap_take_char(args, ')'))
			depth--;
		if (depth == 0)
			return NULL;
		TRY(imap_space(op, args));
	}
}
