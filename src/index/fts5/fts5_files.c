#include "index/fts5/fts5_private.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"

METRIC_GAUGE(files_known, "index_files_open", "Index files of accounts that are open");
METRIC_COUNTER(thrown_away, "index_files_thrown_away_total",
	"Index files that were damaged or of other rules and were made anew");

/* Bytes of pages that each open file may keep in memory. */
#define CACHE_KIB "1024"

/* Another process has no business in the file: the exclusive lock saves the WAL's shared memory.
 * Transactions are not synced, only the WAL before it is copied into the file: a crash loses what
 * came last. */
static_assert(FTS5_PAGE_BYTES == 4096, "as the settings below have it");
static const char set_up[] = "PRAGMA page_size=4096;"
			     "PRAGMA locking_mode=EXCLUSIVE;"
			     "PRAGMA journal_mode=WAL;"
			     "PRAGMA synchronous=NORMAL;"
			     "PRAGMA trusted_schema=OFF;"
			     "PRAGMA cache_size=-" CACHE_KIB ";";

/* Document 0 is every message whose content is not known. */
static const char make_tables[] =
	"CREATE TABLE progress(cursor INTEGER NOT NULL, id INTEGER NOT NULL);"
	"INSERT INTO progress VALUES(0, abs(random() >> 1) + 1);"
	"CREATE TABLE mailbox(id INTEGER PRIMARY KEY, mailbox BLOB NOT NULL UNIQUE,"
	" uidvalidity INTEGER NOT NULL, uidnext INTEGER NOT NULL);"
	"CREATE TABLE document(id INTEGER PRIMARY KEY, message BLOB NOT NULL UNIQUE,"
	" is_whole INTEGER NOT NULL, fingerprint INTEGER NOT NULL, attached INTEGER NOT NULL);"
	"CREATE INDEX document_owed ON document(id) WHERE attached > 0;"
	"CREATE INDEX document_cut ON document(id) WHERE is_whole = 0;"
	"INSERT INTO document VALUES(0, zeroblob(16), 0, 0, 0);"
	"CREATE TABLE place(mailbox INTEGER NOT NULL, uid INTEGER NOT NULL,"
	" document INTEGER NOT NULL, PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;"
	"CREATE INDEX place_document ON place(document, mailbox, uid);";

const char *fts5_path(struct arena *arena, const char *folder, struct account_id account)
{
	/* Ids made one after another differ at their end. */
	return arena_printf(arena, "%s/%02x/%s.sqlite", folder,
		account.uuid.bytes[sizeof(account.uuid.bytes) - 1], uuid_text(arena, account.uuid));
}

static void close_file(struct fts5_file *file)
{
	sqlite3_close(file->db);
	file->db = NULL;
	file->counted.mailbox = 0;
}

static void unlink_file(struct fts5 *fts5, struct fts5_file *file)
{
	struct arena arena;
	arena_init(&arena);
	const char *path = fts5_path(&arena, fts5->folder, file->account);
	unlink(path);
	unlink(arena_printf(&arena, "%s-wal", path));
	unlink(arena_printf(&arena, "%s-shm", path));
	arena_done(&arena);
}

void fts5_throw_away(struct fts5 *fts5, struct fts5_file *file)
{
	close_file(file);
	unlink_file(fts5, file);
}

struct error *fts5_replace(struct op *op, struct fts5 *fts5, struct fts5_file *file,
	struct fts5 *beside, struct fts5_file *by)
{
	const char *from = fts5_path(&op->arena, beside->folder, by->account);
	const char *to = fts5_path(&op->arena, fts5->folder, file->account);
	TRY(fts5_run(op, by->db, "PRAGMA wal_checkpoint(TRUNCATE)"));
	close_file(by);
	/* An old journal must not meet the new file. */
	fts5_throw_away(fts5, file);
	if (rename(from, to) < 0)
		return op_fail(op, ERR_UNAVAILABLE, "%s: %s", to, strerror(errno));
	unlink_file(beside, by);
	return NULL;
}

static struct error *make_folder(struct op *op, const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST
		       ? NULL
		       : op_fail(op, ERR_UNAVAILABLE, "cannot make %s: %s", path, strerror(errno));
}

static struct error *open_database(struct op *op, struct fts5_file *file, const char *path)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_NOFOLLOW;
	if (fts5_open_pages(path, flags, &file->db) != SQLITE_OK)
		return fts5_error(op, file->db, path);
	/* Closing costs no sync then: the WAL is read again by the next open. */
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return fts5_run(op, file->db, set_up);
}

/* One for each part of a message: `detail=none` takes a third of the room that FTS5 needs to tell
 * columns apart, and knows none. */
static struct error *make_text_table(struct op *op, sqlite3 *db, const char *field)
{
	return fts5_run(op, db,
		arena_printf(&op->arena,
			"CREATE VIRTUAL TABLE text_%s USING fts5(text, content='', detail=none,"
			" columnsize=0, tokenize='trigram case_sensitive 1');"
			"INSERT INTO text_%s(text_%s, rank) VALUES('pgsz', " FTS5_LEAF ")",
			field, field, field));
}

