#include "base/clock.h"
#include "format/date.h"
#include "format/encoding.h"
#include "format/imap_string.h"
#include "format/preview.h"
#include "front/imap/imap_fetch.h"
#include "front/imap/imap_private.h"

/* What has been read of a message so far. */
struct content {
	struct fetch_message *message;
	bool has_summary;
	struct message_summary summary;
	bool has_header, has_bytes;
	struct slice header, bytes;
	const struct mime_part *root;
};

static struct error *read_summary(
	struct op *op, struct imap_session *session, struct content *content)
{
	if (content->has_summary)
		return NULL;
	TRY(message_summary_get(op, session->store, content->message->row, &content->summary));
	content->has_summary = true;
	return NULL;
}

static struct error *read_header(
	struct op *op, struct imap_session *session, struct content *content)
{
	if (content->has_header)
		return NULL;
	const struct message *row = content->message->row;
	if (content->has_bytes)
		content->header = slice_range(content->bytes, 0, row->header_length);
	else
		TRY(message_content(
			op, session->store, row, 0, row->header_length, &content->header));
	content->has_header = true;
	return NULL;
}

static struct error *read_bytes(
	struct op *op, struct imap_session *session, struct content *content)
{
	if (content->has_bytes)
		return NULL;
	TRY(message_content(
		op, session->store, content->message->row, 0, SIZE_MAX, &content->bytes));
	content->has_bytes = true;
	return NULL;
}

static const struct mime_part *scan(struct op *op, struct content *content)
{
	if (!content->root)
		content->root = mime_scan(&op->arena, content->bytes);
	return content->root;
}

/* A section of the whole message, for which no part need be found. */
static struct error *locate_whole(struct op *op, struct imap_session *session,
	struct content *content, const struct section *section, struct slice *ret_bytes)
{
	if (section->text == SECTION_ALL || section->text == SECTION_TEXT) {
		TRY(read_bytes(op, session, content));
		*ret_bytes =
			section->text == SECTION_ALL
				? content->bytes
				: slice_from(content->bytes, content->message->row->header_length);
		return NULL;
	}
	TRY(read_header(op, session, content));
	*ret_bytes = section->text == SECTION_HEADER
			     ? content->header
			     : section_pick_fields(&op->arena, content->header, section);
	return NULL;
}

static struct error *locate(struct op *op, struct imap_session *session, struct content *content,
	const struct fetch_item *item, struct slice *ret_bytes, bool *ret_found)
{
	const struct section *section = &item->section;
	*ret_found = true;
	if (section->part_count == 0)
		return locate_whole(op, session, content, section, ret_bytes);
	TRY(read_bytes(op, session, content));
	*ret_found =
		section_locate(&op->arena, content->bytes, scan(op, content), section, ret_bytes);
	return NULL;
}

static void write_literal(struct buf *out, struct slice bytes, bool is_binary)
{
	/* A literal8 (RFC 3516) only where NULs ask for it. */
	bool has_nul = is_binary && bytes.len && memchr(bytes.ptr, 0, bytes.len);
	buf_printf(out, "%s{%zu}\r\n", has_nul ? "~" : "", bytes.len);
	buf_append(out, bytes);
}

static void write_label(struct buf *out, const struct fetch_item *item)
{
	buf_append(out, item->label);
	if (item->has_partial)
		buf_printf(out, "<%u>", item->offset);
	buf_append_char(out, ' ');
}

static struct slice clip(const struct fetch_item *item, struct slice bytes)
{
	if (!item->has_partial)
		return bytes;
	return slice_range(bytes, item->offset, (size_t)item->offset + item->length);
}

