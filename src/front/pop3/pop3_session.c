/* The commands there are, and those that need no file of their own. */

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "front/pop3/pop3_private.h"

/* ---- Answers ---- */

void pop3_reply(struct pop3 *pop3, const char *format, ...)
{
	AUTO_OP(scratch, "pop3 reply");
	va_list args;
	va_start(args, format);
	struct buf *out = session_output(pop3->session);
	size_t begin = out->len;
	buf_append(out, slice_from_cstr(arena_vprintf(&scratch.arena, format, args)));
	va_end(args);
	/* Whatever an error's words hold, a reply is one line. */
	for (size_t i = begin; i < out->len; i++)
		if ((unsigned char)out->ptr[i] < 0x20)
			out->ptr[i] = ' ';
	buf_append(out, SLICE("\r\n"));
}

struct answer {
	const char *reply;
	enum log_level level;
	bool shows_message;
};

static const struct answer answers[] = {
	[ERR_INVALID] = {"-ERR", LOG_LEVEL_DEBUG, true},
	[ERR_DENIED] = {"-ERR [SYS/PERM]", LOG_LEVEL_DEBUG, true},
	[ERR_NOT_FOUND] = {"-ERR [SYS/PERM]", LOG_LEVEL_DEBUG, true},
	[ERR_EXISTS] = {"-ERR [SYS/PERM]", LOG_LEVEL_DEBUG, true},
	[ERR_LIMIT] = {"-ERR [SYS/TEMP]", LOG_LEVEL_DEBUG, true},
	[ERR_CONFLICT] = {"-ERR [SYS/TEMP]", LOG_LEVEL_WARNING, false},
	[ERR_UNAVAILABLE] = {"-ERR [SYS/TEMP]", LOG_LEVEL_WARNING, false},
	[ERR_TIMEOUT] = {"-ERR [SYS/TEMP]", LOG_LEVEL_WARNING, false},
	[ERR_UNCERTAIN] = {"-ERR [SYS/TEMP]", LOG_LEVEL_ERROR, false},
	[ERR_CORRUPT] = {"-ERR [SYS/TEMP]", LOG_LEVEL_ERROR, false},
	[ERR_CANCELLED] = {"-ERR [SYS/TEMP]", LOG_LEVEL_DEBUG, false},
	[ERR_INTERNAL] = {"-ERR [SYS/TEMP]", LOG_LEVEL_ERROR, false},
};
static_assert(ARRAY_SIZE(answers) == ERR_KIND_COUNT, "every kind has an answer");

void pop3_answer_error(struct op *op, struct pop3 *pop3, const struct error *err)
{
	const struct answer *answer = &answers[err->kind];
	if (log_is_on(answer->level)) {
		const struct log_field fields[] = {
			FIELD_TEXT("peer", session_peer(pop3->session)), FIELD_ERROR(op, err)};
		log_event(answer->level, op, "pop3-refused", fields, ARRAY_SIZE(fields));
	}
	if (answer->shows_message)
		pop3_reply(pop3, "%s %s", answer->reply, err->message);
	else
		pop3_reply(pop3, "%s not possible now, try again later (%s)", answer->reply,
			uuid_text(&op->arena, op->id));
}

/* ---- Commands ---- */

static enum step pop3_capa(
	struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)command;
	(void)args;
	static const char *const always[] = {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE",
		"PIPELINING", "EXPIRE NEVER", "IMPLEMENTATION Holdfast"};
	pop3_reply(pop3, "+OK");
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		pop3_reply(pop3, "%s", always[i]);
	if (!pop3->is_open) {
		struct sasl_terms terms = pop3_sasl_terms(pop3);
		const char *line = "SASL";
		for (const char *const *name = sasl_mechanisms(&terms); *name; name++)
			line = arena_printf(&op->arena, "%s %s", line, *name);
		if (terms.is_private)
			pop3_reply(pop3, "USER");
		pop3_reply(pop3, "%s", line);
		if (session_can_start_tls(pop3->session))
			pop3_reply(pop3, "STLS");
	}
	pop3_reply(pop3, ".");
	return STEP_DONE;
}

