#include "base/clock.h"
#include "format/date.h"
#include "front/imap/imap_private.h"
#include "mailbox/mailbox.h"

struct append_args {
	struct slice path;
	struct imap_flags flags;
	uint64_t internal_date_us; /* 0: now */
	struct slice message;
};

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

static struct error *parse_append(
	struct op *op, struct imap_args *args, struct append_args *ret_append)
{
	*ret_append = (struct append_args){0};
	TRY(imap_space(op, args));
	TRY(imap_mailbox(op, args, &ret_append->path));
	TRY(imap_space(op, args));
	if (imap_next_is(args, '(')) {
		TRY(imap_flag_list(op, args, false, &ret_append->flags));
		TRY(imap_space(op, args));
	}
	if (imap_next_is(args, '"'))
		TRY(take_date(op, args, &ret_append->internal_date_us));
	if (!imap_next_is(args, '{') && !imap_next_is(args, '~'))
		return imap_bad(op, args, "The message comes as a literal");
	TRY(imap_string(op, args, &ret_append->message));
	TRY(imap_end(op, args));
	if (ret_append->message.len == 0)
		return op_fail(op, ERR_INVALID, "The message is empty");
	return NULL;
}

/* APPEND (RFC 9051 6.3.12, RFC 4315) */
IMAP_HANDLER(imap_append)
{
	struct append_args append;
	struct append_result result;
	TRY(parse_append(op, args, &append));
	struct append_request request = {
		.account = session->account,
		.path = append.path,
		.content = append.message,
		.flags = append.flags.flags,
		.keywords = append.flags.keywords,
		.keyword_count = append.flags.keyword_count,
		.internal_date_us = append.internal_date_us,
	};
	struct error *err = mailbox_append(op, session->store, &request, &result);
	if (err && err->kind == ERR_NOT_FOUND)
		args->no_code = SLICE("TRYCREATE");
	else if (err && err->kind == ERR_LIMIT)
		args->no_code = SLICE("OVERQUOTA");
	TRY(err);
	args->ok_code = slice_from_cstr(
		arena_printf(&op->arena, "APPENDUID %u %u", result.uidvalidity, result.uid));
	return NULL;
}
