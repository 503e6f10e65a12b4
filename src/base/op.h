#pragma once

/* One operation: a client's command, a request, a step of background work. First parameter of
 * everything that can fail, wait or allocate. Owned by one thread at a time. */

#include "base/error.h"
#include "base/uuid.h"

struct op {
	struct arena arena;
	struct uuid id;       /* names the operation in logs and answers */
	uint64_t begun_ns;    /* monotonic clock */
	uint64_t deadline_ns; /* monotonic clock; 0: none */
	const char *name;     /* static text: "imap FETCH", "sweeper" */
	bool only_shows;      /* what it reads a client is shown; nothing is decided by it */
	bool asks_store;      /* whether content is there and whole is asked: no cache knows */
};

void op_init(struct op *op, const char *name);
void op_done(struct op *op);

/* Nanoseconds left before the deadline; UINT64_MAX without one. */
uint64_t op_time_left_ns(const struct op *op);

struct error *op_error(struct op *op, enum error_kind kind, const char *file, int line,
	const char *format, ...) PRINTF_LIKE(5, 6);
struct error *op_error_wrap(struct op *op, const struct error *cause, const char *file, int line,
	const char *format, ...) PRINTF_LIKE(5, 6);

/* Copies an error, with its causes, into another operation's arena. */
struct error *op_error_copy(struct op *op, const struct error *err);

/* There is always an error: what a failed call did not write is never looked at. */
static inline struct error *op_error_certain(struct error *err)
{
	if (!err)
		__builtin_unreachable();
	return err;
}

#define op_fail(op, kind, ...) \
	op_error_certain(op_error((op), (kind), __FILE__, __LINE__, __VA_ARGS__))

/* Adds a line and keeps the kind. */
#define op_wrap(op, err, ...) \
	op_error_certain(op_error_wrap((op), (err), __FILE__, __LINE__, __VA_ARGS__))

#define TRY(call)                                \
	do {                                     \
		struct error *try_err_ = (call); \
		if (try_err_)                    \
			return try_err_;         \
	} while (0)

static inline void op_cleanup(struct op *op)
{
	op_done(op);
}

/* An operation that ends with its scope: AUTO_OP(op, "sweeper"); */
#define AUTO_OP(variable, op_name)                               \
	__attribute__((cleanup(op_cleanup))) struct op variable; \
	op_init(&variable, op_name)
