#pragma once

/* Inside index/fts5 only. */

#include <sqlite3.h>
#include <sys/types.h>

#include "base/hash_map.h"
#include "base/sync.h"
#include "index/fts5/fts5.h"

/* Raised when the tables of a file become others. */
#define FTS5_FILE_FORMAT 6

/* Of a database, and what its last bytes are. */
#define FTS5_PAGE_BYTES 4096
#define FTS5_SEAL_BYTES 8
/* What FTS5 writes at a time: 4050 would fill a page without a seal, and overflow one with it. */
#define FTS5_LEAF "4040"

/* Of the tables of texts: "text_subject" and so on. */
extern const char *const fts5_field_names[TEXT_FIELD_COUNT];

/* One account's file. */
struct fts5_file {
	struct account_id account;
	struct mutex lock; /* of what follows */
	sqlite3 *db;       /* NULL: not open */
	ino_t inode;
	/* What was counted last, of one mailbox; the file has no other user, so
	 * that stays so until this one changes it. */
	struct {
		uint64_t mailbox; /* its number; 0: none */
		uint32_t below;
		struct index_held held;
	} counted;

	/* Guarded by the index's lock: */
	unsigned users;
	struct fts5_file *newer, *older;
};

struct fts5 {
	struct index index;
	char *folder;
	size_t open_files;
	uint32_t version;      /* of what is in a file: its rules and its tables */
	struct mutex lock;     /* of what follows */
	struct hash_map files; /* account -> struct fts5_file */
	struct fts5_file *newest, *oldest;
	struct fts5 *beside; /* where files are made anew; NULL: this is it */
};

/* ---- fts5_files.c ---- */

/* The account's file, open and locked. *ret_file is NULL when there is none and none is to be made.
 * What is taken is given back, with the error that its use ended in: damage throws it away. */
MUST_CHECK struct error *fts5_take(struct op *op, struct fts5 *fts5, struct account_id account,
	bool makes, struct fts5_file **ret_file);
void fts5_give_back(struct fts5 *fts5, struct fts5_file *file, const struct error *err);

/* Closes the file and removes it. */
void fts5_throw_away(struct fts5 *fts5, struct fts5_file *file);

/* Puts the file beside in its place, with all that its journal holds. */
MUST_CHECK struct error *fts5_replace(struct op *op, struct fts5 *fts5, struct fts5_file *file,
	struct fts5 *beside, struct fts5_file *by);

void fts5_close_all(struct fts5 *fts5);

/* ---- fts5_pages.c ---- */

/* As sqlite3_open_v2, for a file whose pages have seals. */
int fts5_open_pages(const char *path, int flags, sqlite3 **ret_db);

/* ---- fts5_statement.c ---- */

/* The error that a call of the library ended in. */
struct error *fts5_error(struct op *op, sqlite3 *db, const char *what);

/* Runs statements that take nothing and give nothing. */
MUST_CHECK struct error *fts5_run(struct op *op, sqlite3 *db, const char *sql);

/* A statement under way. Parameters are bound in order; texts and blobs must live until the next
 * fts5_rewind. */
struct fts5_statement {
	struct op *op;
	sqlite3 *db;
	sqlite3_stmt *stmt;
	int bound;
	int result; /* of the first call that failed */
};

MUST_CHECK struct error *fts5_prepare(
	struct op *op, sqlite3 *db, const char *sql, struct fts5_statement *ret_statement);
void fts5_finish(struct fts5_statement *statement);
#define AUTO_FTS5_STATEMENT(name) \
	__attribute__((cleanup(fts5_finish))) struct fts5_statement name = {0}

void fts5_bind_number(struct fts5_statement *statement, uint64_t number);
void fts5_bind_id(struct fts5_statement *statement, const struct uuid *id);
void fts5_bind_text(struct fts5_statement *statement, struct slice text);

/* The next row; *ret_row false behind the last. */
MUST_CHECK struct error *fts5_step(struct fts5_statement *statement, bool *ret_row);

/* Runs it to its end, and makes it ready for the next parameters. */
MUST_CHECK struct error *fts5_execute(struct fts5_statement *statement);
uint64_t fts5_number(struct fts5_statement *statement, int column);
double fts5_real(struct fts5_statement *statement, int column);
/* Lives until the next step. */
struct slice fts5_text(struct fts5_statement *statement, int column);
MUST_CHECK struct error *fts5_id(struct fts5_statement *statement, int column, struct uuid *ret_id);

/* One number of one row; 0 when there is none. */
MUST_CHECK struct error *fts5_ask(
	struct op *op, sqlite3 *db, const char *sql, uint64_t *ret_number);

/* ---- fts5.c ---- */

/* Places below a UID, and below what is covered, with the documents they lead to. */
MUST_CHECK struct error *fts5_count_held(struct op *op, struct fts5_file *file, uint64_t mailbox,
	uint32_t below, struct index_held *ret_held);

MUST_CHECK struct error *fts5_read_coverage(struct op *op, sqlite3 *db, struct mailbox_id mailbox,
	uint64_t *ret_number, struct index_coverage *ret_coverage);

/* ---- fts5_words.c ---- */

MUST_CHECK struct error *fts5_make_words(struct op *op, sqlite3 *db, bool has_attached);

/* The statement that fts5_add_words runs for each document. */
MUST_CHECK struct error *fts5_prepare_words(
	struct op *op, sqlite3 *db, struct fts5_statement *ret_statement);
MUST_CHECK struct error *fts5_add_words(struct op *op, struct fts5_statement *statement,
	uint64_t document, const struct search_texts *texts);
MUST_CHECK struct error *fts5_add_attached(
	struct op *op, sqlite3 *db, uint64_t document, struct slice folded);
MUST_CHECK struct error *fts5_rank(struct op *op, struct fts5_file *file,
	const struct index_word_query *query, struct index_ranking *ranking);
