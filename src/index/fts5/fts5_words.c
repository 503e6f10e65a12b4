#include "index/fts5/fts5_private.h"

#include <assert.h>

#include "base/buf.h"

/* One table for all fields, with the places of words in it: BM25 counts them, and it would not
 * otherwise where the text is not kept (SQLite, "xInstCount"). Words are made by search_words.h;
 * all that the tokenizer has to do is to part them. */

/* Of what a word that is asked for is like: the nearest ones. */
#define LIKE_MOST 100

/* The fields that have words, in the order of the columns, and what a word there weighs. */
static const struct {
	enum text_field field;
	const char *weight;
} columns[] = {
	{TEXT_SUBJECT, "4.0"},
	{TEXT_FROM, "2.0"},
	{TEXT_TO, "1.0"},
	{TEXT_CC, "1.0"},
	{TEXT_BCC, "1.0"},
	{TEXT_BODY, "1.0"},
};

/* What is attached has a table of its own, so that it can come later than all else of a message. */
static const char make_attached[] =
	"CREATE VIRTUAL TABLE attached USING fts5(text, content='', tokenize='ascii');"
	"INSERT INTO attached(attached, rank) VALUES('pgsz', " FTS5_LEAF ");"
	"CREATE VIRTUAL TABLE attached_vocabulary USING fts5vocab(attached, row);";

struct error *fts5_make_words(struct op *op, sqlite3 *db, bool has_attached)
{
	struct buf sql = buf_in(&op->arena);
	buf_append(&sql, SLICE("CREATE VIRTUAL TABLE words USING fts5("));
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		buf_printf(&sql, "%s, ", fts5_field_names[columns[i].field]);
	buf_append(&sql, SLICE("content='', tokenize='ascii');"
			       "INSERT INTO words(words, rank) VALUES('pgsz', " FTS5_LEAF ");"
			       "CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);"));
	if (has_attached)
		buf_append(&sql, slice_from_cstr(make_attached));
	return fts5_run(op, db, arena_cstr(&op->arena, buf_as_slice(&sql)));
}

struct error *fts5_add_attached(struct op *op, sqlite3 *db, uint64_t document, struct slice folded)
{
	AUTO_FTS5_STATEMENT(statement);
	if (!folded.len)
		return NULL;
	TRY(fts5_prepare(op, db, "INSERT INTO attached(rowid, text) VALUES(?, ?)", &statement));
	fts5_bind_number(&statement, document);
	fts5_bind_text(&statement, search_words_make(&op->arena, TEXT_BODY, folded));
	return fts5_execute(&statement);
}

struct error *fts5_prepare_words(struct op *op, sqlite3 *db, struct fts5_statement *ret_statement)
{
	struct buf sql = buf_in(&op->arena);
	buf_append(&sql, SLICE("INSERT INTO words(rowid"));
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		buf_printf(&sql, ", %s", fts5_field_names[columns[i].field]);
	buf_append(&sql, SLICE(") VALUES(?, ?, ?, ?, ?, ?, ?)"));
	static_assert(ARRAY_SIZE(columns) == 6, "a parameter for each, and the document");
	return fts5_prepare(op, db, arena_cstr(&op->arena, buf_as_slice(&sql)), ret_statement);
}

struct error *fts5_add_words(struct op *op, struct fts5_statement *statement, uint64_t document,
	const struct search_texts *texts)
{
	struct arena_mark mark = arena_mark(&op->arena);
	fts5_bind_number(statement, document);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		enum text_field field = columns[i].field;
		fts5_bind_text(
			statement, search_words_make(&op->arena, field, texts->fields[field]));
	}
	TRY(fts5_execute(statement));
	arena_release(&op->arena, mark);
	return NULL;
}

/* ---- Asking ---- */

/* What a word that is asked for may stand as in the index, by how much it is like it. */
struct likes {
	struct slice near[LIKE_MOST], far[LIKE_MOST];
	size_t near_count, far_count;
};

