#include "app/reference.h"

struct printer {
	FILE *out;
	struct slice section; /* of the row before; ptr NULL: none yet */
};

static struct slice section_of(const struct setting *row)
{
	struct slice name = slice_from_cstr(row->name);
	size_t dot = slice_find_char(name, '.');
	return dot < name.len ? slice_range(name, 0, dot) : SLICE("");
}

static const char *key_of(const struct setting *row)
{
	struct slice section = section_of(row);
	return row->name + (section.len ? section.len + 1 : 0);
}

/* True when the row begins a section. */
static bool enter_section(struct printer *printer, const struct setting *row)
{
	struct slice section = section_of(row);
	if (printer->section.ptr && slice_equal(section, printer->section))
		return false;
	printer->section = section;
	return true;
}

static const char *default_text(const struct setting *row)
{
	return *row->default_value ? row->default_value : "\"\"";
}

static void print_sample_row(void *context, const struct setting *row)
{
	struct printer *printer = context;
	bool is_new = enter_section(printer, row);
	const char *indent = printer->section.len ? "  " : "";
	if (is_new && printer->section.len)
		fprintf(printer->out, "\n" SLICE_FMT ":\n", SLICE_ARG(printer->section));
	fprintf(printer->out, "%s# %s\n%s#%s: %s\n", indent, row->help, indent, key_of(row),
		default_text(row));
}

void reference_print_sample(const struct config *config, FILE *out)
{
	struct printer printer = {.out = out};
	fputs("# Holdfast's settings, each with its default. holdfast.conf(5) tells more.\n"
	      "# `holdfastd --check` says whether a changed file is right.\n\n",
		out);
	config_each(config, print_sample_row, &printer);
}

static const char *type_text(const struct setting *row)
{
	switch (row->type) {
	case SETTING_BOOL:
		return "yes or no";
	case SETTING_NUMBER:
		return "number";
	case SETTING_BYTES:
		return "size";
	case SETTING_DURATION:
		return "duration";
	case SETTING_TEXT:
		return "text";
	case SETTING_CHOICE:
		return "one of";
	}
	return "text";
}

/* scdoc reads underscores and asterisks as emphasis. */
static void print_plain(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (strchr("_*\\#.<>[]`", *text))
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void print_limits(FILE *out, const struct setting *row)
{
	static const char *const unit[] = {
		[SETTING_BYTES] = " bytes", [SETTING_DURATION] = " ms", [SETTING_NUMBER] = ""};
	if (row->type == SETTING_CHOICE) {
		for (size_t i = 0; row->choices[i]; i++) {
			fputs(i ? ", " : " ", out);
			print_plain(out, row->choices[i]);
		}
	} else if (row->type == SETTING_NUMBER || row->type == SETTING_BYTES ||
		   row->type == SETTING_DURATION) {
		fprintf(out, ", %llu to %llu%s", (unsigned long long)row->min,
			(unsigned long long)row->max, unit[row->type]);
	}
}

static void print_manual_row(void *context, const struct setting *row)
{
	struct printer *printer = context;
	if (enter_section(printer, row))
		fprintf(printer->out, "# %s" SLICE_FMT "\n\n",
			printer->section.len ? "SECTION " : "TOP", SLICE_ARG(printer->section));
	fputc('*', printer->out);
	print_plain(printer->out, key_of(row));
	fprintf(printer->out, "* (%s", type_text(row));
	print_limits(printer->out, row);
	fputs("; default ", printer->out);
	print_plain(printer->out, *row->default_value ? row->default_value : "empty");
	fputs(row->reloadable ? "; reloaded)\n\t" : ")\n\t", printer->out);
	print_plain(printer->out, row->help);
	fputs("\n\n", printer->out);
}

void reference_print_manual(const struct config *config, FILE *out)
{
	struct printer printer = {.out = out};
	fputs("holdfast.conf(5)\n\n"
	      "# NAME\n\n"
	      "holdfast.conf - settings of the Holdfast mail server\n\n"
	      "# DESCRIPTION\n\n"
	      "The file is YAML: names with values, grouped in sections. An unknown name, a name\n"
	      "that stands twice, a bad value, an anchor, a tag or a list stops the start with "
	      "one\n"
	      "line that names the file and the line. *holdfastd --check* looks without "
	      "starting.\n\n"
	      "A size is a number with KiB, MiB, GiB, TiB or nothing (bytes) behind it; a "
	      "duration\n"
	      "one with ms, s, min, h or d. What is marked _reloaded_ takes effect at SIGHUP, the\n"
	      "rest at the next start.\n\n",
		out);
	config_each(config, print_manual_row, &printer);
	fputs("# EXAMPLE\n\n"
	      "```\nuser: holdfast\n\nlog:\n  level: debug\n```\n\n"
	      "# SEE ALSO\n\n*holdfastd*(8), *holdfastctl*(8)\n",
		out);
}
