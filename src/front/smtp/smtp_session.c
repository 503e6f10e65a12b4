/* The commands there are, and those that need no file of their own. */

#include <assert.h>
#include <stdlib.h>

#include "front/smtp/smtp_private.h"

/* ---- Answers ---- */

static PRINTF_LIKE(2, 0) void reply_line(struct smtp *smtp, const char *format, va_list args)
{
	AUTO_OP(scratch, "smtp reply");
	struct buf *out = session_output(smtp->session);
	struct slice text = slice_from_cstr(arena_vprintf(&scratch.arena, format, args));
	size_t begin = out->len;
	buf_append(out, text);
	/* Whatever an error's words hold, a reply is one line. */
	for (size_t i = begin; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < 0x20)
			out->ptr[i] = ' ';
	buf_append(out, SLICE("\r\n"));
}

void smtp_reply(struct smtp *smtp, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	reply_line(smtp, format, args);
	va_end(args);
}

enum step smtp_refuse(struct smtp *smtp, const char *format, ...)
{
	if (++smtp->errors > smtp_config.max_errors) {
		smtp_reply(smtp, "421 4.7.0 too many errors");
		return STEP_CLOSE;
	}
	va_list args;
	va_start(args, format);
	reply_line(smtp, format, args);
	va_end(args);
	return STEP_DONE;
}

/* ---- Commands ---- */

void smtp_forget_envelope(struct smtp *smtp)
{
	struct envelope *envelope = smtp->envelope;
	if (!envelope)
		return;
	spool_free(envelope->chunks);
	arena_done(&envelope->arena);
	free(envelope);
	smtp->envelope = NULL;
}

/* A name is kept for the Received field, where it must not end a comment or a line. */
static bool keep_name(struct smtp *smtp, struct slice name)
{
	if (!name.len || name.len >= sizeof(smtp->hello))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		if (c <= 0x20 || c == 0x7f || strchr("()<>\\\",;@", c))
			return false;
	}
	memcpy(smtp->hello, name.ptr, name.len);
	smtp->hello[name.len] = '\0';
	return true;
}

static void offer_auth(struct op *op, struct smtp *smtp)
{
	if (smtp->kind != SMTP_SUBMISSION || session_is_signed_in(smtp->session))
		return;
	struct sasl_terms terms = smtp_sasl_terms(smtp);
	const char *line = "250-AUTH";
	for (const char *const *name = sasl_mechanisms(&terms); *name; name++)
		line = arena_printf(&op->arena, "%s %s", line, *name);
	smtp_reply(smtp, "%s", line);
}

static enum step smtp_ehlo(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)command;
	if (!keep_name(smtp, slice_trim(args)))
		return smtp_refuse(smtp, "501 5.5.4 a domain or address literal is wanted here");
	smtp->is_extended = true;
	smtp_forget_envelope(smtp);
	smtp_reply(smtp, "250-%s greets %s", session_server_name(), smtp->hello);
	static const char *const extensions[] = {"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING",
		"BINARYMIME", "ENHANCEDSTATUSCODES", "DSN"};
	for (size_t i = 0; i < ARRAY_SIZE(extensions); i++)
		smtp_reply(smtp, "250-%s", extensions[i]);
	if (session_can_start_tls(smtp->session))
		smtp_reply(smtp, "250-STARTTLS");
	offer_auth(op, smtp);
	if (smtp->kind != SMTP_LMTP)
		smtp_reply(smtp, "250-HELP");
	smtp_reply(smtp, "250 SIZE %llu", (unsigned long long)smtp_config.max_message_bytes);
	return STEP_DONE;
}

static enum step smtp_helo(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	if (!keep_name(smtp, slice_trim(args)))
		return smtp_refuse(smtp, "501 5.5.4 a domain is wanted here");
	smtp->is_extended = false;
	smtp_forget_envelope(smtp);
	smtp_reply(smtp, "250 %s", session_server_name());
	return STEP_DONE;
}

static enum step smtp_rset(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	smtp_forget_envelope(smtp);
	smtp_reply(smtp, "250 2.0.0 forgotten");
	return STEP_DONE;
}

static enum step smtp_noop(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	smtp_reply(smtp, "250 2.0.0 OK");
	return STEP_DONE;
}

static enum step smtp_vrfy(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	if (!slice_trim(args).len)
		return smtp_refuse(smtp, "501 5.5.4 an address is wanted here");
	smtp_reply(smtp, "252 2.5.0 not told; send mail and see");
	return STEP_DONE;
}

static enum step smtp_help(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	smtp_reply(smtp, "214 2.0.0 RFC 5321 tells it all");
	return STEP_DONE;
}

static enum step smtp_quit(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	smtp_reply(smtp, "221 2.0.0 %s says goodbye", session_server_name());
	return STEP_CLOSE;
}

