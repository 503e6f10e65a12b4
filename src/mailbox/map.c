#include "mailbox/map.h"

#include <roaring/roaring.h>
#include <stdlib.h>

#include "base/log.h"

#define MAP_FORMAT 1
#define CHUNK_MESSAGES (UINT32_C(1) << MAILBOX_MAP_CHUNK_BITS)
#define FLAG_BITMAPS 5

/* CRoaring trusts what it deserializes, and this version has no safe form. So the containers are
 * written by ourselves: runs of UIDs as varints, which the reader checks; CRoaring does the set
 * arithmetic in between. */
static void write_bitmap(struct buf *out, roaring_bitmap_t *bitmap)
{
	size_t count = (size_t)roaring_bitmap_get_cardinality(bitmap);
	uint32_t *values = arena_alloc_raw(out->arena, (count + 1) * sizeof(uint32_t));
	roaring_bitmap_to_uint32_array(bitmap, values);
	size_t runs = 0;
	for (size_t i = 0; i < count; i++)
		runs += !i || values[i] != values[i - 1] + 1;
	buf_varint(out, runs);
	uint32_t next = 0;
	for (size_t i = 0; i < count;) {
		size_t end = i + 1;
		while (end < count && values[end] == values[end - 1] + 1)
			end++;
		buf_varint(out, values[i] - next);
		buf_varint(out, end - i);
		next = values[end - 1] + 1;
		i = end;
	}
}

/* Calls back for each value, ascending; false when the bytes are not ascending runs below the
 * limit. */
static bool read_bitmap(struct reader *reader, roaring_bitmap_t *bitmap)
{
	uint64_t runs = reader_varint(reader);
	uint64_t next = 0;
	if (runs > reader->rest.len)
		reader->failed = true;
	for (uint64_t i = 0; i < runs && !reader->failed; i++) {
		uint64_t gap = reader_varint(reader);
		uint64_t length = reader_varint(reader);
		if (gap > CHUNK_MESSAGES || length > CHUNK_MESSAGES || !length ||
			next + gap + length > CHUNK_MESSAGES)
			reader->failed = true;
		else
			roaring_bitmap_add_range(bitmap, next + gap, next + gap + length);
		next += gap + length;
	}
	return !reader->failed;
}

/* ---- Encoding ---- */

struct chunk_writer {
	roaring_bitmap_t *exists;
	roaring_bitmap_t *flags[FLAG_BITMAPS];
	roaring_bitmap_t *keywords[KEYWORDS_MAX];
	struct buf modseqs;
	uint64_t last_modseq;
};

static void add_message(struct chunk_writer *writer, uint32_t offset, uint16_t flags,
	const struct keyword_set *keywords, uint64_t modseq)
{
	roaring_bitmap_add(writer->exists, offset);
	for (int i = 0; i < FLAG_BITMAPS; i++)
		if (flags >> i & 1)
			roaring_bitmap_add(writer->flags[i], offset);
	if (!keyword_set_is_empty(keywords))
		for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++) {
			if (!keyword_set_has(keywords, bit))
				continue;
			if (!writer->keywords[bit])
				writer->keywords[bit] = roaring_bitmap_create();
			roaring_bitmap_add(writer->keywords[bit], offset);
		}
	/* Zigzag: mostly a small step up, sometimes back. */
	int64_t step = (int64_t)(modseq - writer->last_modseq);
	buf_varint(&writer->modseqs, (uint64_t)step << 1 ^ (step < 0 ? UINT64_MAX : 0));
	writer->last_modseq = modseq;
}

static void write_keywords(struct chunk_writer *writer, struct buf *out)
{
	unsigned used = 0;
	for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
		used += writer->keywords[bit] != NULL;
	buf_varint(out, used);
	for (unsigned bit = 0; bit < KEYWORDS_MAX; bit++)
		if (writer->keywords[bit]) {
			buf_u8(out, (uint8_t)bit);
			write_bitmap(out, writer->keywords[bit]);
			roaring_bitmap_free(writer->keywords[bit]);
		}
}