static struct error *write_section(struct op *op, struct imap_session *session,
	struct content *content, const struct fetch_item *item)
{
	struct slice bytes;
	bool found = true;
	bool is_range = item->has_partial && item->section.part_count == 0 &&
			item->section.text == SECTION_ALL && !content->has_bytes;
	/* Clients fetch big mails piece by piece: read the piece only. */
	if (is_range)
		TRY(message_content(op, session->store, content->message->row, item->offset,
			item->length, &bytes));
	else
		TRY(locate(op, session, content, item, &bytes, &found));
	write_label(session->out, item);
	if (!found)
		buf_append(session->out, SLICE("NIL"));
	else
		write_literal(session->out, is_range ? bytes : clip(item, bytes), false);
	return NULL;
}

/* The decoded body of a part (RFC 3516 4.3). */
static struct error *decode(struct op *op, struct imap_session *session, struct content *content,
	const struct fetch_item *item, struct slice *ret_bytes, bool *ret_found)
{
	TRY(locate(op, session, content, item, ret_bytes, ret_found));
	if (!*ret_found || item->section.part_count == 0)
		return NULL;
	const struct mime_part *part =
		section_part(scan(op, content), item->section.parts, item->section.part_count);
	enum transfer_encoding encoding =
		part->kind == MIME_LEAF ? transfer_encoding_of(part->encoding) : ENCODING_IDENTITY;
	content->message->has_unknown_encoding = encoding == ENCODING_UNKNOWN;
	if (encoding == ENCODING_UNKNOWN)
		return op_fail(op, ERR_INVALID, "The part's transfer encoding is not known");
	*ret_bytes = transfer_decode(&op->arena, encoding, *ret_bytes);
	return NULL;
}

static struct error *write_binary(struct op *op, struct imap_session *session,
	struct content *content, const struct fetch_item *item)
{
	struct slice bytes = SLICE_NONE;
	bool found;
	TRY(decode(op, session, content, item, &bytes, &found));
	write_label(session->out, item);
	if (item->kind == FETCH_BINARY_SIZE)
		buf_printf(session->out, "%zu", found ? bytes.len : 0);
	else if (!found)
		buf_append(session->out, SLICE("NIL"));
	else
		write_literal(session->out, clip(item, bytes), true);
	return NULL;
}

static struct error *write_summary(
	struct op *op, struct imap_session *session, struct content *content, enum fetch_kind kind)
{
	TRY(read_summary(op, session, content));
	struct buf *out = session->out;
	if (kind == FETCH_ENVELOPE) {
		buf_append(out, SLICE("ENVELOPE "));
		buf_append(out, content->summary.envelope);
	} else if (kind == FETCH_BODY) {
		buf_append(out, SLICE("BODY "));
		buf_append(out, content->summary.body);
	} else {
		buf_append(out, SLICE("BODYSTRUCTURE "));
		buf_append(out, content->summary.bodystructure);
	}
	return NULL;
}

static void write_date(struct buf *out, struct slice name, uint64_t us)
{
	buf_append(out, name);
	buf_append(out, SLICE(" \""));
	date_print_imap(out, (struct date){(int64_t)(us / US_PER_S), 0});
	buf_append_char(out, '"');
}

/* A text stands at the start of most mails: of a large one that is looked at first. */
#define PREVIEW_LEAD_BYTES KIB(256)
/* What is made at once for those who want only what costs little. */
#define PREVIEW_LAZY_BYTES KIB(64)

/* PREVIEW (RFC 8970) */
static struct error *write_preview(struct op *op, struct imap_session *session,
	struct content *content, const struct fetch_item *item)
{
	struct buf *out = session->out;
	const struct message *row = content->message->row;
	struct slice bytes = content->bytes;
	if (item->is_lazy && row->size > PREVIEW_LAZY_BYTES) {
		buf_append(out, SLICE("PREVIEW NIL"));
		return NULL;
	}
	if (!content->has_bytes)
		TRY(message_content(op, session->store, row, 0, PREVIEW_LEAD_BYTES, &bytes));
	struct slice text = preview_make(&op->arena, bytes);
	if (text.len == 0 && bytes.len < row->size) {
		TRY(read_bytes(op, session, content));
		text = preview_make(&op->arena, content->bytes);
	}
	buf_append(out, SLICE("PREVIEW "));
	if (imap_speaks_utf8(session))
		imap_print_utf8(out, text);
	else
		imap_print_string(out, text);
	return NULL;
}

