#include "format/charset.h"
#include "format/imap_list_match.h"
#include "format/utf7.h"
#include "import/import_private.h"

/* Where a level of ours would begin and the source has none: U+2215, which looks alike. */
#define SLASH_LIKE "\xe2\x88\x95"

static bool is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((uint8_t)text.ptr[i] >= 0x80)
			return false;
	return true;
}

/* Modified UTF-7 (RFC 3501 5.1.3), or UTF-8 of who does not write that. */
static bool decode_name(struct arena *arena, struct slice raw, struct slice *ret_name)
{
	if (is_ascii(raw)) {
		if (!utf7_to_utf8(arena, raw, ret_name))
			*ret_name = raw;
		return true;
	}
	*ret_name = raw;
	return utf8_is_valid(raw);
}

/* "INBOX." of servers that have everything below INBOX. */
static struct slice without_prefix(const struct imap_namespaces *namespaces, struct slice raw)
{
	for (size_t i = 0; i < namespaces->counts[0]; i++) {
		struct slice prefix = namespaces->items[0][i].prefix;
		if (prefix.len && raw.len > prefix.len && slice_starts_with_nocase(raw, prefix))
			return slice_from(raw, prefix.len);
	}
	return raw;
}

bool source_is_foreign(const struct imap_namespaces *namespaces, struct slice raw)
{
	for (size_t kind = 1; kind < ARRAY_SIZE(namespaces->counts); kind++)
		for (size_t i = 0; i < namespaces->counts[kind]; i++) {
			struct slice prefix = namespaces->items[kind][i].prefix;
			struct slice bare = prefix;
			if (bare.len &&
				bare.ptr[bare.len - 1] == namespaces->items[kind][i].delimiter)
				bare.len--;
			if (prefix.len &&
				(slice_starts_with(raw, prefix) || slice_equal(raw, bare)))
				return true;
		}
	return false;
}

static void append_levels(struct buf *path, struct slice name, char delimiter)
{
	for (size_t i = 0; i < name.len; i++) {
		if (delimiter && name.ptr[i] == delimiter)
			buf_append_char(path, '/');
		else if (name.ptr[i] == '/')
			buf_append(path, SLICE(SLASH_LIKE));
		else
			buf_append_char(path, name.ptr[i]);
	}
}

static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((uint8_t)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
			return true;
	return false;
}

void source_name(struct arena *arena, const struct import_request *request,
	const struct imap_namespaces *namespaces, char delimiter, struct source_mailbox *mailbox)
{
	struct slice rest;
	struct buf own = buf_in(arena);
	bool is_inbox = slice_equal_nocase(mailbox->raw, SLICE("INBOX"));
	if (has_control(mailbox->raw) || !decode_name(arena, mailbox->raw, &mailbox->name)) {
		/* It may be told of, but not as it is. */
		mailbox->name = SLICE("?");
		mailbox->fault = "its name is neither modified UTF-7 nor UTF-8";
		return;
	}
	if (!decode_name(arena, without_prefix(namespaces, mailbox->raw), &rest))
		rest = mailbox->name;
	append_levels(&own, is_inbox ? SLICE("INBOX") : rest, delimiter);
	mailbox->own = mailbox->path = buf_as_slice(&own);
	if (request->into.len && is_inbox)
		mailbox->path = request->into;
	else if (request->into.len)
		mailbox->path = slice_from_cstr(arena_printf(arena, SLICE_FMT "/" SLICE_FMT,
			SLICE_ARG(request->into), SLICE_ARG(mailbox->own)));
	if (mailbox->path.len > MAILBOX_PATH_MAX)
		mailbox->fault = "its name is too long";
}

bool source_is_chosen(const struct import_request *request, const struct source_mailbox *mailbox)
{
	bool has_positive = false;
	bool is_chosen = false;
	for (size_t i = 0; i < request->pattern_count; i++) {
		struct slice pattern = request->patterns[i];
		bool leaves_out = slice_starts_with(pattern, SLICE("!"));
		bool matches = imap_list_match(slice_from(pattern, leaves_out), mailbox->own);
		if (leaves_out && matches)
			return false;
		has_positive = has_positive || !leaves_out;
		is_chosen = is_chosen || (!leaves_out && matches);
	}
	return is_chosen || !has_positive;
}
