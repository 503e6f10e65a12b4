#include "format/imap_string.h"

/* Longer ones are literals: clients read lines into buffers of their own. */
#define QUOTED_MAX 1000

static bool fits_quotes(struct slice text, bool *ret_has_nul)
{
	bool fits = text.len <= QUOTED_MAX;
	*ret_has_nul = false;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		if (c == 0)
			*ret_has_nul = true;
		if (c == 0 || c == '\r' || c == '\n' || c >= 0x7f)
			fits = false;
	}
	return fits;
}

static void print_quoted(struct buf *out, struct slice text)
{
	buf_append_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buf_append_char(out, '\\');
		buf_append_char(out, text.ptr[i]);
	}
	buf_append_char(out, '"');
}

static void print_literal(struct buf *out, struct slice text, bool has_nul)
{
	size_t len = text.len;
	if (has_nul)
		for (size_t i = 0; i < text.len; i++)
			len -= text.ptr[i] == 0;
	buf_printf(out, "{%zu}\r\n", len);
	if (!has_nul) {
		buf_append(out, text);
		return;
	}
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i])
			buf_append_char(out, text.ptr[i]);
}

void imap_print_string(struct buf *out, struct slice text)
{
	bool has_nul;
	if (fits_quotes(text, &has_nul))
		print_quoted(out, text);
	else
		print_literal(out, text, has_nul);
}

void imap_print_nstring(struct buf *out, struct slice text)
{
	if (text.ptr)
		imap_print_string(out, text);
	else
		buf_append(out, SLICE("NIL"));
}

void imap_print_utf8(struct buf *out, struct slice text)
{
	print_quoted(out, text);
}
