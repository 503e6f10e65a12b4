#include "index/fts5/fts5_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"

/* search_texts_rules() has so many. */
#define RULES_BITS 25
/* And a format. What is left of 31 bits tells words apart. */
#define FORMAT_BITS 4

/* So many trigrams of a needle are asked for; the others would narrow no further. */
#define TRIGRAMS_MOST 48

const char *const fts5_field_names[TEXT_FIELD_COUNT] = {[TEXT_SUBJECT] = "subject",
	[TEXT_FROM] = "sender",
	[TEXT_TO] = "recipient",
	[TEXT_CC] = "copied",
	[TEXT_BCC] = "hidden",
	[TEXT_OTHER_FIELDS] = "other",
	[TEXT_BODY] = "body"};

static struct fts5 *fts5_of(struct index *index)
{
	return (struct fts5 *)index;
}

/* ---- Changing ---- */

/* The number of a mailbox; it is added when it is not there. */
static struct error *mailbox_number(
	struct op *op, sqlite3 *db, struct mailbox_id mailbox, uint64_t *ret_number)
{
	bool row;
	AUTO_FTS5_STATEMENT(find);
	AUTO_FTS5_STATEMENT(add);
	TRY(fts5_prepare(op, db, "SELECT id FROM mailbox WHERE mailbox = ?", &find));
	fts5_bind_id(&find, &mailbox.uuid);
	TRY(fts5_step(&find, &row));
	*ret_number = row ? fts5_number(&find, 0) : 0;
	if (row)
		return NULL;
	TRY(fts5_prepare(op, db, "INSERT INTO mailbox VALUES(NULL, ?, 0, 0)", &add));
	fts5_bind_id(&add, &mailbox.uuid);
	TRY(fts5_execute(&add));
	*ret_number = (uint64_t)sqlite3_last_insert_rowid(db);
	return NULL;
}

/* Runs of places are mostly of one mailbox. */
struct mailbox_memory {
	struct mailbox_id mailbox;
	uint64_t number; /* 0: none yet */
};

static struct error *remember(
	struct op *op, sqlite3 *db, struct mailbox_id mailbox, struct mailbox_memory *memory)
{
	if (memory->number && ID_EQUAL(memory->mailbox, mailbox))
		return NULL;
	memory->mailbox = mailbox;
	return mailbox_number(op, db, mailbox, &memory->number);
}

static struct error *forget_mailboxes(struct op *op, sqlite3 *db, const struct index_batch *batch)
{
	static const char *const sql[] = {
		"DELETE FROM place WHERE mailbox = (SELECT id FROM mailbox WHERE mailbox = ?)",
		"DELETE FROM mailbox WHERE mailbox = ?"};
	for (size_t i = 0; i < ARRAY_SIZE(sql) && batch->forgotten_count; i++) {
		AUTO_FTS5_STATEMENT(statement);
		TRY(fts5_prepare(op, db, sql[i], &statement));
		for (size_t j = 0; j < batch->forgotten_count; j++) {
			fts5_bind_id(&statement, &batch->forgotten[j].uuid);
			TRY(fts5_execute(&statement));
		}
	}
	return NULL;
}

static struct error *remove_places(struct op *op, sqlite3 *db, const struct index_batch *batch)
{
	struct mailbox_memory memory = {0};
	AUTO_FTS5_STATEMENT(statement);
	if (!batch->removed_count)
		return NULL;
	TRY(fts5_prepare(op, db, "DELETE FROM place WHERE mailbox = ? AND uid = ?", &statement));
	for (size_t i = 0; i < batch->removed_count; i++) {
		TRY(remember(op, db, batch->removed[i].mailbox, &memory));
		fts5_bind_number(&statement, memory.number);
		fts5_bind_number(&statement, batch->removed[i].uid);
		TRY(fts5_execute(&statement));
	}
	return NULL;
}

struct adding {
	struct op *op;
	sqlite3 *db;
	struct fts5_statement find, document, place, texts[TEXT_FIELD_COUNT];
	struct fts5_statement words; /* not prepared: it has none */
	bool has_attached;
	struct mailbox_memory memory;
};

