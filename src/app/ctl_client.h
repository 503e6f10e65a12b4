#pragma once

/* holdfastctl's side of the admin interface: one request over the server's local socket. */

#include <jansson.h>

#include "base/buf.h"
#include "base/op.h"

struct ctl_reply {
	long status;
	struct slice text;
	json_t *json; /* NULL when the answer is no JSON; the caller owns it */
};

/* `path` as it goes on the wire, percent-encoded; `body` NULL: none. ERR_UNAVAILABLE: no server
 * answers there. */
MUST_CHECK struct error *ctl_request(struct op *op, const char *socket_path, const char *method,
	const char *path, json_t *body, struct ctl_reply *ret_reply);

/* The same, for a command: prints what went wrong, and returns the exit code that says it (0 when
 * nothing did). The reply is the caller's to release in any case. */
int ctl_ask(struct op *op, const char *socket_path, const char *method, const char *path,
	json_t *body, struct ctl_reply *ret_reply);

/* Appends "name=value&", percent-encoded; nothing for a value that is NULL. */
void ctl_add_argument(struct buf *path, struct arena *arena, const char *name, const char *value);

/* What the server says is wrong; NULL when nothing is. */
const char *ctl_fault(const struct ctl_reply *reply);

/* Percent-encodes everything but the unreserved characters of RFC 3986. */
const char *ctl_encode(struct arena *arena, const char *text);
