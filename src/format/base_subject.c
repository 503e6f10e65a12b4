#include "format/base_subject.h"

#include "base/buf.h"

/* Each run of blanks becomes one space. */
static struct slice single_spaces(struct arena *arena, struct slice subject)
{
	struct buf out = buf_in(arena);
	for (size_t i = 0; i < subject.len; i++) {
		char c = subject.ptr[i];
		bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		if (!is_blank)
			buf_append_char(&out, c);
		else if (!out.len || out.ptr[out.len - 1] != ' ')
			buf_append_char(&out, ' ');
	}
	return buf_as_slice(&out);
}

static struct slice skip_blanks(struct slice text)
{
	while (text.len && text.ptr[0] == ' ')
		text = slice_from(text, 1);
	return text;
}

/* subj-trailer = "(fwd)" / WSP */
static struct slice without_trailers(struct slice text, bool *inout_is_reply)
{
	static const struct slice forwarded = SLICE_INIT("(fwd)");
	for (;;) {
		if (text.len && text.ptr[text.len - 1] == ' ') {
			text.len--;
		} else if (text.len >= forwarded.len &&
			   slice_equal_nocase(
				   slice_from(text, text.len - forwarded.len), forwarded)) {
			text.len -= forwarded.len;
			*inout_is_reply = true;
		} else {
			return text;
		}
	}
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP */
static bool take_blob(struct slice *text)
{
	if (!text->len || text->ptr[0] != '[')
		return false;
	for (size_t i = 1; i < text->len && text->ptr[i] != '['; i++)
		if (text->ptr[i] == ']') {
			*text = skip_blanks(slice_from(*text, i + 1));
			return true;
		}
	return false;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static bool take_reply_mark(struct slice *text)
{
	static const struct slice marks[] = {SLICE_INIT("re"), SLICE_INIT("fwd"), SLICE_INIT("fw")};
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (!slice_starts_with_nocase(*text, marks[i]))
			continue;
		struct slice rest = skip_blanks(slice_from(*text, marks[i].len));
		take_blob(&rest);
		if (!rest.len || rest.ptr[0] != ':')
			continue;
		*text = slice_from(rest, 1);
		return true;
	}
	return false;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP. Blobs before no reply mark stay, for the caller. */
static bool take_leader(struct slice *text, bool *inout_is_reply)
{
	struct slice rest = *text;
	if (rest.len && rest.ptr[0] == ' ') {
		*text = skip_blanks(rest);
		return true;
	}
	while (take_blob(&rest))
		;
	if (!take_reply_mark(&rest))
		return false;
	*text = rest;
	*inout_is_reply = true;
	return true;
}

static struct slice without_leaders(struct slice text, bool *inout_is_reply)
{
	while (take_leader(&text, inout_is_reply))
		;
	/* What is behind them begins no leader, so each is looked at once. */
	struct slice rest = text;
	while (take_blob(&rest) && rest.len)
		text = rest;
	return text;
}

/* subj-fwd: "[fwd:" subject "]" */
static bool unwrap(struct slice *text)
{
	static const struct slice begin = SLICE_INIT("[fwd:");
	if (!text->ptr || !slice_starts_with_nocase(*text, begin) ||
		text->ptr[text->len - 1] != ']')
		return false;
	*text = slice_range(*text, begin.len, text->len - 1);
	return true;
}

struct slice base_subject(struct arena *arena, struct slice subject, bool *ret_is_reply)
{
	*ret_is_reply = false;
	struct slice text = single_spaces(arena, subject);
	for (;;) {
		text = without_trailers(text, ret_is_reply);
		text = without_leaders(text, ret_is_reply);
		if (!unwrap(&text))
			return text;
		*ret_is_reply = true;
	}
}