struct slice map_encode_chunk(struct op *op, const struct snapshot_builder *builder, uint32_t chunk)
{
	struct chunk_writer writer = {.exists = roaring_bitmap_create()};
	for (int i = 0; i < FLAG_BITMAPS; i++)
		writer.flags[i] = roaring_bitmap_create();
	writer.modseqs = buf_in(&op->arena);
	for (size_t i = 0; i < builder->block_count; i++) {
		const struct block *block = builder->blocks[i];
		for (uint32_t j = 0; j < block->count; j++)
			if (block->uids[j] >> MAILBOX_MAP_CHUNK_BITS == chunk)
				add_message(&writer, block->uids[j] & (CHUNK_MESSAGES - 1),
					block->flags[j],
					&builder->keywords->sets[block->keyword_sets[j]],
					block->modseqs[j]);
	}
	struct buf out = buf_in(&op->arena);
	buf_u8(&out, MAP_FORMAT);
	write_bitmap(&out, writer.exists);
	roaring_bitmap_free(writer.exists);
	for (int i = 0; i < FLAG_BITMAPS; i++) {
		write_bitmap(&out, writer.flags[i]);
		roaring_bitmap_free(writer.flags[i]);
	}
	write_keywords(&writer, &out);
	buf_slice(&out, buf_as_slice(&writer.modseqs));
	return buf_as_slice(&out);
}

/* ---- Decoding ---- */

struct chunk_reader {
	roaring_bitmap_t *exists;
	uint8_t *flags;               /* by offset */
	struct keyword_set *keywords; /* by offset; NULL without any */
};

static void spread_flag(const roaring_bitmap_t *bitmap, uint8_t *flags, unsigned bit)
{
	roaring_uint32_iterator_t *at = roaring_create_iterator(bitmap);
	for (; at->has_value; roaring_advance_uint32_iterator(at))
		flags[at->current_value] |= (uint8_t)(1 << bit);
	roaring_free_uint32_iterator(at);
}

static void read_flag_bitmaps(struct reader *reader, struct chunk_reader *chunk)
{
	for (unsigned i = 0; i < FLAG_BITMAPS; i++) {
		roaring_bitmap_t *bitmap = roaring_bitmap_create();
		if (read_bitmap(reader, bitmap))
			spread_flag(bitmap, chunk->flags, i);
		roaring_bitmap_free(bitmap);
	}
}

static void read_keyword_bitmaps(struct op *op, struct reader *reader, struct chunk_reader *chunk)
{
	uint64_t used = reader_varint(reader);
	if (used > KEYWORDS_MAX)
		reader->failed = true;
	for (uint64_t i = 0; i < used && !reader->failed; i++) {
		uint8_t bit = reader_u8(reader);
		roaring_bitmap_t *bitmap = roaring_bitmap_create();
		if (read_bitmap(reader, bitmap)) {
			if (!chunk->keywords)
				chunk->keywords =
					ARENA_ARRAY(&op->arena, struct keyword_set, CHUNK_MESSAGES);
			roaring_uint32_iterator_t *at = roaring_create_iterator(bitmap);
			for (; at->has_value; roaring_advance_uint32_iterator(at))
				keyword_set_add(&chunk->keywords[at->current_value], bit);
			roaring_free_uint32_iterator(at);
		}
		roaring_bitmap_free(bitmap);
	}
}

static void fill_builder(struct reader *reader, const struct chunk_reader *chunk, uint32_t number,
	struct snapshot_builder *builder)
{
	static const struct keyword_set none;
	uint64_t modseq = 0;
	struct reader modseqs = reader_of(reader_slice(reader));
	roaring_uint32_iterator_t *at = roaring_create_iterator(chunk->exists);
	for (; at->has_value && !modseqs.failed; roaring_advance_uint32_iterator(at)) {
		uint64_t zigzag = reader_varint(&modseqs);
		modseq += zigzag >> 1 ^ -(zigzag & 1);
		uint32_t uid = number << MAILBOX_MAP_CHUNK_BITS | at->current_value;
		builder_put(builder, uid, chunk->flags[at->current_value],
			chunk->keywords ? &chunk->keywords[at->current_value] : &none, modseq);
	}
	roaring_free_uint32_iterator(at);
	if (!reader_is_complete(&modseqs))
		reader->failed = true;
}

