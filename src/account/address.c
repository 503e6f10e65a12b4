#include "account/account_private.h"

#include <idn2.h>
#include <stdlib.h>
#include <unicode/ucasemap.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#define LOCAL_PART_MAX 64
#define DOMAIN_MAX 255

static bool is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] >= 0x80)
			return false;
	return true;
}

struct slice lower_ascii(struct op *op, struct slice text)
{
	struct slice copy = arena_dup(&op->arena, text);
	for (size_t i = 0; i < copy.len; i++)
		((char *)(uintptr_t)copy.ptr)[i] = ascii_lower(copy.ptr[i]);
	return copy;
}

/* Case folded and NFC, so that one person has one address. */
static struct error *fold_unicode(struct op *op, struct slice text, struct slice *ret_folded)
{
	UErrorCode status = U_ZERO_ERROR;
	UChar wide[LOCAL_PART_MAX * 4];
	UChar folded[LOCAL_PART_MAX * 8];
	UChar normal[LOCAL_PART_MAX * 8];
	int32_t length;
	u_strFromUTF8(wide, ARRAY_SIZE(wide), &length, text.ptr, (int32_t)text.len, &status);
	length = u_strFoldCase(
		folded, ARRAY_SIZE(folded), wide, length, U_FOLD_CASE_DEFAULT, &status);
	const UNormalizer2 *nfc = unorm2_getNFCInstance(&status);
	length = U_SUCCESS(status) ? unorm2_normalize(nfc, folded, length, normal,
					     ARRAY_SIZE(normal), &status)
				   : 0;
	char utf8[LOCAL_PART_MAX * 16];
	int32_t bytes = 0;
	u_strToUTF8(utf8, sizeof(utf8), &bytes, normal, length, &status);
	if (U_FAILURE(status))
		return op_fail(op, ERR_INVALID, "the local part is not UTF-8");
	*ret_folded = arena_dup(&op->arena, slice_of(utf8, (size_t)bytes));
	return NULL;
}

static bool is_local_char(unsigned char c)
{
	return c > 0x20 && c != 0x7f && !strchr("<>()[]\\,;:@\"", c);
}

static struct error *normalise_local(struct op *op, struct slice text, struct slice *ret_local)
{
	/* A quoted local part that needs no quotes is the same address without them. */
	if (text.len >= 2 && text.ptr[0] == '"' && text.ptr[text.len - 1] == '"')
		text = slice_range(text, 1, text.len - 1);
	if (!text.len || text.len > LOCAL_PART_MAX)
		return op_fail(
			op, ERR_INVALID, "the local part has 1 to %d octets", LOCAL_PART_MAX);
	for (size_t i = 0; i < text.len; i++)
		if (!is_local_char((unsigned char)text.ptr[i]))
			return op_fail(op, ERR_INVALID,
				"the local part has a character that is not "
				"accepted");
	if (!is_ascii(text))
		return fold_unicode(op, text, ret_local);
	*ret_local = lower_ascii(op, text);
	return NULL;
}

struct error *domain_normalise(struct op *op, struct slice text, struct slice *ret_domain)
{
	if (!text.len || text.len > DOMAIN_MAX || memchr(text.ptr, 0, text.len))
		return op_fail(op, ERR_INVALID, "a domain has 1 to %d octets", DOMAIN_MAX);
	if (text.ptr[text.len - 1] == '.')
		text.len--;
	char *ascii = NULL;
	int status = idn2_to_ascii_8z(
		arena_cstr(&op->arena, text), &ascii, IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);
	if (status != IDN2_OK)
		return op_fail(op, ERR_INVALID, "not a domain: %s", idn2_strerror(status));
	struct slice domain = lower_ascii(op, slice_from_cstr(ascii));
	idn2_free(ascii);
	for (size_t i = 0; i < domain.len; i++) {
		char c = domain.ptr[i];
		bool is_good = ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' ||
			       (c == '.' && i && domain.ptr[i - 1] != '.');
		if (!is_good)
			return op_fail(op, ERR_INVALID, "not a domain");
	}
	if (!domain.len)
		return op_fail(op, ERR_INVALID, "not a domain");
	*ret_domain = domain;
	return NULL;
}

struct error *address_normalise(
	struct op *op, struct accounts *accounts, struct slice text, struct address *ret_address)
{
	(void)accounts;
	size_t at = text.len;
	while (at && text.ptr[at - 1] != '@')
		at--;
	if (at < 2)
		return op_fail(
			op, ERR_INVALID, "not an address: it has no local part or no domain");
	struct address address = {0};
	TRY(normalise_local(op, slice_range(text, 0, at - 1), &address.local));
	TRY(domain_normalise(op, slice_from(text, at), &address.domain));
	size_t plus = slice_find_char(address.local, '+');
	if (account_config.deliver_detail && plus && plus < address.local.len) {
		address.detail = slice_from(address.local, plus + 1);
		address.local = slice_range(address.local, 0, plus);
	}
	address.text = slice_from_cstr(arena_printf(&op->arena, SLICE_FMT "@" SLICE_FMT,
		SLICE_ARG(address.local), SLICE_ARG(address.domain)));
	*ret_address = address;
	return NULL;
}

bool name_is_in_domain(struct slice address, struct slice domain)
{
	return address.len > domain.len + 1 && slice_ends_with(address, domain) &&
	       address.ptr[address.len - domain.len - 1] == '@';
}