static struct error *find_document(
	struct adding *adding, struct message_id message, bool *ret_found, uint64_t *ret_document)
{
	fts5_bind_id(&adding->find, &message.uuid);
	TRY(fts5_step(&adding->find, ret_found));
	*ret_document = *ret_found ? fts5_number(&adding->find, 0) : 0;
	sqlite3_reset(adding->find.stmt);
	adding->find.bound = 0;
	return NULL;
}

/* The tokenizer stops at a NUL. No needle has one, so anything may stand there. */
static struct slice without_nuls(struct arena *arena, struct slice text)
{
	if (!text.len || !memchr(text.ptr, '\0', text.len))
		return text;
	char *copy = arena_alloc_raw(arena, text.len);
	for (size_t i = 0; i < text.len; i++)
		copy[i] = text.ptr[i] ? text.ptr[i] : '\n';
	return slice_of(copy, text.len);
}

static struct error *add_document(
	struct adding *adding, const struct index_add *add, uint64_t *ret_document)
{
	struct arena *arena = &adding->op->arena;
	fts5_bind_id(&adding->document, &add->message.uuid);
	fts5_bind_number(&adding->document, add->texts->is_whole);
	fts5_bind_number(&adding->document, search_texts_fingerprint(add->texts));
	fts5_bind_number(&adding->document, add->texts->attached_state);
	TRY(fts5_execute(&adding->document));
	*ret_document = (uint64_t)sqlite3_last_insert_rowid(adding->db);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++) {
		struct arena_mark mark = arena_mark(arena);
		struct slice text = add->texts->fields[i];
		if (!text.len)
			continue;
		fts5_bind_number(&adding->texts[i], *ret_document);
		fts5_bind_text(&adding->texts[i], without_nuls(arena, text));
		TRY(fts5_execute(&adding->texts[i]));
		arena_release(arena, mark);
	}
	if (adding->words.stmt)
		TRY(fts5_add_words(adding->op, &adding->words, *ret_document, add->texts));
	return adding->has_attached ? fts5_add_attached(adding->op, adding->db, *ret_document,
					      add->texts->attached)
				    : NULL;
}

/* To a message that is still in its place. */
static struct error *add_attached(struct adding *adding, const struct index_add *add)
{
	struct op *op = adding->op;
	bool is_there;
	AUTO_FTS5_STATEMENT(find);
	AUTO_FTS5_STATEMENT(change);
	TRY(fts5_prepare(op, adding->db,
		"SELECT document.id FROM document JOIN place ON place.document = document.id"
		" JOIN mailbox ON mailbox.id = place.mailbox"
		" WHERE message = ? AND mailbox.mailbox = ? AND uid = ?",
		&find));
	fts5_bind_id(&find, &add->message.uuid);
	fts5_bind_id(&find, &add->place.mailbox.uuid);
	fts5_bind_number(&find, add->place.uid);
	TRY(fts5_step(&find, &is_there));
	if (!is_there)
		return NULL;
	uint64_t document = fts5_number(&find, 0);
	TRY(fts5_prepare(op, adding->db, "UPDATE document SET attached = ? WHERE id = ?", &change));
	fts5_bind_number(&change, add->texts->attached_state);
	fts5_bind_number(&change, document);
	TRY(fts5_execute(&change));
	return fts5_add_attached(op, adding->db, document, add->texts->attached);
}

/* Nothing can be deleted: the document becomes one of no message, and dead. */
static struct error *replace_document(
	struct adding *adding, const struct index_add *add, uint64_t *inout_document)
{
	uint64_t old = *inout_document;
	AUTO_FTS5_STATEMENT(forget);
	AUTO_FTS5_STATEMENT(move);
	TRY(fts5_prepare(adding->op, adding->db,
		"UPDATE document SET message = randomblob(16), is_whole = 1, attached = 0 WHERE id "
		"= ?",
		&forget));
	fts5_bind_number(&forget, old);
	TRY(fts5_execute(&forget));
	TRY(add_document(adding, add, inout_document));
	TRY(fts5_prepare(
		adding->op, adding->db, "UPDATE place SET document = ? WHERE document = ?", &move));
	fts5_bind_number(&move, *inout_document);
	fts5_bind_number(&move, old);
	return fts5_execute(&move);
}

