#pragma once

/* BODY and BODYSTRUCTURE (RFC 9051 7.5.2) printed from a scanned message. Pure, any thread. */

#include "base/buf.h"
#include "format/mime.h"

/* `extended`: BODYSTRUCTURE, otherwise BODY. Recursion is bounded by MIME_DEPTH_MAX. */
void bodystructure_print(struct buf *out, struct arena *scratch, struct slice message,
	const struct mime_part *part, bool extended);
