#include "base/clock.h"
#include "format/date.h"
#include "front/imap/imap_append.h"
#include "front/imap/imap_framer.h"

static struct error *take_date(struct op *op, struct imap_args *args, uint64_t *ret_us)
{
	struct slice text;
	struct date date;
	TRY(imap_string(op, args, &text));
	if (!date_parse_imap(text, &date))
		return imap_bad(op, args, "The date cannot be read");
	if (date.seconds <= 0)
		return op_fail(op, ERR_INVALID, "The date is before 1970");
	*ret_us = (uint64_t)date.seconds * US_PER_S;
	return imap_space(op, args);
}

static struct error *take_literal(
	struct op *op, struct imap_args *args, struct append_message *message)
{
	if (!imap_next_is(args, '{') && !imap_next_is(args, '~'))
		return imap_bad(op, args, "The message comes as a literal");
	message->parts = ARENA_NEW(&op->arena, struct append_part);
	message->part_count = 1;
	return imap_string(op, args, &message->parts->text);
}

static struct error *take_part(struct op *op, struct imap_args *args, struct append_part *part)
{
	part->is_url = imap_take_word(args, SLICE("URL"));
	if (!part->is_url && !imap_take_word(args, SLICE("TEXT")))
		return imap_bad(op, args, "A part is a TEXT or a URL");
	TRY(imap_space(op, args));
	if (part->is_url)
		return imap_astring(op, args, &part->text);
	if (!imap_next_is(args, '{') && !imap_next_is(args, '~'))
		return imap_bad(op, args, "A TEXT comes as a literal");
	return imap_string(op, args, &part->text);
}

/* "CATENATE (URL … TEXT {n}…)" (RFC 4469 5) */
static struct error *take_catenate(
	struct op *op, struct imap_args *args, struct append_message *message)
{
	message->is_catenated = true;
	message->parts = ARENA_ARRAY(&op->arena, struct append_part, IMAP_BODIES_MAX);
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "CATENATE takes a list");
	do {
		if (message->part_count == IMAP_BODIES_MAX)
			return imap_bad(op, args, "The message has too many parts");
		TRY(take_part(op, args, &message->parts[message->part_count++]));
	} while (imap_take_char(args, ' '));
	return imap_take_char(args, ')') ? NULL : imap_bad(op, args, "A list is not closed");
}

/* "UTF8 (~{n}…)" (RFC 9755 4) */
static struct error *take_utf8(
	struct op *op, struct imap_args *args, bool may_utf8, struct append_message *message)
{
	if (!may_utf8)
		return imap_bad(op, args, "Enable UTF8=ACCEPT first");
	TRY(imap_space(op, args));
	if (!imap_take_char(args, '('))
		return imap_bad(op, args, "UTF8 takes a literal in parentheses");
	TRY(take_literal(op, args, message));
	return imap_take_char(args, ')') ? NULL : imap_bad(op, args, "A list is not closed");
}

static struct error *take_message(
	struct op *op, struct imap_args *args, bool may_utf8, struct append_message *message)
{
	TRY(imap_space(op, args));
	if (imap_next_is(args, '(')) {
		TRY(imap_flag_list(op, args, false, &message->flags));
		TRY(imap_space(op, args));
	}
	if (imap_next_is(args, '"'))
		TRY(take_date(op, args, &message->internal_date_us));
	if (imap_take_word(args, SLICE("CATENATE")))
		return take_catenate(op, args, message);
	if (imap_take_word(args, SLICE("UTF8")))
		return take_utf8(op, args, may_utf8, message);
	return take_literal(op, args, message);
}

struct error *imap_append_parse(
	struct op *op, struct imap_args *args, bool may_utf8, struct append_args *ret_append)
{
	*ret_append = (struct append_args){
		.messages = ARENA_ARRAY(&op->arena, struct append_message, APPEND_BATCH_MAX)};
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &ret_append->path));
	do {
		if (ret_append->count == APPEND_BATCH_MAX)
			return op_fail(op, ERR_LIMIT, "Too many messages at once");
		TRY(take_message(op, args, may_utf8, &ret_append->messages[ret_append->count++]));
	} while (!imap_at_end(args));
	return NULL;
}
