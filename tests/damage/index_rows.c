/* Changes an account's index past everything that tells of it:
 *   index_rows FILE SQL     as if the server itself had a fault: the pages have their seals
 * Nobody has the file open. */

#include <stdio.h>

#include "index/fts5/fts5_private.h"

static int run(sqlite3 *db, const char *sql)
{
	char *message = NULL;
	int result = sqlite3_exec(db, sql, NULL, NULL, &message);
	if (result != SQLITE_OK)
		fprintf(stderr, "index_rows: %s\n", message ? message : sqlite3_errstr(result));
	sqlite3_free(message);
	return result;
}

int main(int argc, char **argv)
{
	sqlite3 *db = NULL;
	if (argc != 3) {
		fputs("usage: index_rows FILE SQL\n", stderr);
		return 2;
	}
	int result = fts5_open_pages(argv[1], SQLITE_OPEN_READWRITE, &db);
	if (result != SQLITE_OK)
		fprintf(stderr, "index_rows: %s: %s\n", argv[1], sqlite3_errstr(result));
	else if (run(db, "PRAGMA locking_mode=EXCLUSIVE") == SQLITE_OK)
		result = run(db, argv[2]);
	sqlite3_close(db);
	return result != SQLITE_OK;
}
