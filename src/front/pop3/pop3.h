#pragma once

/* POP3 (RFC 1939) over an account's INBOX. `app` hands the service to session_listen as the
 * context. */

#include "account/account.h"
#include "base/setting.h"
#include "mailbox/mailbox.h"
#include "session/session.h"

struct pop3_service {
	struct accounts *accounts;
	struct mail_store *store;
};

extern const struct protocol pop3_protocol;
extern const struct setting pop3_settings[];
extern const size_t pop3_setting_count;

/* From the settings: addresses to listen on, for session_listen. NULL: none. */
struct pop3_addresses {
	const char *pop3, *pop3_tls;
};
extern struct pop3_addresses pop3_addresses;
