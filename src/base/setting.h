#pragma once

/* A setting is a row: where it stands, what it may be, what it is without being set, what it means.
 * The configuration file's checks, the sample file and holdfast.conf(5) all come from these rows.
 * Each module declares the rows of what it can be told; `app` collects them. */

#include "base/op.h"

enum setting_type {
	SETTING_BOOL,     /* bool: yes, no */
	SETTING_NUMBER,   /* uint64_t */
	SETTING_BYTES,    /* uint64_t: 10, 64 KiB, 50 MiB, 2 GiB */
	SETTING_DURATION, /* uint64_t, milliseconds: 250 ms, 30 s, 5 min, 7 d */
	SETTING_TEXT,     /* const char * (NULL when empty) */
	SETTING_CHOICE,   /* int: index into choices */
};

struct setting {
	const char *name; /* "smtp.max_recipients": section and key */
	enum setting_type type;
	void *target;               /* written when the file is read; type as above */
	const char *default_value;  /* as it would stand in the file */
	uint64_t min, max;          /* numbers, bytes, durations (ms) */
	const char *const *choices; /* NULL-ended */
	bool reloadable;            /* takes effect at SIGHUP */
	const char *help;           /* one sentence */
};

/* Parses one value by the row's rules and stores it. Strings are kept on the heap for the life of
 * the process. ERR_INVALID names the setting and what was expected. */
MUST_CHECK struct error *setting_store(
	struct op *op, const struct setting *setting, struct slice value);
