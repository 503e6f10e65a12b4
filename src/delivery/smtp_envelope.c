#include "delivery/smtp_envelope.h"

#include "base/buf.h"

struct slice smtp_envelope_encode(struct arena *arena, const struct smtp_envelope *envelope)
{
	struct buf out = buf_in(arena);
	buf_slice(&out, envelope->sender);
	buf_slice(&out, envelope->sender_parameters);
	buf_slice(&out, envelope->recipient);
	buf_slice(&out, envelope->recipient_parameters);
	return buf_as_slice(&out);
}

struct error *smtp_envelope_decode(
	struct op *op, struct slice bytes, struct smtp_envelope *ret_envelope)
{
	*ret_envelope = (struct smtp_envelope){0};
	if (!bytes.len)
		return NULL;
	struct reader reader = reader_of(bytes);
	ret_envelope->sender = reader_slice(&reader);
	ret_envelope->sender_parameters = reader_slice(&reader);
	ret_envelope->recipient = reader_slice(&reader);
	ret_envelope->recipient_parameters = reader_slice(&reader);
	if (!reader_is_complete(&reader))
		return op_fail(op, ERR_CORRUPT, "an SMTP envelope cannot be read");
	return NULL;
}
