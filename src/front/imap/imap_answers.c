#include <assert.h>

#include "base/log.h"
#include "front/imap/imap_private.h"

/* What a client is told of each kind of error: a response code (RFC 5530), and the text where the
 * error's own message is not for it. */
static const struct answer {
	const char *code; /* NULL: none */
	const char *text; /* NULL: the error's message */
	enum log_level level;
} answers[] = {
	[ERR_INVALID] = {"CANNOT", NULL, LOG_LEVEL_DEBUG},
	[ERR_DENIED] = {"NOPERM", NULL, LOG_LEVEL_DEBUG},
	[ERR_NOT_FOUND] = {"NONEXISTENT", NULL, LOG_LEVEL_DEBUG},
	[ERR_EXISTS] = {"ALREADYEXISTS", NULL, LOG_LEVEL_DEBUG},
	[ERR_LIMIT] = {"LIMIT", NULL, LOG_LEVEL_DEBUG},
	[ERR_CONFLICT] = {"INUSE", "The mailbox is being changed by others, try again",
		LOG_LEVEL_WARNING},
	[ERR_UNAVAILABLE] = {"UNAVAILABLE", "The store is not available, try again later",
		LOG_LEVEL_WARNING},
	[ERR_TIMEOUT] = {"UNAVAILABLE", "The store did not answer in time, try again later",
		LOG_LEVEL_WARNING},
	[ERR_UNCERTAIN] = {"UNAVAILABLE", "It is not known yet whether this was done",
		LOG_LEVEL_ERROR},
	[ERR_CORRUPT] = {"CORRUPTION", "Stored data is damaged", LOG_LEVEL_ERROR},
	[ERR_CANCELLED] = {"UNAVAILABLE", "The server is stopping", LOG_LEVEL_DEBUG},
	[ERR_INTERNAL] = {"SERVERBUG", "The server made a mistake", LOG_LEVEL_ERROR},
};
static_assert(ARRAY_SIZE(answers) == ERR_KIND_COUNT, "every kind has its answer");

void imap_write_ok(struct imap_session *session, const struct imap_args *args, struct slice name)
{
	struct buf *out = session->out;
	buf_append(out, args->tag);
	buf_append(out, SLICE(" OK "));
	if (args->ok_code.len)
		buf_printf(out, "[" SLICE_FMT "] ", SLICE_ARG(args->ok_code));
	if (args->ok_text.len)
		buf_append(out, args->ok_text);
	else
		buf_printf(out, SLICE_FMT " completed", SLICE_ARG(name));
	buf_append(out, SLICE("\r\n"));
}

/* Text of a response: whatever came from the client must not end the line. */
static void write_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		buf_append_char(out, c < ' ' || c >= 0x7f ? '?' : *text);
	}
}

void imap_write_bad(struct imap_session *session, struct slice tag, const char *text)
{
	buf_append(session->out, tag.len ? tag : SLICE("*"));
	buf_append(session->out, SLICE(" BAD "));
	write_text(session->out, text);
	buf_append(session->out, SLICE("\r\n"));
}

static void log_failure(struct op *op, enum log_level level, const struct error *err)
{
	if (!log_is_on(level))
		return;
	const struct log_field fields[] = {FIELD_TEXT("command", op->name),
		FIELD_TEXT("kind", error_kind_name(err->kind)), FIELD_ERROR(op, err)};
	log_event(level, op, "imap-command-failed", fields, ARRAY_SIZE(fields));
}

void imap_write_error(struct op *op, struct imap_session *session, const struct imap_args *args,
	const struct error *err)
{
	const struct answer *answer = &answers[err->kind];
	log_failure(op, args->is_bad ? LOG_LEVEL_DEBUG : answer->level, err);
	if (args->is_bad) {
		imap_write_bad(session, args->tag, err->message);
		return;
	}
	buf_append(session->out, args->tag);
	buf_append(session->out, SLICE(" NO "));
	if (args->no_code.len)
		buf_printf(session->out, "[" SLICE_FMT "] ", SLICE_ARG(args->no_code));
	else if (answer->code)
		buf_printf(session->out, "[%s] ", answer->code);
	write_text(session->out, answer->text ? answer->text : err->message);
	if (answer->text)
		buf_printf(session->out, " (%s)", uuid_text(&op->arena, op->id));
	buf_append(session->out, SLICE("\r\n"));
}