static enum step smtp_starttls(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	if (slice_trim(args).len)
		return smtp_refuse(smtp, "501 5.5.4 STARTTLS takes no argument");
	if (session_is_tls(smtp->session) || session_is_signed_in(smtp->session))
		return smtp_refuse(smtp, "503 5.5.1 too late for that");
	if (!session_can_start_tls(smtp->session))
		return smtp_refuse(smtp, "454 4.7.0 there is no certificate");
	/* RFC 3207 4.2: what was said in the open does not count. */
	smtp_forget_envelope(smtp);
	smtp->hello[0] = '\0';
	smtp_reply(smtp, "220 2.0.0 go ahead");
	return STEP_START_TLS;
}

static enum step smtp_unknown(
	struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	return smtp_refuse(smtp, "500 5.5.1 unknown command");
}

static const smtp_handler handlers[] = {
	[SMTP_VERB_UNKNOWN] = smtp_unknown,
	[SMTP_VERB_EHLO] = smtp_ehlo,
	[SMTP_VERB_HELO] = smtp_helo,
	[SMTP_VERB_LHLO] = smtp_ehlo,
	[SMTP_VERB_MAIL] = smtp_mail,
	[SMTP_VERB_RCPT] = smtp_rcpt,
	[SMTP_VERB_DATA] = smtp_data,
	[SMTP_VERB_BDAT] = smtp_bdat,
	[SMTP_VERB_RSET] = smtp_rset,
	[SMTP_VERB_NOOP] = smtp_noop,
	[SMTP_VERB_VRFY] = smtp_vrfy,
	[SMTP_VERB_HELP] = smtp_help,
	[SMTP_VERB_STARTTLS] = smtp_starttls,
	[SMTP_VERB_AUTH] = smtp_auth,
	[SMTP_VERB_QUIT] = smtp_quit,
};
static_assert(ARRAY_SIZE(handlers) == SMTP_VERB_COUNT, "every verb has a handler");

/* ---- Dispatch ---- */

enum step smtp_greet(struct op *op, struct session *session)
{
	(void)op;
	struct smtp *smtp = session_state(session);
	smtp->session = session;
	smtp->service = session_context(session);
	const struct protocol *protocol = session_protocol(session);
	smtp->kind = protocol == &lmtp_protocol         ? SMTP_LMTP
		     : protocol == &submission_protocol ? SMTP_SUBMISSION
							: SMTP_MX;
	smtp_reply(smtp, "220 %s %s Holdfast", session_server_name(),
		smtp->kind == SMTP_LMTP ? "LMTP" : "ESMTP");
	return STEP_DONE;
}

void smtp_release_keys(struct op *op, struct smtp *smtp, const struct command *command)
{
	if (!smtp->key_count || !command->follows_answers)
		return;
	delivery_release(op, &smtp->service->delivery, smtp->keys, smtp->key_count);
	free(smtp->keys);
	smtp->keys = NULL;
	smtp->key_count = 0;
}

enum step smtp_execute(struct op *op, struct session *session, struct command *command)
{
	struct smtp *smtp = session_state(session);
	smtp_release_keys(op, smtp, command);
	if (!command->row)
		return smtp_refuse(smtp, "500 5.5.2 line too long");
	if (command->flags & SMTP_BAD_LINE_END)
		return smtp_refuse(smtp, "500 5.5.2 a line ends in CRLF, with no CR within");
	struct slice arguments;
	const struct smtp_verb *verb = smtp_verb_find(command->line, &arguments);
	enum smtp_verb_id id = verb->kinds & smtp->kind ? verb->id : SMTP_VERB_UNKNOWN;
	return handlers[id](op, smtp, command, arguments);
}

void smtp_closed(struct op *op, struct session *session)
{
	(void)op;
	struct smtp *smtp = session_state(session);
	smtp_forget_envelope(smtp);
	sasl_free(smtp->exchange);
	free(smtp->keys);
}

#define SMTP_PROTOCOL(protocol_name)                                                           \
	{                                                                                      \
		.name = (protocol_name), .framer_size = sizeof(struct smtp_framer),            \
		.state_size = sizeof(struct smtp), .feed = smtp_feed,                          \
		.max_input = SMTP_LINE_MAX + 2, .greet = smtp_greet, .greet_lane = LANE_QUICK, \
		.execute = smtp_execute, .closed = smtp_closed,                                \
		.say_busy = SLICE_INIT("421 4.7.0 too many connections\r\n"),                  \
		.say_idle = SLICE_INIT("421 4.4.2 nothing was said for too long\r\n"),         \
		.say_shutdown = SLICE_INIT("421 4.3.2 the server stops, come again\r\n"),      \
		.say_disconnected =                                                            \
			SLICE_INIT("421 4.3.2 the administrator has ended this session\r\n"),  \
		.say_too_big = SLICE_INIT("421 4.5.2 line too long\r\n"),                      \
		.idle_timeout_ms = &smtp_config.idle_timeout_ms,                               \
	}

const struct protocol smtp_protocol = SMTP_PROTOCOL("smtp");
const struct protocol submission_protocol = SMTP_PROTOCOL("submission");
const struct protocol lmtp_protocol = SMTP_PROTOCOL("lmtp");
