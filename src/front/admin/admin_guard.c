#include "front/admin/admin_private.h"

struct header_count {
	unsigned content_length;
	unsigned transfer_encoding;
	unsigned host;
	bool has_bad_name;
	bool has_bad_value;
};

static bool is_name_character(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || strchr("!#$%&'*+-.^_`|~", c);
}

static enum MHD_Result count_header(
	void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header_count *count = context;
	struct slice key = slice_from_cstr(name);
	count->content_length += slice_equal_nocase(key, SLICE("Content-Length"));
	count->transfer_encoding += slice_equal_nocase(key, SLICE("Transfer-Encoding"));
	count->host += slice_equal_nocase(key, SLICE("Host"));
	for (size_t i = 0; i < key.len; i++)
		count->has_bad_name = count->has_bad_name || !is_name_character(key.ptr[i]);
	for (; value && *value; value++)
		count->has_bad_value =
			count->has_bad_value || ((uint8_t)*value < ' ' && *value != '\t');
	return MHD_YES;
}

const char *admin_guard(struct MHD_Connection *connection)
{
	struct header_count count = {0};
	MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &count);
	if (count.content_length > 1)
		return "more than one Content-Length";
	if (count.transfer_encoding > 1)
		return "more than one Transfer-Encoding";
	if (count.content_length && count.transfer_encoding)
		return "Content-Length beside Transfer-Encoding";
	if (count.host != 1)
		return "not exactly one Host";
	if (count.has_bad_name)
		return "a header name that is none";
	if (count.has_bad_value)
		return "a control character in a header";
	return NULL;
}
