#include "front/imap/imap_sort_keys.h"

#include <pthread.h>

#include "base/byte_cache.h"
#include "base/clock.h"
#include "format/base_subject.h"
#include "format/charset.h"
#include "format/envelope_texts.h"
#include "format/header.h"
#include "format/thread.h"

/* Of one message; the last ones are the nearest. */
#define REFERENCES_MOST 100
/* One with longer keys is read each time. */
#define KEPT_MOST KIB(8)

METRIC_GAUGE(cached_bytes, "sort_cache_bytes", "What messages are sorted by, in memory");

uint64_t sort_keys_cache_bytes;
static struct byte_cache *cache; /* to the end of the process */
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static const unsigned text_keys = SORT_KNOWS(SORT_SUBJECT) | SORT_KNOWS(SORT_FROM) |
				  SORT_KNOWS(SORT_TO) | SORT_KNOWS(SORT_CC) |
				  SORT_KNOWS(SORT_DISPLAYFROM) | SORT_KNOWS(SORT_DISPLAYTO);

/* ---- In memory ---- */

static void make_cache(void)
{
	cache = byte_cache_new(sort_keys_cache_bytes, KEPT_MOST, &cached_bytes);
}

/* Near enough to one of its own; what stands there names the message. */
static struct uuid id_of(struct mailbox_id mailbox, uint32_t uid)
{
	struct uuid id = mailbox.uuid;
	for (size_t i = 0; i < sizeof(uid); i++)
		id.bytes[sizeof(id.bytes) - 1 - i] ^= (uint8_t)(uid >> (8 * i));
	return id;
}

void sort_keys_encode(const struct sort_keys *keys, struct buf *out)
{
	buf_varint(out, keys->known);
	buf_varint(out, keys->arrival_us);
	buf_varint(out, keys->size);
	buf_u64(out, (uint64_t)keys->sent_at);
	buf_u8(out, keys->is_reply);
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		if (keys->known & text_keys & SORT_KNOWS(key))
			buf_slice(out, keys->texts[key]);
	if (!(keys->known & SORT_KNOWS_REFERENCES))
		return;
	buf_slice(out, keys->message_id);
	buf_varint(out, keys->reference_count);
	for (size_t i = 0; i < keys->reference_count; i++)
		buf_slice(out, keys->references[i]);
}

static void decode_references(
	struct arena *arena, struct reader *reader, struct sort_keys *ret_keys)
{
	ret_keys->message_id = reader_slice(reader);
	uint64_t count = reader_varint(reader);
	if (count > REFERENCES_MOST) {
		reader->failed = true;
		return;
	}
	ret_keys->references = ARENA_ARRAY(arena, struct slice, count + 1);
	for (size_t i = 0; i < count; i++)
		ret_keys->references[i] = reader_slice(reader);
	ret_keys->reference_count = (size_t)count;
}

bool sort_keys_decode(struct arena *arena, struct slice bytes, struct sort_keys *ret_keys)
{
	struct reader reader = reader_of(bytes);
	*ret_keys = (struct sort_keys){.known = (unsigned)reader_varint(&reader),
		.arrival_us = reader_varint(&reader),
		.size = reader_varint(&reader),
		.sent_at = (int64_t)reader_u64(&reader),
		.is_reply = reader_u8(&reader) != 0};
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		if (ret_keys->known & text_keys & SORT_KNOWS(key))
			ret_keys->texts[key] = reader_slice(&reader);
	if (ret_keys->known & SORT_KNOWS_REFERENCES)
		decode_references(arena, &reader, ret_keys);
	return reader_is_complete(&reader);
}

bool sort_keys_find(struct arena *arena, struct mailbox_id mailbox, uint32_t uid, unsigned wanted,
	struct sort_keys *ret_keys)
{
	struct slice bytes;
	*ret_keys = (struct sort_keys){0};
	pthread_once(&cache_once, make_cache);
	if (!byte_cache_find(cache, arena, id_of(mailbox, uid), 0, UINT64_MAX, &bytes))
		return false;
	struct reader reader = reader_of(bytes);
	struct slice named = reader_bytes(&reader, sizeof(mailbox.uuid.bytes));
	if (!slice_equal(named, ID_SLICE(mailbox)) || reader_u32(&reader) != uid ||
		!sort_keys_decode(arena, reader.rest, ret_keys)) {
		*ret_keys = (struct sort_keys){0};
		return false;
	}
	return (ret_keys->known & wanted) == wanted;
}

/* ---- From the row, the summary and the header ---- */

unsigned sort_keys_wanted(const struct sort_request *request)
{
	unsigned wanted = 0;
	for (size_t i = 0; i < request->key_count; i++)
		if (request->keys[i].key != SORT_RELEVANCY)
			wanted |= SORT_KNOWS(request->keys[i].key);
	if (request->is_thread)
		wanted |= SORT_KNOWS(SORT_SUBJECT) | SORT_KNOWS(SORT_DATE);
	if (request->is_thread && request->algorithm == THREAD_REFERENCES)
		wanted |= SORT_KNOWS_REFERENCES;
	return wanted;
}