static struct error *write_item(struct op *op, struct imap_session *session,
	struct content *content, const struct fetch_item *item)
{
	struct buf *out = session->out;
	const struct fetch_message *message = content->message;
	switch (item->kind) {
	case FETCH_UID:
		imap_write_uid(session, message->at.uid);
		return NULL;
	case FETCH_FLAGS:
		imap_write_flags(session, message->snapshot, &message->at);
		return NULL;
	case FETCH_MODSEQ:
		imap_write_modseq(session, message->at.modseq);
		return NULL;
	case FETCH_INTERNALDATE:
		write_date(out, SLICE("INTERNALDATE"), message->row->internal_date_us);
		return NULL;
	case FETCH_SAVEDATE:
		/* Of what is gone it is not known (RFC 8514 4.2). */
		if (message->row->is_expunged)
			buf_append(out, SLICE("SAVEDATE NIL"));
		else
			write_date(out, SLICE("SAVEDATE"), message->row->save_date_us);
		return NULL;
	case FETCH_PREVIEW:
		return write_preview(op, session, content, item);
	case FETCH_SIZE:
		buf_append(out, SLICE("RFC822.SIZE "));
		buf_decimal(out, message->row->size);
		return NULL;
	case FETCH_EMAILID:
		buf_printf(out, "EMAILID (M%s)", uuid_text(&op->arena, message->row->id.uuid));
		return NULL;
	case FETCH_THREADID:
		/* RFC 8474 5.2: NIL while the server keeps no threads. */
		buf_append(out, SLICE("THREADID NIL"));
		return NULL;
	case FETCH_ENVELOPE:
	case FETCH_BODY:
	case FETCH_BODYSTRUCTURE:
		return write_summary(op, session, content, item->kind);
	case FETCH_SECTION:
		return write_section(op, session, content, item);
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE:
	default:
		return write_binary(op, session, content, item);
	}
}

/* What belongs to the answer although nobody asked. */
static void write_unasked(struct imap_session *session, const struct fetch_request *request,
	const struct fetch_message *message, bool by_uid, bool *first)
{
	struct buf *out = session->out;
	if (by_uid && !request->wants_uid) {
		imap_write_uid(session, message->at.uid);
		*first = false;
	}
	if (message->seen_changed && !request->wants_flags) {
		buf_append(out, *first ? SLICE("") : SLICE(" "));
		imap_write_flags(session, message->snapshot, &message->at);
		*first = false;
	}
	bool tells_modseq =
		request->has_changed_since ||
		(session->has_condstore && (message->seen_changed || request->wants_flags));
	if (tells_modseq && !request->wants_modseq) {
		buf_append(out, *first ? SLICE("") : SLICE(" "));
		imap_write_modseq(session, message->at.modseq);
		*first = false;
	}
}

static struct error *write_all(struct op *op, struct imap_session *session,
	const struct fetch_request *request, struct fetch_message *message)
{
	struct content content = {.message = message};
	bool first = true;
	imap_write_fetch_start(session, message->sequence, message->at.uid);
	write_unasked(session, request, message, imap_names_uid(session, request->by_uid), &first);
	for (size_t i = 0; i < request->item_count; i++) {
		if (!first)
			buf_append_char(session->out, ' ');
		first = false;
		TRY(write_item(op, session, &content, &request->items[i]));
	}
	buf_append(session->out, SLICE(")\r\n"));
	return NULL;
}

struct error *imap_fetch_write(struct op *op, struct imap_session *session,
	const struct fetch_request *request, struct fetch_message *message)
{
	size_t start = session->out->len;
	struct error *err = write_all(op, session, request, message);
	/* Half a line must not be sent. */
	if (err)
		session->out->len = start;
	return err;
}
