#include "format/bodystructure.h"

#include "format/envelope.h"
#include "format/header.h"
#include "format/imap_string.h"
#include "format/mime_field.h"

struct printer {
	struct buf *out;
	struct arena *scratch;
	struct slice message;
	bool extended;
};

static void print_part(struct printer *printer, const struct mime_part *part);

static void print_parameters(struct buf *out, const struct mime_parameter *first)
{
	if (!first) {
		buf_append(out, SLICE("NIL"));
		return;
	}
	buf_append_char(out, '(');
	for (const struct mime_parameter *p = first; p; p = p->next) {
		imap_print_string(out, p->name);
		buf_append_char(out, ' ');
		imap_print_string(out, p->value);
		if (p->next)
			buf_append_char(out, ' ');
	}
	buf_append_char(out, ')');
}

static void print_disposition(struct buf *out, const struct mime_part *part)
{
	if (part->disposition.len == 0) {
		buf_append(out, SLICE("NIL"));
		return;
	}
	buf_append_char(out, '(');
	imap_print_string(out, part->disposition);
	buf_append_char(out, ' ');
	print_parameters(out, part->disposition_parameters);
	buf_append_char(out, ')');
}

/* Content-Language is a list of tokens (RFC 3282). */
static void print_language(struct buf *out, struct slice text)
{
	size_t count = 0;
	while (text.len) {
		struct slice token = mime_token(&text);
		if (token.len) {
			buf_append_char(out, count++ ? ' ' : '(');
			imap_print_string(out, token);
		}
		text = slice_from(text, token.len ? 0 : 1);
	}
	buf_append(out, count ? SLICE(")") : SLICE("NIL"));
}

static void print_nstring_after_space(struct buf *out, struct slice text)
{
	buf_append_char(out, ' ');
	imap_print_nstring(out, text);
}

/* What both kinds of part end with. */
static void print_extension(struct buf *out, const struct mime_part *part)
{
	buf_append_char(out, ' ');
	print_disposition(out, part);
	buf_append_char(out, ' ');
	print_language(out, part->language);
	print_nstring_after_space(out, part->location);
}

static void print_multipart(struct printer *printer, const struct mime_part *part)
{
	struct buf *out = printer->out;
	for (const struct mime_part *child = part->first_child; child; child = child->next)
		print_part(printer, child);
	buf_append_char(out, ' ');
	imap_print_string(out, part->subtype);
	if (!printer->extended)
		return;
	buf_append_char(out, ' ');
	print_parameters(out, part->parameters);
	print_extension(out, part);
}

static void print_message_within(struct printer *printer, const struct mime_part *part)
{
	const struct mime_part *child = part->first_child;
	struct envelope envelope;
	envelope_read(mime_header(child, printer->message), &envelope);
	buf_append_char(printer->out, ' ');
	envelope_print(printer->out, printer->scratch, &envelope);
	buf_append_char(printer->out, ' ');
	print_part(printer, child);
}

static void print_leaf(struct printer *printer, const struct mime_part *part)
{
	struct buf *out = printer->out;
	bool is_text = slice_equal_nocase(part->type, SLICE("text"));
	imap_print_string(out, part->type);
	buf_append_char(out, ' ');
	imap_print_string(out, part->subtype);
	buf_append_char(out, ' ');
	/* RFC 2045 5.2: text without a charset is US-ASCII, and clients like to see it said. */
	if (is_text && !part->parameters)
		buf_append(out, SLICE("(\"charset\" \"us-ascii\")"));
	else
		print_parameters(out, part->parameters);
	print_nstring_after_space(out, part->id);
	print_nstring_after_space(out, part->description);
	print_nstring_after_space(out, part->encoding);
	buf_printf(out, " %zu", part->body_end - part->body_start);
	if (part->kind == MIME_MESSAGE)
		print_message_within(printer, part);
	if (is_text || part->kind == MIME_MESSAGE)
		buf_printf(out, " %u", part->lines);
	if (!printer->extended)
		return;
	print_nstring_after_space(out, part->md5);
	print_extension(out, part);
}

static void print_part(struct printer *printer, const struct mime_part *part)
{
	buf_append_char(printer->out, '(');
	if (part->kind == MIME_MULTIPART)
		print_multipart(printer, part);
	else
		print_leaf(printer, part);
	buf_append_char(printer->out, ')');
}

void bodystructure_print(struct buf *out, struct arena *scratch, struct slice message,
	const struct mime_part *part, bool extended)
{
	struct printer printer = {out, scratch, message, extended};
	print_part(&printer, part);
}
