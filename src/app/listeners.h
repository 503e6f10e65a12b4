#pragma once

/* Which protocol listens where. */

#include "app/config.h"
#include "base/setting.h"
#include "front/imap/imap.h"
#include "front/pop3/pop3.h"
#include "front/smtp/smtp.h"
#include "net/net.h"

/* What the front ends work on; filled before anybody is served. */
struct fronts {
	struct imap_context imap;
	struct smtp_service smtp;
	struct pop3_service pop3;
};

extern const struct setting listener_settings[];
extern const size_t listener_setting_count;

/* ERR_INVALID with file:line when a setting names no addresses to listen on,
 * or wants TLS while there is no certificate. */
MUST_CHECK struct error *listeners_check(struct op *op, const struct config *config);

/* Binds what the settings name. `fronts` outlives the net. */
MUST_CHECK struct error *listeners_bind(struct op *op, struct net *net, struct fronts *fronts);
