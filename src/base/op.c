#include "base/op.h"

#include "base/clock.h"

static const char *const kind_names[ERR_KIND_COUNT] = {
	[ERR_INVALID] = "invalid",
	[ERR_DENIED] = "denied",
	[ERR_NOT_FOUND] = "not_found",
	[ERR_EXISTS] = "exists",
	[ERR_LIMIT] = "limit",
	[ERR_CONFLICT] = "conflict",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_TIMEOUT] = "timeout",
	[ERR_UNCERTAIN] = "uncertain",
	[ERR_CORRUPT] = "corrupt",
	[ERR_CANCELLED] = "cancelled",
	[ERR_INTERNAL] = "internal",
};

const char *error_kind_name(enum error_kind kind)
{
	return kind < ERR_KIND_COUNT ? kind_names[kind] : "unknown";
}

bool error_nothing_written(const struct error *err)
{
	return err->kind != ERR_UNCERTAIN && err->kind != ERR_INTERNAL && err->kind != ERR_CORRUPT;
}

const char *error_chain(struct arena *arena, const struct error *err)
{
	const char *text = err->message;
	for (const struct error *cause = err->cause; cause; cause = cause->cause)
		text = arena_printf(arena, "%s: %s", text, cause->message);
	return text;
}

void op_init(struct op *op, const char *name)
{
	*op = (struct op){.id = uuid_v7(), .begun_ns = clock_monotonic_ns(), .name = name};
	arena_init(&op->arena);
}

void op_done(struct op *op)
{
	arena_done(&op->arena);
}

uint64_t op_time_left_ns(const struct op *op)
{
	if (!op->deadline_ns)
		return UINT64_MAX;
	uint64_t now = clock_monotonic_ns();
	return now < op->deadline_ns ? op->deadline_ns - now : 0;
}

static struct error *new_error(struct op *op, enum error_kind kind, const char *file, int line,
	const struct error *cause, const char *format, va_list args) PRINTF_LIKE(6, 0);

static struct error *new_error(struct op *op, enum error_kind kind, const char *file, int line,
	const struct error *cause, const char *format, va_list args)
{
	struct error *err = ARENA_NEW(&op->arena, struct error);
	err->kind = kind;
	err->message = arena_vprintf(&op->arena, format, args);
	err->cause = cause;
	err->file = file;
	err->line = line;
	return err;
}

struct error *op_error(
	struct op *op, enum error_kind kind, const char *file, int line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct error *err = new_error(op, kind, file, line, NULL, format, args);
	va_end(args);
	return err;
}

struct error *op_error_wrap(struct op *op, const struct error *cause, const char *file, int line,
	const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct error *err = new_error(op, cause->kind, file, line, cause, format, args);
	va_end(args);
	return err;
}

struct error *op_error_copy(struct op *op, const struct error *err)
{
	if (!err)
		return NULL;
	struct error *copy = ARENA_NEW(&op->arena, struct error);
	*copy = *err;
	copy->message = arena_cstr(&op->arena, slice_from_cstr(err->message));
	copy->cause = op_error_copy(op, err->cause);
	return copy;
}