/* RFC 5957: the name that is shown, or the address where there is none. */
static struct slice display(struct arena *arena, const struct envelope_address *address)
{
	if (address->name.len)
		return address->name;
	if (!address->host.len)
		return address->local;
	return slice_from_cstr(arena_printf(arena, SLICE_FMT "@" SLICE_FMT,
		SLICE_ARG(address->local), SLICE_ARG(address->host)));
}

static void take_texts(struct op *op, struct slice envelope, struct sort_keys *keys)
{
	struct envelope_texts texts;
	struct arena *arena = &op->arena;
	envelope_texts_read(arena, envelope, &texts);
	const struct slice read[SORT_KEY_COUNT] = {
		[SORT_SUBJECT] = base_subject(arena, texts.subject, &keys->is_reply),
		[SORT_FROM] = texts.first_from.local,
		[SORT_TO] = texts.first_to.local,
		[SORT_CC] = texts.first_cc.local,
		[SORT_DISPLAYFROM] = display(arena, &texts.first_from),
		[SORT_DISPLAYTO] = display(arena, &texts.first_to),
	};
	for (int key = 0; key < SORT_KEY_COUNT; key++)
		if (read[key].len && (keys->known & SORT_KNOWS(key)))
			keys->texts[key] = utf8_fold(arena, read[key]);
}

/* *ret_is_current: it has today's format, and is not about to be made anew. */
static struct error *take_summary(struct op *op, struct imap_session *session,
	const struct message *row, struct sort_keys *keys, bool *ret_is_current)
{
	struct message_summary summary;
	keys->sent_at = (int64_t)(row->internal_date_us / US_PER_S);
	*ret_is_current = true;
	if (!(keys->known & (text_keys | SORT_KNOWS(SORT_DATE))))
		return NULL;
	TRY(message_summary_get(op, session->store, row, &summary));
	if (summary.sent_at)
		keys->sent_at = summary.sent_at;
	*ret_is_current = summary.is_current;
	take_texts(op, summary.envelope, keys);
	return NULL;
}

static struct slice field_of(struct slice header, struct slice name)
{
	struct header_field field;
	while (header_next(&header, &field))
		if (slice_equal_nocase(field.name, name))
			return field.value;
	return SLICE_NONE;
}

/* References, or else the first of In-Reply-To (RFC 5256 3). They are not in the summary. */
static struct error *take_references(struct op *op, struct imap_session *session,
	const struct message *row, struct sort_keys *keys)
{
	struct slice header;
	struct slice *ids;
	size_t count;
	struct arena *arena = &op->arena;
	if (!(keys->known & SORT_KNOWS_REFERENCES))
		return NULL;
	TRY(message_content(op, session->store, row, 0, row->header_length, &header));
	message_ids_read(arena, field_of(header, SLICE("Message-ID")), 1, &ids, &count);
	keys->message_id = count ? ids[0] : SLICE_NONE;
	message_ids_read(arena, field_of(header, SLICE("References")), REFERENCES_MOST,
		&keys->references, &keys->reference_count);
	if (keys->reference_count)
		return NULL;
	message_ids_read(arena, field_of(header, SLICE("In-Reply-To")), REFERENCES_MOST,
		&keys->references, &keys->reference_count);
	keys->reference_count = MIN_OF(keys->reference_count, 1);
	return NULL;
}

static struct error *read_keys(struct op *op, struct imap_session *session,
	const struct message *row, struct sort_keys *keys, struct buf *out)
{
	bool is_current;
	TRY(take_summary(op, session, row, keys, &is_current));
	TRY(take_references(op, session, row, keys));
	buf_append(out, ID_SLICE(session->mailbox));
	buf_u32(out, row->uid);
	sort_keys_encode(keys, out);
	if (!is_current)
		return NULL;
	struct uuid id = id_of(session->mailbox, row->uid);
	byte_cache_forget(cache, id);
	byte_cache_put(cache, id, buf_as_slice(out));
	return NULL;
}

struct error *sort_keys_read(struct op *op, struct imap_session *session, const struct message *row,
	unsigned wanted, struct sort_keys *ret_keys)
{
	struct arena_mark mark = arena_mark(&op->arena);
	struct buf encoded = buf_heap();
	*ret_keys = (struct sort_keys){
		.known = wanted | SORT_KNOWS(SORT_ARRIVAL) | SORT_KNOWS(SORT_SIZE),
		.arrival_us = row->internal_date_us,
		.size = row->size};
	struct error *err = read_keys(op, session, row, ret_keys, &encoded);
	if (!err) {
		arena_release(&op->arena, mark);
		struct slice bytes = arena_dup(&op->arena, buf_as_slice(&encoded));
		size_t name = sizeof(session->mailbox.uuid.bytes) + sizeof(row->uid);
		if (!sort_keys_decode(&op->arena, slice_from(bytes, name), ret_keys))
			err = op_fail(
				op, ERR_INTERNAL, "the keys of a message cannot be read back");
	}
	buf_done(&encoded);
	return err;
}
