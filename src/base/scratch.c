#include "base/scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define DESCRIPTORS_MOST 16

static char folder[] = "/tmp/holdfast-test-XXXXXX";
static bool is_made;

const char *scratch_folder(void)
{
	if (!is_made && !mkdtemp(folder)) {
		perror(folder);
		exit(EXIT_FAILURE);
	}
	is_made = true;
	return folder;
}

const char *scratch_path(struct arena *arena)
{
	static int given;
	return arena_printf(arena, "%s/%d", scratch_folder(), given++);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

int scratch_remove(void)
{
	return is_made && nftw(folder, remove_one, DESCRIPTORS_MOST, FTW_DEPTH | FTW_PHYS) != 0;
}
