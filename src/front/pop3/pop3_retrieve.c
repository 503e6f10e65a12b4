/* RETR and TOP: a piece at a time, as fast as the client reads. */

#include "front/pop3/pop3_private.h"

#define PIECE KIB(256)

struct retrieval {
	struct message message;
	struct pop3_stuffing stuffing;
	uint64_t offset;
};

/* Finds where the content is kept; *ret_retrieval is NULL when the message has gone since. */
static struct error *begin(
	struct op *op, struct pop3 *pop3, uint32_t uid, struct retrieval **ret_retrieval)
{
	struct uid_set uids;
	uid_set_init(&uids, &op->arena);
	uid_set_add(&uids, uid);
	struct message *found;
	size_t count;
	TRY(mailbox_messages(op, pop3->service->store, pop3->account, pop3->maildrop.mailbox, &uids,
		&found, &count));
	*ret_retrieval = NULL;
	if (!count)
		return NULL;
	*ret_retrieval = ARENA_NEW(&op->arena, struct retrieval);
	(*ret_retrieval)->message = *found;
	return NULL;
}

/* *ret_more: there is more to send than the output takes now. */
static struct error *send_pieces(
	struct op *op, struct pop3 *pop3, struct retrieval *retrieval, bool *ret_more)
{
	struct buf *out = session_output(pop3->session);
	bool wants_more = true;
	while (wants_more && retrieval->offset < retrieval->message.size) {
		if (session_output_is_full(pop3->session)) {
			*ret_more = true;
			return NULL;
		}
		struct arena_mark mark = arena_mark(&op->arena);
		struct slice piece;
		TRY(message_content(op, pop3->service->store, &retrieval->message,
			retrieval->offset, PIECE, &piece));
		if (!piece.len)
			return op_fail(op, ERR_CORRUPT, "a message is shorter than its size");
		wants_more = pop3_stuff(&retrieval->stuffing, out, piece);
		retrieval->offset += piece.len;
		arena_release(&op->arena, mark);
		session_flush(pop3->session);
	}
	pop3_stuff_end(&retrieval->stuffing, session_output(pop3->session));
	*ret_more = false;
	return NULL;
}

static enum step go_on(struct op *op, struct pop3 *pop3, struct command *command)
{
	struct retrieval *retrieval = command->cursor;
	bool more = false;
	struct error *err = send_pieces(op, pop3, retrieval, &more);
	if (!err)
		return more ? STEP_MORE : STEP_DONE;
	/* Amid a mail there is no way to say so but to end it. */
	pop3_answer_error(op, pop3, err);
	return STEP_CLOSE;
}

static enum step retrieve(struct op *op, struct pop3 *pop3, struct command *command,
	struct slice number, bool is_limited, uint64_t lines)
{
	if (command->cursor)
		return go_on(op, pop3, command);
	const struct pop3_message *wanted = pop3_message_get(pop3, number);
	if (!wanted)
		return STEP_DONE;
	struct retrieval *retrieval;
	struct error *err = begin(op, pop3, wanted->uid, &retrieval);
	if (err) {
		pop3_answer_error(op, pop3, err);
		return STEP_DONE;
	}
	if (!retrieval) {
		pop3_reply(pop3, "-ERR this message has been deleted elsewhere");
		return STEP_DONE;
	}
	retrieval->stuffing.is_limited = is_limited;
	retrieval->stuffing.lines_left = lines;
	command->cursor = retrieval;
	pop3_reply(pop3, "+OK %llu octets", (unsigned long long)retrieval->message.size);
	return go_on(op, pop3, command);
}

enum step pop3_retr(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	return retrieve(op, pop3, command, slice_trim(args), false, 0);
}

enum step pop3_top(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	struct slice rest = slice_trim(args), number;
	uint64_t lines;
	slice_split(&rest, ' ', &number);
	if (!rest.ptr || !slice_parse_u64(slice_trim(rest), &lines)) {
		pop3_reply(pop3, "-ERR a message and a number of lines are wanted here");
		return STEP_DONE;
	}
	return retrieve(op, pop3, command, number, true, lines);
}