/* A message that is said to be here already and is not: whoever said so is told to begin anew. */
static struct error *add_place(struct adding *adding, const struct index_add *add)
{
	bool found;
	uint64_t document;
	if (add->is_attached)
		return add_attached(adding, add);
	TRY(find_document(adding, add->message, &found, &document));
	if (!found && !add->texts)
		return op_fail(adding->op, ERR_CORRUPT, "a message is not in the index");
	if (!found)
		TRY(add_document(adding, add, &document));
	else if (add->replaces && add->texts)
		TRY(replace_document(adding, add, &document));
	TRY(remember(adding->op, adding->db, add->place.mailbox, &adding->memory));
	fts5_bind_number(&adding->place, adding->memory.number);
	fts5_bind_number(&adding->place, add->place.uid);
	fts5_bind_number(&adding->place, document);
	return fts5_execute(&adding->place);
}

static struct error *prepare_adding(struct adding *adding, bool has_words)
{
	struct op *op = adding->op;
	TRY(fts5_prepare(
		op, adding->db, "SELECT id FROM document WHERE message = ?", &adding->find));
	TRY(fts5_prepare(op, adding->db, "INSERT INTO document VALUES(NULL, ?, ?, ?, ?)",
		&adding->document));
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		TRY(fts5_prepare(op, adding->db,
			arena_printf(&op->arena, "INSERT INTO text_%s(rowid, text) VALUES(?, ?)",
				fts5_field_names[i]),
			&adding->texts[i]));
	if (has_words)
		TRY(fts5_prepare_words(op, adding->db, &adding->words));
	return fts5_prepare(
		op, adding->db, "INSERT OR REPLACE INTO place VALUES(?, ?, ?)", &adding->place);
}

static struct error *add_places(
	struct op *op, sqlite3 *db, const struct index_batch *batch, const struct index *index)
{
	struct adding adding = {.op = op, .db = db, .has_attached = index->has_attached};
	if (!batch->added_count)
		return NULL;
	struct error *err = prepare_adding(&adding, index->has_words);
	for (size_t i = 0; i < batch->added_count && !err; i++)
		err = add_place(&adding, &batch->added[i]);
	fts5_finish(&adding.find);
	fts5_finish(&adding.document);
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		fts5_finish(&adding.texts[i]);
	fts5_finish(&adding.words);
	fts5_finish(&adding.place);
	return err;
}

static struct error *cover(struct op *op, sqlite3 *db, const struct index_batch *batch)
{
	AUTO_FTS5_STATEMENT(statement);
	if (!batch->covered_count)
		return NULL;
	TRY(fts5_prepare(op, db, "UPDATE mailbox SET uidvalidity = ?, uidnext = ? WHERE id = ?",
		&statement));
	for (size_t i = 0; i < batch->covered_count; i++) {
		uint64_t number;
		TRY(mailbox_number(op, db, batch->covered[i].mailbox, &number));
		fts5_bind_number(&statement, batch->covered[i].uidvalidity);
		fts5_bind_number(&statement, batch->covered[i].uidnext);
		fts5_bind_number(&statement, number);
		TRY(fts5_execute(&statement));
	}
	return NULL;
}

static struct error *move_cursor(struct op *op, sqlite3 *db, uint64_t cursor)
{
	AUTO_FTS5_STATEMENT(statement);
	if (!cursor)
		return NULL;
	TRY(fts5_prepare(op, db, "UPDATE progress SET cursor = ?", &statement));
	fts5_bind_number(&statement, cursor);
	return fts5_execute(&statement);
}

static struct error *change(
	struct op *op, sqlite3 *db, const struct index_batch *batch, const struct index *index)
{
	uint64_t cursor, id;
	TRY(fts5_run(op, db, "BEGIN"));
	TRY(fts5_ask(op, db, "SELECT cursor FROM progress", &cursor));
	TRY(fts5_ask(op, db, "SELECT id FROM progress", &id));
	bool is_another = batch->expected_id && batch->expected_id != id;
	if (cursor != batch->expected_cursor || is_another)
		return op_fail(op, ERR_CONFLICT, "the index is not where it was");
	TRY(forget_mailboxes(op, db, batch));
	TRY(remove_places(op, db, batch));
	TRY(add_places(op, db, batch, index));
	TRY(cover(op, db, batch));
	TRY(move_cursor(op, db, batch->cursor));
	return fts5_run(op, db, "COMMIT");
}

