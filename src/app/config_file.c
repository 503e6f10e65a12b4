#include "app/config_file.h"

#include <yaml.h>

struct parse {
	struct op *op;
	const char *path;
	const struct config_reader *reader;
	yaml_parser_t parser;
	struct slice section; /* ptr NULL: at the top */
	struct slice key;     /* ptr NULL: a key comes next */
	bool in_document;     /* its mapping is open */
	bool is_over;
};

static struct error *fault(struct parse *parse, size_t line, const char *what)
{
	return op_fail(parse->op, ERR_INVALID, "%s:%zu: %s", parse->path, line, what);
}

static struct slice full_name(struct parse *parse)
{
	if (!parse->section.ptr)
		return parse->key;
	return slice_from_cstr(arena_printf(&parse->op->arena, SLICE_FMT "." SLICE_FMT,
		SLICE_ARG(parse->section), SLICE_ARG(parse->key)));
}

static struct error *take_scalar(struct parse *parse, const yaml_event_t *event, size_t line)
{
	struct slice text = arena_dup(
		&parse->op->arena, slice_of(event->data.scalar.value, event->data.scalar.length));
	if (event->data.scalar.anchor || event->data.scalar.tag)
		return fault(parse, line, "anchors and tags are not understood here");
	if (!parse->in_document)
		return fault(parse, line, "settings are expected: \"name: value\"");
	if (!parse->key.ptr) {
		parse->key = text;
		return NULL;
	}
	struct slice name = full_name(parse);
	parse->key = SLICE_NONE;
	bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (!parse->section.ptr && text.len == 0 && is_plain &&
		parse->reader->is_section(parse->reader->context, name))
		return NULL; /* a section of which everything is commented out */
	struct error *err =
		parse->reader->value(parse->op, parse->reader->context, name, text, line);
	return err ? fault(parse, line, err->message) : NULL;
}

static struct error *open_mapping(struct parse *parse, const yaml_event_t *event, size_t line)
{
	if (event->data.mapping_start.anchor || event->data.mapping_start.tag)
		return fault(parse, line, "anchors and tags are not understood here");
	if (!parse->in_document) {
		parse->in_document = true;
		return NULL;
	}
	if (parse->section.ptr || !parse->key.ptr)
		return fault(parse, line, "a value is expected here, not a section");
	if (!parse->reader->is_section(parse->reader->context, parse->key))
		return fault(parse, line > 1 ? line - 1 : line,
			arena_printf(&parse->op->arena, "there is no section \"" SLICE_FMT "\"",
				SLICE_ARG(parse->key)));
	parse->section = parse->key;
	parse->key = SLICE_NONE;
	return NULL;
}

static struct error *take_event(struct parse *parse, const yaml_event_t *event)
{
	size_t line = event->start_mark.line + 1;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(parse, event, line);
	case YAML_MAPPING_START_EVENT:
		return open_mapping(parse, event, line);
	case YAML_MAPPING_END_EVENT:
		parse->section = SLICE_NONE;
		return NULL;
	case YAML_ALIAS_EVENT:
		return fault(parse, line, "anchors and tags are not understood here");
	case YAML_SEQUENCE_START_EVENT:
		return fault(parse, line, "a list is not expected here; write \"a, b, c\"");
	case YAML_DOCUMENT_START_EVENT:
		if (parse->in_document)
			return fault(parse, line, "a second document is not expected here");
		return NULL;
	case YAML_STREAM_END_EVENT:
		parse->is_over = true;
		return NULL;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		break;
	}
	return NULL;
}

static struct error *parse_all(struct parse *parse)
{
	while (!parse->is_over) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parse->parser, &event))
			return fault(parse, parse->parser.problem_mark.line + 1,
				parse->parser.problem ? parse->parser.problem : "is not YAML");
		struct error *err = take_event(parse, &event);
		yaml_event_delete(&event);
		if (err)
			return err;
	}
	return NULL;
}

struct error *config_file_read(
	struct op *op, const char *path, FILE *file, const struct config_reader *reader)
{
	struct parse parse = {.op = op, .path = path, .reader = reader};
	if (!yaml_parser_initialize(&parse.parser))
		return op_fail(op, ERR_INTERNAL, "libyaml does not start");
	yaml_parser_set_input_file(&parse.parser, file);
	struct error *err = parse_all(&parse);
	yaml_parser_delete(&parse.parser);
	return err;
}
