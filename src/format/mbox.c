#include "format/mbox.h"

#include <stdio.h>

#include "format/charset.h"
#include "format/utf7.h"

static const struct slice from_mark = SLICE_INIT("From ");

static struct slice take_line(struct slice *rest)
{
	size_t end = slice_find_char(*rest, '\n');
	struct slice line = slice_range(*rest, 0, end + 1);
	*rest = slice_from(*rest, line.len);
	return line;
}

static struct slice without_end(struct slice line)
{
	if (slice_ends_with(line, SLICE("\n")))
		line.len--;
	if (slice_ends_with(line, SLICE("\r")))
		line.len--;
	return line;
}

/* "From alice@example.org Sat Jan  3 01:05:34 1996", maybe with a zone before or behind the year,
 * which is not looked at. */
static uint64_t from_date(struct slice line)
{
	struct slice words[16];
	size_t count = 0;
	struct slice word;
	char text[64];
	struct date date;
	while (slice_split(&line, ' ', &word))
		if (word.len) {
			if (count == ARRAY_SIZE(words))
				return 0;
			words[count++] = word;
		}
	for (size_t at = 2; at + 2 < count; at++) {
		struct slice year = SLICE_NONE;
		if (slice_find_char(words[at + 1], ':') == words[at + 1].len)
			continue;
		for (size_t i = at + 2; i < count; i++)
			if (words[i].len == 4 && ascii_is_digit(words[i].ptr[0]))
				year = words[i];
		if (!year.len || words[at].len > 2 || words[at - 1].len != 3 ||
			words[at + 1].len > 8)
			return 0;
		snprintf(text, sizeof(text), "%.*s %.*s %.*s %.*s +0000", SLICE_ARG(words[at]),
			SLICE_ARG(words[at - 1]), SLICE_ARG(year), SLICE_ARG(words[at + 1]));
		return date_parse_rfc5322(slice_from_cstr(text), &date) && date.seconds > 0
			       ? (uint64_t)date.seconds
			       : 0;
	}
	return 0;
}

bool mbox_next(struct slice *rest, struct mbox_message *ret_message)
{
	if (!slice_starts_with(*rest, from_mark))
		return false;
	ret_message->from = without_end(take_line(rest));
	ret_message->received = from_date(ret_message->from);
	struct slice body = slice_of(rest->ptr, 0);
	size_t empty_line = 0; /* the length of the last line, if it is empty */
	while (rest->len && !(empty_line && slice_starts_with(*rest, from_mark))) {
		struct slice line = take_line(rest);
		empty_line = without_end(line).len ? 0 : line.len;
		body.len += line.len;
	}
	/* The empty line belongs to the format, also before the end of the file. */
	body.len -= empty_line;
	ret_message->body = body;
	return true;
}

static bool is_quoted(struct slice line, enum mbox_quoting quoting)
{
	size_t at = 0;
	while (at < line.len && line.ptr[at] == '>')
		at++;
	return at && (quoting == MBOX_RD || at == 1) &&
	       slice_starts_with(slice_from(line, at), from_mark);
}

struct slice mbox_content(struct arena *arena, struct slice body, enum mbox_quoting quoting)
{
	struct buf content = buf_in(arena);
	buf_reserve(&content, body.len + body.len / 32 + 1);
	while (body.len) {
		struct slice line = take_line(&body);
		buf_append(&content, slice_from(line, is_quoted(line, quoting)));
	}
	return lines_with_crlf(arena, buf_as_slice(&content));
}

struct slice mbox_status(struct arena *arena, struct slice content)
{
	struct buf letters = buf_in(arena);
	while (content.len) {
		struct slice line = without_end(take_line(&content));
		if (!line.len)
			break;
		struct slice name = slice_range(line, 0, slice_find_char(line, ':'));
		if (slice_equal_nocase(name, SLICE("Status")) ||
			slice_equal_nocase(name, SLICE("X-Status")))
			buf_append(&letters, slice_trim(slice_from(line, name.len + 1)));
	}
	return buf_as_slice(&letters);
}

static size_t count_bare(struct slice bytes)
{
	size_t count = 0;
	for (size_t i = 0; i < bytes.len; i++)
		count += bytes.ptr[i] == '\n' && !(i && bytes.ptr[i - 1] == '\r');
	return count;
}

struct slice lines_with_crlf(struct arena *arena, struct slice bytes)
{
	size_t bare = count_bare(bytes);
	if (!bare)
		return bytes;
	char *out = arena_alloc_raw(arena, bytes.len + bare);
	size_t len = 0;
	for (size_t i = 0; i < bytes.len; i++) {
		if (bytes.ptr[i] == '\n' && !(i && bytes.ptr[i - 1] == '\r'))
			out[len++] = '\r';
		out[len++] = bytes.ptr[i];
	}
	return slice_of(out, len);
}

struct maildir_name maildir_name_parse(struct slice file)
{
	size_t at = slice_find(file, SLICE(":2,"));
	struct slice flags = slice_from(file, at + 3);
	/* What a server puts behind a comma is its own affair. */
	return (struct maildir_name){.unique = slice_range(file, 0, at),
		.flags = slice_range(flags, 0, slice_find_char(flags, ','))};
}

static bool is_path(struct slice path)
{
	struct slice part;
	for (size_t i = 0; i < path.len; i++)
		if ((uint8_t)path.ptr[i] < ' ' || path.ptr[i] == 0x7f)
			return false;
	while (slice_split(&path, '/', &part))
		if (!part.len)
			return false;
	return true;
}

/* The delimiter of Maildir++ is the dot; a slash cannot stand in a file's name. */
bool maildir_folder_parse(struct arena *arena, struct slice folder, struct slice *ret_path)
{
	struct buf path = buf_in(arena);
	struct slice decoded;
	if (folder.len < 2 || folder.ptr[0] != '.')
		return false;
	folder = slice_from(folder, 1);
	for (size_t i = 0; i < folder.len; i++)
		buf_append_char(&path, folder.ptr[i] == '.' ? '/' : folder.ptr[i]);
	if (!utf7_to_utf8(arena, buf_as_slice(&path), &decoded))
		decoded = buf_as_slice(&path);
	if (!utf8_is_valid(decoded) || !is_path(decoded))
		return false;
	*ret_path = decoded;
	return true;
}