static struct error *apply(struct index *index, struct op *op, struct account_id account,
	const struct index_batch *batch)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, true, &file));
	file->counted.mailbox = 0;
	struct error *err = change(op, file->db, batch, index);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

/* ---- Asking ---- */

static size_t character_length(struct slice text, size_t at)
{
	size_t length = 1;
	while (at + length < text.len && ((unsigned char)text.ptr[at + length] & 0xc0) == 0x80)
		length++;
	return length;
}

/* `"abc" AND "bcd"`, quotes doubled. */
static struct slice match_expression(struct arena *arena, const struct index_query *query)
{
	struct buf out = buf_in(arena);
	struct slice needle = query->needle;
	size_t at = 0;
	for (int i = 0; i < TRIGRAMS_MOST; i++) {
		size_t end = at;
		for (int j = 0; j < INDEX_NEEDLE_MIN && end < needle.len; j++)
			end += character_length(needle, end);
		buf_append(&out, i ? SLICE(" AND \"") : SLICE("\""));
		for (size_t k = at; k < end; k++) {
			if (needle.ptr[k] == '"')
				buf_append_char(&out, '"');
			buf_append_char(&out, needle.ptr[k]);
		}
		buf_append_char(&out, '"');
		if (end >= needle.len)
			break;
		at += character_length(needle, at);
	}
	return buf_as_slice(&out);
}

struct error *fts5_read_coverage(struct op *op, sqlite3 *db, struct mailbox_id mailbox,
	uint64_t *ret_number, struct index_coverage *ret_coverage)
{
	bool row;
	AUTO_FTS5_STATEMENT(statement);
	*ret_coverage = (struct index_coverage){.mailbox = mailbox};
	TRY(fts5_prepare(op, db, "SELECT id, uidvalidity, uidnext FROM mailbox WHERE mailbox = ?",
		&statement));
	fts5_bind_id(&statement, &mailbox.uuid);
	TRY(fts5_step(&statement, &row));
	*ret_number = row ? fts5_number(&statement, 0) : 0;
	if (row) {
		ret_coverage->uidvalidity = (uint32_t)fts5_number(&statement, 1);
		ret_coverage->uidnext = (uint32_t)fts5_number(&statement, 2);
	}
	return NULL;
}

static struct error *read_uids(
	struct op *op, struct fts5_statement *statement, struct index_found *found)
{
	struct buf uids = buf_in(&op->arena);
	for (;;) {
		bool row;
		TRY(fts5_step(statement, &row));
		if (!row)
			break;
		uint32_t uid = (uint32_t)fts5_number(statement, 0);
		buf_append(&uids, slice_of(&uid, sizeof(uid)));
	}
	found->count = uids.len / sizeof(uint32_t);
	found->uids = ARENA_ARRAY(&op->arena, uint32_t, found->count + 1);
	if (uids.len)
		memcpy(found->uids, uids.ptr, uids.len);
	return NULL;
}

/* A text is of one part of a message, so each part is asked for all its trigrams. */
static const char *find_statement(struct arena *arena, unsigned fields)
{
	struct buf sql = buf_in(arena);
	buf_append(&sql, SLICE("SELECT uid FROM place WHERE mailbox = ?1 AND document IN"
			       " (SELECT id FROM document WHERE is_whole = 0"));
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		if (fields & (1U << i))
			buf_printf(&sql,
				" UNION ALL SELECT rowid FROM text_%s WHERE text_%s MATCH ?2",
				fts5_field_names[i], fts5_field_names[i]);
	buf_append(&sql, SLICE(") ORDER BY uid"));
	return arena_cstr(arena, buf_as_slice(&sql));
}

