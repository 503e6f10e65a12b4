#include "wire/s3/s3_private.h"

/* libcurl up to 7.88 signs path and query exactly as they are written, later versions normalise
 * them first: what is built here is the same either way. */

static bool is_unreserved(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' || c == '.' ||
	       c == '~';
}

void s3_url_encode(struct buf *out, struct slice text, bool keep_slashes)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];
		if (is_unreserved(c) || (keep_slashes && c == '/'))
			buf_append_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}

static bool is_host(struct slice host)
{
	for (size_t i = 0; i < host.len; i++) {
		char c = host.ptr[i];
		if (!is_unreserved(c) && c != ':' && c != '[' && c != ']')
			return false;
	}
	return host.len > 0;
}

struct error *s3_base_url(struct op *op, const struct s3_config *config, const char **ret_url)
{
	struct slice endpoint = slice_from_cstr(config->endpoint ? config->endpoint : "");
	struct slice scheme = SLICE("https://");
	if (!slice_starts_with(endpoint, scheme))
		scheme = SLICE("http://");
	struct slice host = slice_from(endpoint, scheme.len);
	if (slice_ends_with(host, SLICE("/")))
		host = slice_range(host, 0, host.len - 1);
	if (!slice_starts_with(endpoint, scheme) || !is_host(host))
		return op_fail(op, ERR_INVALID,
			"the endpoint of S3 is http[s]://host[:port], not \"" SLICE_FMT "\"",
			SLICE_ARG(endpoint));
	struct slice bucket = slice_from_cstr(config->bucket ? config->bucket : "");
	if (!is_host(bucket))
		return op_fail(op, ERR_INVALID, "S3 needs the name of a bucket");
	*ret_url = config->style == S3_HOST
			   ? arena_printf(&op->arena, SLICE_FMT "%s." SLICE_FMT, SLICE_ARG(scheme),
				     config->bucket, SLICE_ARG(host))
			   : arena_printf(&op->arena, SLICE_FMT SLICE_FMT "/%s", SLICE_ARG(scheme),
				     SLICE_ARG(host), config->bucket);
	return NULL;
}

const char *s3_url(struct arena *arena, const char *base_url, struct slice key,
	const struct s3_parameter *parameters, size_t parameter_count)
{
	struct buf url = buf_in(arena);
	buf_append(&url, slice_from_cstr(base_url));
	buf_append_char(&url, '/');
	s3_url_encode(&url, key, true);
	for (size_t i = 0; i < parameter_count; i++) {
		buf_append_char(&url, i ? '&' : '?');
		s3_url_encode(&url, slice_from_cstr(parameters[i].name), false);
		buf_append_char(&url, '=');
		s3_url_encode(&url, parameters[i].value, false);
	}
	return arena_cstr(arena, buf_as_slice(&url));
}
