#include "index/fts5/fts5_private.h"

#include <assert.h>
#include <pthread.h>
#include <xxhash.h>

/* A layer between SQLite and the disk: the last bytes of each page of a database, which SQLite
 * leaves alone if told to, hold a hash over the others and the page's number. So a page that
 * anybody else has written, or that a disk gives back otherwise than it was given, is
 * SQLITE_CORRUPT when it is read, and never an answer. The WAL has checksums of its own, which
 * SQLite looks at when it opens it. */

#define PAGES_VFS "holdfast-pages"
#define SEALED_BYTES (FTS5_PAGE_BYTES - FTS5_SEAL_BYTES)

struct pages_file {
	sqlite3_file file;
	sqlite3_file *below; /* behind this */
};

static sqlite3_file *below(sqlite3_file *file)
{
	return ((struct pages_file *)file)->below;
}

/* The beginning of the first page, and some bytes of it, are read alone too. */
static bool is_page(int amount, sqlite3_int64 offset)
{
	return amount == FTS5_PAGE_BYTES && offset % FTS5_PAGE_BYTES == 0;
}

static XXH64_hash_t seal_of(const void *page, sqlite3_int64 offset)
{
	return XXH3_64bits_withSeed(
		page, SEALED_BYTES, (XXH64_hash_t)(offset / FTS5_PAGE_BYTES) + 1);
}

static int read_page(sqlite3_file *file, void *page, int amount, sqlite3_int64 offset)
{
	XXH64_hash_t seal;
	int result = below(file)->pMethods->xRead(below(file), page, amount, offset);
	if (result != SQLITE_OK || !is_page(amount, offset))
		return result;
	memcpy(&seal, (const char *)page + SEALED_BYTES, sizeof(seal));
	return seal == seal_of(page, offset) ? SQLITE_OK : SQLITE_CORRUPT;
}

static int write_page(sqlite3_file *file, const void *page, int amount, sqlite3_int64 offset)
{
	char sealed[FTS5_PAGE_BYTES];
	if (!is_page(amount, offset))
		return below(file)->pMethods->xWrite(below(file), page, amount, offset);
	XXH64_hash_t seal = seal_of(page, offset);
	static_assert(sizeof(seal) == FTS5_SEAL_BYTES, "a seal has its place");
	memcpy(sealed, page, SEALED_BYTES);
	memcpy(sealed + SEALED_BYTES, &seal, sizeof(seal));
	return below(file)->pMethods->xWrite(below(file), sealed, amount, offset);
}

/* ---- What is passed on ---- */

static int close_pages(sqlite3_file *file)
{
	return below(file)->pMethods->xClose(below(file));
}

static int truncate_pages(sqlite3_file *file, sqlite3_int64 size)
{
	return below(file)->pMethods->xTruncate(below(file), size);
}

static int sync_pages(sqlite3_file *file, int flags)
{
	return below(file)->pMethods->xSync(below(file), flags);
}

static int size_of_pages(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return below(file)->pMethods->xFileSize(below(file), ret_size);
}

static int lock_pages(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xLock(below(file), level);
}

static int unlock_pages(sqlite3_file *file, int level)
{
	return below(file)->pMethods->xUnlock(below(file), level);
}

static int are_reserved(sqlite3_file *file, int *ret_reserved)
{
	return below(file)->pMethods->xCheckReservedLock(below(file), ret_reserved);
}

static int control(sqlite3_file *file, int what, void *argument)
{
	return below(file)->pMethods->xFileControl(below(file), what, argument);
}

static int sector_size(sqlite3_file *file)
{
	return below(file)->pMethods->xSectorSize(below(file));
}

static int characteristics(sqlite3_file *file)
{
	return below(file)->pMethods->xDeviceCharacteristics(below(file));
}

/* Without the methods of later versions, which share or map memory: a file has one user. */
static const sqlite3_io_methods pages_methods = {.iVersion = 1,
	.xClose = close_pages,
	.xRead = read_page,
	.xWrite = write_page,
	.xTruncate = truncate_pages,
	.xSync = sync_pages,
	.xFileSize = size_of_pages,
	.xLock = lock_pages,
	.xUnlock = unlock_pages,
	.xCheckReservedLock = are_reserved,
	.xFileControl = control,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics};

static sqlite3_vfs *system_of(sqlite3_vfs *vfs)
{
	return vfs->pAppData;
}

static int open_pages(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	struct pages_file *pages = (struct pages_file *)file;
	sqlite3_vfs *system = system_of(vfs);
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return system->xOpen(system, name, file, flags, ret_flags);
	pages->below = (sqlite3_file *)(pages + 1);
	int result = system->xOpen(system, name, pages->below, flags, ret_flags);
	pages->file.pMethods = pages->below->pMethods ? &pages_methods : NULL;
	return result;
}

static int remove_file(sqlite3_vfs *vfs, const char *name, int syncs)
{
	return system_of(vfs)->xDelete(system_of(vfs), name, syncs);
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *ret_may)
{
	return system_of(vfs)->xAccess(system_of(vfs), name, flags, ret_may);
}

static int full_name(sqlite3_vfs *vfs, const char *name, int size, char *ret_name)
{
	return system_of(vfs)->xFullPathname(system_of(vfs), name, size, ret_name);
}

static int randomness(sqlite3_vfs *vfs, int size, char *ret_bytes)
{
	return system_of(vfs)->xRandomness(system_of(vfs), size, ret_bytes);
}

static int sleep_for(sqlite3_vfs *vfs, int us)
{
	return system_of(vfs)->xSleep(system_of(vfs), us);
}

static int current_time(sqlite3_vfs *vfs, double *ret_days)
{
	return system_of(vfs)->xCurrentTime(system_of(vfs), ret_days);
}

static int last_error(sqlite3_vfs *vfs, int size, char *ret_text)
{
	return system_of(vfs)->xGetLastError(system_of(vfs), size, ret_text);
}

static sqlite3_vfs pages_vfs = {.iVersion = 1,
	.zName = PAGES_VFS,
	.xOpen = open_pages,
	.xDelete = remove_file,
	.xAccess = access_file,
	.xFullPathname = full_name,
	.xRandomness = randomness,
	.xSleep = sleep_for,
	.xCurrentTime = current_time,
	.xGetLastError = last_error};
static int registered = SQLITE_ERROR;

static void register_vfs(void)
{
	sqlite3_vfs *system = sqlite3_vfs_find(NULL);
	if (!system)
		return;
	pages_vfs.mxPathname = system->mxPathname;
	pages_vfs.szOsFile = (int)sizeof(struct pages_file) + system->szOsFile;
	pages_vfs.pAppData = system;
	registered = sqlite3_vfs_register(&pages_vfs, 0);
}

int fts5_open_pages(const char *path, int flags, sqlite3 **ret_db)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int reserved = FTS5_SEAL_BYTES;
	pthread_once(&once, register_vfs);
	if (registered != SQLITE_OK)
		return registered;
	int result = sqlite3_open_v2(path, ret_db, flags, PAGES_VFS);
	if (result != SQLITE_OK)
		return result;
	/* Of a file that is made; one that is there is as it is. */
	return sqlite3_file_control(*ret_db, "main", SQLITE_FCNTL_RESERVE_BYTES, &reserved);
}