/* The first byte of what may be like it is known. */
static struct error *find_likes(struct op *op, sqlite3 *db, const char *vocabulary,
	struct slice wanted, struct likes *likes)
{
	AUTO_FTS5_STATEMENT(statement);
	*likes = (struct likes){0};
	char after = (char)(wanted.ptr[0] + 1);
	TRY(fts5_prepare(op, db,
		arena_printf(
			&op->arena, "SELECT term FROM %s WHERE term >= ? AND term < ?", vocabulary),
		&statement));
	fts5_bind_text(&statement, slice_range(wanted, 0, 1));
	fts5_bind_text(&statement, slice_of(&after, 1));
	for (;;) {
		bool row;
		TRY(fts5_step(&statement, &row));
		if (!row)
			return NULL;
		struct slice word = fts5_text(&statement, 0);
		unsigned likeness = search_word_likeness(wanted, word);
		if (likeness == WORD_IS_NEAR && likes->near_count < LIKE_MOST)
			likes->near[likes->near_count++] = arena_dup(&op->arena, word);
		if (likeness == WORD_IS_FAR && likes->far_count < LIKE_MOST)
			likes->far[likes->far_count++] = arena_dup(&op->arena, word);
	}
}

/* `{subject body} : ("one" OR "two")`; words have no quotes. Of what is attached there is one
 * column. */
static struct slice match_expression(struct arena *arena, unsigned fields,
	const struct slice *words, size_t count, bool is_beginning)
{
	struct buf out = buf_in(arena);
	buf_append_char(&out, '{');
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (fields & (1U << columns[i].field))
			buf_printf(&out, " %s", fts5_field_names[columns[i].field]);
	if (fields & INDEX_ATTACHED_FIELD)
		buf_append(&out, SLICE(" text"));
	buf_append(&out, SLICE("} : ("));
	for (size_t i = 0; i < count; i++)
		buf_printf(&out, "%s\"" SLICE_FMT "\"%s", i ? " OR " : "", SLICE_ARG(words[i]),
			is_beginning ? "*" : "");
	buf_append_char(&out, ')');
	return buf_as_slice(&out);
}

struct asking {
	struct arena *arena;
	const struct index_word_query *query;
	unsigned fields; /* of one table */
	struct buf sql;
	struct buf expressions; /* of struct slice, in the order of the parameters from ?2 on */
	size_t count;
};

/* BM25 of the words of one table, the columns weighed. */
static void add_weight(struct asking *asking)
{
	if (asking->fields & INDEX_ATTACHED_FIELD) {
		buf_append(&asking->sql, SLICE("-bm25(attached) AS weight FROM attached"
					       " WHERE attached MATCH"));
		return;
	}
	buf_append(&asking->sql, SLICE("-bm25(words"));
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		buf_printf(&asking->sql, ", %s", columns[i].weight);
	buf_append(&asking->sql, SLICE(") AS weight FROM words WHERE words MATCH"));
}

/* One more SELECT: documents that have one of these words, as the word of that number. */
static void add_select(struct asking *asking, size_t number, unsigned likeness,
	const struct slice *words, size_t count)
{
	if (!count)
		return;
	struct slice expression = match_expression(
		asking->arena, asking->fields, words, count, likeness == WORD_BEGINS);
	buf_append(&asking->expressions, slice_of(&expression, sizeof(expression)));
	buf_printf(&asking->sql, "%sSELECT %zu AS number, rowid AS document, %u AS likeness, ",
		asking->count ? " UNION ALL " : "", number, likeness);
	add_weight(asking);
	buf_printf(&asking->sql, " ?%zu", ++asking->count + 1);
}

static struct error *add_word_of(struct op *op, sqlite3 *db, struct asking *asking, unsigned fields,
	size_t number, struct slice word)
{
	struct likes *likes = ARENA_NEW(&op->arena, struct likes);
	asking->fields = asking->query->fields & fields;
	if (!asking->fields)
		return NULL;
	if (!asking->query->is_exact && search_word_edits(word))
		TRY(find_likes(op, db,
			fields == INDEX_ATTACHED_FIELD ? "attached_vocabulary" : "vocabulary", word,
			likes));
	add_select(asking, number, WORD_IS_SAME, &word, 1);
	add_select(asking, number, WORD_BEGINS, &word, search_word_may_begin(word));
	add_select(asking, number, WORD_IS_NEAR, likes->near, likes->near_count);
	add_select(asking, number, WORD_IS_FAR, likes->far, likes->far_count);
	return NULL;
}

