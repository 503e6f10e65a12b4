#include "base/setting.h"

struct unit {
	struct slice name;
	uint64_t factor;
};

static const struct unit byte_units[] = {
	{SLICE_INIT("KiB"), 1024},
	{SLICE_INIT("MiB"), 1024 * 1024},
	{SLICE_INIT("GiB"), 1024 * 1024 * 1024},
	{SLICE_INIT("TiB"), 1024ULL * 1024 * 1024 * 1024},
	{SLICE_INIT(""), 1},
};

static const struct unit duration_units[] = {
	{SLICE_INIT("ms"), 1},
	{SLICE_INIT("s"), 1000},
	{SLICE_INIT("min"), 60 * 1000},
	{SLICE_INIT("h"), 3600 * 1000},
	{SLICE_INIT("d"), 24 * 3600 * 1000},
};

static bool parse_with_unit(
	struct slice text, const struct unit *units, size_t count, uint64_t *ret_value)
{
	size_t digits = 0;
	while (digits < text.len && ascii_is_digit(text.ptr[digits]))
		digits++;
	struct slice unit = slice_trim(slice_from(text, digits));
	uint64_t number;
	if (!slice_parse_u64(slice_range(text, 0, digits), &number))
		return false;
	for (size_t i = 0; i < count; i++)
		if (slice_equal(unit, units[i].name))
			return !__builtin_mul_overflow(number, units[i].factor, ret_value);
	return false;
}

static bool parse_number(const struct setting *setting, struct slice text, uint64_t *ret_value)
{
	if (setting->type == SETTING_BYTES)
		return parse_with_unit(text, byte_units, ARRAY_SIZE(byte_units), ret_value);
	if (setting->type == SETTING_DURATION)
		return parse_with_unit(text, duration_units, ARRAY_SIZE(duration_units), ret_value);
	return slice_parse_u64(text, ret_value);
}

static const char *expected(const struct setting *setting)
{
	switch (setting->type) {
	case SETTING_BOOL:
		return "yes or no";
	case SETTING_BYTES:
		return "a size such as 512, 64 KiB, 50 MiB";
	case SETTING_DURATION:
		return "a duration such as 250 ms, 30 s, 5 min, 7 d";
	case SETTING_NUMBER:
		return "a whole number";
	case SETTING_TEXT:
	case SETTING_CHOICE:
		break;
	}
	return "text";
}

static struct error *store_number(struct op *op, const struct setting *setting, struct slice value)
{
	uint64_t number;
	if (!parse_number(setting, value, &number))
		return op_fail(op, ERR_INVALID, "%s: \"" SLICE_FMT "\" is not %s", setting->name,
			SLICE_ARG(value), expected(setting));
	if (number < setting->min || number > setting->max)
		return op_fail(op, ERR_INVALID, "%s: " SLICE_FMT " is outside %llu to %llu%s",
			setting->name, SLICE_ARG(value), (unsigned long long)setting->min,
			(unsigned long long)setting->max,
			setting->type == SETTING_DURATION ? " ms" : "");
	*(uint64_t *)setting->target = number;
	return NULL;
}

static struct error *store_choice(struct op *op, const struct setting *setting, struct slice value)
{
	const char *all = "";
	for (int i = 0; setting->choices[i]; i++) {
		if (slice_equal(value, slice_from_cstr(setting->choices[i]))) {
			*(int *)setting->target = i;
			return NULL;
		}
		all = arena_printf(&op->arena, "%s%s%s", all, i ? ", " : "", setting->choices[i]);
	}
	return op_fail(op, ERR_INVALID, "%s: \"" SLICE_FMT "\" is none of %s", setting->name,
		SLICE_ARG(value), all);
}

/* Texts are kept for ever: readers of the old value may still hold it after a reload. */
struct kept_text {
	struct kept_text *next;
	char text[];
};
static struct kept_text *kept_texts;

static const char *keep_text(struct slice value)
{
	struct kept_text *kept = heap_alloc(sizeof(struct kept_text) + value.len + 1);
	memcpy(kept->text, value.ptr, value.len);
	kept->next = kept_texts;
	kept_texts = kept;
	return kept->text;
}

struct error *setting_store(struct op *op, const struct setting *setting, struct slice value)
{
	switch (setting->type) {
	case SETTING_BOOL:
		if (!slice_equal(value, SLICE("yes")) && !slice_equal(value, SLICE("no")))
			return op_fail(op, ERR_INVALID, "%s: \"" SLICE_FMT "\" is not yes or no",
				setting->name, SLICE_ARG(value));
		*(bool *)setting->target = slice_equal(value, SLICE("yes"));
		return NULL;
	case SETTING_TEXT:
		*(const char **)setting->target = value.len ? keep_text(value) : NULL;
		return NULL;
	case SETTING_CHOICE:
		return store_choice(op, setting, value);
	case SETTING_NUMBER:
	case SETTING_BYTES:
	case SETTING_DURATION:
		return store_number(op, setting, value);
	}
	return op_fail(op, ERR_INTERNAL, "%s: unknown type", setting->name);
}
