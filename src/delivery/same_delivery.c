#include "delivery/same_delivery.h"

#include <assert.h>

#include "base/digest.h"
#include "format/header.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Past a comment that begins at `at`; comments nest (RFC 5322 3.2.2). */
static size_t skip_comment(struct slice text, size_t at)
{
	size_t depth = 0;
	for (; at < text.len; at++) {
		char c = text.ptr[at];
		if (c == '\\')
			at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && --depth == 0)
			return at + 1;
	}
	return text.len;
}

/* The next word outside comments, up to the ';' before the date. */
static bool next_word(struct slice text, size_t *at, struct slice *ret_word)
{
	while (*at < text.len && text.ptr[*at] != ';') {
		if (text.ptr[*at] == '(') {
			*at = skip_comment(text, *at);
		} else if (is_space(text.ptr[*at])) {
			++*at;
		} else {
			size_t begin = *at;
			while (*at < text.len && !is_space(text.ptr[*at]) && text.ptr[*at] != ';' &&
				text.ptr[*at] != '(')
				++*at;
			*ret_word = slice_range(text, begin, *at);
			return true;
		}
	}
	return false;
}

bool content_has_received_id(struct slice content)
{
	struct header_field field;
	struct slice header = slice_range(content, 0, header_length(content));
	if (!header_find(header, SLICE("Received"), &field))
		return false;
	size_t at = 0;
	struct slice word;
	while (next_word(field.value, &at, &word))
		if (slice_equal_nocase(word, SLICE("id")))
			return next_word(field.value, &at, &word);
	return false;
}

void delivery_prepare(struct delivery_mail *mail)
{
	mail->has_received_id = content_has_received_id(mail->content);
	sha256_of(mail->content, mail->digest);
}

static void add_part(struct sha256 *hash, struct slice part)
{
	uint8_t len[8];
	for (size_t i = 0; i < sizeof(len); i++)
		len[i] = (uint8_t)((uint64_t)part.len >> (56 - 8 * i));
	sha256_add(hash, slice_of(len, sizeof(len)));
	sha256_add(hash, part);
}

void delivery_once_key(const struct delivery_mail *mail, const struct delivery_recipient *recipient,
	uint8_t ret_key[static ONCE_KEY_SIZE])
{
	static_assert(ONCE_KEY_SIZE == SHA256_SIZE, "a once-key is a SHA-256");
	struct sha256 *hash = sha256_new();
	sha256_add(hash, SLICE("holdfast delivery 1"));
	add_part(hash, mail->sender);
	add_part(hash, mail->sender_parameters);
	add_part(hash, recipient->address);
	add_part(hash, recipient->parameters);
	sha256_add(hash, slice_of(mail->digest, sizeof(mail->digest)));
	sha256_end(hash, ret_key);
}
