#pragma once

/* SMTP for our domains (RFC 5321), submission (RFC 6409) and LMTP (RFC 2033). `app` hands the
 * service to session_listen as the context of all three. */

#include "base/setting.h"
#include "delivery/deliver.h"
#include "session/session.h"

struct smtp_service {
	struct delivery_service delivery;
};

extern const struct protocol smtp_protocol;
extern const struct protocol submission_protocol;
extern const struct protocol lmtp_protocol;

extern const struct setting smtp_settings[];
extern const size_t smtp_setting_count;

/* From the settings: addresses to listen on, for session_listen. NULL: none. */
struct smtp_addresses {
	const char *smtp;
	const char *submission, *submission_tls;
	const char *lmtp;
};
extern struct smtp_addresses smtp_addresses;