static struct error *add_word(
	struct op *op, sqlite3 *db, struct asking *asking, size_t number, struct slice word)
{
	TRY(add_word_of(op, db, asking, SEARCH_WORDS_FIELDS, number, word));
	return add_word_of(op, db, asking, INDEX_ATTACHED_FIELD, number, word);
}

/* Document 0 is every message whose content is not known. */
static struct error *ask(struct op *op, sqlite3 *db, const struct index_word_query *query,
	uint64_t mailbox, struct fts5_statement *ret_statement)
{
	struct asking asking = {.arena = &op->arena,
		.query = query,
		.sql = buf_in(&op->arena),
		.expressions = buf_in(&op->arena)};
	buf_append(&asking.sql, SLICE("SELECT uid, sum(likeness), sum(weight) FROM place JOIN "
				      "(SELECT number, document,"
				      " max(likeness) AS likeness, max(weight) AS weight FROM ("));
	for (size_t i = 0; i < query->words->count; i++)
		TRY(add_word(op, db, &asking, i, query->words->items[i]));
	buf_printf(&asking.sql,
		") GROUP BY number, document) USING(document) WHERE mailbox = ?1 GROUP BY uid"
		" HAVING count(*) = %zu"
		" UNION ALL SELECT uid, 0, 0 FROM place WHERE mailbox = ?1 AND document = 0"
		" ORDER BY uid",
		query->words->count);
	TRY(fts5_prepare(op, db, arena_cstr(&op->arena, buf_as_slice(&asking.sql)), ret_statement));
	fts5_bind_number(ret_statement, mailbox);
	for (size_t i = 0; i < asking.count; i++) {
		struct slice expression;
		memcpy(&expression, asking.expressions.ptr + i * sizeof(expression),
			sizeof(expression));
		fts5_bind_text(ret_statement, expression);
	}
	return NULL;
}

static struct error *read_hits(struct op *op, struct fts5_statement *statement, size_t words,
	struct index_ranking *ranking)
{
	struct buf hits = buf_in(&op->arena);
	for (;;) {
		bool row;
		TRY(fts5_step(statement, &row));
		if (!row)
			break;
		struct index_hit hit = {.uid = (uint32_t)fts5_number(statement, 0)};
		uint64_t likeness = fts5_number(statement, 1);
		if (likeness)
			hit.score = index_score((unsigned)(likeness / words),
				fts5_real(statement, 2) / (double)words);
		buf_append(&hits, slice_of(&hit, sizeof(hit)));
	}
	ranking->count = hits.len / sizeof(struct index_hit);
	ranking->hits = ARENA_ARRAY(&op->arena, struct index_hit, ranking->count + 1);
	if (hits.len)
		memcpy(ranking->hits, hits.ptr, hits.len);
	return NULL;
}

struct error *fts5_rank(struct op *op, struct fts5_file *file, const struct index_word_query *query,
	struct index_ranking *ranking)
{
	uint64_t number;
	sqlite3 *db = file->db;
	AUTO_FTS5_STATEMENT(statement);
	TRY(fts5_ask(op, db, "SELECT cursor FROM progress", &ranking->cursor));
	if (!ranking->cursor)
		return NULL;
	TRY(fts5_read_coverage(op, db, query->mailbox, &number, &ranking->coverage));
	if (!ranking->coverage.uidnext)
		return NULL;
	TRY(fts5_count_held(
		op, file, number, MIN_OF(query->below, ranking->coverage.uidnext), &ranking->held));
	TRY(ask(op, db, query, number, &statement));
	return read_hits(op, &statement, query->words->count, ranking);
}