static enum step pop3_stls(
	struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	if (!session_can_start_tls(pop3->session)) {
		pop3_reply(pop3, "-ERR there is no TLS to begin");
		return STEP_DONE;
	}
	pop3->user[0] = '\0';
	pop3_reply(pop3, "+OK go ahead");
	return STEP_START_TLS;
}

static enum step pop3_noop(
	struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	pop3_reply(pop3, "+OK");
	return STEP_DONE;
}

static enum step pop3_unknown(
	struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	(void)args;
	pop3_reply(pop3, "-ERR unknown command");
	return STEP_DONE;
}

typedef enum step (*pop3_handler)(
	struct op *op, struct pop3 *pop3, struct command *command, struct slice args);

static const pop3_handler handlers[] = {
	[POP3_VERB_UNKNOWN] = pop3_unknown,
	[POP3_VERB_CAPA] = pop3_capa,
	[POP3_VERB_USER] = pop3_user,
	[POP3_VERB_PASS] = pop3_pass,
	[POP3_VERB_AUTH] = pop3_auth,
	[POP3_VERB_STLS] = pop3_stls,
	[POP3_VERB_STAT] = pop3_stat,
	[POP3_VERB_LIST] = pop3_list,
	[POP3_VERB_UIDL] = pop3_uidl,
	[POP3_VERB_RETR] = pop3_retr,
	[POP3_VERB_TOP] = pop3_top,
	[POP3_VERB_DELE] = pop3_dele,
	[POP3_VERB_NOOP] = pop3_noop,
	[POP3_VERB_RSET] = pop3_rset,
	[POP3_VERB_QUIT] = pop3_quit,
};
static_assert(ARRAY_SIZE(handlers) == POP3_VERB_COUNT, "every verb has a handler");

/* ---- Dispatch ---- */

static enum step pop3_greet(struct op *op, struct session *session)
{
	(void)op;
	struct pop3 *pop3 = session_state(session);
	pop3->session = session;
	pop3->service = session_context(session);
	pop3_reply(pop3, "+OK %s POP3 Holdfast", session_server_name());
	return STEP_DONE;
}

static enum step pop3_execute(struct op *op, struct session *session, struct command *command)
{
	struct pop3 *pop3 = session_state(session);
	const struct pop3_verb *verb = command->row;
	if (!verb) {
		pop3_reply(pop3, "-ERR line too long");
		return STEP_DONE;
	}
	bool too_late = verb->when == POP3_BEFORE && pop3->is_open;
	bool too_early = verb->when == POP3_AFTER && !pop3->is_open;
	if (too_late || too_early) {
		pop3_reply(pop3, too_late ? "-ERR signed in already" : "-ERR sign in first");
		return STEP_DONE;
	}
	struct slice arguments;
	pop3_verb_find(command->line, &arguments);
	op->only_shows = verb->id != POP3_VERB_QUIT;
	return handlers[verb->id](op, pop3, command, arguments);
}

static void pop3_closed(struct op *op, struct session *session)
{
	(void)op;
	struct pop3 *pop3 = session_state(session);
	sasl_free(pop3->exchange);
	free(pop3->maildrop.messages);
}

const struct protocol pop3_protocol = {
	.name = "pop3",
	.framer_size = sizeof(struct line_framer),
	.state_size = sizeof(struct pop3),
	.feed = pop3_feed,
	.max_input = POP3_LINE_MAX + 2,
	.greet = pop3_greet,
	.greet_lane = LANE_QUICK,
	.execute = pop3_execute,
	.closed = pop3_closed,
	.say_busy = SLICE_INIT("-ERR [SYS/TEMP] too many connections\r\n"),
	.say_idle = SLICE_INIT("-ERR nothing was said for too long\r\n"),
	.say_shutdown = SLICE_INIT("-ERR [SYS/TEMP] the server stops, come again\r\n"),
	.say_disconnected =
		SLICE_INIT("-ERR [SYS/TEMP] the administrator has ended this session\r\n"),
	.say_too_big = SLICE_INIT("-ERR line too long\r\n"),
	.idle_timeout_ms = &pop3_config.idle_timeout_ms,
};
