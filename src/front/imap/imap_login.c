#include "account/auth.h"
#include "front/imap/imap_notify.h"
#include "front/imap/imap_private.h"
#include "session/watch.h"

#include <stdlib.h>

static struct sasl_terms terms_of(struct imap_session *session)
{
	return (struct sasl_terms){
		.find_login = account_find_login,
		.accounts = session->accounts,
		.is_private =
			session_is_tls(session->session) || session_is_loopback(session->session),
		.channel_binding = session_channel_binding(session->session),
	};
}

void imap_write_mechanisms(struct imap_session *session)
{
	struct sasl_terms terms = terms_of(session);
	for (const char *const *name = sasl_mechanisms(&terms); *name; name++)
		buf_printf(session->out, " AUTH=%s", *name);
	if (!terms.is_private)
		buf_append(session->out, SLICE(" LOGINDISABLED"));
}

IMAP_HANDLER(imap_starttls)
{
	TRY(imap_end(op, args));
	if (session_is_tls(session->session) || !session_can_start_tls(session->session))
		return imap_bad(op, args, "TLS cannot be started here");
	args->ok_text = SLICE("Begin TLS now");
	session->next_step = STEP_START_TLS;
	return NULL;
}

void imap_free_dialog(struct imap_session *session)
{
	sasl_free(session->dialog);
	session->dialog = NULL;
	free((char *)session->dialog_tag.ptr);
	session->dialog_tag = SLICE_NONE;
}

/* The tagged OK carries the capabilities that are now there. */
static void write_signed_in(struct imap_session *session, struct slice tag)
{
	buf_append(session->out, tag);
	buf_append(session->out, SLICE(" OK [CAPABILITY "));
	imap_write_capabilities(session);
	buf_append(session->out, SLICE("] Signed in\r\n"));
}

static void write_no(struct imap_session *session, struct slice tag, const char *text)
{
	buf_append(session->out, tag);
	buf_printf(session->out, " NO %s\r\n", text);
}

/* UNAUTHENTICATE (RFC 8437): all that belonged to the user is forgotten; the connection stays as it
 * is, with TLS and compression. */
IMAP_HANDLER(imap_unauthenticate)
{
	TRY(imap_end(op, args));
	imap_leave_mailbox(session);
	imap_notify_end(session);
	session_sign_out(session->session);
	session->state = IMAP_NOT_AUTHED;
	session->account = (struct account_id){0};
	session->has_condstore = session->has_qresync = false;
	session->has_rev2 = session->has_utf8 = session->has_uidonly = false;
	session->has_metadata = false;
	return NULL;
}

/* What an exchange came to, or LOGIN by itself. */
struct attempt {
	enum sasl_outcome outcome;
	struct account_id account; /* SASL_SIGNED_IN */
	struct slice mechanism;
	struct slice user_name;
};

static enum step sign_in(
	struct imap_session *session, struct slice tag, const struct attempt *attempt)
{
	if (!session_sign_in(session->session, attempt->account.uuid, attempt->mechanism)) {
		write_no(session, tag, "[LIMIT] Too many connections of this account");
		return STEP_DONE;
	}
	session_auth_succeeded(session->session);
	session->account = attempt->account;
	session->state = IMAP_AUTHED;
	write_signed_in(session, tag);
	return STEP_DONE;
}

/* Answers any outcome that ends an exchange. */
static enum step end_exchange(
	struct imap_session *session, struct slice tag, const struct attempt *attempt)
{
	switch (attempt->outcome) {
	case SASL_SIGNED_IN:
		return sign_in(session, tag, attempt);
	case SASL_WRONG:
		write_no(session, tag, "[AUTHENTICATIONFAILED] Wrong name or password");
		return session_auth_failed(session->session, attempt->user_name) ? STEP_DONE
										 : STEP_CLOSE;
	case SASL_CANCELLED:
		imap_write_bad(session, tag, "Cancelled");
		return STEP_DONE;
	case SASL_MALFORMED:
	case SASL_CONTINUE:
	default:
		imap_write_bad(session, tag, "The exchange broke its mechanism's rules");
		return session_auth_failed(session->session, attempt->user_name) ? STEP_DONE
										 : STEP_CLOSE;
	}
}

static enum step auth_line(struct op *op, struct session *session, struct command *command);

/* One step; the next line comes here too if the mechanism wants it. */
static struct error *auth_step(
	struct op *op, struct imap_session *session, struct slice input, enum step *ret_step)
{
	struct slice output;
	enum sasl_outcome outcome;
	TRY(sasl_step(op, session->dialog, input, &output, &outcome));
	if (outcome == SASL_CONTINUE) {
		buf_printf(session->out, "+ " SLICE_FMT "\r\n", SLICE_ARG(output));
		session_expect(session->session, IMAP_MODE_LINE, LANE_AUTH, auth_line);
		*ret_step = STEP_DONE;
		return NULL;
	}
	struct attempt attempt = {.outcome = outcome,
		.mechanism = sasl_mechanism(session->dialog),
		.user_name = sasl_user_name(session->dialog)};
	if (outcome == SASL_SIGNED_IN)
		attempt.account = sasl_account(session->dialog);
	*ret_step = end_exchange(session, session->dialog_tag, &attempt);
	imap_free_dialog(session);
	return NULL;
}

static enum step auth_line(struct op *op, struct session *session, struct command *command)
{
	struct imap_session *imap = session_state(session);
	imap->out = session_output(session);
	struct imap_args args = {.tag = imap->dialog_tag};
	enum step step = STEP_DONE;
	struct slice input =
		command->flags & COMMAND_TOO_BIG ? SLICE("*") : slice_trim(command->line);
	op->name = "imap AUTHENTICATE";
	struct error *err = auth_step(op, imap, input, &step);
	if (err) {
		imap_write_error(op, imap, &args, err);
		imap_free_dialog(imap);
	}
	return step;
}

/* AUTHENTICATE (RFC 9051 6.2.2), with an initial response (RFC 4959) */
IMAP_HANDLER(imap_authenticate)
{
	struct slice mechanism;
	struct slice initial = SLICE_NONE;
	TRY(imap_space(op, args));
	TRY(imap_atom(op, args, &mechanism));
	if (imap_take_char(args, ' ')) {
		initial = args->rest;
		args->rest = SLICE_NONE;
	}
	TRY(imap_end(op, args));
	struct sasl_terms terms = terms_of(session);
	struct sasl_exchange *exchange;
	TRY(sasl_begin(op, &terms, mechanism, &exchange));
	imap_free_dialog(session);
	session->dialog = exchange;
	session->dialog_tag = slice_of(heap_cstr(args->tag), args->tag.len);
	struct error *err = auth_step(op, session, initial, &session->next_step);
	if (err)
		imap_free_dialog(session);
	return err;
}

/* LOGIN (RFC 9051 6.2.3) */
IMAP_HANDLER(imap_login)
{
	struct slice user, password;
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &user));
	TRY(imap_space(op, args));
	TRY(imap_astring(op, args, &password));
	TRY(imap_end(op, args));
	struct sasl_terms terms = terms_of(session);
	if (!terms.is_private) {
		args->no_code = SLICE("PRIVACYREQUIRED");
		return op_fail(op, ERR_DENIED, "Start TLS before you send a password");
	}
	struct attempt attempt = {.mechanism = SLICE("LOGIN"), .user_name = user};
	TRY(sasl_login(op, &terms, user, password, &attempt.account, &attempt.outcome));
	session->next_step = end_exchange(session, args->tag, &attempt);
	return NULL;
}
