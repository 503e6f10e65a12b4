#include "format/summary.h"

#include <xxhash.h>

#include "base/buf.h"
#include "format/bodystructure.h"
#include "format/date.h"
#include "format/envelope.h"
#include "format/header.h"

uint64_t message_id_hash(struct slice value)
{
	value = slice_trim(value);
	size_t open = slice_find_char(value, '<');
	size_t close = slice_find_char(value, '>');
	if (open < close && close < value.len)
		value = slice_range(value, open + 1, close);
	if (value.len == 0)
		return 0;
	uint64_t hash = XXH3_64bits(value.ptr, value.len);
	return hash ? hash : 1;
}

static bool is_attachment(const struct mime_part *part)
{
	if (part->kind == MIME_MULTIPART)
		return false;
	if (part->disposition.len)
		return slice_equal_nocase(part->disposition, SLICE("attachment"));
	/* Not said: what a reader cannot show in line. */
	return part->parent && !part->id.ptr && !slice_equal_nocase(part->type, SLICE("text")) &&
	       mime_parameter_find(part->parameters, SLICE("name")) != NULL;
}

static bool has_attachment(const struct mime_part *root)
{
	for (const struct mime_part *part = root; part; part = mime_next(root, part))
		if (is_attachment(part))
			return true;
	return false;
}

struct error *mime_summarise(
	struct op *op, struct slice message, struct message_summary *ret_summary)
{
	if (message.len > UINT32_MAX)
		return op_fail(op, ERR_LIMIT, "The message is larger than 4 GiB");
	struct mime_part *root = mime_scan(&op->arena, message);
	struct envelope fields;
	envelope_read(mime_header(root, message), &fields);

	struct buf envelope = buf_in(&op->arena);
	struct buf body = buf_in(&op->arena);
	struct buf bodystructure = buf_in(&op->arena);
	envelope_print(&envelope, &op->arena, &fields);
	bodystructure_print(&body, &op->arena, message, root, false);
	bodystructure_print(&bodystructure, &op->arena, message, root, true);

	struct date sent = {0};
	bool has_date = fields.date.ptr &&
			date_parse_rfc5322(header_unfold(&op->arena, fields.date), &sent);
	*ret_summary = (struct message_summary){
		.is_current = true,
		.header_length = (uint32_t)(root->body_start - root->header_start),
		.envelope = buf_as_slice(&envelope),
		.body = buf_as_slice(&body),
		.bodystructure = buf_as_slice(&bodystructure),
		.sent_at = has_date ? sent.seconds : 0,
		.message_id_hash = message_id_hash(fields.message_id),
		.has_attachment = has_attachment(root),
	};
	return NULL;
}
