#include "format/envelope_texts.h"

#include "base/buf.h"
#include "format/encoded_word.h"

static bool take(struct slice *rest, struct slice word)
{
	if (!slice_starts_with(*rest, word))
		return false;
	*rest = slice_from(*rest, word.len);
	return true;
}

static bool take_quoted(struct arena *arena, struct slice *rest, struct slice *ret_text)
{
	struct buf text = buf_in(arena);
	size_t at = 0;
	for (; at < rest->len && rest->ptr[at] != '"'; at++) {
		if (rest->ptr[at] == '\\' && at + 1 < rest->len)
			at++;
		buf_append_char(&text, rest->ptr[at]);
	}
	*rest = slice_from(*rest, at);
	*ret_text = buf_as_slice(&text);
	return take(rest, SLICE("\""));
}

static bool take_literal(struct slice *rest, struct slice *ret_text)
{
	uint64_t size;
	size_t close = slice_find_char(*rest, '}');
	if (!slice_parse_u64(slice_range(*rest, 0, close), &size))
		return false;
	*rest = slice_from(*rest, close);
	if (!take(rest, SLICE("}\r\n")) || size > rest->len)
		return false;
	*ret_text = slice_range(*rest, 0, size);
	*rest = slice_from(*rest, size);
	return true;
}

/* A string or NIL, and the space behind it, if there is one. */
static bool take_string(struct arena *arena, struct slice *rest, struct slice *ret_text)
{
	bool taken;
	*ret_text = SLICE_NONE;
	if (take(rest, SLICE("\"")))
		taken = take_quoted(arena, rest, ret_text);
	else if (take(rest, SLICE("{")))
		taken = take_literal(rest, ret_text);
	else
		taken = take(rest, SLICE("NIL"));
	take(rest, SLICE(" "));
	return taken;
}

static void print_address(struct buf *out, struct arena *arena, struct slice name,
	struct slice local, struct slice host)
{
	if (!host.ptr) /* the beginning or the end of a group */
		return;
	name = encoded_words_decode(arena, name);
	buf_append(out, out->len ? SLICE(", ") : SLICE(""));
	buf_append(out, name);
	buf_append(out, name.len ? SLICE(" <") : SLICE(""));
	buf_append(out, local);
	buf_append(out, host.len ? SLICE("@") : SLICE(""));
	buf_append(out, host);
	buf_append(out, name.len ? SLICE(">") : SLICE(""));
}

static bool take_addresses(struct arena *arena, struct slice *rest, struct slice *ret_text,
	struct envelope_address *ret_first)
{
	bool is_first = true;
	struct slice name;
	struct slice route;
	struct slice local;
	struct slice host;
	struct buf text = buf_in(arena);
	*ret_text = SLICE_NONE;
	*ret_first = (struct envelope_address){0};
	if (take(rest, SLICE("NIL ")))
		return true;
	if (!take(rest, SLICE("(")))
		return false;
	while (take(rest, SLICE("("))) {
		if (!take_string(arena, rest, &name) || !take_string(arena, rest, &route) ||
			!take_string(arena, rest, &local) || !take_string(arena, rest, &host) ||
			!take(rest, SLICE(")")))
			return false;
		print_address(&text, arena, name, local, host);
		if (is_first)
			*ret_first = (struct envelope_address){
				encoded_words_decode(arena, name), local, host};
		is_first = false;
	}
	*ret_text = buf_as_slice(&text);
	return take(rest, SLICE(") "));
}

void envelope_texts_read(
	struct arena *arena, struct slice printed, struct envelope_texts *ret_texts)
{
	struct envelope_texts *texts = ret_texts;
	struct slice skipped;
	struct envelope_address nobody;
	*texts = (struct envelope_texts){0};
	if (!take(&printed, SLICE("(")) || !take_string(arena, &printed, &texts->date))
		return;
	texts->has_date = texts->date.len && date_parse_rfc5322(texts->date, &texts->sent);
	if (!take_string(arena, &printed, &texts->subject))
		return;
	texts->subject = encoded_words_decode(arena, texts->subject);
	/* from, sender, reply-to, to, cc */
	bool taken = take_addresses(arena, &printed, &texts->from, &texts->first_from) &&
		     take_addresses(arena, &printed, &skipped, &nobody) &&
		     take_addresses(arena, &printed, &skipped, &nobody) &&
		     take_addresses(arena, &printed, &texts->to, &texts->first_to) &&
		     take_addresses(arena, &printed, &texts->cc, &texts->first_cc);
	(void)taken; /* what was read up to a fault stays */
}
