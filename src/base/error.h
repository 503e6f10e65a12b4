#pragma once

/* What a function that can fail returns: NULL is success. The kind says what is certain about it;
 * the chain of causes says why. Errors live in the arena of the operation that made them. */

#include "base/arena.h"

enum error_kind {
	ERR_INVALID, /* the client's mistake; its message may be shown to them */
	ERR_DENIED,
	ERR_NOT_FOUND,
	ERR_EXISTS,
	ERR_LIMIT,       /* quota, size, rate */
	ERR_CONFLICT,    /* the condition was false: not applied; re-read and try again */
	ERR_UNAVAILABLE, /* refused: certainly nothing was written */
	ERR_TIMEOUT,     /* a read or a wait ran past its deadline: certainly nothing was written */
	ERR_UNCERTAIN,   /* a write may or may not surface: never delete, never claim */
	ERR_CORRUPT,     /* stored bytes break their own rules */
	ERR_CANCELLED,   /* the session or the server went away before anything was written */
	ERR_INTERNAL,    /* a bug of ours */
	ERR_KIND_COUNT,
};

struct error {
	enum error_kind kind;
	const char *message;       /* what failed, in the words of this layer */
	const struct error *cause; /* why, in the words of the layer below */
	const char *file;
	int line;
};

const char *error_kind_name(enum error_kind kind);

/* True when the failed write certainly left nothing behind. Ask before any clean-up that destroys.
 */
bool error_nothing_written(const struct error *err);

/* "outer: inner: innermost", in the arena. */
const char *error_chain(struct arena *arena, const struct error *err);
