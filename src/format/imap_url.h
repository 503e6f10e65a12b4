#pragma once

/* IMAP URLs of messages (RFC 5092), as CATENATE has them:
 * "/Drafts;UIDVALIDITY=1/;UID=2/;SECTION=1.2". Those with a server's name are for other servers.
 * Pure, any thread. */

#include "base/arena.h"

#define IMAP_URL_MAX 4000

struct imap_url {
	struct slice mailbox; /* UTF-8; empty: the selected one */
	uint32_t uidvalidity; /* 0: any */
	uint32_t uid;
	struct slice section; /* "1.2.MIME", "HEADER"; empty: the message */
	bool has_partial;
	uint32_t offset, length; /* length 0: to the end */
};

/* False when it names no message on this server. */
bool imap_url_parse(struct arena *arena, struct slice text, struct imap_url *ret_url);
