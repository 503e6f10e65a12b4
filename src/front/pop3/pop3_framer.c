#include "front/pop3/pop3_framer.h"

/* clang-format off */
static const struct pop3_verb verbs[] = {
	/* id              name                lane         flags                  when */
	{POP3_VERB_CAPA, SLICE_INIT("CAPA"), LANE_QUICK,  0,                     POP3_ANY},
	{POP3_VERB_USER, SLICE_INIT("USER"), LANE_QUICK,  0,                     POP3_BEFORE},
	{POP3_VERB_PASS, SLICE_INIT("PASS"), LANE_AUTH,   0,                     POP3_BEFORE},
	{POP3_VERB_AUTH, SLICE_INIT("AUTH"), LANE_AUTH,   COMMAND_ENDS_PIPELINE, POP3_BEFORE},
	{POP3_VERB_STLS, SLICE_INIT("STLS"), LANE_QUICK,  COMMAND_ENDS_PIPELINE, POP3_BEFORE},
	{POP3_VERB_STAT, SLICE_INIT("STAT"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_LIST, SLICE_INIT("LIST"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_UIDL, SLICE_INIT("UIDL"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_RETR, SLICE_INIT("RETR"), LANE_BULK,   0,                     POP3_AFTER},
	{POP3_VERB_TOP,  SLICE_INIT("TOP"),  LANE_BULK,   0,                     POP3_AFTER},
	{POP3_VERB_DELE, SLICE_INIT("DELE"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_NOOP, SLICE_INIT("NOOP"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_RSET, SLICE_INIT("RSET"), LANE_QUICK,  0,                     POP3_AFTER},
	{POP3_VERB_QUIT, SLICE_INIT("QUIT"), LANE_STORE,  COMMAND_ENDS_PIPELINE, POP3_ANY},
};
/* clang-format on */

static const struct pop3_verb unknown = {
	POP3_VERB_UNKNOWN, SLICE_INIT(""), LANE_QUICK, 0, POP3_ANY};

const struct pop3_verb *pop3_verb_find(struct slice line, struct slice *ret_arguments)
{
	size_t end = slice_find_char(line, ' ');
	struct slice name = slice_range(line, 0, end);
	*ret_arguments = slice_from(line, end + 1);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (slice_equal_nocase(verbs[i].name, name))
			return &verbs[i];
	return &unknown;
}

struct frame pop3_feed(void *state, unsigned mode, struct slice input)
{
	struct frame frame;
	bool is_clean; /* nothing depends on it here: each line is a command of its own */
	size_t max = (size_t)MIN_OF(pop3_config.max_line, POP3_LINE_MAX);
	if (!line_framer_cut(state, input, max, &frame, &is_clean) || mode == POP3_MODE_LINE)
		return frame;
	struct slice arguments;
	const struct pop3_verb *verb = pop3_verb_find(frame.bytes, &arguments);
	frame.row = verb;
	frame.lane = verb->lane;
	frame.flags |= verb->flags;
	return frame;
}
