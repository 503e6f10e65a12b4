#include "base/clock.h"
#include "base/digest.h"
#include "import/import_private.h"

/* Rows read at once. */
#define PAGE 1000

struct uuid record_id(const struct import_request *request, struct slice raw)
{
	AUTO_OP(op, "import");
	struct buf text = buf_in(&op.arena);
	struct buf host = buf_in(&op.arena);
	uint8_t digest[SHA256_SIZE];
	struct uuid id;
	for (size_t i = 0; i < request->host.len; i++)
		buf_append_char(&host, ascii_lower(request->host.ptr[i]));
	buf_slice(&text, buf_as_slice(&host));
	buf_slice(&text, request->act_as.len ? request->act_as : request->user);
	buf_slice(&text, raw);
	buf_slice(&text, request->into);
	sha256_of(buf_as_slice(&text), digest);
	memcpy(id.bytes, digest, sizeof(id.bytes));
	return id;
}

static struct error *write_all(struct op *op, struct mail_store *store, struct mutations *list)
{
	if (!list->count)
		return NULL;
	return engine_write(mail_store_engine(store), op, list->items, list->count, DURABLE);
}

/* ---- Source mailboxes ---- */

struct error *record_find_source(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, bool *ret_found, struct imported_source *ret_source)
{
	struct engine_row row;
	TRY(engine_get(mail_store_engine(store), op, &imported_table,
		key_imported(&op->arena, account, (struct uuid){0}),
		key_id_row(&op->arena, IMPORTED_SOURCE, id), READ_NORMAL, ret_found, &row));
	return *ret_found ? row_decode(op, &imported_source_row, row.value, ret_source) : NULL;
}

struct error *record_put_source(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, const struct imported_source *source)
{
	struct mutations list;
	mutations_init(&list, &op->arena);
	mutations_put(&list, &imported_table, key_imported(&op->arena, account, (struct uuid){0}),
		key_id_row(&op->arena, IMPORTED_SOURCE, id),
		row_encode_in(&op->arena, &imported_source_row, source), clock_realtime_us());
	return write_all(op, store, &list);
}

/* ---- Messages ---- */

struct error *record_find(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, uint32_t uidvalidity, uint32_t uid, bool *ret_found,
	struct imported_message *ret_message)
{
	struct engine_row row;
	TRY(engine_get(mail_store_engine(store), op, &imported_table,
		key_imported(&op->arena, account, id),
		key_imported_message(&op->arena, uidvalidity, uid), READ_NORMAL, ret_found, &row));
	return *ret_found ? row_decode(op, &imported_message_row, row.value, ret_message) : NULL;
}

struct error *record_put(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, const struct record *records, size_t count)
{
	struct mutations list;
	struct slice partition = key_imported(&op->arena, account, id);
	mutations_init(&list, &op->arena);
	for (size_t i = 0; i < count; i++)
		mutations_put(&list, &imported_table, partition,
			key_imported_message(
				&op->arena, records[i].source_uidvalidity, records[i].source_uid),
			row_encode_in(&op->arena, &imported_message_row, &records[i].message),
			clock_realtime_us());
	return write_all(op, store, &list);
}

static struct error *read_record(
	struct op *op, const struct engine_row *row, struct record *ret_record)
{
	struct reader reader = reader_of(slice_from(row->key, 1));
	ret_record->source_uidvalidity = reader_u32(&reader);
	ret_record->source_uid = reader_u32(&reader);
	if (!reader_is_complete(&reader))
		return op_fail(
			op, ERR_CORRUPT, "a row of imported has a key of %zu bytes", row->key.len);
	return row_decode(op, &imported_message_row, row->value, &ret_record->message);
}

/* The rows behind `after`. */
static struct error *read_page(struct op *op, struct mail_store *store, struct slice partition,
	struct slice after, size_t limit, struct engine_rows *ret_rows)
{
	/* The smallest key behind one. */
	struct buf from = buf_in(&op->arena);
	if (after.len) {
		buf_append(&from, after);
		buf_u8(&from, 0);
	}
	return engine_scan(mail_store_engine(store), op, &imported_table, partition,
		buf_as_slice(&from), SLICE_NONE, limit, false, READ_NORMAL, ret_rows);
}

struct error *record_each(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, record_visitor visit, void *context)
{
	struct slice partition = key_imported(&op->arena, account, id);
	uint8_t last[32];
	struct slice after = SLICE_NONE;
	for (;;) {
		struct arena_mark mark = arena_mark(&op->arena);
		struct engine_rows rows;
		TRY(read_page(op, store, partition, after, PAGE, &rows));
		for (size_t i = 0; i < rows.count; i++) {
			struct record record;
			TRY(read_record(op, &rows.rows[i], &record));
			visit(context, &record);
		}
		if (rows.count < PAGE)
			return NULL;
		struct slice key = rows.rows[rows.count - 1].key;
		memcpy(last, key.ptr, MIN_OF(key.len, sizeof(last)));
		after = slice_of(last, MIN_OF(key.len, sizeof(last)));
		arena_release(&op->arena, mark);
	}
}

