#include "app/listeners.h"

static struct {
	const char *imap, *imap_tls;
} addresses;

/* clang-format off */
const struct setting listener_settings[] = {
	{"imap.listen", SETTING_TEXT, &addresses.imap, "", 0, 0, NULL, false,
		"Addresses for IMAP with STARTTLS, such as 0.0.0.0:143, commas between; none if empty."},
	{"imap.listen_tls", SETTING_TEXT, &addresses.imap_tls, "", 0, 0, NULL, false,
		"Addresses for IMAP on TLS from the first byte, such as 0.0.0.0:993; none if empty."},
};
const size_t listener_setting_count = ARRAY_SIZE(listener_settings);
/* clang-format on */

struct error *listeners_check(struct op *op, const struct config *config)
{
	static const char *const settings[] = {"smtp.listen", "submission.listen",
		"submission.listen_tls", "lmtp.listen", "imap.listen", "imap.listen_tls",
		"pop3.listen", "pop3.listen_tls", "admin.listen", "admin.listen_tls"};
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		struct error *err = net_check_addresses(op, config_value(config, settings[i]));
		if (err)
			return config_fault(op, config, settings[i], err->message);
		if (slice_ends_with(slice_from_cstr(settings[i]), SLICE("_tls")) &&
			*config_value(config, settings[i]) &&
			!*config_value(config, "tls.certificate"))
			return config_fault(op, config, settings[i],
				"needs tls.certificate and tls.key: there is no TLS without them");
	}
	return NULL;
}

struct error *listeners_bind(struct op *op, struct net *net, struct fronts *fronts)
{
	const struct {
		const struct protocol *protocol;
		const char *addresses;
		bool implicit_tls;
		void *context;
	} listeners[] = {
		{&smtp_protocol, smtp_addresses.smtp, false, &fronts->smtp},
		{&submission_protocol, smtp_addresses.submission, false, &fronts->smtp},
		{&submission_protocol, smtp_addresses.submission_tls, true, &fronts->smtp},
		{&lmtp_protocol, smtp_addresses.lmtp, false, &fronts->smtp},
		{&imap_protocol, addresses.imap, false, &fronts->imap},
		{&imap_protocol, addresses.imap_tls, true, &fronts->imap},
		{&pop3_protocol, pop3_addresses.pop3, false, &fronts->pop3},
		{&pop3_protocol, pop3_addresses.pop3_tls, true, &fronts->pop3},
	};
	for (size_t i = 0; i < ARRAY_SIZE(listeners); i++)
		TRY(session_listen(op, net, listeners[i].protocol, listeners[i].addresses,
			listeners[i].implicit_tls, listeners[i].context));
	return NULL;
}
