#include "front/admin/admin_fields.h"

#include "base/uuid.h"

#define UUID_PATTERN "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
#define BASE64_PATTERN "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

static uint64_t most_of(const struct admin_field *field)
{
	if (field->max)
		return field->max;
	return field->type == ADMIN_TEXT || field->type == ADMIN_TEXTS ? ADMIN_TEXT_MOST
								       : INT64_MAX;
}

/* ---- checks ---- */

static uint64_t count_characters(struct slice text)
{
	uint64_t count = 0;
	for (size_t i = 0; i < text.len; i++)
		count += ((uint8_t)text.ptr[i] & 0xc0) != 0x80;
	return count;
}

static struct error *check_choice(struct op *op, const struct admin_field *field, struct slice text)
{
	const char *all = "";
	for (size_t i = 0; field->choices[i]; i++) {
		if (slice_equal(text, slice_from_cstr(field->choices[i])))
			return NULL;
		all = arena_printf(&op->arena, "%s%s\"%s\"", all, i ? ", " : "", field->choices[i]);
	}
	return op_fail(op, ERR_INVALID, "\"%s\" is one of %s", field->name, all);
}

/* Lower case, as this server writes them: one thing has one name. */
static bool is_uuid(struct slice text)
{
	struct uuid uuid;
	char again[UUID_TEXT_LENGTH + 1];
	if (!uuid_parse(text, &uuid))
		return false;
	uuid_format(&uuid, again);
	return slice_equal(text, slice_from_cstr(again));
}

static struct error *check_number(struct op *op, const struct admin_field *field, uint64_t number)
{
	if (number >= field->min && number <= most_of(field))
		return NULL;
	return op_fail(op, ERR_INVALID, "\"%s\" is from %llu to %llu", field->name,
		(unsigned long long)field->min, (unsigned long long)most_of(field));
}

struct error *admin_check_text(struct op *op, const struct admin_field *field, struct slice text)
{
	uint64_t number;
	switch (field->type) {
	case ADMIN_NUMBER:
	case ADMIN_TIME:
		if (!slice_parse_u64(text, &number))
			return op_fail(op, ERR_INVALID, "\"%s\" is no whole number", field->name);
		return check_number(op, field, number);
	case ADMIN_UUID:
		return is_uuid(text) ? NULL
				     : op_fail(op, ERR_INVALID, "\"%s\" is no UUID", field->name);
	case ADMIN_BOOL:
		if (slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("false")))
			return NULL;
		return op_fail(op, ERR_INVALID, "\"%s\" is true or false", field->name);
	case ADMIN_TEXT:
	case ADMIN_TEXTS:
		break;
	case ADMIN_REAL:
	case ADMIN_OBJECT:
	case ADMIN_COUNTS:
	case ADMIN_LIST:
	case ADMIN_REALS:
	case ADMIN_ANY:
	case ADMIN_BASE64:
		return op_fail(op, ERR_INVALID, "\"%s\" cannot be said so", field->name);
	}
	uint64_t length = count_characters(text);
	if (length < field->min || length > most_of(field))
		return op_fail(op, ERR_INVALID, "\"%s\" has from %llu to %llu characters",
			field->name, (unsigned long long)field->min,
			(unsigned long long)most_of(field));
	return field->choices ? check_choice(op, field, text) : NULL;
}

static struct error *check_json_text(
	struct op *op, const struct admin_field *field, const json_t *value)
{
	if (!json_is_string(value))
		return op_fail(op, ERR_INVALID, "\"%s\" is no text", field->name);
	return admin_check_text(
		op, field, slice_of(json_string_value(value), json_string_length(value)));
}

static struct error *check_texts(
	struct op *op, const struct admin_field *field, const json_t *value)
{
	size_t count = json_array_size(value);
	if (!json_is_array(value) || count > ADMIN_LIST_MOST ||
		(!count && field->flags & ADMIN_NOT_EMPTY))
		return op_fail(op, ERR_INVALID, "\"%s\" is no list of %s to %d texts", field->name,
			field->flags & ADMIN_NOT_EMPTY ? "1" : "0", ADMIN_LIST_MOST);
	for (size_t i = 0; i < count; i++)
		TRY(check_json_text(op, field, json_array_get(value, i)));
	return NULL;
}

/* Beyond this not every whole number is a double. */
#define EXACT_MOST 9007199254740992.0

bool admin_whole_number(const json_t *value, uint64_t *ret_number)
{
	double real = json_number_value(value);
	*ret_number = json_is_integer(value) ? (uint64_t)json_integer_value(value) : 0;
	if (json_is_integer(value))
		return json_integer_value(value) >= 0;
	if (!json_is_real(value) || real < 0 || real > EXACT_MOST)
		return false;
	*ret_number = (uint64_t)real;
	return (double)*ret_number == real;
}

