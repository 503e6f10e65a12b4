/* AUTH (RFC 4954). */

#include "front/smtp/smtp_private.h"

struct sasl_terms smtp_sasl_terms(const struct smtp *smtp)
{
	return (struct sasl_terms){.find_login = account_find_login,
		.accounts = smtp->service->delivery.accounts,
		.is_private = session_is_tls(smtp->session) || session_is_loopback(smtp->session),
		.channel_binding = session_channel_binding(smtp->session)};
}

static enum step signed_in(struct smtp *smtp)
{
	smtp->account = sasl_account(smtp->exchange);
	if (!session_sign_in(smtp->session, smtp->account.uuid, sasl_mechanism(smtp->exchange))) {
		smtp_reply(smtp, "421 4.7.0 too many connections of this account");
		return STEP_CLOSE;
	}
	session_auth_succeeded(smtp->session);
	smtp_reply(smtp, "235 2.7.0 signed in");
	return STEP_DONE;
}

static enum step auth_answer(struct op *op, struct session *session, struct command *command);

static enum step auth_step(struct op *op, struct smtp *smtp, struct slice input)
{
	struct slice output;
	enum sasl_outcome outcome = SASL_MALFORMED;
	struct error *err = sasl_step(op, smtp->exchange, input, &output, &outcome);
	if (!err && outcome == SASL_CONTINUE) {
		smtp_reply(smtp, "334 " SLICE_FMT, SLICE_ARG(output));
		session_expect(smtp->session, SMTP_MODE_LINE, LANE_AUTH, auth_answer);
		return STEP_DONE;
	}
	enum step step = STEP_DONE;
	if (err) {
		smtp_answer_error(op, smtp, err, SLICE_NONE);
	} else if (outcome == SASL_SIGNED_IN) {
		step = signed_in(smtp);
	} else if (outcome == SASL_WRONG) {
		bool may_go_on = session_auth_failed(smtp->session, sasl_user_name(smtp->exchange));
		smtp_reply(smtp, "535 5.7.8 wrong name or password");
		step = may_go_on ? STEP_DONE : STEP_CLOSE;
	} else {
		step = smtp_refuse(smtp,
			outcome == SASL_CANCELLED ? "501 5.7.0 given up" : "501 5.5.2 malformed");
	}
	sasl_free(smtp->exchange);
	smtp->exchange = NULL;
	return step;
}

static enum step auth_answer(struct op *op, struct session *session, struct command *command)
{
	struct smtp *smtp = session_state(session);
	bool is_broken = command->flags & (COMMAND_TOO_BIG | SMTP_BAD_LINE_END);
	return auth_step(op, smtp, is_broken ? SLICE("!") : command->line);
}

enum step smtp_auth(struct op *op, struct smtp *smtp, struct command *command, struct slice args)
{
	(void)command;
	if (!smtp->hello[0] || !smtp->is_extended)
		return smtp_refuse(smtp, "503 5.5.1 EHLO comes first");
	if (session_is_signed_in(smtp->session))
		return smtp_refuse(smtp, "503 5.5.1 signed in already");
	if (smtp->envelope)
		return smtp_refuse(smtp, "503 5.5.1 not within a mail");
	struct slice rest = slice_trim(args), mechanism, initial = SLICE("");
	slice_split(&rest, ' ', &mechanism);
	if (rest.ptr)
		initial = slice_trim(rest);
	struct sasl_terms terms = smtp_sasl_terms(smtp);
	struct error *err = sasl_begin(op, &terms, mechanism, &smtp->exchange);
	if (err && err->kind == ERR_INVALID)
		return smtp_refuse(smtp, "504 5.5.4 %s", err->message);
	if (err) {
		smtp_answer_error(op, smtp, err, SLICE_NONE);
		return STEP_DONE;
	}
	return auth_step(op, smtp, initial);
}
