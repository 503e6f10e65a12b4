#include "base/buf.h"
#include "format/charset.h"
#include "import/import_private.h"

/* Bytes of a task's row: later forms get another number. */
#define FORM 1

struct slice import_request_encode(struct arena *arena, const struct import_request *request)
{
	struct buf out = buf_in(arena);
	buf_u8(&out, FORM);
	buf_slice(&out, request->host);
	buf_u16(&out, request->port);
	buf_u8(&out, (uint8_t)request->security);
	buf_slice(&out, request->ca_pem);
	buf_slice(&out, request->user);
	buf_slice(&out, request->act_as);
	buf_slice(&out, request->password);
	buf_slice(&out, request->into);
	buf_varint(&out, request->pattern_count);
	for (size_t i = 0; i < request->pattern_count; i++)
		buf_slice(&out, request->patterns[i]);
	return buf_as_slice(&out);
}

bool import_request_decode(
	struct arena *arena, struct slice bytes, struct import_request *ret_request)
{
	struct reader reader = reader_of(arena_dup(arena, bytes));
	if (reader_u8(&reader) != FORM)
		return false;
	*ret_request = (struct import_request){0};
	ret_request->host = reader_slice(&reader);
	ret_request->port = reader_u16(&reader);
	ret_request->security = (enum imap_security)reader_u8(&reader);
	ret_request->ca_pem = reader_slice(&reader);
	ret_request->user = reader_slice(&reader);
	ret_request->act_as = reader_slice(&reader);
	ret_request->password = reader_slice(&reader);
	ret_request->into = reader_slice(&reader);
	uint64_t count = reader_varint(&reader);
	if (reader.failed || count > IMPORT_PATTERNS_MOST || ret_request->security > IMAP_CLEAR)
		return false;
	ret_request->patterns = ARENA_ARRAY(arena, struct slice, count + 1);
	for (uint64_t i = 0; i < count; i++)
		ret_request->patterns[i] = reader_slice(&reader);
	ret_request->pattern_count = (size_t)count;
	return reader_is_complete(&reader);
}

struct slice import_request_source(struct arena *arena, const struct import_request *request)
{
	struct buf text = buf_in(arena);
	buf_printf(&text, "%s://" SLICE_FMT "@" SLICE_FMT ":%u",
		request->security == IMAP_TLS ? "imaps" : "imap", SLICE_ARG(request->user),
		SLICE_ARG(request->host), request->port);
	if (request->act_as.len)
		buf_printf(&text, " as " SLICE_FMT, SLICE_ARG(request->act_as));
	if (request->into.len)
		buf_printf(&text, " into " SLICE_FMT, SLICE_ARG(request->into));
	return buf_as_slice(&text);
}

/* A name or an address, and nothing that would mean more in a URL. */
static bool is_host(struct slice host)
{
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_digit(host.ptr[i]) && !ascii_is_alpha(host.ptr[i]) &&
			!strchr(".-_:", host.ptr[i]))
			return false;
	return host.len != 0 && host.len <= 255;
}

/* No line end, no NUL: they are put into commands. */
static bool is_line(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((uint8_t)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
			return false;
	return utf8_is_valid(text);
}

struct error *import_request_check(struct op *op, const struct import_request *request)
{
	if (!is_host(request->host))
		return op_fail(op, ERR_INVALID, "the host is no name and no address");
	if (!request->port)
		return op_fail(op, ERR_INVALID, "there is no port 0");
	if (!request->user.len || !is_line(request->user) || !is_line(request->act_as) ||
		!is_line(request->password))
		return op_fail(
			op, ERR_INVALID, "user and password are UTF-8 without control characters");
	if (request->ca_pem.len > IMPORT_CA_MOST)
		return op_fail(op, ERR_INVALID, "the certificates have more than %zu bytes",
			IMPORT_CA_MOST);
	if (request->ca_pem.len &&
		(memchr(request->ca_pem.ptr, 0, request->ca_pem.len) ||
			slice_find(request->ca_pem, SLICE("-----BEGIN CERTIFICATE-----")) ==
				request->ca_pem.len))
		return op_fail(op, ERR_INVALID, "the certificates are not in the PEM format");
	if (request->ca_pem.len && request->security == IMAP_CLEAR)
		return op_fail(op, ERR_INVALID, "in the clear there is no certificate");
	if (request->pattern_count > IMPORT_PATTERNS_MOST)
		return op_fail(op, ERR_INVALID, "more than %d patterns", IMPORT_PATTERNS_MOST);
	return NULL;
}