struct error *map_decode_chunk(
	struct op *op, struct slice bytes, uint32_t number, struct snapshot_builder *builder)
{
	struct arena_mark mark = arena_mark(&op->arena);
	struct reader reader = reader_of(bytes);
	struct chunk_reader chunk = {.exists = roaring_bitmap_create()};
	chunk.flags = arena_alloc(&op->arena, CHUNK_MESSAGES);
	if (reader_u8(&reader) != MAP_FORMAT || number > UINT32_MAX >> MAILBOX_MAP_CHUNK_BITS)
		reader.failed = true;
	read_bitmap(&reader, chunk.exists);
	read_flag_bitmaps(&reader, &chunk);
	read_keyword_bitmaps(op, &reader, &chunk);
	if (!reader.failed)
		fill_builder(&reader, &chunk, number, builder);
	roaring_bitmap_free(chunk.exists);
	arena_release(&op->arena, mark);
	if (!reader_is_complete(&reader))
		return op_fail(op, ERR_CORRUPT, "chunk %u of a mailbox map cannot be read", number);
	return NULL;
}

struct error *map_load(struct op *op, struct engine *engine, struct mailbox_id mailbox,
	struct snapshot_builder *builder, uint64_t **ret_as_of, size_t *ret_chunk_count)
{
	struct engine_rows rows;
	TRY(engine_scan(engine, op, &mailbox_map_table, key_id(&op->arena, mailbox.uuid),
		SLICE_NONE, SLICE_NONE, SIZE_MAX, false, READ_NORMAL, &rows));
	*ret_as_of = NULL;
	*ret_chunk_count = 0;
	for (size_t i = 0; i < rows.count; i++) {
		struct reader key = reader_of(slice_from(rows.rows[i].key, 1));
		uint32_t chunk = reader_u32(&key);
		struct mailbox_map row;
		TRY(row_decode(op, &mailbox_map_row, rows.rows[i].value, &row));
		TRY(map_decode_chunk(op, row.chunk, chunk, builder));
		size_t count = (size_t)chunk + 1;
		uint64_t *as_of = ARENA_ARRAY(&op->arena, uint64_t, count);
		if (*ret_chunk_count)
			memcpy(as_of, *ret_as_of, *ret_chunk_count * sizeof(uint64_t));
		as_of[chunk] = row.as_of;
		*ret_as_of = as_of;
		*ret_chunk_count = count;
	}
	return NULL;
}

/* ---- Refresh ---- */

/* A chunk that some log rows change. */
struct touched {
	struct mailbox_id mailbox;
	uint32_t chunk;
	const struct log_row **rows; /* ascending */
	size_t count;
	size_t capacity;
	struct touched *next;
};

struct touching {
	struct op *op;
	struct hash_map by_chunk;
	struct touched *first;
	size_t count;
};

static void touch(
	struct touching *t, struct mailbox_id mailbox, uint32_t uid, const struct log_row *row)
{
	struct arena *arena = &t->op->arena;
	uint32_t chunk = uid >> MAILBOX_MAP_CHUNK_BITS;
	struct buf key = buf_in(arena);
	buf_append(&key, ID_SLICE(mailbox));
	buf_u32(&key, chunk);
	struct touched *at = hash_map_find(&t->by_chunk, buf_as_slice(&key));
	if (!at) {
		at = ARENA_NEW(arena, struct touched);
		*at = (struct touched){.mailbox = mailbox, .chunk = chunk, .next = t->first};
		t->first = at;
		t->count++;
		hash_map_put(&t->by_chunk, buf_as_slice(&key), at);
	}
	if (at->count && at->rows[at->count - 1] == row)
		return;
	if (at->count == at->capacity) {
		size_t capacity = at->capacity ? at->capacity * 2 : 4;
		at->rows = arena_grow(arena, at->rows, at->capacity * sizeof(struct log_row *),
			capacity * sizeof(struct log_row *));
		at->capacity = capacity;
	}
	at->rows[at->count++] = row;
}

static struct error *collect_touched(struct touching *t, const struct log_row *row)
{
	if (!row->row.entry.len)
		return NULL;
	struct log_reader log = log_entry_read(t->op, row->row.entry);
	struct log_item item;
	while (log_reader_next(&log, &item)) {
		if (item.kind == LOG_APPEND)
			touch(t, item.mailbox, item.uid, row);
		for (size_t i = 0; item.kind == LOG_EXPUNGE && i < item.expunged_count; i++)
			touch(t, item.mailbox, item.expunged[i].uid, row);
		for (size_t i = 0; item.kind == LOG_FLAGS && i < item.uids.count; i++)
			for (uint64_t uid = item.uids.ranges[i].first;
				uid <= item.uids.ranges[i].last;
				uid = (uid | (CHUNK_MESSAGES - 1)) + 1)
				touch(t, item.mailbox, (uint32_t)uid, row);
	}
	return log.err;
}

