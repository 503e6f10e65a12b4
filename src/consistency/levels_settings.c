#include "consistency/levels.h"

enum preset { PRESET_SINGLE_DC, PRESET_MULTI_DC };

static const char *const presets[] = {
	[PRESET_SINGLE_DC] = "single-dc", [PRESET_MULTI_DC] = "multi-dc", NULL};

static struct {
	int preset; /* enum preset */
	const char *data_centre;
	const char *primary[FALLBACK_KIND_COUNT]; /* NULL: as the preset says */
	const char *fallback[FALLBACK_KIND_COUNT];
	const char *serial;
	uint64_t attempt_timeout_ms;
} config;

/* clang-format off */
const struct setting levels_settings[] = {
	{"consistency.preset", SETTING_CHOICE, &config.preset, "single-dc", 0, 0, presets, false,
		"Levels for one data centre (all local_quorum) or several (writes and deletes each_quorum, falling back to local_quorum); the settings below win over it."},
	{"consistency.data_centre", SETTING_TEXT, &config.data_centre, "", 0, 0, NULL, false,
		"The name of the local data centre, as the cluster knows it; it is never guessed."},
	{"consistency.read_consistency", SETTING_TEXT, &config.primary[FALLBACK_READ], "", 0, 0, NULL, false,
		"The level of reads, by Cassandra's names; empty: the preset's. Where it does not see all that was written, only content is read at it."},
	{"consistency.read_fallback_consistency", SETTING_TEXT, &config.fallback[FALLBACK_READ], "", 0, 0, NULL, false,
		"The level of reads after a failure at the one above; none: no fallback; empty: the preset's."},
	{"consistency.write_consistency", SETTING_TEXT, &config.primary[FALLBACK_WRITE], "", 0, 0, NULL, false,
		"The level of writes; commits are made durable at it, or where it is each_quorum, at local_quorum with their log written at it; empty: the preset's."},
	{"consistency.write_fallback_consistency", SETTING_TEXT, &config.fallback[FALLBACK_WRITE], "", 0, 0, NULL, false,
		"The level of writes after a failure at the one above; none: no fallback; empty: the preset's."},
	{"consistency.delete_consistency", SETTING_TEXT, &config.primary[FALLBACK_DELETE], "", 0, 0, NULL, false,
		"The level of writes that delete anything; empty: the preset's."},
	{"consistency.delete_fallback_consistency", SETTING_TEXT, &config.fallback[FALLBACK_DELETE], "", 0, 0, NULL, false,
		"The level of deletes after a failure at the one above; none: no fallback; empty: the preset's."},
	{"consistency.serial_consistency", SETTING_TEXT, &config.serial, "local_serial", 0, 0, NULL, false,
		"The level at which commits are decided: local_serial, or serial across data centres."},
	{"consistency.attempt_timeout", SETTING_DURATION, &config.attempt_timeout_ms, "700 ms", 10, 60000, NULL, false,
		"How long a first attempt lasts before the fallback level is tried, and how long a probe lasts."},
};
const size_t levels_setting_count = ARRAY_SIZE(levels_settings);
/* clang-format on */

static const struct levels_pair preset_levels[][FALLBACK_KIND_COUNT] = {
	[PRESET_SINGLE_DC] =
		{
			[FALLBACK_READ] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			[FALLBACK_WRITE] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			[FALLBACK_DELETE] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
		},
	[PRESET_MULTI_DC] =
		{
			[FALLBACK_READ] = {LEVEL_LOCAL_QUORUM, LEVEL_NONE},
			[FALLBACK_WRITE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
			[FALLBACK_DELETE] = {LEVEL_EACH_QUORUM, LEVEL_LOCAL_QUORUM},
		},
};

/* What each text setting of a level is about. */
static const struct {
	const char *name;
	enum fallback_kind kind;
	bool is_fallback;
} level_settings[] = {
	{"consistency.read_consistency", FALLBACK_READ, false},
	{"consistency.read_fallback_consistency", FALLBACK_READ, true},
	{"consistency.write_consistency", FALLBACK_WRITE, false},
	{"consistency.write_fallback_consistency", FALLBACK_WRITE, true},
	{"consistency.delete_consistency", FALLBACK_DELETE, false},
	{"consistency.delete_fallback_consistency", FALLBACK_DELETE, true},
};

static struct error *read_level(
	struct op *op, const char *value, enum level_use use, enum level *ret_level)
{
	static const char *const uses[] = {[LEVEL_FOR_READS] = "reads",
		[LEVEL_FOR_WRITES] = "writes",
		[LEVEL_FOR_SERIAL] = "commits"};
	enum level level;
	if (!level_parse(slice_from_cstr(value), &level))
		return op_fail(op, ERR_INVALID, "\"%s\" is no consistency level", value);
	if (!level_usable(level, use))
		return op_fail(op, ERR_INVALID, "%s cannot serve %s", level_name(level), uses[use]);
	*ret_level = level;
	return NULL;
}

static struct error *read_kinds(
	struct op *op, struct levels_config *ret_config, const char **ret_setting)
{
	memcpy(ret_config->kinds, preset_levels[config.preset], sizeof(ret_config->kinds));
	for (size_t i = 0; i < ARRAY_SIZE(level_settings); i++) {
		enum fallback_kind kind = level_settings[i].kind;
		struct levels_pair *pair = &ret_config->kinds[kind];
		bool is_fallback = level_settings[i].is_fallback;
		const char *value = is_fallback ? config.fallback[kind] : config.primary[kind];
		enum level *level = is_fallback ? &pair->fallback : &pair->primary;
		*ret_setting = level_settings[i].name;
		if (!value)
			continue;
		if (is_fallback && slice_equal_nocase(slice_from_cstr(value), SLICE("none")))
			*level = LEVEL_NONE;
		else
			TRY(read_level(op, value,
				kind == FALLBACK_READ ? LEVEL_FOR_READS : LEVEL_FOR_WRITES, level));
	}
	return NULL;
}

struct error *levels_config_read(
	struct op *op, struct levels_config *ret_config, const char **ret_setting)
{
	TRY(read_kinds(op, ret_config, ret_setting));
	*ret_setting = "consistency.serial_consistency";
	TRY(read_level(
		op, config.serial ? config.serial : "", LEVEL_FOR_SERIAL, &ret_config->serial));
	ret_config->attempt_timeout_ms = config.attempt_timeout_ms;
	return NULL;
}

const char *levels_data_centre(void)
{
	return config.data_centre;
}
