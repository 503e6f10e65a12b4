#pragma once

/* What a mail's envelope said (RFC 5321 2.3.1) with its DSN parameters (RFC 3461), as it is kept
 * beside the message for whoever is to report on it later. Pure. */

#include "base/op.h"
#include "base/slice.h"

struct smtp_envelope {
	struct slice sender;               /* reverse path as given; empty for <> */
	struct slice sender_parameters;    /* "RET=HDRS ENVID=QQ314159", as given */
	struct slice recipient;            /* as given, before aliases */
	struct slice recipient_parameters; /* "NOTIFY=SUCCESS ORCPT=rfc822;a@example.net" */
};

/* In the arena. */
struct slice smtp_envelope_encode(struct arena *arena, const struct smtp_envelope *envelope);

/* The slices borrow from `bytes`; no bytes are an empty envelope (mail that came by APPEND).
 * ERR_CORRUPT. */
MUST_CHECK struct error *smtp_envelope_decode(
	struct op *op, struct slice bytes, struct smtp_envelope *ret_envelope);
