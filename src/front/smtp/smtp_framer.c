#include "front/smtp/smtp_framer.h"

bool smtp_parse_bdat(struct slice arguments, uint64_t *ret_size, bool *ret_is_last)
{
	struct slice rest = slice_trim(arguments), size, last;
	slice_split(&rest, ' ', &size);
	*ret_is_last = slice_split(&rest, ' ', &last);
	return slice_parse_u64(size, ret_size) && !rest.ptr &&
	       (!*ret_is_last || slice_equal_nocase(last, SLICE("LAST")));
}

/* ---- Lines ---- */

static struct frame begin_chunk(
	struct smtp_framer *framer, struct frame frame, struct slice arguments)
{
	uint64_t size;
	bool is_last;
	if (!smtp_parse_bdat(arguments, &size, &is_last)) {
		frame.flags |= SMTP_BAD_CHUNK_SIZE | COMMAND_ENDS_PIPELINE;
		return frame;
	}
	framer->has_chunk = true;
	framer->chunk_left = size;
	framer->verb = frame.row;
	framer->flags = frame.flags | (size > smtp_config.max_message_bytes ? COMMAND_TOO_BIG : 0);
	frame.kind = FRAME_TEXT;
	return frame;
}

static struct frame feed_line(struct smtp_framer *framer, unsigned mode, struct slice input)
{
	struct frame frame;
	bool is_clean;
	size_t max = (size_t)MIN_OF(smtp_config.max_line, SMTP_LINE_MAX);
	if (!line_framer_cut(&framer->line, input, max, &frame, &is_clean))
		return frame;
	frame.flags |= is_clean ? 0 : SMTP_BAD_LINE_END;
	if (mode == SMTP_MODE_LINE)
		return frame; /* goes where its handler wants it */
	struct slice arguments;
	const struct smtp_verb *verb = smtp_verb_find(frame.bytes, &arguments);
	frame.row = verb;
	frame.lane = verb->lane;
	frame.flags |= verb->flags;
	return verb->flags & SMTP_TAKES_CHUNK ? begin_chunk(framer, frame, arguments) : frame;
}

/* ---- BDAT ---- */

static struct frame feed_chunk(struct smtp_framer *framer, struct slice input)
{
	if (!framer->chunk_left) {
		framer->has_chunk = false;
		return (struct frame){.kind = FRAME_COMMAND,
			.lane = framer->verb->lane,
			.flags = framer->flags,
			.row = framer->verb};
	}
	if (!input.len)
		return (struct frame){.kind = FRAME_MORE};
	size_t n = (size_t)MIN_OF(framer->chunk_left, input.len);
	framer->chunk_left -= n;
	bool keep = !(framer->flags & COMMAND_TOO_BIG);
	return (struct frame){
		.kind = FRAME_BODY, .taken = n, .bytes = slice_range(input, 0, keep ? n : 0)};
}

/* ---- DATA ---- */

static struct frame body_part(struct smtp_framer *framer, struct slice bytes, size_t taken)
{
	framer->size += bytes.len;
	if (framer->size > smtp_config.max_message_bytes)
		framer->flags |= COMMAND_TOO_BIG;
	if (framer->flags & (COMMAND_TOO_BIG | SMTP_BAD_LINE_END))
		bytes.len = 0; /* refused in any case */
	return (struct frame){.kind = FRAME_BODY, .taken = taken, .bytes = bytes};
}

static struct frame end_of_data(struct smtp_framer *framer, size_t taken)
{
	unsigned flags = framer->flags;
	framer->data_state = DATA_LINE_START;
	framer->size = 0;
	framer->flags = 0;
	return (struct frame){
		.kind = FRAME_COMMAND, .taken = taken, .lane = LANE_DELIVER, .flags = flags};
}

/* The next CR or LF, or the end. */
static size_t plain_run(struct slice input, size_t from)
{
	while (from < input.len && input.ptr[from] != '\r' && input.ptr[from] != '\n')
		from++;
	return from;
}

/* The state behind `c`; *at moves past it unless it is to be looked at again. */
static enum smtp_data_state data_next(struct smtp_framer *framer, char c, size_t *at)
{
	switch (framer->data_state) {
	case DATA_AFTER_CR:
		if (c == '\n') {
			++*at;
			return DATA_LINE_START;
		}
		framer->flags |= SMTP_BAD_LINE_END;
		return DATA_IN_LINE;
	case DATA_AFTER_DOT_CR:
		framer->flags |= SMTP_BAD_LINE_END;
		return DATA_IN_LINE;
	case DATA_IN_LINE:
		++*at;
		if (c == '\n')
			framer->flags |= SMTP_BAD_LINE_END;
		return c == '\r' ? DATA_AFTER_CR : DATA_IN_LINE;
	case DATA_LINE_START:
	case DATA_AFTER_DOT:
		break;
	}
	return DATA_IN_LINE;
}

static struct frame feed_data(struct smtp_framer *framer, struct slice input)
{
	if (!input.len)
		return (struct frame){.kind = FRAME_MORE};
	size_t at = 0;
	while (at < input.len) {
		char c = input.ptr[at];
		/* A dot at a line's start is taken away (RFC 5321 4.5.2), and what may be the
		 * end's CR behind it is held back. */
		if (framer->data_state == DATA_LINE_START && c == '.') {
			framer->data_state = DATA_AFTER_DOT;
			return body_part(framer, slice_range(input, 0, at), at + 1);
		}
		if (framer->data_state == DATA_AFTER_DOT && c == '\r') {
			framer->data_state = DATA_AFTER_DOT_CR;
			return body_part(framer, slice_range(input, 0, at), at + 1);
		}
		if (framer->data_state == DATA_AFTER_DOT_CR && c == '\n')
			return end_of_data(framer, at + 1);
		if (framer->data_state == DATA_IN_LINE)
			at = plain_run(input, at);
		if (at < input.len)
			framer->data_state = data_next(framer, input.ptr[at], &at);
	}
	return body_part(framer, input, input.len);
}

struct frame smtp_feed(void *state, unsigned mode, struct slice input)
{
	struct smtp_framer *framer = state;
	if (framer->has_chunk)
		return feed_chunk(framer, input);
	return mode == SMTP_MODE_DATA ? feed_data(framer, input) : feed_line(framer, mode, input);
}
