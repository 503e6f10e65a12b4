#include "base/clock.h"
#include "format/date.h"
#include "front/smtp/smtp_private.h"

/* RFC 3848: ESMTPSA, LMTPS… */
static const char *with_protocol(const struct smtp *smtp)
{
	bool is_tls = session_is_tls(smtp->session);
	bool is_signed_in = session_is_signed_in(smtp->session);
	static const char *const names[2][4] = {
		{"ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA"}, {"LMTP", "LMTPS", "LMTPA", "LMTPSA"}};
	if (smtp->kind != SMTP_LMTP && !smtp->is_extended)
		return "SMTP";
	if (smtp->envelope->is_utf8)
		return smtp->kind == SMTP_LMTP ? (is_tls ? "UTF8LMTPS" : "UTF8LMTP")
		       : is_tls                ? (is_signed_in ? "UTF8SMTPSA" : "UTF8SMTPS")
					       : (is_signed_in ? "UTF8SMTPA" : "UTF8SMTP");
	return names[smtp->kind == SMTP_LMTP][(is_tls ? 1 : 0) + (is_signed_in ? 2 : 0)];
}

struct slice smtp_received(struct op *op, const struct smtp *smtp)
{
	struct buf out = buf_in(&op->arena);
	const char *peer = session_peer(smtp->session);
	buf_printf(&out, "Received: from %s ([%s%s])\r\n", smtp->hello,
		strchr(peer, ':') ? "IPv6:" : "", peer);
	buf_printf(&out, "\tby %s (Holdfast) with %s", session_server_name(), with_protocol(smtp));
	if (session_is_tls(smtp->session))
		buf_printf(&out, "\r\n\t(%s, %s)", session_tls_version(smtp->session),
			session_tls_cipher(smtp->session));
	buf_printf(&out, "\r\n\tid %s", uuid_text(&op->arena, op->id));
	/* With several, naming one to the other would tell who gets blind copies. */
	if (smtp->envelope->recipient_count == 1)
		buf_printf(&out, "\r\n\tfor <" SLICE_FMT ">",
			SLICE_ARG(smtp->envelope->recipients[0].address));
	buf_append(&out, SLICE(";\r\n\t"));
	const struct date now = {.seconds = (int64_t)(clock_realtime_us() / US_PER_S)};
	date_print_rfc5322(&out, now);
	buf_append(&out, SLICE("\r\n"));
	return buf_as_slice(&out);
}