/* Deletes the rows of a partition whose UIDVALIDITY is not `keep` (0: all). */
static struct error *drop_rows(
	struct op *op, struct mail_store *store, struct slice partition, uint32_t keep)
{
	struct slice after = SLICE_NONE;
	struct engine_rows rows;
	do {
		struct mutations list;
		TRY(read_page(op, store, partition, after, PAGE, &rows));
		mutations_init(&list, &op->arena);
		for (size_t i = 0; i < rows.count; i++) {
			struct reader reader = reader_of(slice_from(rows.rows[i].key, 1));
			after = rows.rows[i].key;
			if (!keep || reader_u32(&reader) != keep)
				mutations_delete(&list, &imported_table, partition, after,
					clock_realtime_us());
		}
		TRY(write_all(op, store, &list));
	} while (rows.count == PAGE);
	return NULL;
}

struct error *record_drop_others(struct op *op, struct mail_store *store, struct account_id account,
	struct uuid id, uint32_t uidvalidity)
{
	return drop_rows(op, store, key_imported(&op->arena, account, id), uidvalidity);
}

/* ---- For whoever asks ---- */

struct error *import_forget(struct op *op, struct mail_store *store, struct account_id account)
{
	struct slice list = key_imported(&op->arena, account, (struct uuid){0});
	struct engine_rows rows;
	TRY(read_page(op, store, list, SLICE_NONE, SIZE_MAX, &rows));
	for (size_t i = 0; i < rows.count; i++) {
		struct uuid id;
		if (!uuid_from_slice(slice_from(rows.rows[i].key, 1), &id))
			return op_fail(op, ERR_CORRUPT, "a row of imported has a key of %zu bytes",
				rows.rows[i].key.len);
		TRY(drop_rows(op, store, key_imported(&op->arena, account, id), 0));
	}
	return drop_rows(op, store, list, 0);
}

static void fill_record(const struct imported_source *source, struct uuid id,
	const struct record *from, struct arena *arena, struct import_record *to)
{
	struct buf cursor = buf_in(arena);
	*to = (struct import_record){.host = source->host,
		.user = source->user,
		.mailbox = source->mailbox,
		.source_uidvalidity = from->source_uidvalidity,
		.source_uid = from->source_uid,
		.target.uuid = from->message.mailbox_id,
		.uidvalidity = from->message.uidvalidity,
		.uid = from->message.uid,
		.sha256 = from->message.sha256,
		.size = from->message.size,
		.flags = from->message.flags,
		.received_us = from->message.received_us};
	buf_append(&cursor, uuid_as_slice(&id));
	buf_u32(&cursor, from->source_uidvalidity);
	buf_u32(&cursor, from->source_uid);
	to->cursor = buf_as_slice(&cursor);
}

struct error *import_records(struct op *op, struct mail_store *store, struct account_id account,
	struct slice after, size_t limit, struct import_record **ret_records, size_t *ret_count)
{
	struct engine_rows sources;
	struct slice first = slice_range(after, 0, sizeof(struct uuid));
	struct slice behind = slice_from(after, sizeof(struct uuid));
	size_t count = 0;
	*ret_records = ARENA_ARRAY(&op->arena, struct import_record, limit + 1);
	TRY(read_page(op, store, key_imported(&op->arena, account, (struct uuid){0}), SLICE_NONE,
		SIZE_MAX, &sources));
	for (size_t i = 0; i < sources.count && count < limit; i++) {
		struct imported_source source;
		struct engine_rows rows;
		struct uuid id;
		struct slice key = slice_from(sources.rows[i].key, 1);
		struct buf from = buf_in(&op->arena);
		if (!uuid_from_slice(key, &id) || slice_compare(key, first) < 0)
			continue;
		TRY(row_decode(op, &imported_source_row, sources.rows[i].value, &source));
		if (slice_equal(key, first) && behind.len) {
			buf_u8(&from, IMPORTED_MESSAGE);
			buf_append(&from, behind);
		}
		TRY(read_page(op, store, key_imported(&op->arena, account, id), buf_as_slice(&from),
			limit - count, &rows));
		for (size_t n = 0; n < rows.count; n++) {
			struct record record;
			TRY(read_record(op, &rows.rows[n], &record));
			fill_record(&source, id, &record, &op->arena, &(*ret_records)[count++]);
		}
	}
	*ret_count = count;
	return NULL;
}
