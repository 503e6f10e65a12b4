#include "front/pop3/pop3_stuffing.h"

/* What one line end means for the header and the count of lines. False: enough. */
static bool line_ended(struct pop3_stuffing *stuffing, bool was_empty)
{
	if (!stuffing->is_limited)
		return true;
	if (!stuffing->is_in_body)
		stuffing->is_in_body = was_empty;
	else
		stuffing->lines_left--;
	return !stuffing->is_in_body || stuffing->lines_left > 0;
}

static void note_end(struct pop3_stuffing *stuffing, struct slice run)
{
	char last = run.ptr[run.len - 1];
	char before = run.len > 1 ? run.ptr[run.len - 2] : '\0';
	stuffing->ends_in_crlf = last == '\n' && (run.len > 1 ? before == '\r' : stuffing->had_cr);
	stuffing->had_cr = last == '\r';
}

/* Nothing but its end. */
static bool is_empty_line(const struct pop3_stuffing *stuffing, struct slice run)
{
	if (stuffing->line == LINE_CR)
		return slice_equal(run, SLICE("\n"));
	return stuffing->line == LINE_EMPTY &&
	       (slice_equal(run, SLICE("\n")) || slice_equal(run, SLICE("\r\n")));
}

bool pop3_stuff(struct pop3_stuffing *stuffing, struct buf *out, struct slice piece)
{
	while (piece.len) {
		size_t end = slice_find_char(piece, '\n');
		bool is_line = end < piece.len;
		struct slice run = slice_range(piece, 0, end + is_line);
		piece = slice_from(piece, run.len);
		if (stuffing->line == LINE_EMPTY && run.ptr[0] == '.')
			buf_append_char(out, '.');
		buf_append(out, run);
		bool was_empty = is_empty_line(stuffing, run);
		note_end(stuffing, run);
		bool is_lone_cr = stuffing->line == LINE_EMPTY && slice_equal(run, SLICE("\r"));
		stuffing->line = is_line ? LINE_EMPTY : is_lone_cr ? LINE_CR : LINE_TEXT;
		if (is_line && !line_ended(stuffing, was_empty))
			return false;
	}
	return true;
}

void pop3_stuff_end(struct pop3_stuffing *stuffing, struct buf *out)
{
	if (!stuffing->ends_in_crlf)
		buf_append(out, SLICE("\r\n"));
	buf_append(out, SLICE(".\r\n"));
}
