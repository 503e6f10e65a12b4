#include "engine/rocksdb_private.h"

/* The C API gives texts only (7.8.3). A prefix names the code; the rest says which file. */
static const struct {
	struct slice prefix;
	enum error_kind read;
	enum error_kind write;
	bool is_fatal; /* to a write */
} outcomes[] = {
	{SLICE_INIT("Corruption: "), ERR_CORRUPT, ERR_UNCERTAIN, true},
	{SLICE_INIT("IO error: "), ERR_UNAVAILABLE, ERR_UNCERTAIN, true},
	{SLICE_INIT("Resource busy: "), ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
	{SLICE_INIT("Operation timed out: "), ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
	{SLICE_INIT("Operation failed. Try again."), ERR_UNAVAILABLE, ERR_UNAVAILABLE, false},
	{SLICE_INIT("Invalid argument: "), ERR_INTERNAL, ERR_UNAVAILABLE, false},
	{SLICE_INIT("Not implemented: "), ERR_INTERNAL, ERR_UNAVAILABLE, false},
};

static size_t outcome_find(const char *status)
{
	size_t i = 0;
	while (i < ARRAY_SIZE(outcomes) &&
		!slice_starts_with(slice_from_cstr(status), outcomes[i].prefix))
		i++;
	return i;
}

/* A text nobody knows: a read told nothing, a write may have done anything. */
enum error_kind rocksdb_outcome(const char *status, bool is_write)
{
	size_t i = outcome_find(status);
	if (i == ARRAY_SIZE(outcomes))
		return is_write ? ERR_UNCERTAIN : ERR_UNAVAILABLE;
	return is_write ? outcomes[i].write : outcomes[i].read;
}

bool rocksdb_status_is_fatal(const char *status, bool is_write)
{
	size_t i = outcome_find(status);
	return is_write && (i == ARRAY_SIZE(outcomes) || outcomes[i].is_fatal);
}

struct error *rocksdb_status(struct op *op, char *status, bool is_write, const char *what)
{
	if (!status)
		return NULL;
	struct error *err =
		op_fail(op, rocksdb_outcome(status, is_write), "cannot %s: %s", what, status);
	rocksdb_free(status);
	return err;
}
