#include "bus/hint_format.h"

#include "base/buf.h"

#define FORMAT_VERSION 1

void hint_format(const struct hint_message *message, char ret_bytes[static HINT_BYTES])
{
	struct buf out = buf_heap();
	buf_u8(&out, FORMAT_VERSION);
	buf_u8(&out, (uint8_t)message->kind);
	buf_u64(&out, message->origin);
	buf_append(&out, ID_SLICE(message->hint.account));
	buf_u64(&out, message->hint.modseq);
	memcpy(ret_bytes, out.ptr, HINT_BYTES);
	buf_done(&out);
}

bool hint_parse(struct slice bytes, struct hint_message *ret_message)
{
	struct reader reader = reader_of(bytes);
	uint8_t version = reader_u8(&reader);
	uint8_t kind = reader_u8(&reader);
	struct hint_message message = {.origin = reader_u64(&reader)};
	struct slice account = reader_bytes(&reader, sizeof(struct uuid));
	message.hint.modseq = reader_u64(&reader);
	if (!reader_is_complete(&reader) || version != FORMAT_VERSION || kind < HINT_CHANGED ||
		kind > HINT_PING || !uuid_from_slice(account, &message.hint.account.uuid))
		return false;
	message.kind = (enum hint_kind)kind;
	*ret_message = message;
	return true;
}
