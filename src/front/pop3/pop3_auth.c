/* USER and PASS, AUTH (RFC 5034). */

#include "front/pop3/pop3_private.h"

struct sasl_terms pop3_sasl_terms(const struct pop3 *pop3)
{
	return (struct sasl_terms){.find_login = account_find_login,
		.accounts = pop3->service->accounts,
		.is_private = session_is_tls(pop3->session) || session_is_loopback(pop3->session),
		.channel_binding = session_channel_binding(pop3->session)};
}

static enum step signed_in(
	struct op *op, struct pop3 *pop3, struct account_id account, struct slice mechanism)
{
	/* Once: a maildrop that could not be read may be asked for again. */
	if (!session_is_signed_in(pop3->session) &&
		!session_sign_in(pop3->session, account.uuid, mechanism)) {
		pop3_reply(pop3, "-ERR [IN-USE] too many connections of this account");
		return STEP_CLOSE;
	}
	session_auth_succeeded(pop3->session);
	pop3->account = account;
	struct error *err = pop3_maildrop_open(op, pop3);
	if (err) {
		pop3_answer_error(op, pop3, err);
		return STEP_CLOSE;
	}
	pop3->is_open = true;
	pop3_reply(pop3, "+OK %zu messages", pop3->maildrop.count);
	return STEP_DONE;
}

static enum step wrong(struct pop3 *pop3, struct slice name)
{
	bool may_go_on = session_auth_failed(pop3->session, name);
	pop3_reply(pop3, "-ERR [AUTH] wrong name or password");
	return may_go_on ? STEP_DONE : STEP_CLOSE;
}

enum step pop3_user(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)op;
	(void)command;
	struct sasl_terms terms = pop3_sasl_terms(pop3);
	struct slice name = slice_trim(args);
	if (!terms.is_private) {
		pop3_reply(pop3, "-ERR [AUTH] STLS comes first");
		return STEP_DONE;
	}
	if (!name.len || name.len >= sizeof(pop3->user) ||
		slice_find_char(name, '\0') != name.len) {
		pop3_reply(pop3, "-ERR a name is wanted here");
		return STEP_DONE;
	}
	memcpy(pop3->user, name.ptr, name.len);
	pop3->user[name.len] = '\0';
	pop3_reply(pop3, "+OK and the password?");
	return STEP_DONE;
}

enum step pop3_pass(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)command;
	if (!pop3->user[0]) {
		pop3_reply(pop3, "-ERR USER comes first");
		return STEP_DONE;
	}
	struct sasl_terms terms = pop3_sasl_terms(pop3);
	struct slice name = arena_dup(&op->arena, slice_from_cstr(pop3->user));
	pop3->user[0] = '\0';
	struct account_id account;
	enum sasl_outcome outcome;
	struct error *err = sasl_login(op, &terms, name, args, &account, &outcome);
	if (err) {
		pop3_answer_error(op, pop3, err);
		return STEP_DONE;
	}
	return outcome == SASL_SIGNED_IN ? signed_in(op, pop3, account, SLICE("USER"))
					 : wrong(pop3, name);
}

static enum step auth_answer(struct op *op, struct session *session, struct command *command);

static enum step auth_over(
	struct op *op, struct pop3 *pop3, const struct error *err, enum sasl_outcome outcome)
{
	if (err)
		pop3_answer_error(op, pop3, err);
	else if (outcome == SASL_SIGNED_IN)
		return signed_in(
			op, pop3, sasl_account(pop3->exchange), sasl_mechanism(pop3->exchange));
	else if (outcome == SASL_WRONG)
		return wrong(pop3, sasl_user_name(pop3->exchange));
	else
		pop3_reply(pop3, outcome == SASL_CANCELLED ? "-ERR given up" : "-ERR malformed");
	return STEP_DONE;
}

static enum step auth_step(struct op *op, struct pop3 *pop3, struct slice input)
{
	struct slice output;
	enum sasl_outcome outcome = SASL_MALFORMED;
	struct error *err = sasl_step(op, pop3->exchange, input, &output, &outcome);
	if (!err && outcome == SASL_CONTINUE) {
		pop3_reply(pop3, "+ " SLICE_FMT, SLICE_ARG(output));
		session_expect(pop3->session, POP3_MODE_LINE, LANE_AUTH, auth_answer);
		return STEP_DONE;
	}
	enum step step = auth_over(op, pop3, err, outcome);
	sasl_free(pop3->exchange);
	pop3->exchange = NULL;
	return step;
}

static enum step auth_answer(struct op *op, struct session *session, struct command *command)
{
	struct pop3 *pop3 = session_state(session);
	bool is_broken = command->flags & COMMAND_TOO_BIG;
	return auth_step(op, pop3, is_broken ? SLICE("!") : command->line);
}

static void list_mechanisms(struct pop3 *pop3)
{
	struct sasl_terms terms = pop3_sasl_terms(pop3);
	pop3_reply(pop3, "+OK");
	for (const char *const *name = sasl_mechanisms(&terms); *name; name++)
		pop3_reply(pop3, "%s", *name);
	pop3_reply(pop3, ".");
}

enum step pop3_auth(struct op *op, struct pop3 *pop3, struct command *command, struct slice args)
{
	(void)command;
	struct slice rest = slice_trim(args), mechanism, initial = SLICE("");
	if (!rest.len) {
		list_mechanisms(pop3);
		return STEP_DONE;
	}
	slice_split(&rest, ' ', &mechanism);
	if (rest.ptr)
		initial = slice_trim(rest);
	struct sasl_terms terms = pop3_sasl_terms(pop3);
	struct error *err = sasl_begin(op, &terms, mechanism, &pop3->exchange);
	if (err) {
		pop3_answer_error(op, pop3, err);
		return STEP_DONE;
	}
	return auth_step(op, pop3, initial);
}
