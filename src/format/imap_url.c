#include "format/imap_url.h"

#include "format/charset.h"
#include "format/encoding.h"

static bool take_word(struct slice *rest, struct slice word)
{
	if (!slice_starts_with_nocase(*rest, word))
		return false;
	*rest = slice_from(*rest, word.len);
	return true;
}

/* From 1, as UIDs are. */
static bool take_number(struct slice *rest, uint32_t *ret_number)
{
	size_t len = 0;
	while (len < rest->len && ascii_is_digit(rest->ptr[len]))
		len++;
	if (!slice_parse_u32(slice_range(*rest, 0, len), ret_number))
		return false;
	*rest = slice_from(*rest, len);
	return true;
}

static bool take_partial(struct slice *rest, struct imap_url *url)
{
	url->has_partial = true;
	if (!take_number(rest, &url->offset))
		return false;
	return !take_word(rest, SLICE(".")) || (take_number(rest, &url->length) && url->length);
}

/* What stands behind the mailbox: "/;UID=20/;SECTION=1.2/;PARTIAL=0.1024" */
static bool take_message(struct arena *arena, struct slice rest, struct imap_url *url)
{
	take_word(&rest, SLICE("/"));
	if (!take_word(&rest, SLICE(";UID=")) || !take_number(&rest, &url->uid) || url->uid == 0)
		return false;
	if (take_word(&rest, SLICE("/;SECTION="))) {
		size_t end = slice_find(rest, SLICE("/;"));
		if (!percent_decode(arena, slice_range(rest, 0, end), &url->section) ||
			url->section.len == 0)
			return false;
		rest = slice_from(rest, end);
	}
	if (take_word(&rest, SLICE("/;PARTIAL=")) && !take_partial(&rest, url))
		return false;
	return rest.len == 0;
}

/* Index of the first `needle` in any case, or text.len. */
static size_t find_nocase(struct slice text, struct slice needle)
{
	size_t at = 0;
	while (at < text.len && !slice_starts_with_nocase(slice_from(text, at), needle))
		at++;
	return at;
}

/* "Drafts;UIDVALIDITY=385759045" */
static bool take_mailbox(struct arena *arena, struct slice text, struct imap_url *url)
{
	size_t end = find_nocase(text, SLICE(";UIDVALIDITY="));
	struct slice rest = slice_from(text, end);
	if (take_word(&rest, SLICE(";UIDVALIDITY=")) &&
		(!take_number(&rest, &url->uidvalidity) || url->uidvalidity == 0 || rest.len))
		return false;
	return percent_decode(arena, slice_range(text, 0, end), &url->mailbox) &&
	       url->mailbox.len && utf8_is_valid(url->mailbox);
}

bool imap_url_parse(struct arena *arena, struct slice text, struct imap_url *ret_url)
{
	*ret_url = (struct imap_url){.mailbox = SLICE(""), .section = SLICE("")};
	if (text.len > IMAP_URL_MAX || slice_starts_with(text, SLICE("//")))
		return false;
	if (slice_starts_with_nocase(text, SLICE(";UID=")))
		return take_message(arena, text, ret_url);
	size_t end = find_nocase(text, SLICE("/;UID="));
	return slice_starts_with(text, SLICE("/")) && end > 0 &&
	       take_mailbox(arena, slice_range(text, 1, end), ret_url) &&
	       take_message(arena, slice_from(text, end), ret_url);
}