struct error *fts5_count_held(struct op *op, struct fts5_file *file, uint64_t mailbox,
	uint32_t below, struct index_held *ret_held)
{
	bool row;
	AUTO_FTS5_STATEMENT(statement);
	if (file->counted.mailbox != mailbox || file->counted.below != below) {
		TRY(fts5_prepare(op, file->db,
			"SELECT count(*), coalesce(sum(uid), 0) FROM place WHERE mailbox = ? AND "
			"uid < ?"
			" AND EXISTS (SELECT 1 FROM document WHERE document.id = place.document)",
			&statement));
		fts5_bind_number(&statement, mailbox);
		fts5_bind_number(&statement, below);
		TRY(fts5_step(&statement, &row));
		file->counted.mailbox = mailbox;
		file->counted.below = below;
		file->counted.held = (struct index_held){
			.count = fts5_number(&statement, 0), .uid_sum = fts5_number(&statement, 1)};
	}
	*ret_held = file->counted.held;
	return NULL;
}

static struct error *find_in(struct op *op, struct fts5_file *file, const struct index_query *query,
	struct index_found *found)
{
	uint64_t number;
	sqlite3 *db = file->db;
	AUTO_FTS5_STATEMENT(statement);
	TRY(fts5_ask(op, db, "SELECT cursor FROM progress", &found->cursor));
	if (!found->cursor)
		return NULL;
	TRY(fts5_read_coverage(op, db, query->mailbox, &number, &found->coverage));
	if (!found->coverage.uidnext)
		return NULL;
	TRY(fts5_count_held(
		op, file, number, MIN_OF(query->below, found->coverage.uidnext), &found->held));
	TRY(fts5_prepare(op, db, find_statement(&op->arena, query->fields), &statement));
	fts5_bind_number(&statement, number);
	fts5_bind_text(&statement, match_expression(&op->arena, query));
	return read_uids(op, &statement, found);
}

static struct error *find(struct index *index, struct op *op, struct account_id account,
	const struct index_query *query, struct index_found *ret_found)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	if (!file)
		return NULL;
	struct error *err = find_in(op, file, query, ret_found);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *rank(struct index *index, struct op *op, struct account_id account,
	const struct index_word_query *query, struct index_ranking *ret_ranking)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	if (!file)
		return NULL;
	struct error *err = fts5_rank(op, file, query, ret_ranking);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *read_state(struct op *op, sqlite3 *db, struct index_state *state)
{
	uint64_t count;
	AUTO_FTS5_STATEMENT(statement);
	TRY(fts5_ask(op, db, "SELECT cursor FROM progress", &state->cursor));
	TRY(fts5_ask(op, db, "SELECT count(*) FROM mailbox", &count));
	TRY(fts5_ask(op, db, "SELECT id FROM progress", &state->id));
	state->covered = ARENA_ARRAY(&op->arena, struct index_coverage, count + 1);
	TRY(fts5_prepare(op, db, "SELECT mailbox, uidvalidity, uidnext FROM mailbox", &statement));
	for (bool row = true; state->covered_count < count;) {
		struct index_coverage *covered = &state->covered[state->covered_count];
		TRY(fts5_step(&statement, &row));
		if (!row)
			break;
		TRY(fts5_id(&statement, 0, &covered->mailbox.uuid));
		covered->uidvalidity = (uint32_t)fts5_number(&statement, 1);
		covered->uidnext = (uint32_t)fts5_number(&statement, 2);
		state->covered_count++;
	}
	return NULL;
}

static struct error *state(struct index *index, struct op *op, struct account_id account,
	struct index_state *ret_state)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	if (!file)
		return NULL;
	struct error *err = read_state(op, file->db, ret_state);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *look_up(
	struct op *op, sqlite3 *db, const struct message_id *messages, size_t count, bool *ret_has)
{
	AUTO_FTS5_STATEMENT(statement);
	TRY(fts5_prepare(op, db, "SELECT 1 FROM document WHERE message = ?", &statement));
	for (size_t i = 0; i < count; i++) {
		fts5_bind_id(&statement, &messages[i].uuid);
		TRY(fts5_step(&statement, &ret_has[i]));
		sqlite3_reset(statement.stmt);
		statement.bound = 0;
	}
	return NULL;
}

