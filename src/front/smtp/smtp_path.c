#include "front/smtp/smtp_path.h"

#define PATH_MAX_LENGTH 512

/* Length of a quoted string that begins at `at`, with its quotes; 0 when it does not end. */
static size_t quoted_length(struct slice text, size_t at)
{
	for (size_t i = at + 1; i < text.len; i++) {
		if (text.ptr[i] == '\\')
			i++;
		else if (text.ptr[i] == '"')
			return i + 1 - at;
	}
	return 0;
}

/* Index of the '>' that ends the path; text.len if none. Quoted strings may hold one. */
static size_t path_end(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"') {
			size_t length = quoted_length(text, i);
			if (!length)
				return text.len;
			i += length - 1;
		} else if (text.ptr[i] == '>') {
			return i;
		}
	}
	return text.len;
}

/* "@one,@two:user@domain" means user@domain (RFC 5321 4.1.1.3: routes are to be ignored). */
static struct slice without_route(struct slice address)
{
	if (!address.len || address.ptr[0] != '@')
		return address;
	return slice_from(address, slice_find_char(address, ':') + 1);
}

/* No control characters, no bare spaces or brackets outside quotes. */
static bool is_plausible(struct slice address, bool *ret_is_ascii)
{
	bool is_quoted = false;
	bool is_escaped = false;
	*ret_is_ascii = true;
	for (size_t i = 0; i < address.len; i++) {
		unsigned char c = (unsigned char)address.ptr[i];
		if (c < 0x20 || c == 0x7f)
			return false;
		if (c >= 0x80)
			*ret_is_ascii = false;
		if (is_escaped)
			is_escaped = false;
		else if (is_quoted && c == '\\')
			is_escaped = true;
		else if (c == '"')
			is_quoted = !is_quoted;
		else if (!is_quoted && (c == ' ' || c == '<' || c == '>'))
			return false;
	}
	return !is_quoted;
}

struct error *smtp_parse_path(
	struct op *op, struct slice arguments, struct slice keyword, struct smtp_path *ret_path)
{
	struct slice rest = slice_trim(arguments);
	if (!slice_starts_with_nocase(rest, keyword) || rest.len == keyword.len ||
		rest.ptr[keyword.len] != ':')
		return op_fail(
			op, ERR_INVALID, SLICE_FMT ":<address> is wanted here", SLICE_ARG(keyword));
	/* RFC 5321 allows no space behind the colon; many clients send one. */
	rest = slice_trim(slice_from(rest, keyword.len + 1));
	if (!rest.len || rest.ptr[0] != '<')
		return op_fail(op, ERR_INVALID, "an address stands in < and >");
	rest = slice_from(rest, 1);
	size_t end = path_end(rest);
	struct smtp_path path = {0};
	struct slice inner = slice_range(rest, 0, end);
	if (end == rest.len || !is_plausible(inner, &path.is_ascii))
		return op_fail(op, ERR_INVALID, "this is no address");
	path.address = without_route(inner);
	if (path.address.len > PATH_MAX_LENGTH || (inner.len && !path.address.len))
		return op_fail(op, ERR_INVALID, "this is no address");
	rest = slice_from(rest, end + 1);
	if (rest.len && rest.ptr[0] != ' ')
		return op_fail(op, ERR_INVALID, "a space stands before parameters");
	path.parameters = slice_trim(rest);
	*ret_path = path;
	return NULL;
}

bool smtp_next_parameter(struct slice *rest, struct smtp_parameter *ret_parameter)
{
	struct slice word;
	do {
		if (!slice_split(rest, ' ', &word))
			return false;
	} while (!word.len);
	size_t equals = slice_find_char(word, '=');
	*ret_parameter = (struct smtp_parameter){.name = slice_range(word, 0, equals)};
	if (equals < word.len)
		ret_parameter->value = slice_from(word, equals + 1);
	return true;
}

static bool is_hex(char c)
{
	return ascii_is_digit(c) || (c >= 'A' && c <= 'F');
}

bool smtp_is_xtext(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == '+') {
			if (i + 2 >= text.len || !is_hex(text.ptr[i + 1]) ||
				!is_hex(text.ptr[i + 2]))
				return false;
			i += 2;
		} else if (c < 0x21 || c > 0x7e || c == '=') {
			return false;
		}
	}
	return text.len > 0;
}

bool smtp_is_notify(struct slice text)
{
	if (slice_equal_nocase(text, SLICE("NEVER")))
		return true;
	struct slice word;
	while (slice_split(&text, ',', &word))
		if (!slice_equal_nocase(word, SLICE("SUCCESS")) &&
			!slice_equal_nocase(word, SLICE("FAILURE")) &&
			!slice_equal_nocase(word, SLICE("DELAY")))
			return false;
	return true;
}
