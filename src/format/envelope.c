#include "format/envelope.h"

#include <stddef.h>

#include "format/address.h"
#include "format/header.h"
#include "format/imap_string.h"

#define FIELD(text, member)                                         \
	{                                                           \
		SLICE_INIT(text), offsetof(struct envelope, member) \
	}

static const struct {
	struct slice name;
	size_t offset;
} fields[] = {
	FIELD("Date", date),
	FIELD("Subject", subject),
	FIELD("From", from),
	FIELD("Sender", sender),
	FIELD("Reply-To", reply_to),
	FIELD("To", to),
	FIELD("Cc", cc),
	FIELD("Bcc", bcc),
	FIELD("In-Reply-To", in_reply_to),
	FIELD("Message-ID", message_id),
};

void envelope_read(struct slice header, struct envelope *ret_envelope)
{
	*ret_envelope = (struct envelope){0};
	struct header_field field;
	while (header_next(&header, &field)) {
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
			struct slice *value =
				(struct slice *)((char *)ret_envelope + fields[i].offset);
			if (!value->ptr && slice_equal_nocase(field.name, fields[i].name)) {
				*value = field.value;
				break;
			}
		}
	}
}

static void print_text(struct buf *out, struct arena *scratch, struct slice value)
{
	if (value.ptr)
		imap_print_string(out, header_unfold(scratch, value));
	else
		buf_append(out, SLICE("NIL"));
}

static void print_address(struct buf *out, const struct header_address *address)
{
	if (address->kind != ADDRESS_MAILBOX) {
		/* RFC 9051: a group begins as (NIL NIL name NIL) and ends as four NILs. */
		buf_append(out, SLICE("(NIL NIL "));
		imap_print_nstring(out, address->name);
		buf_append(out, SLICE(" NIL)"));
		return;
	}
	buf_append_char(out, '(');
	imap_print_nstring(out, address->name);
	buf_append_char(out, ' ');
	imap_print_nstring(out, address->route);
	buf_append_char(out, ' ');
	imap_print_string(out, address->local);
	buf_append_char(out, ' ');
	imap_print_string(out, address->host);
	buf_append_char(out, ')');
}

static void print_addresses(struct buf *out, struct arena *scratch, struct slice value)
{
	struct address_list list;
	address_list_parse(scratch, value, &list);
	if (list.count == 0) {
		buf_append(out, SLICE("NIL"));
		return;
	}
	buf_append_char(out, '(');
	for (size_t i = 0; i < list.count; i++)
		print_address(out, &list.items[i]);
	buf_append_char(out, ')');
}

/* Sender and Reply-To fall back to From when absent or empty. */
static struct slice or_from(struct slice value, const struct envelope *envelope)
{
	return slice_trim(value).len ? value : envelope->from;
}

void envelope_print(struct buf *out, struct arena *scratch, const struct envelope *envelope)
{
	const struct slice lists[] = {
		envelope->from,
		or_from(envelope->sender, envelope),
		or_from(envelope->reply_to, envelope),
		envelope->to,
		envelope->cc,
		envelope->bcc,
	};
	buf_append_char(out, '(');
	print_text(out, scratch, envelope->date);
	buf_append_char(out, ' ');
	print_text(out, scratch, envelope->subject);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		buf_append_char(out, ' ');
		print_addresses(out, scratch, lists[i]);
	}
	buf_append_char(out, ' ');
	print_text(out, scratch, envelope->in_reply_to);
	buf_append_char(out, ' ');
	print_text(out, scratch, envelope->message_id);
	buf_append_char(out, ')');
}

bool envelope_date(struct slice printed, struct date *ret_date)
{
	struct slice text = slice_from(printed, 1);
	if (slice_starts_with(text, SLICE("\""))) {
		text = slice_from(text, 1);
		text = slice_range(text, 0, slice_find_char(text, '"'));
	} else if (slice_starts_with(text, SLICE("{"))) {
		uint64_t size;
		size_t close = slice_find_char(text, '}');
		if (!slice_parse_u64(slice_range(text, 1, close), &size))
			return false;
		text = slice_from(text, close + 3);
		text = slice_range(text, 0, MIN_OF(size, text.len));
	} else {
		return false;
	}
	return date_parse_rfc5322(text, ret_date);
}