static struct error *has(struct index *index, struct op *op, struct account_id account,
	const struct message_id *messages, size_t count, bool *ret_has)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	for (size_t i = 0; i < count; i++)
		ret_has[i] = false;
	if (!file)
		return NULL;
	struct error *err = look_up(op, file->db, messages, count, ret_has);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *read_entries(struct op *op, struct fts5_statement *statement, size_t most,
	struct index_entry *entries, size_t *ret_count)
{
	while (*ret_count < most) {
		bool row;
		struct index_entry *entry = &entries[*ret_count];
		TRY(fts5_step(statement, &row));
		if (!row)
			break;
		entry->uid = (uint32_t)fts5_number(statement, 0);
		TRY(fts5_id(statement, 1, &entry->message.uuid));
		entry->fingerprint = fts5_number(statement, 2);
		entry->attached = (unsigned)fts5_number(statement, 3);
		++*ret_count;
	}
	return NULL;
}

/* A place without a document is damage. */
static struct error *list_places(struct op *op, sqlite3 *db, const char *which,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	AUTO_FTS5_STATEMENT(statement);
	struct index_entry *entries = ARENA_ARRAY(&op->arena, struct index_entry, most + 1);
	size_t count = 0;
	TRY(fts5_prepare(op, db,
		arena_printf(&op->arena,
			"SELECT uid, message, fingerprint, attached FROM place JOIN document"
			" ON document.id = document"
			" WHERE mailbox = (SELECT id FROM mailbox WHERE mailbox.mailbox = ?)"
			" AND uid >= ? %s ORDER BY uid LIMIT ?",
			which),
		&statement));
	fts5_bind_id(&statement, &mailbox.uuid);
	fts5_bind_number(&statement, from);
	fts5_bind_number(&statement, most);
	TRY(read_entries(op, &statement, most, entries, &count));
	*ret_entries = entries;
	*ret_count = count;
	return NULL;
}

static struct error *list_those(struct index *index, struct op *op, struct account_id account,
	const char *which, struct mailbox_id mailbox, uint32_t from, size_t most,
	struct index_entry **ret_entries, size_t *ret_count)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	if (!file)
		return NULL;
	struct error *err =
		list_places(op, file->db, which, mailbox, from, most, ret_entries, ret_count);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *list(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	return list_those(index, op, account, "", mailbox, from, most, ret_entries, ret_count);
}

static struct error *owed(struct index *index, struct op *op, struct account_id account,
	struct mailbox_id mailbox, uint32_t from, size_t most, struct index_entry **ret_entries,
	size_t *ret_count)
{
	static_assert(INDEX_ATTACHED_GIVEN_UP == 255, "as it says below");
	return list_those(index, op, account, "AND attached > 0 AND attached < 255", mailbox, from,
		most, ret_entries, ret_count);
}

static struct error *measure(struct op *op, sqlite3 *db, struct index_size *size)
{
	uint64_t pages, page_bytes;
	TRY(fts5_ask(op, db, "SELECT count(*) - 1 FROM document", &size->documents));
	TRY(fts5_ask(op, db,
		"SELECT count(*) FROM document WHERE id > 0 AND NOT EXISTS"
		" (SELECT 1 FROM place WHERE place.document = document.id)",
		&size->dead));
	TRY(fts5_ask(op, db, "SELECT count(*) FROM place", &size->places));
	TRY(fts5_ask(op, db,
		"SELECT count(*) FROM document WHERE attached > 0 AND attached < 255 AND EXISTS"
		" (SELECT 1 FROM place WHERE place.document = document.id)",
		&size->owed));
	TRY(fts5_ask(op, db,
		"SELECT count(*) FROM document WHERE attached > 254 AND EXISTS"
		" (SELECT 1 FROM place WHERE place.document = document.id)",
		&size->given_up));
	TRY(fts5_ask(op, db, "PRAGMA page_count", &pages));
	TRY(fts5_ask(op, db, "PRAGMA page_size", &page_bytes));
	size->bytes = pages * page_bytes;
	return NULL;
}