static struct error *check_value(
	struct op *op, const struct admin_field *field, const json_t *value)
{
	uint64_t number;
	switch (field->type) {
	case ADMIN_TEXT:
	case ADMIN_UUID:
		return check_json_text(op, field, value);
	case ADMIN_NUMBER:
	case ADMIN_TIME:
		if (!admin_whole_number(value, &number))
			return op_fail(op, ERR_INVALID, "\"%s\" is no whole number", field->name);
		return check_number(op, field, number);
	case ADMIN_BOOL:
		return json_is_boolean(value)
			       ? NULL
			       : op_fail(op, ERR_INVALID, "\"%s\" is neither true nor false",
					 field->name);
	case ADMIN_TEXTS:
		return check_texts(op, field, value);
	case ADMIN_BASE64:
		/* Whether it is base64 is found by who decodes it. */
		return json_is_string(value)
			       ? NULL
			       : op_fail(op, ERR_INVALID, "\"%s\" is no text", field->name);
	case ADMIN_OBJECT:
		return admin_check_object(op, field->fields, value);
	case ADMIN_REAL:
	case ADMIN_COUNTS:
	case ADMIN_LIST:
	case ADMIN_REALS:
	case ADMIN_ANY:
		break;
	}
	return op_fail(op, ERR_INTERNAL, "\"%s\" is not taken from outside", field->name);
}

static bool is_known(const struct admin_field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return true;
	return false;
}

struct error *admin_check_object(
	struct op *op, const struct admin_field *fields, const json_t *object)
{
	const char *name;
	json_t *value;
	if (!json_is_object(object))
		return op_fail(op, ERR_INVALID, "no JSON object");
	/* The macro takes no const; nothing is changed. */
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (!is_known(fields, name))
			return op_fail(op, ERR_INVALID, "there is no field \"%s\"", name);
	}
	for (; fields->name; fields++) {
		value = json_object_get(object, fields->name);
		if (value)
			TRY(check_value(op, fields, value));
		else if (!(fields->flags & ADMIN_OPTIONAL))
			return op_fail(
				op, ERR_INVALID, "the field \"%s\" is missing", fields->name);
	}
	return NULL;
}

/* ---- descriptions ---- */

static void set_text_limits(json_t *schema, const struct admin_field *field, bool is_request)
{
	if (is_request && field->min)
		json_object_set_new(schema, "minLength", json_integer((json_int_t)field->min));
	if (is_request)
		json_object_set_new(schema, "maxLength", json_integer((json_int_t)most_of(field)));
	if (!field->choices)
		return;
	json_t *choices = json_array();
	for (size_t i = 0; field->choices[i]; i++)
		json_array_append_new(choices, json_string(field->choices[i]));
	json_object_set_new(schema, "enum", choices);
}

static json_t *number_schema(const struct admin_field *field, bool is_request)
{
	if (!is_request)
		return json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
	return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)field->min,
		"maximum", (json_int_t)most_of(field));
}

static json_t *list_schema(const struct admin_field *field, json_t *items, bool is_request)
{
	json_t *schema = json_pack("{s:s, s:o}", "type", "array", "items", items);
	if (field->flags & ADMIN_NOT_EMPTY)
		json_object_set_new(schema, "minItems", json_integer(1));
	if (field->type == ADMIN_TEXTS && is_request)
		json_object_set_new(schema, "maxItems", json_integer(ADMIN_LIST_MOST));
	return schema;
}

static json_t *type_schema(const struct admin_field *field, bool is_request)
{
	json_t *schema;
	switch (field->type) {
	case ADMIN_TEXT:
		schema = json_pack("{s:s}", "type", "string");
		set_text_limits(schema, field, is_request);
		return schema;
	case ADMIN_UUID:
		return json_pack("{s:s, s:s, s:i}", "type", "string", "pattern", UUID_PATTERN,
			"maxLength", UUID_TEXT_LENGTH);
	case ADMIN_NUMBER:
	case ADMIN_TIME:
		return number_schema(field, is_request);
	case ADMIN_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case ADMIN_REAL:
		return json_pack("{s:s}", "type", "number");
	case ADMIN_OBJECT:
		return admin_object_schema(field->fields, is_request);
	case ADMIN_COUNTS:
		return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type",
			"integer");
	case ADMIN_TEXTS:
		schema = json_pack("{s:s}", "type", "string");
		set_text_limits(schema, field, is_request);
		return list_schema(field, schema, is_request);
	case ADMIN_LIST:
		return list_schema(
			field, admin_object_schema(field->fields, is_request), is_request);
	case ADMIN_REALS:
		return list_schema(
			field, json_pack("{s:[s, s]}", "type", "number", "null"), is_request);
	case ADMIN_BASE64:
		return json_pack("{s:s, s:s, s:s}", "type", "string", "contentEncoding", "base64",
			"pattern", BASE64_PATTERN);
	case ADMIN_ANY:
		break;
	}
	return json_pack("{s:s}", "type", "object");
}

json_t *admin_field_schema(const struct admin_field *field, bool is_request)
{
	json_t *schema = type_schema(field, is_request);
	if (field->flags & ADMIN_NULLABLE) {
		json_t *types = json_array();
		json_array_append(types, json_object_get(schema, "type"));
		json_array_append_new(types, json_string("null"));
		json_object_set_new(schema, "type", types);
	}
	if (field->help)
		json_object_set_new(schema, "description", json_string(field->help));
	return schema;
}

json_t *admin_object_schema(const struct admin_field *fields, bool is_request)
{
	json_t *properties = json_object();
	json_t *required = json_array();
	for (; fields->name; fields++) {
		json_object_set_new(
			properties, fields->name, admin_field_schema(fields, is_request));
		if (!(fields->flags & ADMIN_OPTIONAL))
			json_array_append_new(required, json_string(fields->name));
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
		"required", required, "additionalProperties", !is_request);
}
