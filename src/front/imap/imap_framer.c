#include "front/imap/imap_framer.h"

struct imap_limits imap_limits = {
	.line_bytes = KIB(64), .message_bytes = MIB(50), .append_bytes = MIB(100)};

struct literal {
	uint64_t size;
	bool is_synchronising;
};

static struct slice without_line_break(struct slice line)
{
	line.len--;
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* "{12}", "{12+}", "~{12}" at the end of a line. */
static bool ends_in_literal(struct slice line, struct literal *ret_literal)
{
	line = without_line_break(line);
	if (line.len < 3 || line.ptr[line.len - 1] != '}')
		return false;
	const char *open = memrchr(line.ptr, '{', line.len);
	if (!open)
		return false;
	struct slice digits = slice_of(open + 1, (size_t)(line.ptr + line.len - 1 - (open + 1)));
	ret_literal->is_synchronising = true;
	if (digits.len && digits.ptr[digits.len - 1] == '+') {
		ret_literal->is_synchronising = false;
		digits.len--;
	}
	return slice_parse_u64(digits, &ret_literal->size);
}

static struct slice take_word(struct slice *rest)
{
	struct slice word;
	if (!slice_split(rest, ' ', &word))
		return SLICE_NONE;
	return word;
}

/* Looks the command up once its first line is here. */
static void read_command(struct imap_framer *framer, struct slice line)
{
	struct slice rest = without_line_break(line);
	take_word(&rest);
	struct slice name = take_word(&rest);
	framer->flags = 0;
	if (slice_equal_nocase(name, SLICE("UID"))) {
		name = take_word(&rest);
		framer->flags |= IMAP_COMMAND_IS_UID;
	}
	framer->row = imap_command_find(name);
	if (framer->row && (framer->flags & IMAP_COMMAND_IS_UID) &&
		!(framer->row->flags & IMAP_HAS_UID_FORM))
		framer->row = NULL;
	if (framer->row && (framer->row->flags & IMAP_TRIES_SIGN_IN))
		framer->may_append = true;
	/* A literal at the very start is the mailbox's name, not the message. */
	framer->has_arguments = rest.len && slice_trim(rest).ptr[0] != '{';
}

static bool has_row_flag(const struct imap_framer *framer, unsigned flag)
{
	return framer->row && (framer->row->flags & flag);
}

static struct frame end_command(struct imap_framer *framer, struct frame frame)
{
	frame.kind = FRAME_COMMAND;
	frame.row = framer->row;
	frame.lane = framer->row ? framer->row->lane : LANE_QUICK;
	frame.flags = framer->flags;
	if (has_row_flag(framer, IMAP_ENDS_PIPELINE))
		frame.flags |= COMMAND_ENDS_PIPELINE;
	if (framer->is_too_big)
		frame.flags |= COMMAND_TOO_BIG;
	if (framer->message_is_too_big)
		frame.flags |= IMAP_COMMAND_MESSAGE_TOO_BIG;
	*framer = (struct imap_framer){.may_append = framer->may_append};
	return frame;
}

static bool body_fits(const struct imap_framer *framer, uint64_t size)
{
	return framer->may_append && size <= imap_limits.message_bytes &&
	       framer->body_count < IMAP_BODIES_MAX &&
	       framer->body_bytes + size <=
		       MAX_OF(imap_limits.append_bytes, imap_limits.message_bytes);
}

/* A line ended in a literal: says what becomes of its bytes. */
static struct frame begin_literal(
	struct imap_framer *framer, struct frame frame, struct literal literal)
{
	bool is_message = has_row_flag(framer, IMAP_SPOOLS_LITERAL) && framer->has_arguments;
	bool fits = is_message ? body_fits(framer, literal.size)
			       : framer->text_bytes + literal.size <= imap_limits.line_bytes;
	if (!fits || framer->is_too_big) {
		framer->message_is_too_big |= is_message && !fits;
		framer->is_too_big = true;
		/* The client waits for leave, which it does not get. */
		if (literal.is_synchronising)
			return end_command(framer, frame);
	}
	framer->is_continued = true;
	framer->has_arguments = true;
	framer->literal_left = literal.size;
	framer->into_body = is_message;
	if (is_message) {
		framer->body_bytes += literal.size;
		framer->body_count++;
	}
	framer->state = literal.is_synchronising ? IMAP_FRAMER_SAY
			: is_message             ? IMAP_FRAMER_BODY
						 : IMAP_FRAMER_LITERAL;
	frame.kind = FRAME_TEXT;
	return frame;
}

/* A line too long to be kept is passed over up to its end. */
static struct frame feed_long_line(struct imap_framer *framer, struct slice input)
{
	if (input.len <= imap_limits.line_bytes)
		return (struct frame){.kind = FRAME_MORE};
	/* The start is kept: the tag is in it. */
	size_t kept = framer->is_too_big || framer->is_continued ? 0 : MIN_OF(input.len, 256);
	if (!framer->is_continued && !framer->is_too_big)
		read_command(framer, slice_range(input, 0, 256));
	framer->is_too_big = true;
	framer->is_continued = true;
	framer->text_bytes += input.len - 1;
	/* The last byte stays, for a CR that ends in the next input. */
	return (struct frame){
		.kind = FRAME_TEXT, .taken = input.len - 1, .bytes = slice_range(input, 0, kept)};
}

static struct frame feed_line(struct imap_framer *framer, struct slice input)
{
	size_t end = slice_find_char(input, '\n');
	if (end == input.len)
		return feed_long_line(framer, input);
	struct slice line = slice_range(input, 0, end + 1);
	framer->text_bytes += line.len;
	if (!framer->is_continued)
		read_command(framer, line);
	else if (!framer->has_arguments)
		framer->has_arguments = slice_trim(line).len > 0;
	if (framer->text_bytes > imap_limits.line_bytes)
		framer->is_too_big = true;
	bool keeps = !framer->is_too_big || framer->text_bytes == line.len;
	struct frame frame = {.taken = line.len,
		.bytes = keeps ? slice_range(line, 0, imap_limits.line_bytes) : SLICE_NONE};
	struct literal literal;
	if (ends_in_literal(line, &literal))
		return begin_literal(framer, frame, literal);
	return end_command(framer, frame);
}

static struct frame feed_literal(struct imap_framer *framer, struct slice input)
{
	if (framer->literal_left == 0 && framer->state == IMAP_FRAMER_BODY) {
		framer->state = IMAP_FRAMER_LINE;
		return framer->is_too_big ? feed_line(framer, input)
					  : (struct frame){.kind = FRAME_END_BODY};
	}
	if (input.len == 0)
		return (struct frame){.kind = FRAME_MORE};
	struct slice bytes = slice_range(input, 0, MIN_OF(input.len, framer->literal_left));
	bool is_body = framer->state == IMAP_FRAMER_BODY;
	framer->literal_left -= bytes.len;
	if (!is_body)
		framer->text_bytes += bytes.len;
	if (framer->literal_left == 0 && (!is_body || framer->is_too_big))
		framer->state = IMAP_FRAMER_LINE;
	if (framer->is_too_big)
		return (struct frame){.kind = FRAME_TEXT, .taken = bytes.len};
	return (struct frame){
		.kind = is_body ? FRAME_BODY : FRAME_TEXT, .taken = bytes.len, .bytes = bytes};
}

/* DONE, or base64 in a SASL exchange: one line, whatever it holds. */
static struct frame feed_plain_line(struct imap_framer *framer, struct slice input)
{
	size_t end = slice_find_char(input, '\n');
	if (end < input.len) {
		struct frame frame = {.kind = FRAME_COMMAND,
			.taken = end + 1,
			.bytes = framer->is_too_big ? SLICE_NONE : slice_range(input, 0, end + 1),
			.lane = LANE_QUICK,
			.flags = framer->is_too_big ? COMMAND_TOO_BIG : 0};
		framer->is_too_big = false;
		return frame;
	}
	if (input.len <= imap_limits.line_bytes)
		return (struct frame){.kind = FRAME_MORE};
	framer->is_too_big = true;
	return (struct frame){.kind = FRAME_TEXT, .taken = input.len};
}

struct frame imap_framer_feed(void *state, unsigned mode, struct slice input)
{
	struct imap_framer *framer = state;
	if (mode == IMAP_MODE_LINE)
		return feed_plain_line(framer, input);
	switch (framer->state) {
	case IMAP_FRAMER_SAY:
		framer->state = framer->into_body ? IMAP_FRAMER_BODY : IMAP_FRAMER_LITERAL;
		if (framer->literal_left == 0 && !framer->into_body)
			framer->state = IMAP_FRAMER_LINE;
		return (struct frame){.kind = FRAME_SAY, .say = SLICE("+ OK\r\n")};
	case IMAP_FRAMER_BODY:
		return feed_literal(framer, input);
	case IMAP_FRAMER_LITERAL:
		if (framer->literal_left)
			return feed_literal(framer, input);
		framer->state = IMAP_FRAMER_LINE;
		return feed_line(framer, input);
	case IMAP_FRAMER_LINE:
	default:
		return feed_line(framer, input);
	}
}