/* *ret_is_ours false: it is another's, or of other rules. */
static struct error *prepare_database(
	struct op *op, struct fts5 *fts5, struct fts5_file *file, bool *ret_is_ours)
{
	uint64_t version, tables;
	TRY(fts5_ask(op, file->db, "PRAGMA user_version", &version));
	TRY(fts5_ask(op, file->db, "SELECT count(*) FROM sqlite_schema", &tables));
	*ret_is_ours = tables ? version == fts5->version : true;
	if (tables)
		return NULL;
	TRY(fts5_run(op, file->db, "BEGIN"));
	TRY(fts5_run(op, file->db, make_tables));
	for (int i = 0; i < TEXT_FIELD_COUNT; i++)
		TRY(make_text_table(op, file->db, fts5_field_names[i]));
	if (fts5->index.has_words)
		TRY(fts5_make_words(op, file->db, fts5->index.has_attached));
	TRY(fts5_run(op, file->db,
		arena_printf(&op->arena, "PRAGMA user_version=%u; COMMIT", fts5->version)));
	return NULL;
}

static struct error *open_file(struct op *op, struct fts5 *fts5, struct fts5_file *file)
{
	struct stat status;
	bool is_ours = true;
	const char *path = fts5_path(&op->arena, fts5->folder, file->account);
	struct error *err = open_database(op, file, path);
	if (!err)
		err = prepare_database(op, fts5, file, &is_ours);
	if (!err && !is_ours)
		err = op_fail(op, ERR_CORRUPT, "it was made by other rules");
	if (!err && stat(path, &status) < 0)
		err = op_fail(op, ERR_UNAVAILABLE, "%s: %s", path, strerror(errno));
	if (!err)
		file->inode = status.st_ino;
	else
		close_file(file);
	return err;
}

/* What is of no use is thrown away and made anew, once. */
static struct error *open_or_make(struct op *op, struct fts5 *fts5, struct fts5_file *file)
{
	const char *path = fts5_path(&op->arena, fts5->folder, file->account);
	TRY(make_folder(
		op, arena_printf(&op->arena, "%.*s", (int)(strrchr(path, '/') - path), path)));
	struct error *err = open_file(op, fts5, file);
	if (!err || err->kind != ERR_CORRUPT)
		return err;
	log_warn(op, "index-thrown-away", FIELD_ID("account", op, file->account.uuid),
		FIELD_ERROR(op, err));
	metric_add(&thrown_away, 1);
	fts5_throw_away(fts5, file);
	return open_file(op, fts5, file);
}

/* ---- Which are open ---- */

static void unlink_from_list(struct fts5 *fts5, struct fts5_file *file)
{
	*(file->newer ? &file->newer->older : &fts5->newest) = file->older;
	*(file->older ? &file->older->newer : &fts5->oldest) = file->newer;
	file->newer = file->older = NULL;
}

static void put_first(struct fts5 *fts5, struct fts5_file *file)
{
	file->older = fts5->newest;
	*(fts5->newest ? &fts5->newest->newer : &fts5->oldest) = file;
	fts5->newest = file;
}

static void free_file(struct fts5 *fts5, struct fts5_file *file)
{
	unlink_from_list(fts5, file);
	hash_map_remove(&fts5->files, ID_SLICE(file->account));
	close_file(file);
	mutex_done(&file->lock);
	free(file);
	metric_add(&files_known, -1);
}

/* Closes the oldest that nobody uses, beyond the bound. */
static void close_some(struct fts5 *fts5)
{
	struct fts5_file *file = fts5->oldest;
	while (file && fts5->files.count > fts5->open_files) {
		struct fts5_file *newer = file->newer;
		if (!file->users)
			free_file(fts5, file);
		file = newer;
	}
}

static struct fts5_file *find_or_add(struct fts5 *fts5, struct account_id account)
{
	AUTO_LOCK(&fts5->lock);
	struct fts5_file *file = hash_map_find(&fts5->files, ID_SLICE(account));
	if (file) {
		unlink_from_list(fts5, file);
	} else {
		file = HEAP_NEW(struct fts5_file);
		file->account = account;
		mutex_init(&file->lock);
		hash_map_put(&fts5->files, ID_SLICE(account), file);
		metric_add(&files_known, 1);
	}
	put_first(fts5, file);
	file->users++;
	close_some(fts5);
	return file;
}

/* Somebody may have removed the file, or put another in its place. */
static bool is_still_there(struct op *op, struct fts5 *fts5, const struct fts5_file *file)
{
	struct stat status;
	return stat(fts5_path(&op->arena, fts5->folder, file->account), &status) == 0 &&
	       status.st_ino == file->inode;
}

static bool exists(struct op *op, struct fts5 *fts5, const struct fts5_file *file)
{
	return access(fts5_path(&op->arena, fts5->folder, file->account), F_OK) == 0;
}

static void unlock(struct fts5 *fts5, struct fts5_file *file)
{
	mutex_unlock(&file->lock);
	AUTO_LOCK(&fts5->lock);
	file->users--;
	close_some(fts5);
}

struct error *fts5_take(struct op *op, struct fts5 *fts5, struct account_id account, bool makes,
	struct fts5_file **ret_file)
{
	struct error *err = NULL;
	struct fts5_file *file = find_or_add(fts5, account);
	mutex_lock(&file->lock);
	if (file->db && !is_still_there(op, fts5, file))
		close_file(file);
	if (!file->db && (makes || exists(op, fts5, file)))
		err = open_or_make(op, fts5, file);
	*ret_file = file->db ? file : NULL;
	if (!file->db)
		unlock(fts5, file);
	return err;
}

void fts5_give_back(struct fts5 *fts5, struct fts5_file *file, const struct error *err)
{
	if (err && err->kind == ERR_CORRUPT) {
		metric_add(&thrown_away, 1);
		fts5_throw_away(fts5, file);
	} else if (err) {
		/* What was begun is rolled back. */
		close_file(file);
	}
	unlock(fts5, file);
}

void fts5_close_all(struct fts5 *fts5)
{
	while (fts5->oldest)
		free_file(fts5, fts5->oldest);
}
