#include "index/fts5/fts5_private.h"

/* What passes without the file being at fault. Everything else is damage. */
static bool may_pass(int result)
{
	switch (result & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_CANTOPEN:
	case SQLITE_FULL:
	case SQLITE_INTERRUPT:
	case SQLITE_IOERR:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_PERM:
	case SQLITE_READONLY:
		return true;
	default:
		return false;
	}
}

struct error *fts5_error(struct op *op, sqlite3 *db, const char *what)
{
	int result = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	return op_fail(op, may_pass(result) ? ERR_UNAVAILABLE : ERR_CORRUPT, "%s: %s (%d)", what,
		db ? sqlite3_errmsg(db) : "no memory", result);
}

struct error *fts5_run(struct op *op, sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? NULL
								    : fts5_error(op, db, sql);
}

struct error *fts5_prepare(
	struct op *op, sqlite3 *db, const char *sql, struct fts5_statement *ret_statement)
{
	*ret_statement = (struct fts5_statement){.op = op, .db = db};
	return sqlite3_prepare_v2(db, sql, -1, &ret_statement->stmt, NULL) == SQLITE_OK
		       ? NULL
		       : fts5_error(op, db, sql);
}

void fts5_finish(struct fts5_statement *statement)
{
	sqlite3_finalize(statement->stmt);
	statement->stmt = NULL;
}

static void note(struct fts5_statement *statement, int result)
{
	if (statement->result == SQLITE_OK)
		statement->result = result;
}

void fts5_bind_number(struct fts5_statement *statement, uint64_t number)
{
	note(statement,
		sqlite3_bind_int64(statement->stmt, ++statement->bound, (sqlite3_int64)number));
}

void fts5_bind_id(struct fts5_statement *statement, const struct uuid *id)
{
	note(statement, sqlite3_bind_blob(statement->stmt, ++statement->bound, id->bytes,
				sizeof(id->bytes), SQLITE_STATIC));
}

void fts5_bind_text(struct fts5_statement *statement, struct slice text)
{
	note(statement, sqlite3_bind_text64(statement->stmt, ++statement->bound,
				text.ptr ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8));
}

struct error *fts5_step(struct fts5_statement *statement, bool *ret_row)
{
	*ret_row = false;
	if (statement->result == SQLITE_OK) {
		int result = sqlite3_step(statement->stmt);
		if (result == SQLITE_ROW || result == SQLITE_DONE) {
			*ret_row = result == SQLITE_ROW;
			return NULL;
		}
	}
	return fts5_error(statement->op, statement->db, sqlite3_sql(statement->stmt));
}

struct error *fts5_execute(struct fts5_statement *statement)
{
	bool row = true;
	while (row)
		TRY(fts5_step(statement, &row));
	sqlite3_reset(statement->stmt);
	statement->bound = 0;
	return NULL;
}

uint64_t fts5_number(struct fts5_statement *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement->stmt, column);
}

double fts5_real(struct fts5_statement *statement, int column)
{
	return sqlite3_column_double(statement->stmt, column);
}

struct slice fts5_text(struct fts5_statement *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement->stmt, column);
	int len = sqlite3_column_bytes(statement->stmt, column);
	return text ? slice_of(text, (size_t)len) : SLICE_NONE;
}

struct error *fts5_id(struct fts5_statement *statement, int column, struct uuid *ret_id)
{
	const void *bytes = sqlite3_column_blob(statement->stmt, column);
	int len = sqlite3_column_bytes(statement->stmt, column);
	if (bytes && uuid_from_slice(slice_of(bytes, (size_t)len), ret_id))
		return NULL;
	return op_fail(statement->op, ERR_CORRUPT, "an id of %d bytes", len);
}

struct error *fts5_ask(struct op *op, sqlite3 *db, const char *sql, uint64_t *ret_number)
{
	bool row;
	AUTO_FTS5_STATEMENT(statement);
	TRY(fts5_prepare(op, db, sql, &statement));
	TRY(fts5_step(&statement, &row));
	*ret_number = row ? fts5_number(&statement, 0) : 0;
	return NULL;
}
