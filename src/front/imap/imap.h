#pragma once

/* The IMAP front end: IMAP4rev1 (RFC 3501), IMAP4rev2 (RFC 9051) and their extensions. */

#include "account/account.h"
#include "base/setting.h"
#include "search/search.h"
#include "session/session.h"

/* What `app` hands to session_listen; must outlive the sessions. */
struct imap_context {
	struct mail_store *store;
	struct accounts *accounts;
	struct search *search; /* NULL: every search reads the messages */
};

extern const struct protocol imap_protocol;

/* imap.*: an array of imap_setting_count rows. */
extern const struct setting imap_settings[];
extern const size_t imap_setting_count;

/* For mail_store_listen: tells the idling sessions of the account. */
void imap_account_changed(void *context, struct account_id account);