static struct error *refresh_chunk(struct op *op, const struct touched *at,
	const struct engine_read *stored, uint64_t as_of, struct snapshot_builder *builder,
	struct mutations *out)
{
	struct mailbox_map map = {0};
	if (stored->found) {
		TRY(row_decode(op, &mailbox_map_row, stored->row.value, &map));
		TRY(map_decode_chunk(op, map.chunk, at->chunk, builder));
	}
	uint32_t first = at->chunk << MAILBOX_MAP_CHUNK_BITS;
	struct builder_scope scope = {.mailbox = at->mailbox,
		.first_uid = first,
		.last_uid = first | (CHUNK_MESSAGES - 1)};
	for (size_t i = 0; i < at->count; i++)
		if (at->rows[i]->modseq > map.as_of)
			TRY(builder_apply(op, builder, &scope, at->rows[i]));
	if (as_of <= map.as_of)
		return NULL;
	map = (struct mailbox_map){
		.as_of = as_of, .chunk = map_encode_chunk(op, builder, at->chunk)};
	mutations_put(out, &mailbox_map_table, stored->partition, stored->key,
		row_encode_in(&op->arena, &mailbox_map_row, &map), as_of);
	return NULL;
}

/* A chunk that cannot be read must not hold up the others: whoever opens that mailbox has it made
 * anew. */
static struct error *refresh_or_pass(struct op *op, const struct touched *at,
	const struct engine_read *stored, uint64_t as_of, struct mutations *out)
{
	struct snapshot_builder builder;
	builder_begin(&builder, NULL);
	struct error *err = refresh_chunk(op, at, stored, as_of, &builder, out);
	builder_drop(&builder);
	if (!err || err->kind != ERR_CORRUPT)
		return err;
	log_error(op, "map-chunk-damaged", FIELD_ID("mailbox", op, at->mailbox.uuid),
		FIELD_U64("chunk", at->chunk), FIELD_ERROR(op, err));
	return NULL;
}

/* The chunks of mailboxes that are still there: a mailbox that was removed has no map any more. */
static struct error *keep_live(struct touching *t, const struct mailbox_finder *finder,
	const struct touched ***ret_live, size_t *ret_count)
{
	*ret_live = ARENA_ARRAY(&t->op->arena, const struct touched *, t->count + 1);
	*ret_count = 0;
	for (struct touched *at = t->first; at; at = at->next) {
		bool found;
		TRY(finder->find(t->op, finder, at->mailbox, &found));
		if (found)
			(*ret_live)[(*ret_count)++] = at;
	}
	return NULL;
}

static struct error *refresh_touched(struct touching *t, struct engine *engine,
	const struct mailbox_finder *finder, uint64_t as_of, struct mutations *out)
{
	struct arena *arena = &t->op->arena;
	const struct touched **live;
	size_t count;
	TRY(keep_live(t, finder, &live, &count));
	struct engine_read *stored = ARENA_ARRAY(arena, struct engine_read, count + 1);
	for (size_t i = 0; i < count; i++)
		stored[i] = (struct engine_read){.table = &mailbox_map_table,
			.partition = key_id(arena, live[i]->mailbox.uuid),
			.key = key_u32_row(arena, live[i]->chunk)};
	TRY(engine_get_many(engine, t->op, stored, count, READ_NORMAL));
	for (size_t i = 0; i < count; i++)
		TRY(refresh_or_pass(t->op, live[i], &stored[i], as_of, out));
	return NULL;
}

struct error *map_refresh(struct op *op, struct engine *engine, const struct mailbox_finder *finder,
	const struct log_row *rows, size_t count, struct mutations *out)
{
	struct touching t = {.op = op};
	struct error *err = NULL;
	hash_map_init(&t.by_chunk);
	for (size_t i = 0; i < count && !err; i++)
		err = collect_touched(&t, &rows[i]);
	if (!err && count)
		err = refresh_touched(&t, engine, finder, rows[count - 1].modseq, out);
	hash_map_done(&t.by_chunk);
	return err;
}
