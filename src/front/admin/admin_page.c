#include "front/admin/admin_private.h"

const struct admin_page_file *admin_page_find(const char *method, const char *url)
{
	bool is_root = strcmp(url, "/") == 0;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return NULL;
	for (const struct admin_page_file *file = admin_page_files; file->path; file++)
		if (strcmp(file->path, is_root ? "/index.html" : url) == 0)
			return file;
	return NULL;
}
