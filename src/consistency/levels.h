#pragma once

/* Makes a struct engine of a replicated store: chooses the level of each call, tries once more at
 * the fallback level, and keeps what is uncertain uncertain. Any thread. */

#include "base/setting.h"
#include "consistency/fallback.h"
#include "engine/replicated.h"

struct levels_pair {
	enum level primary;
	enum level fallback; /* LEVEL_NONE: there is none */
};

struct levels_config {
	struct levels_pair kinds[FALLBACK_KIND_COUNT];
	enum level serial; /* of a CAS and of serial reads; has no fallback */
	/* A first attempt that can be followed by another gets this, and half of the time left at
	 * most; a probe gets this. */
	uint64_t attempt_timeout_ms;
	struct uuid node_id; /* whose row of probe_table the probes use */
};

/* Takes the store: closing the engine closes it. */
struct engine *levels_engine_new(struct replicated *store, const struct levels_config *config);

/* Makes the probes that are due. For a background thread of the caller's, which calls it again when
 * the time that is returned has come (monotonic, nanoseconds; UINT64_MAX: nothing is wrong now, ask
 * again soon). */
uint64_t levels_probe(struct op *op, struct engine *engine);

struct levels_status {
	const char *kind; /* "read", "write", "delete" */
	enum level primary;
	enum level fallback;
	enum level in_force;
	enum fallback_pin pin;
	uint64_t in_force_ms;   /* for so long */
	uint64_t next_probe_ms; /* from now; UINT64_MAX: none is planned */
	uint64_t failures;      /* of the primary, since the start: one a switch, one a probe */
};

void levels_get_status(struct engine *engine, struct levels_status ret_status[FALLBACK_KIND_COUNT]);

/* By "read", "write", "delete". */
bool levels_kind_by_name(struct slice name, enum fallback_kind *ret_kind);

/* By an administrator's hand. ERR_INVALID: the kind has no fallback. */
MUST_CHECK struct error *levels_pin(
	struct op *op, struct engine *engine, enum fallback_kind kind, enum fallback_pin pin);
void levels_release(struct engine *engine, enum fallback_kind kind);

/* ---- levels_settings.c ---- */

extern const struct setting levels_settings[];
extern const size_t levels_setting_count;

/* Levels from the settings as they were read; node_id is left alone. ERR_INVALID: *ret_setting is
 * the name of the one at fault, for config_fault(). */
MUST_CHECK struct error *levels_config_read(
	struct op *op, struct levels_config *ret_config, const char **ret_setting);

/* The local data centre's name; NULL when it was not given. */
const char *levels_data_centre(void);