static struct error *size(
	struct index *index, struct op *op, struct account_id account, struct index_size *ret_size)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5_of(index), account, false, &file));
	if (!file)
		return NULL;
	struct error *err = measure(op, file->db, ret_size);
	fts5_give_back(fts5_of(index), file, err);
	return err;
}

static struct error *drop_file(struct op *op, struct fts5 *fts5, struct account_id account)
{
	struct fts5_file *file;
	TRY(fts5_take(op, fts5, account, false, &file));
	if (!file)
		return NULL;
	fts5_throw_away(fts5, file);
	fts5_give_back(fts5, file, NULL);
	return NULL;
}

static struct error *drop(struct index *index, struct op *op, struct account_id account)
{
	struct fts5 *fts5 = fts5_of(index);
	if (fts5->beside)
		TRY(drop_file(op, fts5->beside, account));
	return drop_file(op, fts5, account);
}

/* Only here are two files held at once: what is asked, then what is beside. */
static struct error *swap(struct index *index, struct op *op, struct account_id account)
{
	struct fts5 *fts5 = fts5_of(index);
	struct fts5_file *file, *beside;
	TRY(fts5_take(op, fts5, account, true, &file));
	struct error *err = fts5_take(op, fts5->beside, account, false, &beside);
	if (!err && !beside)
		err = op_fail(op, ERR_NOT_FOUND, "nothing was made beside the index");
	if (!err) {
		err = fts5_replace(op, fts5, file, fts5->beside, beside);
		fts5_give_back(fts5->beside, beside, err);
	}
	fts5_give_back(fts5, file, NULL);
	return err;
}

static struct index *beside_of(struct index *index)
{
	return &fts5_of(index)->beside->index;
}

static void close_index(struct index *index)
{
	struct fts5 *fts5 = fts5_of(index);
	if (fts5->beside)
		close_index(&fts5->beside->index);
	fts5_close_all(fts5);
	hash_map_done(&fts5->files);
	mutex_done(&fts5->lock);
	free(fts5->folder);
	free(fts5);
}

static const struct index_ops fts5_ops = {.name = "fts5",
	.apply = apply,
	.find = find,
	.rank = rank,
	.state = state,
	.has = has,
	.list = list,
	.owed = owed,
	.size = size,
	.drop = drop,
	.swap = swap,
	.beside = beside_of,
	.close = close_index};

/* Files that are made anew are few, and each of them is in use. */
#define OPEN_BESIDE 2

static struct error *open_folder(struct op *op, const struct fts5_options *options,
	const char *folder, size_t open_files, struct fts5 **ret_fts5)
{
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return op_fail(op, ERR_UNAVAILABLE, "cannot make %s: %s", folder, strerror(errno));
	struct fts5 *fts5 = HEAP_NEW(struct fts5);
	fts5->index = (struct index){.ops = &fts5_ops,
		.has_words = options->has_words,
		.has_attached = options->has_words && options->has_attached};
	fts5->folder = heap_cstr(slice_from_cstr(folder));
	fts5->open_files = open_files;
	/* Two bits: no words, words, and words of attachments too. */
	uint32_t words = options->has_words ? SEARCH_WORDS_VERSION + fts5->index.has_attached : 0;
	static_assert(FTS5_FILE_FORMAT < 1 << FORMAT_BITS && SEARCH_WORDS_VERSION < 3, "room");
	fts5->version =
		options->rules + ((FTS5_FILE_FORMAT + (words << FORMAT_BITS)) << RULES_BITS);
	mutex_init(&fts5->lock);
	hash_map_init(&fts5->files);
	*ret_fts5 = fts5;
	return NULL;
}

struct error *fts5_open(struct op *op, const struct fts5_options *options, struct index **ret_index)
{
	struct fts5 *fts5;
	TRY(open_folder(op, options, options->folder, options->open_files, &fts5));
	struct error *err = open_folder(op, options,
		arena_printf(&op->arena, "%s/beside", options->folder), OPEN_BESIDE, &fts5->beside);
	if (err) {
		close_index(&fts5->index);
		return err;
	}
	*ret_index = &fts5->index;
	return NULL;
}
