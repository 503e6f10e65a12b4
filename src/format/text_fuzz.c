#include <assert.h>

#include "format/address.h"
#include "format/charset.h"
#include "format/date.h"
#include "format/encoded_word.h"
#include "format/encoding.h"
#include "format/imap_url.h"
#include "format/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_names(struct arena *arena, struct slice text)
{
	struct slice utf8;
	if (!utf7_to_utf8(arena, text, &utf8))
		return;
	struct buf again = buf_in(arena);
	utf7_print(&again, utf8);
	assert(slice_equal(buf_as_slice(&again), text));
}

static void check_dates(struct arena *arena, struct slice text)
{
	struct date date, again;
	if (!date_parse_rfc5322(text, &date))
		return;
	struct buf out = buf_in(arena);
	date_print_rfc5322(&out, date);
	assert(date_parse_rfc5322(buf_as_slice(&out), &again));
	assert(again.seconds == date.seconds);
}

/* The first byte chooses what the rest is taken for. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct slice charsets[] = {SLICE_INIT("utf-8"), SLICE_INIT("iso-2022-jp"),
		SLICE_INIT("gb18030"), SLICE_INIT("utf-16"), SLICE_INIT("windows-1252")};
	if (size == 0)
		return 0;
	struct arena arena;
	arena_init(&arena);
	struct slice text = slice_of(bytes + 1, size - 1);
	struct address_list list;
	struct slice out;
	struct imap_url url;
	switch (bytes[0] % 8) {
	case 7:
		imap_url_parse(&arena, text, &url);
		break;
	case 0:
		address_list_parse(&arena, text, &list);
		break;
	case 1:
		check_dates(&arena, text);
		break;
	case 2:
		encoded_words_decode(&arena, text);
		break;
	case 3:
		transfer_decode(&arena, ENCODING_QUOTED_PRINTABLE, text);
		transfer_decode(&arena, ENCODING_BASE64, text);
		break;
	case 4:
		check_names(&arena, text);
		break;
	case 5:
		if (charset_to_utf8(&arena, charsets[bytes[0] / 7 % 5], text, &out))
			assert(utf8_is_valid(out));
		break;
	default:
		utf8_contains(&arena, text, utf8_fold(&arena, slice_range(text, 0, 3)));
		encoded_parameter_decode(&arena, text, &out);
		break;
	}
	arena_done(&arena);
	return 0;
}
